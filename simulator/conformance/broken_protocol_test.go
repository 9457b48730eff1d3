package conformance_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// brokenProtocol are servers that answer wrongly what WeChat sends.
var brokenProtocol = map[string]func(*model){
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
	"xml/card-event":          crashOn("<Event> <![CDATA["),
	"xml/blanks-around-cdata": crashOn("<MsgType> <![CDATA[text"),
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
}

var firstUser = regexp.MustCompile(`<FromUserName>(?:<!\[CDATA\[)?([^<\]]*)`)

func crashBody(body string, m message, part string) {
	if strings.Contains(body, part) {
		panic(http.ErrAbortHandler)
	}
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

func onGet(f func(w http.ResponseWriter, q url.Values) bool) func(*model) {
	return onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == "GET" && f(w, r.URL.Query())
	})
}

func reading(f func(document string) string) func(*model) { return func(s *model) { s.reads = f } }

func containing(f func(s *model, m message) string) func(*model) {
	return func(s *model) { s.content = func(m message) string { return f(s, m) } }
}
