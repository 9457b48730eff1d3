package wxapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Limits of media in bytes. WeChat's own are lower and change; it refuses with 40006 to 40012 or 45001.
const (
	maxUpload   = 20 << 20
	maxDownload = 100 << 20
)

// Media is a temporary medium (临时素材) that was uploaded. It lasts three days.
type Media struct {
	Type      string // image, voice, video or thumb
	ID        string
	CreatedAt time.Time
}

// MediaFile says what GetMedia has fetched.
type MediaFile struct {
	Name        string // as WeChat calls it, without folders; may be ""
	ContentType string
	Size        int64
	// VideoURL is where a video is, which WeChat does not send itself; then nothing was written.
	VideoURL string
}

// UploadMedia uploads a temporary medium (临时素材): kind is image, voice, video or thumb, name a
// file name with its extension, by which WeChat knows the format. R-API-MEDIA
//
// r is read from where it is to its end, 20 MiB at most, and not after the call. If it is an io.Seeker it is streamed, and
// read again if the call has to be repeated; otherwise it is read into memory first, since WeChat
// has to be told the length beforehand.
func (c *Client) UploadMedia(ctx context.Context, kind, name string, r io.Reader) (Media, error) {
	if !slices.Contains([]string{"image", "voice", "video", "thumb"}, kind) {
		return Media{}, fmt.Errorf("%w: there are no media of the type %q; use image, voice, video or thumb", ErrInvalid, kind)
	}
	open, size, err := rewinder(r)
	if err != nil {
		return Media{}, err
	}
	x := &exchange{method: http.MethodPost, path: "/cgi-bin/media/upload", query: url.Values{"type": {kind}}, slow: true}
	x.setFile("media", name, open, size)
	var answer struct {
		Type         string `json:"type"`
		MediaID      string `json:"media_id"`
		ThumbMediaID string `json:"thumb_media_id"`
		CreatedAt    int64  `json:"created_at"`
	}
	x.out = &answer
	if err := c.do(ctx, x); err != nil {
		return Media{}, err
	}
	m := Media{answer.Type, cmp.Or(answer.MediaID, answer.ThumbMediaID), time.Unix(answer.CreatedAt, 0)}
	if m.ID == "" {
		return Media{}, &TransportError{Path: x.path, Sent: true, Status: http.StatusOK, Err: errors.New("there is no media_id in the answer")}
	}
	return m, nil
}

// rewinder returns a function that reads r from where it is now, any number of times, and its length.
func rewinder(r io.Reader) (open func() (io.Reader, error), size int64, err error) {
	tooLong := fmt.Errorf("%w: the file has more than %d bytes, and WeChat takes fewer", ErrInvalid, maxUpload)
	if s, ok := r.(io.ReadSeeker); ok {
		start, err := s.Seek(0, io.SeekCurrent)
		if err == nil {
			size, err = s.Seek(0, io.SeekEnd)
			size -= start
		}
		if err == nil {
			if size > maxUpload {
				return nil, 0, tooLong
			}
			return func() (io.Reader, error) {
				_, err := s.Seek(start, io.SeekStart)
				return io.LimitReader(s, size), err
			}, size, checkSize(size)
		}
		if _, err := s.Seek(start, io.SeekStart); err != nil && start != 0 {
			return nil, 0, fmt.Errorf("%w: the file cannot be read: %w", ErrInvalid, err)
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxUpload+1))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: the file cannot be read: %w", ErrInvalid, err)
	}
	if len(data) > maxUpload {
		return nil, 0, tooLong
	}
	return func() (io.Reader, error) { return bytes.NewReader(data), nil }, int64(len(data)), checkSize(int64(len(data)))
}

func checkSize(n int64) error {
	if n <= 0 {
		return fmt.Errorf("%w: the file is empty", ErrInvalid)
	}
	return nil
}

// mediaTypes are the formats that WeChat takes. The tables of package mime differ by machine.
var mediaTypes = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".bmp": "image/bmp",
	".mp3": "audio/mpeg", ".amr": "audio/amr", ".wma": "audio/x-ms-wma", ".wav": "audio/wav", ".mp4": "video/mp4",
}

var formEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "")

// setFile makes the body a form with one file.
func (x *exchange) setFile(field, name string, open func() (io.Reader, error), size int64) {
	boundary := "echostr" + rand.Text()
	contentType := cmp.Or(mediaTypes[strings.ToLower(path.Ext(name))], "application/octet-stream")
	head := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + field + "\"; filename=\"" + formEscaper.Replace(cmp.Or(name, field)) +
		"\"\r\nContent-Type: " + contentType + "\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	x.contentType = "multipart/form-data; boundary=" + boundary
	x.size = int64(len(head)) + size + int64(len(tail))
	x.open = func() (io.ReadCloser, error) {
		file, err := open()
		return &gate{r: io.MultiReader(strings.NewReader(head), file, strings.NewReader(tail))}, err
	}
}

// GetMedia fetches a temporary medium into w, such as a picture that a user has sent: 100 MiB at most. For
// a video it writes nothing and returns where it is. With an error something may have been written. R-API-MEDIA
func (c *Client) GetMedia(ctx context.Context, mediaID string, w io.Writer) (MediaFile, error) {
	if mediaID == "" {
		return MediaFile{}, fmt.Errorf("%w: the media id is empty", ErrInvalid)
	}
	var file MediaFile
	var answer struct {
		VideoURL string `json:"video_url"`
		DownURL  string `json:"down_url"`
	}
	x := &exchange{method: http.MethodGet, path: "/cgi-bin/media/get", query: url.Values{"media_id": {mediaID}}, slow: true, out: &answer}
	x.receive = func(resp *http.Response) (bool, error) {
		contentType := resp.Header.Get("Content-Type")
		_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
		name := params["filename"]
		if mayBeJSON(contentType) && name == "" {
			return true, nil
		}
		if resp.StatusCode != http.StatusOK {
			return false, errors.New("it is no medium")
		}
		n, err := copyBounded(w, resp.Body, maxDownload)
		file = MediaFile{Name: path.Base(path.Clean("/" + strings.ReplaceAll(name, `\`, "/"))), ContentType: contentType, Size: n}
		if file.Name == "/" {
			file.Name = ""
		}
		return false, err
	}
	err := c.do(ctx, x)
	if file.VideoURL = cmp.Or(answer.VideoURL, answer.DownURL); err == nil && file.ContentType == "" && file.VideoURL == "" {
		err = &TransportError{Path: x.path, Sent: true, Status: http.StatusOK, Err: errors.New("it is no medium")}
	}
	return file, err
}

// mayBeJSON reports whether an answer with this Content-Type is JSON, which errors and videos are.
func mayBeJSON(contentType string) bool {
	t, _, _ := mime.ParseMediaType(contentType)
	return t == "" || strings.HasSuffix(t, "json") || strings.HasPrefix(t, "text/")
}
