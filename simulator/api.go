package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// platformAPI is what the HTTP API keeps about the platform. p.mu guards it.
type platformAPI struct {
	faults []Fault
	calls  []APICall // the oldest first
	last   int64     // id of a call

	maxQRCodes, pageSize int // for tests; 0 is WeChat's number
}

// officialAPI is what it keeps about an account. p.mu guards it.
type officialAPI struct {
	tokens tokens
	media  mediaStore
	scenes map[qrScene]string   // the tickets of the permanent QR codes
	quotas map[string]*dayCount // by path
	clears struct {             // of the quotas
		month string
		count int
	}
}

// maxAPIBody bounds the body of a call other than an upload, and maxUpload that of an upload, in bytes.
const (
	maxAPIBody = 1 << 20
	maxUpload  = 12 << 20
)

// API returns WeChat's HTTP API for the accounts of the platform, as far as the answers to
// messages need it: what is https://api.weixin.qq.com/cgi-bin/... there is /cgi-bin/... here,
// and so is the picture of a QR code, https://mp.weixin.qq.com/cgi-bin/showqrcode. Wrong input
// gets WeChat's errcode with the status 200.
//
// Requests must come to a loopback address, to localhost, to one of WeChat's hosts or to one of
// the given ones by their Host header, and must not be made by pages of other sites, since any
// page that is open in a browser on this machine could reach it otherwise.
func (p *Platform) API(hosts ...string) http.Handler {
	return &api{p: p, hosts: append([]string{"api.weixin.qq.com", "api2.weixin.qq.com", "mp.weixin.qq.com"}, hosts...)}
}

type api struct {
	p     *Platform
	hosts []string
}

// IsLocalHost reports whether the Host header of a request, with or without a port, is a loopback
// address, localhost or one of the given names, which may have a port. A handler that refuses
// others is safe from pages whose name was made to point to this machine (DNS rebinding).
func IsLocalHost(host string, names ...string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(known, name) || strings.EqualFold(known, host) })
}

// fromOtherSite reports whether a browser says that a page of another site makes the request.
// Servers say nothing of the kind. Unlike [http.CrossOriginProtection] it looks at GET as well,
// since that deletes menus here, and at both headers.
func fromOtherSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !IsLocalHost(r.Host, a.hosts...) {
		http.Error(w, "the simulator answers to 127.0.0.1 and localhost only, and not to this Host", http.StatusForbidden)
		return
	}
	if r.URL.Path == "/cgi-bin/showqrcode" { // a page may show the picture, whatever its site
		a.p.showQRCode(w, r)
		return
	}
	if id, ok := strings.CutPrefix(r.URL.Path, mediaPath); ok {
		a.p.showMedia(w, r, id)
		return
	}
	if fromOtherSite(r) {
		http.Error(w, "WeChat's API is called by servers, and not by the pages of other sites", http.StatusForbidden)
		return
	}
	a.p.serveAPI(w, r)
}

// endpoint is one call of the API.
type endpoint struct {
	method  string
	open    bool                      // needs no access_token
	granted func(OfficialConfig) bool // whether the account may use it; nil: every account
	daily   int                       // calls in a day; 0: no limit
	upload  bool                      // has a body that the call reads itself
	serve   func(*apiCall) (any, errcode)
}

// What accounts may do. R-API-GRANT
var (
	verified        = func(c OfficialConfig) bool { return c.Verified }
	verifiedService = func(c OfficialConfig) bool { return c.Verified && c.Kind == Service }
	mayHaveMenu     = func(c OfficialConfig) bool { return c.Verified || c.Kind == Service }
)

// endpoints are the calls by their paths. Quotas in a day are those of an account with few followers.
var endpoints = map[string]endpoint{
	"/cgi-bin/token":                     {method: http.MethodGet, open: true, daily: 2000, serve: (*apiCall).getToken},
	"/cgi-bin/stable_token":              {method: http.MethodPost, open: true, daily: 500_000, serve: (*apiCall).getStableToken},
	"/cgi-bin/getcallbackip":             {method: http.MethodGet, serve: (*apiCall).ipList},
	"/cgi-bin/get_api_domain_ip":         {method: http.MethodGet, serve: (*apiCall).ipList},
	"/cgi-bin/callback/check":            {method: http.MethodPost, serve: (*apiCall).checkCallback},
	"/cgi-bin/clear_quota":               {method: http.MethodPost, serve: (*apiCall).clearQuota},
	"/cgi-bin/clear_quota/v2":            {method: http.MethodPost, open: true, serve: (*apiCall).clearQuotaBySecret},
	"/cgi-bin/openapi/quota/get":         {method: http.MethodPost, serve: (*apiCall).getQuota},
	"/cgi-bin/openapi/rid/get":           {method: http.MethodPost, serve: (*apiCall).getRID},
	"/cgi-bin/message/custom/send":       {method: http.MethodPost, granted: verified, daily: 500_000, serve: (*apiCall).sendMessage},
	"/cgi-bin/message/custom/typing":     {method: http.MethodPost, granted: verified, daily: 500_000, serve: (*apiCall).typing},
	"/cgi-bin/qrcode/create":             {method: http.MethodPost, granted: verifiedService, daily: 100_000, serve: (*apiCall).createQRCode},
	"/cgi-bin/menu/create":               {method: http.MethodPost, granted: mayHaveMenu, daily: 1000, serve: (*apiCall).createMenu},
	"/cgi-bin/menu/get":                  {method: http.MethodGet, granted: mayHaveMenu, daily: 10_000, serve: (*apiCall).getMenu},
	"/cgi-bin/menu/delete":               {method: http.MethodGet, granted: mayHaveMenu, daily: 1000, serve: (*apiCall).deleteMenu},
	"/cgi-bin/get_current_selfmenu_info": {method: http.MethodGet, daily: 10_000, serve: (*apiCall).currentMenu},
	"/cgi-bin/user/info":                 {method: http.MethodGet, granted: verified, daily: 500_000, serve: (*apiCall).userInfo},
	"/cgi-bin/user/info/batchget":        {method: http.MethodPost, granted: verified, daily: 500_000, serve: (*apiCall).userInfos},
	"/cgi-bin/user/get":                  {method: http.MethodGet, granted: verified, daily: 500, serve: (*apiCall).followers},
	"/cgi-bin/media/upload":              {method: http.MethodPost, granted: verified, daily: 100_000, upload: true, serve: (*apiCall).uploadMedia},
	"/cgi-bin/media/get":                 {method: http.MethodGet, daily: 200_000, serve: (*apiCall).getMedia},
}

// apiCall is one call on its way.
type apiCall struct {
	p        *Platform
	official *Official // nil for the calls without a token
	writer   http.ResponseWriter
	request  *http.Request
	endpoint endpoint
	quota    func(path string) int // in a day; a call cannot refer to the table that it stands in
	path     string
	query    url.Values
	body     []byte
}

// file is an answer that is not JSON.
type file struct {
	name, contentType string
	data              []byte
}

// serveAPI makes a call, and keeps what became of it.
func (p *Platform) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := &apiCall{p: p, writer: w, request: r, path: r.URL.Path, query: r.URL.Query()}
	rid := newRID(p.now())
	begin := time.Now()
	log := APICall{RID: rid, At: begin, Method: r.Method, Path: r.URL.Path, Query: withoutSecrets(c.query), Status: http.StatusOK}
	fault := p.takeFault(r.URL.Path)
	if fault.Path != "" {
		log.Fault = fault.String()
	}
	defer func() {
		log.Duration = time.Since(begin)
		log.Request = shortened(c.body)
		if c.official != nil {
			log.AppID = c.official.AppID()
		}
		p.noteCall(log)
	}()
	if sleep(r.Context(), fault.Latency) != nil {
		log.Status = 0 // the caller has gone
		return
	}
	if fault.HTML {
		log.Status = http.StatusBadGateway
		badGateway(w)
		return
	}
	var answer any
	code := errcode(fault.Errcode)
	if code == 0 {
		answer, code = c.serve()
	}
	if fault.LoseResponse {
		log.Status = 0
		panic(http.ErrAbortHandler)
	}
	contentType := "application/json; encoding=utf-8"
	var text []byte
	switch v := answer.(type) {
	case file:
		text, contentType = v.data, v.contentType
		w.Header().Set("Content-Disposition", `attachment; filename="`+v.name+`"`)
		log.Answer = []byte("(" + v.contentType + ")")
	default:
		if code != 0 {
			answer = code.result(rid)
			log.Errcode = int(code)
			if c.path == "/cgi-bin/media/get" { // so it is with WeChat
				contentType = "text/plain"
			}
		}
		text = encodeAnswer(answer)
		log.Answer = shortened(text)
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(text)
}

// serve checks what all calls have in common, and makes the call.
func (c *apiCall) serve() (any, errcode) {
	e, known := endpoints[c.path]
	if !known {
		return nil, 40066
	}
	c.endpoint, c.quota = e, func(path string) int { return endpoints[path].daily }
	if !e.open {
		if code := c.authenticate(); code != 0 {
			return nil, code
		}
	}
	if c.request.Method != e.method {
		if e.method == http.MethodGet {
			return nil, 43001
		}
		return nil, 43002
	}
	if e.granted != nil && !e.granted(c.official.Config()) {
		return nil, 48001
	}
	if c.official != nil {
		if code := c.count(c.official); code != 0 {
			return nil, code
		}
	}
	if e.method == http.MethodPost && !e.upload {
		body, err := io.ReadAll(http.MaxBytesReader(c.writer, c.request.Body, maxAPIBody))
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, 45002
		}
		if err != nil {
			return nil, 47001
		}
		c.body = body
	}
	return e.serve(c)
}

// authenticate finds the account by the access_token.
func (c *apiCall) authenticate() errcode {
	value := c.query.Get("access_token")
	if value == "" {
		return 41001
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	code := errcode(40014)
	for _, o := range c.p.officials {
		switch code = o.api.tokens.check(value, c.p.now()); code {
		case 0, 42001:
			c.official = o
			return code
		}
	}
	return code
}

// count takes a call from the quota of the day.
func (c *apiCall) count(o *Official) errcode {
	if c.endpoint.daily == 0 {
		return 0
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if o.api.quotas == nil {
		o.api.quotas = make(map[string]*dayCount)
	}
	q := o.api.quotas[c.path]
	if q == nil {
		q = new(dayCount)
		o.api.quotas[c.path] = q
	}
	if !q.take(c.p.now(), c.endpoint.daily) {
		return 45009
	}
	return 0
}

// encodeAnswer writes JSON without escapes that WeChat does not make.
func encodeAnswer(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(`{"errcode":-1,"errmsg":"system error"}`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// object reads the body. Names are compared with their letter case, unlike in encoding/json. R-API-CHARSET
func (c *apiCall) object() (object, errcode) {
	if len(c.body) == 0 {
		return nil, 44002
	}
	if !utf8.Valid(c.body) {
		return nil, 40033
	}
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.UseNumber()
	var v object
	if err := dec.Decode(&v); err != nil || v == nil {
		return nil, 47001
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, 47001
	}
	if escapesUnicode(c.body) {
		return nil, 40033
	}
	return v, 0
}

// escapesUnicode reports whether there is a \uXXXX in JSON.
func escapesUnicode(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '\\' {
			if i++; text[i] == 'u' {
				return true
			}
		}
	}
	return false
}

// object is a JSON object. What is not there, or is of another type, reads as empty; nil is empty, too.
type object map[string]any

func (o object) object(name string) object {
	v, _ := o[name].(map[string]any)
	return v
}

func (o object) text(name string) string {
	v, _ := o[name].(string)
	return v
}

// label is a text or a number.
func (o object) label(name string) string {
	if n, ok := o[name].(json.Number); ok {
		return n.String()
	}
	return o.text(name)
}

// number is a whole number, which may stand in quotation marks.
func (o object) number(name string) (int64, bool) {
	n, err := json.Number(o.label(name)).Int64()
	return n, err == nil
}

func (o object) list(name string) []object {
	values, _ := o[name].([]any)
	list := make([]object, len(values))
	for i, v := range values {
		list[i], _ = v.(map[string]any)
	}
	return list
}
