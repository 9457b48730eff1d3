package wxapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Scene is what a QR code with parameters (带参数的二维码) carries: exactly one of the two is given.
// It comes back in subscribe and SCAN events.
type Scene struct {
	ID  uint32 // from 1; at most 100000 in a permanent code
	Str string // 1 to 64 characters
}

// QRCode is a QR code that was made.
type QRCode struct {
	// Ticket names the picture; see QRImageURL.
	Ticket string `json:"ticket"`
	// ExpireSeconds is how long the code can be scanned; 0 is for ever.
	ExpireSeconds int64 `json:"expire_seconds"`
	// URL is what the picture says; draw it yourself if you like.
	URL string `json:"url"`
}

const (
	maxQRLife        = 30 * 24 * time.Hour
	maxPermanentID   = 100_000
	maxSceneStr      = 64
	maxQRImage       = 1 << 20
	showQRCodePath   = "/cgi-bin/showqrcode"
	createQRCodePath = "/cgi-bin/qrcode/create"
)

// CreateQRCode makes a temporary QR code that lives 1 second to 30 days, in whole seconds. R-API-QR
func (c *Client) CreateQRCode(ctx context.Context, s Scene, life time.Duration) (QRCode, error) {
	if life < time.Second || life > maxQRLife {
		return QRCode{}, fmt.Errorf("%w: a temporary QR code lives 1 s to 30 days, not %v; CreatePermanentQRCode makes one for ever", ErrInvalid, life)
	}
	return c.createQRCode(ctx, s, "QR_SCENE", "QR_STR_SCENE", int64(life/time.Second))
}

// CreatePermanentQRCode makes a QR code for ever. An account has at most 100,000 of them, and they cannot
// be deleted; the same scene gives the same code again. R-API-QR
func (c *Client) CreatePermanentQRCode(ctx context.Context, s Scene) (QRCode, error) {
	if s.ID > maxPermanentID {
		return QRCode{}, fmt.Errorf("%w: the scene of a permanent QR code is 1 to %d, not %d; use Str", ErrInvalid, maxPermanentID, s.ID)
	}
	return c.createQRCode(ctx, s, "QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE", 0)
}

func (c *Client) createQRCode(ctx context.Context, s Scene, byID, byStr string, seconds int64) (QRCode, error) {
	type scene struct {
		ID  uint32 `json:"scene_id,omitempty"`
		Str string `json:"scene_str,omitempty"`
	}
	type info struct {
		Scene scene `json:"scene"`
	}
	body := struct {
		ExpireSeconds int64  `json:"expire_seconds,omitempty"`
		ActionName    string `json:"action_name"`
		ActionInfo    info   `json:"action_info"`
	}{seconds, byID, info{scene(s)}}
	n := utf8.RuneCountInString(s.Str)
	switch {
	case (s.ID == 0) == (s.Str == ""):
		return QRCode{}, fmt.Errorf("%w: the scene of a QR code has either an ID or a Str; give one of them", ErrInvalid)
	case n > maxSceneStr:
		return QRCode{}, fmt.Errorf("%w: the scene has %d characters and WeChat takes %d; shorten it, or keep what it means yourself under a short name", ErrInvalid, n, maxSceneStr)
	case n > 0:
		body.ActionName = byStr
	}
	var q QRCode
	err := c.post(ctx, createQRCodePath, body, &q)
	return q, err
}

// QRImageURL returns where the picture of a QR code is, a JPG that anybody may fetch. The ticket is
// escaped, since it contains characters that mean something in a URL. R-API-QR
func (c *Client) QRImageURL(ticket string) string {
	return c.qrImages + showQRCodePath + "?ticket=" + url.QueryEscape(ticket)
}

// QRImage fetches the picture of a QR code into w. It needs no token. A ticket that WeChat does not know,
// or not any more, is a [*TransportError] with the status 404.
func (c *Client) QRImage(ctx context.Context, ticket string, w io.Writer) error {
	base, err := url.Parse(c.qrImages)
	if err != nil {
		return err
	}
	x := &exchange{method: http.MethodGet, path: showQRCodePath, query: url.Values{"ticket": {ticket}}, base: base, slow: true}
	x.receive = func(resp *http.Response) (bool, error) {
		if resp.StatusCode != http.StatusOK {
			return false, errors.New("there is no QR code with this ticket")
		}
		if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "image/") {
			return false, errors.New("it is no picture")
		}
		_, err := copyBounded(w, resp.Body, maxQRImage)
		return false, err
	}
	c.stats.calls.Add(1)
	err = c.exchange(ctx, x, "")
	c.stats.count(err)
	return err
}

// copyBounded copies at most limit bytes, and fails if there are more.
func copyBounded(w io.Writer, r io.Reader, limit int64) (int64, error) {
	n, err := io.Copy(w, io.LimitReader(r, limit))
	if err == nil && n == limit {
		if more, _ := io.ReadFull(r, make([]byte, 1)); more > 0 {
			err = fmt.Errorf("it is longer than %d bytes", limit)
		}
	}
	return n, err
}
