package wxapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hidden hides that a reader can seek.
type hidden struct{ io.Reader }

// An upload whose token is refused is sent again from where the file stood. R-API-REPEAT
func TestUploadRepeated(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"seeker": func(r io.Reader) io.Reader { return r },
		"stream": func(r io.Reader) io.Reader { return hidden{r} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &wechat{}
			c := newTestClient(t, w, nil)
			ping(c)
			time.Sleep(time.Minute)
			w.answer = func(r *http.Request, _ string) (int, http.Header, string) {
				if r.URL.Query().Get("access_token") == "token-1" {
					return 200, nil, `{"errcode":42001,"errmsg":"access_token expired"}`
				}
				return 200, nil, `{"type":"image","media_id":"M","created_at":1700000000}`
			}
			file := strings.NewReader("skipped" + strings.Repeat("x", 1<<20))
			file.Seek(7, io.SeekStart)
			m, err := c.UploadMedia(t.Context(), "image", "a.jpg", wrap(file))
			if err != nil || m.ID != "M" || m.Type != "image" || m.CreatedAt.Unix() != 1700000000 {
				t.Fatalf("%s: %+v, %v", name, m, err)
			}
			calls := w.called()
			if len(calls) != 3 || calls[1].Body != calls[2].Body || strings.Count(calls[1].Body, "x") < 1<<20 || strings.Contains(calls[1].Body, "skipped") {
				t.Errorf("%s: %d calls, and the repeat is not the same", name, len(calls))
			}
		})
	}
}

func TestUploadBounded(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, w, nil)
	for name, r := range map[string]io.Reader{
		"seeker": bytes.NewReader(make([]byte, maxUpload+1)),
		"stream": hidden{bytes.NewReader(make([]byte, maxUpload+1))},
	} {
		if _, err := c.UploadMedia(t.Context(), "video", "a.mp4", r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.called()) != 0 {
		t.Error("something was sent")
	}
}

// A transport may go on sending after the answer, as that of HTTP/2 does. It does not get the caller's file then.
func TestUploadNotReadAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if isTokenPath(r.URL.Path) {
				return w.RoundTrip(r)
			}
			go func() {
				time.Sleep(time.Second)
				io.Copy(io.Discard, r.Body)
			}()
			answer := `{"errcode":45001,"errmsg":"media size out of limit"}`
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}), nil)
		r := &watched{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
		_, err := c.UploadMedia(t.Context(), "image", "a.jpg", r)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != 45001 {
			t.Errorf("got %v", err)
		}
		r.over = true
		time.Sleep(time.Minute)
		if r.late {
			t.Error("the file was read after the call")
		}
	})
}

type watched struct {
	*strings.Reader
	over, late bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.late = w.late || w.over
	return w.Reader.Read(p)
}

func TestGetMedia(t *testing.T) {
	t.Parallel()
	picture := "\xff\xd8\xff" + strings.Repeat("x", 5000)
	header := func(contentType, disposition string) http.Header {
		h := http.Header{"Content-Type": {contentType}}
		if disposition != "" {
			h.Set("Content-Disposition", disposition)
		}
		return h
	}
	for _, tt := range []struct {
		name    string
		status  int
		header  http.Header
		body    string
		want    MediaFile
		written string
		err     string
	}{
		{"picture", 200, header("image/jpeg", `attachment; filename="M.jpg"`), picture, MediaFile{Name: "M.jpg", ContentType: "image/jpeg", Size: 5003}, picture, ""},
		{"picture without a name", 200, header("image/jpeg", ""), picture, MediaFile{ContentType: "image/jpeg", Size: 5003}, picture, ""},
		{"a name with a path", 200, header("image/jpeg", `attachment; filename="../..\\etc/passwd"`), picture, MediaFile{Name: "passwd", ContentType: "image/jpeg", Size: 5003}, picture, ""},
		{"a name of dots", 200, header("image/jpeg", `attachment; filename=".."`), picture, MediaFile{ContentType: "image/jpeg", Size: 5003}, picture, ""},
		{"a file of text", 200, header("text/plain", `attachment; filename="a.txt"`), "{", MediaFile{Name: "a.txt", ContentType: "text/plain", Size: 1}, "{", ""},
		{"video", 200, header("text/plain", ""), `{"video_url":"https://e.test/v.mp4"}`, MediaFile{VideoURL: "https://e.test/v.mp4"}, "", ""},
		{"error as text", 200, header("text/plain", ""), `{"errcode":40007,"errmsg":"invalid media_id"}`, MediaFile{}, "", "40007"},
		{"error as JSON", 200, header("application/json; encoding=utf-8", ""), `{"errcode":40007,"errmsg":"invalid media_id"}`, MediaFile{}, "", "40007"},
		{"nothing in JSON", 200, header("application/json", ""), `{}`, MediaFile{}, "", "no medium"},
		{"a page", 502, header("text/html", ""), `<html>`, MediaFile{}, "", "502"},
		{"a picture of an error", 500, header("image/png", ""), `x`, MediaFile{}, "", "no medium"},
	} {
		w := &wechat{answer: func(*http.Request, string) (int, http.Header, string) { return tt.status, tt.header, tt.body }}
		var b bytes.Buffer
		got, err := newTestClient(t, w, nil).GetMedia(t.Context(), "M", &b)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got != tt.want || b.String() != tt.written {
			t.Errorf("%s: got %+v and %d bytes, want %+v", tt.name, got, b.Len(), tt.want)
		}
	}
}

func TestCopyBounded(t *testing.T) {
	t.Parallel()
	for n, fails := range map[int]bool{0: false, 9: false, 10: false, 11: true, 1000: true} {
		var b bytes.Buffer
		_, err := copyBounded(&b, strings.NewReader(strings.Repeat("x", n)), 10)
		if (err != nil) != fails || b.Len() != min(n, 10) {
			t.Errorf("%d bytes: %v, %d written", n, err, b.Len())
		}
	}
}

func TestQRImage(t *testing.T) {
	t.Parallel()
	w := &wechat{answer: func(r *http.Request, _ string) (int, http.Header, string) {
		if r.URL.RawQuery != "ticket=a%2B%2F%3D" || r.URL.Host != "mp.weixin.qq.com" {
			return 404, nil, ""
		}
		return 200, http.Header{"Content-Type": {"image/jpg"}}, "jpg"
	}}
	c := newTestClient(t, w, nil)
	var b bytes.Buffer
	if err := c.QRImage(t.Context(), "a+/=", &b); err != nil || b.String() != "jpg" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	err := c.QRImage(t.Context(), "other", &b)
	if e, ok := errors.AsType[*TransportError](err); !ok || e.Status != 404 {
		t.Errorf("got %v", err)
	}
	if w.fetched() != 0 {
		t.Error("a picture needs no token")
	}
}
