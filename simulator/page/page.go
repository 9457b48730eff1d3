// Package page is the simulator's face: a phone to talk to an Official Account
// with, and beside it the wire, where every push and its answer is drawn and can
// be read, sent again and changed.
//
// [Handler] serves everything from memory. Nothing is loaded from elsewhere: the
// scripts and style sheets are plain files in assets, without a build step, and
// the Content-Security-Policy lets the browser load nothing else. What users and
// servers under test have written reaches the page as JSON and is shown as text.
//
// The page takes a snapshot (GET /api/state) and then hears of changes as
// server-sent events (GET /api/events), each with the present form of what has
// changed. Whoever does something (POST /api/act) is answered as soon as the
// simulator has taken it on; what comes of it is heard as changes.
package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

//go:embed assets
var assets embed.FS

// Options say how the page is served. The zero value is ready to use.
type Options struct {
	// Context ends what users are doing, and the streams of changes, when it
	// ends. Defaults to one that never does.
	Context context.Context
	// Hosts are names under which the page is reached beside localhost and loopback
	// addresses, without ports.
	Hosts []string
}

// maxBody is the longest request that is read: a picture of 2 MiB in base64,
// and what is around it.
const maxBody = 4 << 20

// Handler returns the page and its API for the accounts of p, to be mounted at
// "/". It uses the paths "/", "/assets/..." and "/api/...".
//
// Requests must come under a loopback address, under localhost or one of
// Options.Hosts, and those that change something not from pages of other sites.
// It is safe for concurrent use.
func Handler(p *simulator.Platform, o Options) http.Handler {
	if o.Context == nil {
		o.Context = context.Background()
	}
	h := &handler{p: p, options: o, checks: map[string]check{}, bell: make(chan struct{}), slots: make(chan struct{}, maxUnderWay)}
	h.files, _ = fs.Sub(assets, "assets") // the folder is there
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /assets/{name}", h.asset)
	mux.HandleFunc("GET /api/state", h.state)
	mux.HandleFunc("GET /api/events", h.events)
	mux.HandleFunc("GET /api/exchanges/{id}", h.exchange)
	mux.HandleFunc("GET /api/calls/{id}", h.call)
	mux.HandleFunc("GET /api/media/{account}/{id}", h.media)
	mux.HandleFunc("GET /api/recording", h.recording)
	mux.HandleFunc("POST /api/act", h.act)
	mux.HandleFunc("POST /api/again", h.again)
	mux.HandleFunc("POST /api/users", h.addUser)
	mux.HandleFunc("POST /api/verify", h.verify)
	mux.HandleFunc("POST /api/token", h.token)
	mux.HandleFunc("PUT /api/rules", h.setRules)
	mux.HandleFunc("PUT /api/faults", h.setFaults)
	return h.guard(http.NewCrossOriginProtection().Handler(mux))
}

type handler struct {
	p       *simulator.Platform
	options Options
	files   fs.FS
	slots   chan struct{} // one for each action that is under way

	mu     sync.Mutex
	checks map[string]check // the last check of each account's address
	rung   int              // how often something has changed that the platform does not know
	bell   chan struct{}    // closed when rung grows
}

// policy allows the page's own files only, no script in the text, and no markup
// made of strings.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// guard checks the Host, against pages of other sites whose name was made to
// point here (DNS rebinding), and bounds the body.
func (h *handler) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if !simulator.IsLocalHost(r.Host, h.options.Hosts...) {
			refuse(w, http.StatusForbidden, errors.New("the simulator answers to 127.0.0.1 and localhost only, and not to this Host; open it under one of these"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

var indexTemplate = template.Must(template.ParseFS(assets, "assets/index.html"))

// index is the page in the language that the browser prefers; the page itself
// can change it later.
func (h *handler) index(w http.ResponseWriter, r *http.Request) {
	data := struct{ Lang, Title, NoScript string }{"en", "Echostr: WeChat simulator", "This page needs JavaScript."}
	if prefersChinese(r.Header.Get("Accept-Language")) {
		data.Lang, data.Title, data.NoScript = "zh-CN", "Echostr 微信模拟器", "这个页面需要 JavaScript。"
	}
	var b bytes.Buffer
	if err := indexTemplate.Execute(&b, data); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language")
	_, _ = w.Write(b.Bytes())
}

// prefersChinese reads Accept-Language by its order, which is how browsers write
// it. Most users read Chinese, so without a wish it is Chinese.
func prefersChinese(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		language, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		switch {
		case strings.HasPrefix(language, "zh"):
			return true
		case strings.HasPrefix(language, "en"):
			return false
		}
	}
	return strings.TrimSpace(accept) == "" || strings.TrimSpace(accept) == "*"
}

var contentTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json",
}

func (h *handler) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	contentType, ok := contentTypes[path.Ext(name)]
	data, err := fs.ReadFile(h.files, name)
	if !ok || err != nil {
		refuse(w, http.StatusNotFound, errors.New("there is no such file"))
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(data)
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// refuse answers with a sentence.
func refuse(w http.ResponseWriter, status int, err error) {
	sentence := strings.TrimPrefix(err.Error(), "simulator: ")
	answer(w, status, map[string]string{"error": sentence})
}

// read reads the JSON of a request into v, or refuses it.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		_, err = dec.Token() // there must be nothing behind it
		if err == io.EOF {
			return true
		}
		err = errors.New("something follows the JSON")
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("this is more than %d MiB; send less", maxBody>>20))
	} else {
		refuse(w, http.StatusBadRequest, fmt.Errorf("this is not the JSON that the page sends: %w; reload the page", err))
	}
	return false
}

// official finds the account of a request, or refuses it.
func (h *handler) official(w http.ResponseWriter, appID string) *simulator.Official {
	o := h.p.Official(appID)
	if o == nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no account %q; reload the page", appID))
	}
	return o
}

// ring tells the streams that something has changed which the platform does not know.
func (h *handler) ring() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rung++
	close(h.bell)
	h.bell = make(chan struct{})
}

// milliseconds is a moment as JavaScript counts it; 0 if there was none.
func milliseconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1000
}
