package conformance_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/simulator/conformance"
)

// crash answers 500 to what matches.
func crash(matches func(document string, m message) bool) func(*model) {
	return func(s *model) {
		s.push = func(w http.ResponseWriter, document string, m message) bool {
			if !matches(document, m) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
	}
}

// crashOn answers 500 to documents with a part.
func crashOn(part string) func(*model) {
	return crash(func(document string, _ message) bool { return strings.Contains(document, part) })
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

// onRequest looks at requests before anything else.
func onRequest(f func(s *model, w http.ResponseWriter, r *http.Request) bool) func(*model) {
	return func(s *model) {
		s.request = func(w http.ResponseWriter, r *http.Request) bool { return f(s, w, r) }
	}
}

func onGet(f func(w http.ResponseWriter, q url.Values) bool) func(*model) {
	return onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == "GET" && f(w, r.URL.Query())
	})
}

func trusting(f func(q url.Values) bool) func(*model) {
	return func(s *model) { s.trusts, s.anyAge = f, false }
}

func reading(f func(document string) string) func(*model) { return func(s *model) { s.reads = f } }

func containing(f func(s *model, m message) string) func(*model) {
	return func(s *model) { s.content = func(m message) string { return f(s, m) } }
}

func signedWith(token string) func(url.Values) bool {
	return func(q url.Values) bool {
		return q.Get("signature") == signature(token, q.Get("timestamp"), q.Get("nonce"))
	}
}

// reused refuses a nonce that was seen before.
func reused(method string) func(*model) {
	var mu sync.Mutex
	seen := map[string]bool{}
	return onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		nonce := r.URL.Query().Get("nonce")
		if r.Method != method || !seen[nonce] {
			seen[nonce] = true
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
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

// broken has a server for every check that fails it. Others may fail it, too.
var broken = map[string]func(*model){
	"address/right": func(s *model) { s.echo = func(w http.ResponseWriter, echostr string) { fmt.Fprintf(w, "%q", echostr) } },
	"address/reordered": onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == "GET" && !strings.HasPrefix(r.URL.RawQuery, "signature=")
	}),
	"address/twice": reused("GET"),
	"address/extra": onGet(func(w http.ResponseWriter, q url.Values) bool { return q.Has("lang") }),
	"address/exact": func(s *model) {
		s.echo = func(w http.ResponseWriter, echostr string) {
			n, _ := strconv.ParseInt(echostr, 10, 64)
			fmt.Fprint(w, n)
		}
	},
	"address/content-type": func(s *model) {
		s.echo = func(w http.ResponseWriter, echostr string) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, echostr)
		}
	},
	"address/wrong-signature": trusting(func(q url.Values) bool { return q.Has("echostr") }),
	"address/empty-token":     trusting(signedWith("")),
	"address/no-signature":    trusting(func(q url.Values) bool { return !q.Has("signature") }),
	"address/no-timestamp":    trusting(func(q url.Values) bool { return !q.Has("timestamp") }),
	"address/no-nonce":        trusting(func(q url.Values) bool { return !q.Has("nonce") }),
	"address/echostr-only":    trusting(func(q url.Values) bool { return len(q) == 1 }),
	"address/script": onGet(func(w http.ResponseWriter, q url.Values) bool {
		if signedWith(token)(q) {
			return false
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<p>wrong signature for %s</p>", q.Get("echostr"))
		return true
	}),
	"address/script-signed": func(s *model) { s.echo = func(w http.ResponseWriter, echostr string) { io.WriteString(w, echostr) } },
	"address/bare": onGet(func(w http.ResponseWriter, q url.Values) bool {
		if len(q) == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return len(q) == 0
	}),

	"mode/answer": func(s *model) {
		s.reply = func(m message, content string) string {
			return replyXML(message{"FromUserName": m["ToUserName"], "ToUserName": m["FromUserName"]}, html.EscapeString(content))
		}
	},
	"mode/raw": onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("encrypt_type") {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}),
	"mode/padding":  func(s *model) { s.smallPad = true },
	"mode/indented": func(s *model) { s.outer = func(body string, m message) { crashBody(body, m, "\n    <Encrypt>") } },
	"mode/clear-fields": func(s *model) {
		s.outer = func(body string, m message) {
			outer, _ := parse(body)
			m["FromUserName"], m["Content"] = outer["FromUserName"], outer["Content"]
		}
	},
	"mode/fresh": func(s *model) { s.sameRandom = true },

	"messages/text": crash(func(document string, m message) bool {
		return strings.Contains(document, "\n<Content>") && !strings.Contains(document, ">\n</Content>") && len(document) < 500 && m["MsgType"] == "text" && !strings.HasPrefix(m["MsgId"], "1")
	}),
	"messages/text-long":        crash(func(_ string, m message) bool { return len(m["Content"]) > 1000 }),
	"messages/text-menu":        crashOn("<bizmsgmenuid>"),
	"messages/text-article":     crashOn("<MsgDataId>"),
	"messages/voice-empty":      func(s *model) { s.reply = emptyRecognition; s.content = voiceContent },
	"messages/voice-recognised": crashOn("天气"),
	"messages/unknown-type":     crashOn("[echostr_check_type]"),

	"events/subscribe": crash(func(document string, m message) bool {
		return m["Event"] == "subscribe" && strings.Contains(document, "<EventKey><![CDATA[]]>")
	}),
	"events/subscribe-bare": crash(func(document string, m message) bool {
		return m["Event"] == "subscribe" && !strings.Contains(document, "EventKey")
	}),
	"events/subscribe-scene":   crashOn("qrscene_check_1"),
	"events/subscribe-payment": crashOn("last_trade_no_"),
	"events/scan-lower-case":   crashOn("[scan]"),
	"events/event-in-capitals": crashOn("[SUBSCRIBE]"),
	"events/unknown-event":     crashOn("[echostr_check_event]"),
	"events/no-name":           crash(func(_ string, m message) bool { return m["MsgType"] == "event" && m["Event"] == "" }),
	"events/no-reply":          containing(func(_ *model, m message) string { return "hello" }),

	"xml/one-line":            crash(func(document string, _ message) bool { return !strings.Contains(document, "\n") }),
	"xml/indented":            crashOn("\n    <FromUserName>"),
	"xml/crlf":                crashOn("\r\n<FromUserName>"),
	"xml/no-cdata":            crashOn("<MsgType>text"),
	"xml/numbers-in-cdata":    crashOn("<CreateTime><![CDATA["),
	"xml/blanks-around-cdata": crashOn("<MsgType> <![CDATA["),
	"xml/order":               crashOn("<xml><Content>"),
	"xml/unknown-element":     crashOn("<URL>"),
	"xml/nested-names": func(s *model) {
		s.push = func(_ http.ResponseWriter, document string, m message) bool {
			m["FromUserName"] = firstUser.FindStringSubmatch(document + "<FromUserName></FromUserName>")[1]
			return false
		}
	},
	"xml/declaration": crashOn("<?xml"),
	"xml/cdata-end":   reading(func(document string) string { return strings.ReplaceAll(document, "]]]]><![CDATA[>b", "]]") }),
	"xml/entities":    reading(func(document string) string { return strings.ReplaceAll(document, "&lt;", "&amp;lt;") }),
	"xml/markup": func(s *model) {
		s.reply = func(m message, content string) string {
			return replyXML(m, "<![CDATA["+strings.ReplaceAll(content, "<Content>", "")+"]]>")
		}
		s.content = func(m message) string { return strings.ReplaceAll(answer(m), "</Content>", "]]></Content>") }
	},
	"xml/emoji": containing(func(_ *model, m message) string {
		return strings.Map(func(r rune) rune {
			if r > 0xffff {
				return '?'
			}
			return r
		}, answer(m))
	}),
	"xml/entity-names-in-cdata": containing(func(_ *model, m message) string { return html.UnescapeString(answer(m)) }),
	"xml/empty-elements":        crashOn("<A/>"),
	"xml/cdata-pieces":          reading(func(document string) string { return strings.Replace(document, "]]>b<![CDATA[c]]>", "]]>", 1) }),
	"xml/comments":              crashOn("<!-- "),
	"xml/instruction":           crashOn("<?php"),
	"xml/attributes":            crashOn(`<xml version`),
	"xml/bom":                   crashOn("\ufeff"),
	"xml/control":               crashOn("\b"),
	"xml/bad-utf8":              crash(func(document string, _ message) bool { return !utf8.ValidString(document) }),
	"xml/content-crlf":          reading(func(document string) string { return strings.ReplaceAll(document, "a\r\nb", "ab") }),
	"xml/content-blanks":        containing(func(_ *model, m message) string { return strings.TrimSpace(answer(m)) }),
	"xml/milliseconds":          crash(func(_ string, m message) bool { return len(m["CreateTime"]) > 10 }),
	"xml/no-id":                 crash(func(_ string, m message) bool { return m["MsgType"] == "text" && m["MsgId"] == "" }),
	"xml/type-case":             crashOn("[Text]"),

	"retries/same-request": reused("POST"),
	"retries/text":         func(s *model) { s.forgetful = true; s.content = counted(s, "text") },
	"retries/event":        func(s *model) { s.forgetful = true; s.content = counted(s, "event") },
	"retries/at-once":      func(s *model) { s.forgetful = true; s.content = counted(s, "text") },
	"retries/same-second": func(s *model) {
		seen := map[string]string{} // by user and content, with the MsgId
		s.content = func(m message) string {
			s.mu.Lock()
			defer s.mu.Unlock()
			key := m["FromUserName"] + m["Content"]
			if id, ok := seen[key]; ok && id != m["MsgId"] {
				return ""
			}
			seen[key] = m["MsgId"]
			return answer(m)
		}
	},
	"retries/long-ids": func(s *model) {
		s.key = func(m message) string {
			if !strings.HasPrefix(m["MsgId"], "7") { // those of package simulator are close together in virtual time
				return m["MsgId"] + m["FromUserName"]
			}
			id, _ := strconv.ParseFloat(m["MsgId"], 64)
			return fmt.Sprint(m["FromUserName"], id, m["Event"])
		}
	},
	"retries/slow":       func(s *model) { s.forgetful = true },
	"retries/slow-again": func(s *model) { slowTwice(s) },

	"time/first-push": func(s *model) {
		seen := map[string]bool{}
		s.push = func(_ http.ResponseWriter, _ string, m message) bool {
			s.mu.Lock()
			first := !seen[m["MsgId"]]
			seen[m["MsgId"]] = true
			s.mu.Unlock()
			if first {
				time.Sleep(6 * time.Second)
			}
			return false
		}
	},
	"time/one-second": func(s *model) {
		s.push = func(http.ResponseWriter, string, message) bool { time.Sleep(1200 * time.Millisecond); return false }
	},

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

var firstUser = regexp.MustCompile(`<FromUserName>(?:<!\[CDATA\[)?([^<\]]*)`)

func anything(url.Values) bool { return true }

func crashBody(body string, m message, part string) {
	if strings.Contains(body, part) {
		panic(http.ErrAbortHandler)
	}
}

func fileContent(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func voiceContent(m message) string {
	if m["MsgType"] == "voice" && m["Recognition"] == "" && m["MediaId16K"] != "" {
		return "nothing"
	}
	return answer(m)
}

func emptyRecognition(m message, content string) string {
	if content == "nothing" {
		content = ""
	}
	return replyXML(m, html.EscapeString(content))
}

// counted answers with a number that grows. Texts are sent back as well, so
// that the server is known to echo; the number then stands in the first push only.
func counted(s *model, msgType string) func(m message) string {
	return func(m message) string {
		if m["MsgType"] == msgType {
			return answer(m) + " " + strconv.Itoa(s.next())
		}
		return answer(m)
	}
}

// slowTwice answers a slow text differently after its first answer.
func slowTwice(s *model) {
	turns := map[string]time.Time{}
	s.push = func(w http.ResponseWriter, _ string, m message) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		first, ok := turns[m["MsgId"]]
		if !ok {
			turns[m["MsgId"]] = time.Now()
		}
		if m["Content"] != "slow" || !ok || time.Since(first) < 8*time.Second {
			return false
		}
		io.WriteString(w, replyXML(m, "once more"))
		return true
	}
}

// brokenFor returns the server for a check. Those for kinds that the table does
// not have crash on the kind.
func brokenFor(c conformance.Check) func(*model) {
	if f := broken[c.ID()]; f != nil {
		return f
	}
	switch c.Group {
	case "messages":
		return crash(func(_ string, m message) bool { return m["MsgType"] == c.Name })
	case "events":
		return crash(func(_ string, m message) bool { return m["Event"] == strings.ToLower(c.Name) })
	}
	return nil
}

// onlyAdvice are the checks of level Fail whose server is advised: nobody can
// see more from outside.
var onlyAdvice = map[string]bool{"retries/same-second": true}

// TestBroken: every check finds the server that is broken for it.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, c := range conformance.Checks() {
		t.Run(c.ID(), func(t *testing.T) {
			t.Parallel()
			breaks := brokenFor(c)
			if breaks == nil {
				t.Fatal("there is no server that is broken for it")
			}
			bubble(t, func(t *testing.T) {
				// In the first mode that the check is for; that the good server passes
				// there is TestModel.
				for _, mode := range modes {
					s := newModel(mode)
					breaks(s)
					config := configIn(mode)
					config.Only = []string{c.ID()}
					report := check(t, &http.Server{Handler: s}, config)
					at := slices.IndexFunc(report.Results, func(r conformance.Result) bool { return r.Check.ID() == c.ID() })
					got := report.Results[at]
					if got.Outcome == conformance.Skipped {
						continue
					}
					want := c.Level
					if onlyAdvice[c.ID()] {
						want = conformance.Advice
					}
					if got.Outcome != want || got.Rule == "" || got.Why.EN == "" || got.Why.ZH == "" {
						t.Errorf("the broken server: %v (%s) %+v; want %v", got.Outcome, got.Rule, got.Why, want)
					}
					if len(got.Exchanges) == 0 && c.Group != "time" && c.ID() != "hostile/slow-end" {
						t.Error("no exchange is shown")
					}
					return
				}
				t.Error("the check was skipped in all modes")
			})
		})
	}
	for id := range broken {
		found := false
		for _, c := range conformance.Checks() {
			found = found || c.ID() == id
		}
		if !found {
			t.Errorf("there is no check %s", id)
		}
	}
}
