package simulator

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Temporary media (临时素材). R-API-MEDIA
const (
	mediaLife      = 3 * 24 * time.Hour
	keptMedia      = 1000      // of an account; more are forgotten, the oldest first
	keptMediaBytes = 128 << 20 // likewise
)

// mediaSize is how many bytes a medium may have, with the code for more.
var mediaSize = map[string]struct {
	limit int
	code  errcode
}{
	"image": {10 << 20, 40009},
	"voice": {2 << 20, 40010},
	"video": {10 << 20, 40011},
	"thumb": {64 << 10, 40012},
}

// mediaForms are the forms that a type of media may have, as sniff names them.
var mediaForms = map[string][]string{
	"image": {"png", "jpg", "gif", "bmp"},
	"voice": {"amr", "mp3"},
	"video": {"mp4"},
	"thumb": {"jpg"},
}

var contentTypes = map[string]string{
	"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "bmp": "image/bmp",
	"amr": "audio/amr", "mp3": "audio/mp3", "mp4": "video/mp4",
}

// Media is a temporary medium (临时素材) of an account: what was uploaded, and what users
// have sent. It can be used for three days.
type Media struct {
	// ID is the media_id.
	ID string
	// Type is "image", "voice", "video" or "thumb".
	Type string
	// Name is the file name, and ContentType what it contains.
	Name, ContentType string
	// Data is the file. It must not be changed.
	Data []byte
	// CreatedAt is when it was uploaded.
	CreatedAt time.Time
}

// mediaStore has the media of one account.
type mediaStore struct {
	byID  map[string]Media
	order []string // the oldest first
	bytes int
}

func (s *mediaStore) add(m Media) {
	if s.byID == nil {
		s.byID = make(map[string]Media)
	}
	s.byID[m.ID] = m
	s.order = append(s.order, m.ID)
	s.bytes += len(m.Data)
	for len(s.order) > 1 && (len(s.order) > keptMedia || s.bytes > keptMediaBytes) {
		s.bytes -= len(s.byID[s.order[0]].Data)
		delete(s.byID, s.order[0])
		s.order = s.order[1:]
	}
}

// AddMedia uploads a file as a temporary medium of the type "image", "voice", "video" or
// "thumb", by WeChat's rules on sizes and forms. A name without an extension gets the one that
// the content has. The error quotes the errcode.
func (o *Official) AddMedia(kind, name string, data []byte) (Media, error) {
	if path.Ext(name) == "" {
		name += "." + sniff(data)
	}
	m, code := newMedia(kind, name, data, o.p.now())
	if code != 0 {
		return Media{}, fmt.Errorf("simulator: WeChat would not take this %s: %w", kind, code)
	}
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.api.media.add(m)
	return m, nil
}

// Media returns the medium with a media_id, unless it is unknown or older than three days.
// Ids that begin with "simulated_" are those of messages that have invented theirs, and
// have an invented content.
func (o *Official) Media(id string) (Media, bool) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.medium(id)
}

// inventedID is what the constructors of messages write where no medium is given.
var inventedID = regexp.MustCompile(`^simulated_[a-z_]{1,50}$`)

// medium is Media. p.mu is held.
func (o *Official) medium(id string) (Media, bool) {
	now := o.p.now()
	if m, ok := o.api.media.byID[id]; ok {
		return m, now.Sub(m.CreatedAt) < mediaLife
	}
	if !inventedID.MatchString(id) {
		return Media{}, false
	}
	kind := "image"
	for known := range mediaForms {
		if strings.HasSuffix(id, known) {
			kind = known
		}
	}
	return inventedMedia(kind, id, now), true
}

// inventMedia makes a medium with some content, for a message of a user, and returns its
// media_id. p.mu is held.
func (o *Official) inventMedia(kind string) string {
	m := inventedMedia(kind, newMediaID(), o.p.now())
	o.api.media.add(m)
	return m.ID
}

// newMediaID makes an id of 64 characters.
func newMediaID() string {
	random := make([]byte, 48)
	rand.Read(random)
	return base64.RawURLEncoding.EncodeToString(random)
}

func newMedia(kind, name string, data []byte, now time.Time) (Media, errcode) {
	size, known := mediaSize[kind]
	form := sniff(data)
	extension := strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")
	if extension == "jpeg" {
		extension = "jpg"
	}
	switch {
	case !known:
		return Media{}, 40004
	case len(data) == 0:
		return Media{}, 44001
	case len(data) > size.limit:
		return Media{}, size.code
	case !slices.Contains(mediaForms[kind], extension):
		return Media{}, 40005
	case slices.Contains(mediaForms[kind], form):
	case kind == "image" || kind == "thumb":
		return Media{}, 40137
	default:
		return Media{}, 40005
	}
	if form == "amr" && amrDuration(data) > time.Minute {
		return Media{}, 45007
	}
	return Media{ID: newMediaID(), Type: kind, Name: path.Base(name), ContentType: contentTypes[form], Data: data, CreatedAt: now}, 0
}

// sniff tells the form of a file by how it begins, "" if it is none that WeChat takes.
func sniff(data []byte) string {
	has := func(at int, magic string) bool {
		return len(data) >= at+len(magic) && string(data[at:at+len(magic)]) == magic
	}
	switch {
	case has(0, "\x89PNG\r\n\x1a\n"):
		return "png"
	case has(0, "\xff\xd8\xff"):
		return "jpg"
	case has(0, "GIF8"):
		return "gif"
	case has(0, "BM"):
		return "bmp"
	case has(0, "#!AMR"):
		return "amr"
	case has(0, "ID3"), len(data) > 1 && data[0] == 0xff && data[1]&0xe0 == 0xe0:
		return "mp3"
	case has(4, "ftyp"):
		return "mp4"
	}
	return ""
}

// amrFrame is the length of a frame of AMR-NB by its type, without the first byte. A frame is 20 ms.
var amrFrame = [16]int{12, 13, 15, 17, 19, 20, 26, 31, 5}

func amrDuration(data []byte) time.Duration {
	frames := 0
	for at := len("#!AMR\n"); at < len(data); frames++ {
		at += 1 + amrFrame[data[at]>>3&15]
	}
	return time.Duration(frames) * 20 * time.Millisecond
}

// inventedMedia is a small medium of the type: a picture whose colour depends on seed, two
// seconds of silence, or a video without pictures.
func inventedMedia(kind, seed string, now time.Time) Media {
	m := Media{ID: seed, Type: kind, CreatedAt: now}
	var b bytes.Buffer
	form := "png"
	switch kind {
	case "voice":
		form = "amr"
		b.WriteString("#!AMR\n")
		for range 100 {
			b.WriteByte(0x3c)
			b.Write(make([]byte, amrFrame[7]))
		}
	case "video":
		form = "mp4"
		b.WriteString("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + "\x00\x00\x00\x08mdat")
	case "thumb":
		form = "jpg"
		_ = jpeg.Encode(&b, picture(seed), nil) // to a buffer
	default:
		_ = png.Encode(&b, picture(seed))
	}
	m.Name, m.ContentType, m.Data = m.ID+"."+form, contentTypes[form], b.Bytes()
	return m
}

// picture is a square of one colour with a lighter one inside.
func picture(seed string) image.Image {
	h := fnv.New32a()
	h.Write([]byte(seed))
	n := h.Sum32()
	dark := color.RGBA{uint8(n) / 2, uint8(n>>8) / 2, uint8(n>>16) / 2, 255}
	light := color.RGBA{dark.R + 100, dark.G + 100, dark.B + 100, 255}
	img := image.NewRGBA(image.Rect(0, 0, 160, 160))
	draw.Draw(img, img.Bounds(), image.NewUniform(dark), image.Point{}, draw.Src)
	draw.Draw(img, img.Bounds().Inset(40), image.NewUniform(light), image.Point{}, draw.Src)
	return img
}
