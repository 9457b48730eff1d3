package conformance_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// brokenDefence are servers that believe or endure too little of what others send.
var brokenDefence = map[string]func(*model){
	"forged/no-query":        trusting(func(q url.Values) bool { return len(q) == 0 }),
	"forged/no-signature":    func(s *model) { s.trusts = func(q url.Values) bool { return !q.Has("signature") } },
	"forged/wrong-signature": trusting(signedWith("not " + token)),
	"forged/empty-token":     trusting(signedWith("")),
	"forged/other-timestamp": trusting(func(q url.Values) bool {
		at, _ := strconv.Atoi(q.Get("timestamp"))
		return q.Get("signature") == signature(token, strconv.Itoa(at+1), q.Get("nonce"))
	}),
	"forged/other-nonce": trusting(func(q url.Values) bool {
		return q.Get("signature") == signature(token, q.Get("timestamp"), strings.TrimPrefix(q.Get("nonce"), "1"))
	}),
	"forged/openid": func(s *model) {
		var openid string
		s.request = func(_ http.ResponseWriter, r *http.Request) bool { openid = r.URL.Query().Get("openid"); return false }
		s.push = func(_ http.ResponseWriter, _ string, m message) bool { m["FromUserName"] = openid; return false }
	},
	"forged/stale":          func(s *model) { s.anyAge = true },
	"forged/future":         func(s *model) { s.anyAge = true },
	"forged/twice-in-query": func(s *model) { s.anyQuery = true },
	"forged/format":         func(s *model) { s.anyFormat = true },

	"forged/no-msg-signature":    func(s *model) { s.seals = func(q url.Values) bool { return !q.Has("msg_signature") } },
	"forged/wrong-msg-signature": func(s *model) { s.seals = anything },
	"forged/only-msg-signature":  trusting(anything),
	"forged/tampered":            func(s *model) { s.seals = anything },
	"forged/other-appid":         func(s *model) { s.anyAppID = true },
	"forged/no-appid":            func(s *model) { s.anyAppID = true },
	"forged/other-account":       func(s *model) { s.anyName = true },
	"forged/broken-envelope": func(s *model) {
		s.envelope = func(w http.ResponseWriter, stage string) bool {
			http.Error(w, stage, http.StatusForbidden)
			return true
		}
	},
	"forged/downgraded":     func(s *model) { s.clear = func(q url.Values) bool { return !q.Has("encrypt_type") } },
	"forged/downgraded-raw": func(s *model) { s.clear = func(q url.Values) bool { return q.Get("encrypt_type") == "raw" } },
	"forged/downgraded-aes": func(s *model) {
		s.clear = func(q url.Values) bool { return q.Get("msg_signature") == q.Get("signature") }
	},
	"forged/downgraded-compatible": func(s *model) { s.clear = func(q url.Values) bool { return !q.Has("encrypt_type") } },

	"hostile/empty": onRequest(func(s *model, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" && r.ContentLength == 0 {
			s.die()
		}
		return false
	}),
	"hostile/garbage":         dieIf(func(document string) bool { return !utf8.ValidString(document) }),
	"hostile/json":            dieIf(func(document string) bool { return strings.HasPrefix(document, "{") }),
	"hostile/cut-off":         dieIf(func(document string) bool { return !strings.Contains(document, "</xml>") }),
	"hostile/no-fields":       dieIf(func(document string) bool { return document == "<xml></xml>" }),
	"hostile/other-root":      dieOn("<html>"),
	"hostile/two-roots":       dieOn("</xml><xml>"),
	"hostile/repeated":        dieOn("<FromUserName>oSomebodyElse"),
	"hostile/nul":             dieOn("\x00"),
	"hostile/numbers":         dieOn("99999999999999999999999999"),
	"hostile/deep":            dieOn("<a><a>"),
	"hostile/many":            dieOn("<a/><a/>"),
	"hostile/attributes":      dieOn("='x' a"),
	"hostile/long-text":       dieIf(func(document string) bool { return len(document) > 200<<10 }),
	"hostile/billion-laughs":  dieOn("&e30;"),
	"hostile/external-entity": withEntity(externalEntity, fileContent),
	"hostile/inner-entity":    withEntity(innerEntity, func(s string) string { return s }),
	"hostile/gzip": onRequest(func(s *model, _ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Content-Encoding") == "gzip" {
			s.die()
		}
		return false
	}),
	"hostile/large": func(s *model) { s.noLimit = true },
	"hostile/large-unsigned": onRequest(func(s *model, _ http.ResponseWriter, r *http.Request) bool {
		if len(r.URL.RawQuery) == 0 && r.ContentLength > 1<<20 {
			s.die()
		}
		return false
	}),
	"hostile/endless": onRequest(func(_ *model, _ http.ResponseWriter, r *http.Request) bool {
		if r.ContentLength >= 0 {
			return false
		}
		io.Copy(io.Discard, r.Body)
		return true
	}),
	"hostile/broken-off": onRequest(func(s *model, _ http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.die()
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		return false
	}),
	"hostile/slow":      workers(1),
	"hostile/many-slow": workers(10),
	"hostile/slow-end":  func(s *model) { s.bodyTime = 0 },

	"methods/PUT":    func(s *model) { s.anyMethod = true },
	"methods/DELETE": func(s *model) { s.anyMethod = true },
	"methods/PATCH":  func(s *model) { s.anyMethod = true },
	"methods/HEAD":   func(s *model) { s.anyMethod = true },
}

func fileContent(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// workers serves so many requests at a time, and waits for bodies for ever.
func workers(n int) func(*model) {
	return func(s *model) {
		s.bodyTime = 0
		busy := make(chan struct{}, n)
		s.request = func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case busy <- struct{}{}:
				body, err := io.ReadAll(r.Body)
				<-busy
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				return false
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		}
	}
}

// dieOn answers nothing any more after a document with a part.
func dieOn(part string) func(*model) {
	return dieIf(func(document string) bool { return strings.Contains(document, part) })
}

func dieIf(matches func(document string) bool) func(*model) {
	return func(s *model) {
		s.push = func(_ http.ResponseWriter, document string, _ message) bool {
			if matches(document) {
				s.die()
			}
			return false
		}
	}
}

var (
	externalEntity = regexp.MustCompile(`<!ENTITY e SYSTEM "file://([^"]+)">`)
	innerEntity    = regexp.MustCompile(`<!ENTITY e "([^"]+)">`)
	doctype        = regexp.MustCompile(`^<!DOCTYPE[^\[]*\[[^\]]*\]>`)
)

func withEntity(pattern *regexp.Regexp, value func(string) string) func(*model) {
	return reading(func(document string) string {
		if m := pattern.FindStringSubmatch(document); m != nil {
			document = strings.ReplaceAll(doctype.ReplaceAllString(document, ""), "&e;", value(m[1]))
		}
		return document
	})
}
