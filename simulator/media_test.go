package simulator

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestMedia(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	png := func(size int) []byte { return append(bytes.Clone(aPNG), make([]byte, size-len(aPNG))...) }
	amr := func(frames int) []byte {
		return append([]byte("#!AMR\n"), bytes.Repeat(append([]byte{0x3c}, make([]byte, 31)...), frames)...)
	}
	tests := []struct {
		kind, name string
		data       []byte
		want       errcode
	}{
		{"image", "a.png", png(10 << 20), 0},
		{"image", "a.png", png(10<<20 + 1), 40009},
		{"image", "a.jpeg", aJPEG, 0},
		{"image", "a.txt", aPNG, 40005},
		{"image", "a", aPNG, 40005},
		{"image", "a.png", []byte("hello"), 40137},
		{"image", "a.png", nil, 44001},
		{"voice", "a.amr", amr(3000), 0},
		{"voice", "a.amr", amr(3001), 45007},
		{"voice", "a.mp3", append([]byte("ID3"), make([]byte, 2<<20)...), 40010},
		{"voice", "a.mp3", []byte("ID3"), 0},
		{"voice", "a.mp3", aPNG, 40005},
		{"video", "a.mp4", make([]byte, 10<<20+1), 40011},
		{"thumb", "a.jpg", append(bytes.Clone(aJPEG), make([]byte, 64<<10)...), 40012},
		{"thumb", "a.png", aPNG, 40005},
	}
	for _, tt := range tests {
		if _, code := newMedia(tt.kind, tt.name, tt.data, a.now); code != tt.want {
			t.Errorf("%s %s, %d bytes: errcode %d, want %d", tt.kind, tt.name, len(tt.data), code, tt.want)
		}
	}
	a.want("no picture", a.upload("image", "a.png", []byte("hello")).code(), 40137)
	a.want("much too large", a.upload("image", "a.png", make([]byte, maxUpload)).code(), 45001)
	if m, err := a.o.AddMedia("image", "picture", aPNG); err != nil || m.Name != "picture.png" {
		t.Errorf("AddMedia without an extension: %q, %v", m.Name, err)
	}
	if _, err := a.o.AddMedia("image", "a.png", []byte("hello")); err == nil || !strings.Contains(err.Error(), "40137") {
		t.Errorf("AddMedia of no picture: %v", err)
	}

	id := a.upload("image", "照片.png", aPNG).str("media_id")
	got := a.call("/cgi-bin/media/get?media_id="+id, "")
	if !bytes.Equal(got.Body.Bytes(), aPNG) || got.Header().Get("Content-Type") != "image/png" ||
		got.Header().Get("Content-Disposition") != `attachment; filename="`+id+`.png"` {
		t.Errorf("media/get: %v, %d bytes", got.Header(), got.Body.Len())
	}
	a.now = a.now.Add(mediaLife)
	a.newToken()
	a.want("after three days", a.call("/cgi-bin/media/get?media_id="+id, "").code(), 40007)

	// What users send can be fetched.
	for _, m := range []Message{Image("", ""), Voice(""), Video("", ""), ShortVideo("", "")} {
		report, err := a.user.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`MediaId><!\[CDATA\[([^\]]+)`).FindAllSubmatch(report.Document, -1) {
			got := a.call("/cgi-bin/media/get?media_id="+string(id[1]), "")
			if strings.HasPrefix(got.Body.String(), `{"errcode"`) {
				t.Errorf("%s: %s", m.Type(), got.Body)
			}
			var video struct {
				URL string `json:"video_url"`
			}
			if json.Unmarshal(got.Body.Bytes(), &video) == nil {
				u, err := url.Parse(video.URL)
				if err != nil {
					t.Fatal(err)
				}
				got = a.get(u.Path)
			}
			if sniff(got.Body.Bytes()) == "" {
				t.Errorf("%s: %d bytes of %s", m.Type(), got.Body.Len(), got.Header().Get("Content-Type"))
			}
		}
		if pic := regexp.MustCompile(`PicUrl><!\[CDATA\[http://[^/]+([^\]]+)`).FindSubmatch(report.Document); pic != nil {
			if got := a.get(string(pic[1])); sniff(got.Body.Bytes()) != "png" {
				t.Errorf("the PicUrl %s: status %d", pic[1], got.Code)
			}
		}
	}
}
