package simulator

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// mediaPath is where pictures and videos can be fetched without a token: the PicUrl of a message and
// the video_url of media/get.
const mediaPath = "/mmbiz_jpg/"

// uploadMedia is media/upload. R-API-MEDIA
func (c *apiCall) uploadMedia() (any, errcode) {
	kind := c.query.Get("type")
	if _, known := mediaSize[kind]; !known {
		return nil, 40004
	}
	name, data, code := c.filePart("media")
	if code != 0 {
		return nil, code
	}
	m, code := newMedia(kind, name, data, c.p.now())
	if code != 0 {
		return nil, code
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.official.api.media.add(m)
	answer := struct {
		Type         string `json:"type"`
		MediaID      string `json:"media_id,omitempty"`
		ThumbMediaID string `json:"thumb_media_id,omitempty"`
		CreatedAt    int64  `json:"created_at"`
	}{Type: kind, MediaID: m.ID, CreatedAt: m.CreatedAt.Unix()}
	if kind == "thumb" {
		answer.MediaID, answer.ThumbMediaID = "", m.ID
	}
	return answer, 0
}

// filePart reads the file of a form.
func (c *apiCall) filePart(field string) (name string, data []byte, code errcode) {
	c.request.Body = http.MaxBytesReader(c.writer, c.request.Body, maxUpload)
	parts, err := c.request.MultipartReader()
	if err != nil {
		return "", nil, 41005
	}
	for {
		part, err := parts.NextPart()
		if err == nil && (part.FormName() != field || part.FileName() == "") {
			continue
		}
		if err == nil {
			name = part.FileName()
			data, err = io.ReadAll(part)
		}
		if _, large := errors.AsType[*http.MaxBytesError](err); large || errors.Is(err, multipart.ErrMessageTooLarge) {
			return "", nil, 45001
		}
		if err != nil { // no such part, or none that is whole
			return "", nil, 41005
		}
		return name, data, 0
	}
}

// getMedia is media/get.
func (c *apiCall) getMedia() (any, errcode) {
	id := c.query.Get("media_id")
	if id == "" {
		return nil, 41006
	}
	m, ok := c.official.Media(id)
	if !ok {
		return nil, 40007
	}
	if m.Type == "video" {
		return struct {
			VideoURL string `json:"video_url"`
		}{"http://" + c.request.Host + mediaPath + m.ID + "/0"}, 0
	}
	return file{name: m.ID + path.Ext(m.Name), contentType: m.ContentType, data: m.Data}, 0
}

// showMedia serves a medium to whoever knows its id, as WeChat's servers of pictures do.
func (p *Platform) showMedia(w http.ResponseWriter, r *http.Request, rest string) {
	id, _, _ := strings.Cut(rest, "/")
	for _, o := range p.Officials() {
		if m, ok := o.Media(id); ok {
			w.Header().Set("Content-Type", m.ContentType)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Content-Length", strconv.Itoa(len(m.Data)))
			_, _ = w.Write(m.Data)
			return
		}
	}
	http.NotFound(w, r)
}
