package simulator

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/boombuler/barcode/qr"
)

// QR codes with parameters (带参数二维码). R-API-QR
const (
	qrDefaultLife = 30 * time.Second
	qrLongestLife = 30 * 24 * time.Hour
	qrMaxLimitID  = 100_000 // the largest scene_id of a permanent code
	qrMaxCodes    = 100_000 // permanent codes of an account; also what the simulator keeps of the others
	qrMaxScene    = 64      // characters of a scene_str
	qrPixels      = 430
)

// alive reports whether the code can still be scanned.
func (q QRCode) alive(now time.Time) bool { return q.Expires.IsZero() || now.Before(q.Expires) }

// qrScene is what a permanent code is asked for.
type qrScene struct {
	text   string
	number bool
}

// makeQRCode makes a code, if there may be one more. p.mu is held.
func (o *Official) makeQRCode(q QRCode) (*QRCode, errcode) {
	limit := or(o.p.api.maxQRCodes, qrMaxCodes)
	temporary := func() int { return len(o.tickets) - len(o.api.scenes) }
	switch {
	case !q.Expires.IsZero():
		if temporary() >= limit {
			now := o.p.now()
			maps.DeleteFunc(o.tickets, func(_ string, q *QRCode) bool { return !q.alive(now) })
		}
		if temporary() >= limit {
			return nil, 45029
		}
	case o.api.scenes[qrScene{q.Scene, q.Number}] == "" && len(o.api.scenes) >= limit:
		return nil, 45029
	}
	return o.addQRCode(q), 0
}

// addQRCode gives a code its ticket and URL, and keeps it. A permanent scene is one code, however
// often it is asked for. p.mu is held.
func (o *Official) addQRCode(q QRCode) *QRCode {
	scene, permanent := qrScene{q.Scene, q.Number}, q.Expires.IsZero()
	if old := o.tickets[o.api.scenes[scene]]; old != nil && permanent {
		return old
	}
	random := make([]byte, 70)
	rand.Read(random) // never fails
	q.Created = o.p.now()
	random[0] = 0x81
	q.Ticket = base64.StdEncoding.EncodeToString(random) // "gQ...=="
	q.URL = "http://weixin.qq.com/q/" + base64.RawURLEncoding.EncodeToString(random[55:])
	o.tickets[q.Ticket] = &q
	if permanent {
		if o.api.scenes == nil {
			o.api.scenes = make(map[qrScene]string)
		}
		o.api.scenes[scene] = q.Ticket
	}
	o.p.changed(Change{Kind: ChangeOfficial, AppID: o.config.Account.AppID})
	return &q
}

// PNG draws the code, black on white and 430 pixels wide, as WeChat does.
func (q QRCode) PNG() ([]byte, error) {
	code, err := qr.Encode(q.URL, qr.M, qr.Auto)
	if err != nil {
		return nil, err
	}
	const quiet = 4 // modules of white around it, as scanners need
	modules := code.Bounds().Dx()
	scale := qrPixels / (modules + 2*quiet)
	margin := (qrPixels - modules*scale) / 2
	img := image.NewPaletted(image.Rect(0, 0, qrPixels, qrPixels), color.Palette{color.White, color.Black})
	for y := range modules * scale {
		for x := range modules * scale {
			if r, _, _, _ := code.At(x/scale, y/scale).RGBA(); r == 0 {
				img.SetColorIndex(margin+x, margin+y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// createQRCode is qrcode/create.
func (c *apiCall) createQRCode() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	q := QRCode{}
	permanent, numeric := false, false
	switch in.text("action_name") {
	case "QR_SCENE":
		numeric = true
	case "QR_STR_SCENE":
	case "QR_LIMIT_SCENE":
		permanent, numeric = true, true
	case "QR_LIMIT_STR_SCENE":
		permanent = true
	default:
		return nil, 40052
	}
	scene := in.object("action_info").object("scene")
	if numeric {
		id, ok := scene.number("scene_id")
		if !ok || id < 1 || id > math.MaxUint32 || permanent && id > qrMaxLimitID {
			return nil, 40053
		}
		q.Scene, q.Number = strconv.FormatInt(id, 10), true
	} else {
		q.Scene = scene.text("scene_str")
		if n := utf8.RuneCountInString(q.Scene); n < 1 || n > qrMaxScene {
			return nil, 40053
		}
	}
	life := qrDefaultLife
	if seconds, ok := in.number("expire_seconds"); ok {
		if seconds < 1 || seconds > int64(qrLongestLife/time.Second) {
			return nil, 40097
		}
		life = time.Duration(seconds) * time.Second
	}

	o := c.official
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	if !permanent {
		q.Expires = o.p.now().Add(life)
	}
	made, code := o.makeQRCode(q)
	if code != 0 {
		return nil, code
	}
	answer := struct {
		Ticket        string `json:"ticket"`
		ExpireSeconds int64  `json:"expire_seconds,omitempty"`
		URL           string `json:"url"`
	}{Ticket: made.Ticket, URL: made.URL}
	if !permanent {
		answer.ExpireSeconds = int64(life / time.Second)
	}
	return answer, 0
}

// showQRCode is showqrcode, which needs no token. An unknown ticket, or one that has ended, gets 404.
func (p *Platform) showQRCode(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	p.mu.Lock()
	var found *QRCode
	for _, o := range p.officials {
		if q := o.tickets[ticket]; q != nil && q.alive(p.now()) {
			found = q // is never changed
		}
	}
	p.mu.Unlock()
	if found == nil {
		http.NotFound(w, r)
		return
	}
	img, err := found.PNG()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(img)))
	_, _ = w.Write(img)
}
