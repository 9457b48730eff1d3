package callback_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
)

// Threat S1: whatever is forged is refused alike, starts nothing and leaves
// nothing behind.
func TestS1Forged(t *testing.T) {
	t.Parallel()
	const previous = "zPreviousTokenOfThirtyTwoLetters"
	now := time.Now()
	fresh := strconv.FormatInt(now.Unix(), 10)
	resign := func(q url.Values, token string) url.Values {
		q.Set("signature", sign(token, q.Get("timestamp"), q.Get("nonce")))
		return q
	}
	// Each variant gets a good query and makes a forged one of it.
	variants := []struct {
		name  string
		forge func(q url.Values) string
	}{
		{"no query", func(q url.Values) string { return "" }},
		{"no signature", func(q url.Values) string { q.Del("signature"); return q.Encode() }},
		{"empty signature", func(q url.Values) string { q.Set("signature", ""); return q.Encode() }},
		{"no timestamp", func(q url.Values) string { q.Del("timestamp"); return q.Encode() }},
		{"empty timestamp", func(q url.Values) string { q.Set("timestamp", ""); return resign(q, testToken).Encode() }},
		{"no nonce", func(q url.Values) string { q.Del("nonce"); return q.Encode() }},
		{"empty nonce", func(q url.Values) string { q.Set("nonce", ""); return resign(q, testToken).Encode() }},
		{"sha1 of nothing", func(q url.Values) string {
			q.Set("signature", "da39a3ee5e6b4b0d3255bfef95601890afd80709")
			return q.Encode()
		}},
		{"sha1 of nothing and nothing else", func(q url.Values) string {
			return "signature=da39a3ee5e6b4b0d3255bfef95601890afd80709&timestamp=&nonce="
		}},
		{"zeros", func(q url.Values) string { q.Set("signature", strings.Repeat("0", 40)); return q.Encode() }},
		{"letters f", func(q url.Values) string { q.Set("signature", strings.Repeat("f", 40)); return q.Encode() }},
		{"upper-case", func(q url.Values) string {
			q.Set("signature", strings.ToUpper(q.Get("signature")))
			return q.Encode()
		}},
		{"last digit changed", func(q url.Values) string {
			s := q.Get("signature")
			last := byte('0')
			if s[39] == last {
				last = '1'
			}
			q.Set("signature", s[:39]+string(last))
			return q.Encode()
		}},
		{"39 digits", func(q url.Values) string { q.Set("signature", q.Get("signature")[:39]); return q.Encode() }},
		{"41 digits", func(q url.Values) string { q.Set("signature", q.Get("signature")+"0"); return q.Encode() }},
		{"blank behind", func(q url.Values) string { q.Set("signature", q.Get("signature")+" "); return q.Encode() }},
		{"blank before", func(q url.Values) string { q.Set("signature", " "+q.Get("signature")); return q.Encode() }},
		{"line end behind", func(q url.Values) string { q.Set("signature", q.Get("signature")+"\n"); return q.Encode() }},
		{"zero byte behind", func(q url.Values) string { q.Set("signature", q.Get("signature")+"\x00"); return q.Encode() }},
		{"0x before", func(q url.Values) string { q.Set("signature", "0x"+q.Get("signature")[2:]); return q.Encode() }},
		{"base64", func(q url.Values) string {
			raw, _ := hex.DecodeString(q.Get("signature"))
			q.Set("signature", base64.StdEncoding.EncodeToString(raw))
			return q.Encode()
		}},
		{"signature twice, alike", func(q url.Values) string { return q.Encode() + "&signature=" + q.Get("signature") }},
		{"good signature first", func(q url.Values) string { return q.Encode() + "&signature=" + strings.Repeat("0", 40) }},
		{"bad signature first", func(q url.Values) string { return "signature=" + strings.Repeat("0", 40) + "&" + q.Encode() }},
		{"empty signature first", func(q url.Values) string { return "signature&" + q.Encode() }},
		{"timestamp twice", func(q url.Values) string { return q.Encode() + "&timestamp=" + q.Get("timestamp") }},
		{"nonce twice", func(q url.Values) string { return q.Encode() + "&nonce=1" }},
		{"openid twice", func(q url.Values) string { return q.Encode() + "&openid=" + testUser }},
		{"nonce twice, %-encoded key", func(q url.Values) string { return q.Encode() + "&%6eonce=1" }},
		{"signature twice, all %-encoded", func(q url.Values) string {
			return q.Encode() + "&%73%69%67%6e%61%74%75%72%65=" + q.Get("signature")
		}},
		{"nonce[]", func(q url.Values) string { return strings.Replace(q.Encode(), "nonce=", "nonce[]=", 1) }},
		{"signature[]", func(q url.Values) string { return strings.Replace(q.Encode(), "signature=", "signature%5B%5D=", 1) }},
		{"signature[0]", func(q url.Values) string { return strings.Replace(q.Encode(), "signature=", "signature[0]=", 1) }},
		{"semicolons", func(q url.Values) string { return strings.ReplaceAll(q.Encode(), "&", ";") }},
		{"one semicolon", func(q url.Values) string { return q.Encode() + "&a;b" }},
		{"broken %", func(q url.Values) string { return q.Encode() + "&x=%zz" }},
		{"% at the end", func(q url.Values) string { return q.Encode() + "&x=%" }},
		{"name in capitals", func(q url.Values) string { return strings.Replace(q.Encode(), "signature=", "SIGNATURE=", 1) }},
		{"blank in the name", func(q url.Values) string { return strings.Replace(q.Encode(), "nonce=", "+nonce=", 1) }},
		{"another token", func(q url.Values) string { return resign(q, "zAnotherTokenOfThirtyTwoLetters00").Encode() }},
		{"no token", func(q url.Values) string { return resign(q, "").Encode() }},
		{"token of tutorials", func(q url.Values) string { return resign(q, "weixin").Encode() }},
		{"token in capitals", func(q url.Values) string { return resign(q, strings.ToUpper(testToken)).Encode() }},
		{"token cut", func(q url.Values) string { return resign(q, testToken[:31]).Encode() }},
		{"previous token after its end", func(q url.Values) string { return resign(q, previous).Encode() }},
		{"not sorted", func(q url.Values) string {
			sum := sha1.Sum([]byte(testToken + q.Get("timestamp") + q.Get("nonce")))
			q.Set("signature", hex.EncodeToString(sum[:]))
			return q.Encode()
		}},
		{"md5", func(q url.Values) string {
			sum := md5.Sum([]byte(q.Get("timestamp") + q.Get("nonce") + testToken))
			q.Set("signature", hex.EncodeToString(sum[:])+"00000000")
			return q.Encode()
		}},
		{"sha256, cut", func(q url.Values) string {
			sum := sha256.Sum256([]byte(q.Get("timestamp") + q.Get("nonce") + testToken))
			q.Set("signature", hex.EncodeToString(sum[:20]))
			return q.Encode()
		}},
		{"hmac", func(q url.Values) string {
			mac := hmac.New(sha1.New, []byte(testToken))
			mac.Write([]byte(q.Get("timestamp") + q.Get("nonce")))
			q.Set("signature", hex.EncodeToString(mac.Sum(nil)))
			return q.Encode()
		}},
		{"a msg_signature as signature", func(q url.Values) string {
			q.Set("signature", sign(testToken, q.Get("timestamp"), q.Get("nonce"), "AAAA"))
			return q.Encode()
		}},
		{"timestamp and nonce exchanged", func(q url.Values) string {
			q["timestamp"], q["nonce"] = q["nonce"], q["timestamp"]
			return q.Encode()
		}},
		{"another timestamp", func(q url.Values) string {
			q.Set("timestamp", strconv.FormatInt(now.Unix()-1, 10))
			return q.Encode()
		}},
		{"another nonce", func(q url.Values) string { q.Set("nonce", "42"); return q.Encode() }},
		{"timestamp with a zero before", func(q url.Values) string {
			q.Set("timestamp", "0"+fresh)
			return resign(q, testToken).Encode()
		}},
		{"timestamp in milliseconds", func(q url.Values) string {
			q.Set("timestamp", fresh+"000")
			return resign(q, testToken).Encode()
		}},
		{"timestamp with a sign", func(q url.Values) string {
			q.Set("timestamp", "+"+fresh[1:])
			return resign(q, testToken).Encode()
		}},
		{"timestamp in full-width digits", func(q url.Values) string {
			q.Set("timestamp", strings.Map(func(r rune) rune { return r - '0' + '０' }, fresh))
			return resign(q, testToken).Encode()
		}},
		{"timestamp in hex", func(q url.Values) string { q.Set("timestamp", "0x65a00000"); return resign(q, testToken).Encode() }},
		{"timestamp with a fraction", func(q url.Values) string {
			q.Set("timestamp", fresh[:8]+".0")
			return resign(q, testToken).Encode()
		}},
		{"stale", func(q url.Values) string {
			q.Set("timestamp", strconv.FormatInt(now.Unix()-605, 10))
			return resign(q, testToken).Encode()
		}},
		{"from the future", func(q url.Values) string {
			q.Set("timestamp", strconv.FormatInt(now.Unix()+660, 10))
			return resign(q, testToken).Encode()
		}},
		{"from the last century", func(q url.Values) string { q.Set("timestamp", "0900000000"); return resign(q, testToken).Encode() }},
		{"nonce of 65", func(q url.Values) string {
			q.Set("nonce", strings.Repeat("1", 65))
			return resign(q, testToken).Encode()
		}},
		{"nonce with a dash", func(q url.Values) string { q.Set("nonce", "12-34"); return resign(q, testToken).Encode() }},
		{"nonce with a blank", func(q url.Values) string { q.Set("nonce", "12 34"); return resign(q, testToken).Encode() }},
		{"nonce with a letter of Greek", func(q url.Values) string { q.Set("nonce", "12ω34"); return resign(q, testToken).Encode() }},
		{"nonce with a line end", func(q url.Values) string { q.Set("nonce", "1234\n"); return resign(q, testToken).Encode() }},
		{"bad msg_signature", func(q url.Values) string { q.Set("msg_signature", "x"); return q.Encode() }},
	}
	if len(variants) < 40 {
		t.Fatalf("only %d variants", len(variants))
	}
	t.Logf("hostile inputs: %d", len(variants))
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			h := new(counted)
			a := account(mode, h)
			a.PreviousToken, a.PreviousUntil = previous, now.Add(-time.Second)
			s, st := one(t, a)
			document := text("forged")
			for _, v := range variants {
				w := pack(a, document)
				r := httptest.NewRequest("POST", "/wx/demo", strings.NewReader(w.body))
				r.URL.RawQuery = v.forge(w.query)
				if g := do(s, r); !g.is(403, "") {
					t.Errorf("%s: %v, want 403 without a body", v.name, g)
				}
			}
			if n := len(rows(t, st)); n != 0 || h.n.Load() != 0 {
				t.Errorf("%d rows and %d starts were forged", n, h.n.Load())
			}
			// And the table tests what it means to: the document itself is good.
			if g := pack(a, document).send(s); g.status != 200 || len(rows(t, st)) != 1 || h.n.Load() != 1 {
				t.Errorf("the real push: %v, %d rows, %d starts", g, len(rows(t, st)), h.n.Load())
			}
		})
	}
}

// Threat S2: the mode is the account's. What a request says about itself only ever refuses it.
func TestS2Downgrade(t *testing.T) {
	t.Parallel()
	encryptTypes := []string{"absent", "", "raw", "aes", "AES", "des"}
	bodies := []string{"clear", "sealed", "both", "json", "empty"}
	signatures := []string{"both", "signature", "msg_signature", "none"}

	// want is the whole rule: which content is read, or "refused", or "success" for nothing.
	want := func(mode callback.Mode, encryptType, body, signature string) string {
		aes, raw := encryptType == "aes", encryptType == "raw" || encryptType == "" || encryptType == "absent"
		plain := mode == callback.Plain
		switch {
		case signature == "msg_signature" || signature == "none",
			plain && !raw,
			!plain && !aes,
			!plain && signature != "both",
			body == "json",
			!plain && body == "clear":
			return "refused"
		case body == "empty", plain && body == "sealed": // a document without a sender
			return "success"
		case plain:
			return "clear"
		}
		return "sealed"
	}

	cases, accepted := 0, 0
	for _, mode := range modes {
		h := new(counted)
		a := account(mode, h)
		s, st := one(t, a)
		keyed := a
		keyed.EncodingAESKey = testKey
		for _, encryptType := range encryptTypes {
			for _, body := range bodies {
				for _, signature := range signatures {
					cases++
					clear, sealed := text("clear"), text("sealed")
					encrypt := seal(testKey, testAppID, sealed)
					document := map[string]string{
						"clear":  clear,
						"sealed": "<xml><ToUserName>" + testOriginal + "</ToUserName><Encrypt>" + encrypt + "</Encrypt></xml>",
						"both":   strings.Replace(clear, "</xml>", "<Encrypt>"+encrypt+"</Encrypt></xml>", 1),
						"json":   `{"ToUserName":"` + testOriginal + `","FromUserName":"` + testUser + `","MsgType":"text","Content":"json","Encrypt":"` + encrypt + `"}`,
						"empty":  "",
					}[body]
					timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), strconv.Itoa(cases)
					q := url.Values{"timestamp": {timestamp}, "nonce": {nonce}}
					if encryptType != "absent" {
						q.Set("encrypt_type", encryptType)
					}
					if signature == "both" || signature == "signature" {
						q.Set("signature", sign(testToken, timestamp, nonce))
					}
					if signature == "both" || signature == "msg_signature" {
						q.Set("msg_signature", sign(testToken, timestamp, nonce, encrypt))
					}
					before, starts := len(rows(t, st)), h.n.Load()
					g := wire{account: a.Name, query: q, body: document}.send(s)
					result := fmt.Sprint(g)
					switch {
					case g.is(403, ""):
						result = "refused"
						if n := len(rows(t, st)); n != before || h.n.Load() != starts {
							result = "refused, but not without traces"
						}
					case g.is(200, "success"):
						result = "success"
					case g.status == 200:
						accepted++
						result = strings.TrimPrefix(parseReply(t, read(t, a, g.body)).Content, "re: ")
					}
					if expect := want(mode, encryptType, body, signature); result != expect {
						t.Errorf("mode %v, encrypt_type %s, body %s, signatures %s: %s, want %s", mode, encryptType, body, signature, result, expect)
					}
				}
			}
		}
	}
	if cases < 96 || accepted < 8 {
		t.Errorf("%d cases, %d accepted", cases, accepted)
	}
	t.Logf("%d cases, %d with a message that was read", cases, accepted)
	t.Logf("hostile inputs: %d", cases-accepted)
}

// Threat S3: somebody has seen the URL of a push, and sends a body of his own to it.
func TestS3NewBody(t *testing.T) {
	t.Parallel()
	for _, bind := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain/bind=%v", bind), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(counted)
				a := account(callback.Plain, h)
				a.BindSignature = bind
				s, st := one(t, a)
				w := pack(a, text("real"))
				if g := w.send(s); g.status != 200 {
					t.Fatal(g)
				}
				stolen := w
				for name, body := range map[string]string{
					"message":       text("stolen"),
					"event":         event(testUser, "CLICK", "stolen"),
					"not a message": "<xml><MsgType>text</MsgType>stolen",
				} {
					starts, n := h.n.Load(), len(rows(t, st))
					stolen.body = body
					g := stolen.send(s)
					traces := len(rows(t, st)) - n + int(h.n.Load()-starts)
					if bind && (!g.is(403, "") || traces != 0) {
						t.Errorf("%s: %v, %d traces; a bound signature is good for one message", name, g, traces)
					}
					if !bind && (g.status != 200 || traces == 0) {
						t.Errorf("%s: %v, %d traces; by default it is only logged", name, g, traces)
					}
				}
				if n := s.Stats().Refused["demo"]["signature_reused"]; n != 3 {
					t.Errorf("%d of 3 were counted", n)
				}
				// WeChat's own retry has the same signature and the same message.
				if g := w.send(s); g.status != 200 || g.body == "success" {
					t.Errorf("the retry: %v", g)
				}
				time.Sleep(5*time.Minute + time.Second)
				stolen.body = text("stolen later")
				if g := stolen.send(s); !g.is(403, "") {
					t.Errorf("a stale signature: %v", g)
				}
			})
		})
	}
	for _, mode := range []callback.Mode{callback.Compatible, callback.Safe} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			h := new(counted)
			a := account(mode, h)
			s, st := one(t, a)
			w := pack(a, text("real"))
			if g := w.send(s); g.status != 200 {
				t.Fatal(g)
			}
			other := pack(a, text("other"))
			if g := other.send(s); g.status != 200 {
				t.Fatal(g)
			}
			for name, body := range map[string]string{
				"in clear":          text("stolen"),
				"of another push":   other.body,
				"sealed by a guess": envelope(a, text("stolen"), false),
				"not a document":    "stolen",
			} {
				stolen := w
				stolen.body = body
				if g := stolen.send(s); !g.is(403, "") {
					t.Errorf("%s: %v", name, g)
				}
			}
			if n := len(rows(t, st)); n != 2 || h.n.Load() != 2 {
				t.Errorf("%d rows, %d starts", n, h.n.Load())
			}
		})
	}
}

// extend is the length-extension attack on SHA-1: from the digest of a
// message of n bytes it makes that of message + glue + suffix, without the message.
func extend(signature string, n int, suffix string) (forged, glue string) {
	glue = "\x80" + strings.Repeat("\x00", (119-n%64)%64)
	glue += string(binary.BigEndian.AppendUint64(nil, uint64(n)*8))
	digest, _ := hex.DecodeString(signature)
	// The state of crypto/sha1 after whole blocks is the digest itself.
	state := append([]byte("sha\x01"), digest...)
	state = append(state, make([]byte, 64)...)
	state = binary.BigEndian.AppendUint64(state, uint64(n+len(glue)))
	h := sha1.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic(err)
	}
	h.Write([]byte(suffix))
	return hex.EncodeToString(h.Sum(nil)), glue
}

// Threat S4: the signed strings are joined without delimiters, so a verifier
// without strict formats takes one signature for many queries. Both attacks
// are carried out; each forged query is good for such a verifier.
func TestS4LengthExtension(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"123456", "000abc", "1"} {
		h := new(counted)
		a := account(callback.Plain, h)
		a.Token, a.AllowWeakToken = token, true
		s, st := one(t, a)
		// Captured long ago; token < nonce < timestamp.
		const timestamp, nonce = "1730000000", "1598765432"
		signature := sign(token, timestamp, nonce)
		fresh := strconv.FormatInt(time.Now().Unix(), 10)
		forged, glue := extend(signature, len(token+timestamp+nonce), fresh)
		q := url.Values{"signature": {forged}, "timestamp": {fresh}, "nonce": {nonce + timestamp + glue}}
		if sign(token, q.Get("timestamp"), q.Get("nonce")) != forged {
			t.Fatalf("token %s: the attack does not work on anybody", token)
		}
		if g := (wire{account: "demo", query: q, body: text("forged")}).send(s); !g.is(403, "") || len(rows(t, st)) != 0 || h.n.Load() != 0 {
			t.Errorf("token %s: %v", token, g)
		}
	}
}

func TestS4Resplit(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 26))
	now := time.Now()
	tried := 0
	for round := range 60 {
		token := []string{"weixin", "zTestTokenOfThirtyTwoCharacters0", "123456", "1795", "5"}[round%5]
		h := new(counted)
		a := account(callback.Plain, h)
		a.Token, a.AllowWeakToken = token, true
		s, _ := one(t, a)
		timestamp := strconv.FormatInt(now.Unix()-rng.Int64N(200), 10)
		nonce := strconv.FormatInt(rng.Int64N(1<<uint(1+rng.IntN(40))), 10)
		signature := sign(token, timestamp, nonce)
		digits := []string{timestamp + nonce, nonce + timestamp}
		accepted := map[string]bool{}
		for _, all := range digits {
			for k := range len(all) + 1 {
				for _, q := range []url.Values{
					{"signature": {signature}, "timestamp": {all[:k]}, "nonce": {all[k:]}},
					{"signature": {signature}, "timestamp": {all[k:]}, "nonce": {all[:k]}},
				} {
					if sign(token, q.Get("timestamp"), q.Get("nonce")) == signature {
						tried++ // it fools a verifier without formats
					}
					if g := (wire{account: "demo", query: q, body: text("split")}).send(s); g.status == 200 {
						accepted[q.Get("timestamp")+","+q.Get("nonce")] = true
					} else if !g.is(403, "") {
						t.Fatal(g)
					}
				}
			}
		}
		if len(accepted) != 1 || !accepted[timestamp+","+nonce] {
			t.Errorf("token %s, signature of (%s, %s) is accepted for %v", token, timestamp, nonce, accepted)
		}
	}
	if tried < 300 {
		t.Errorf("only %d splits have the signature of another", tried)
	}
	t.Logf("%d queries with a good signature, one of each round accepted", tried)
	t.Logf("hostile inputs: %d", tried-60)
}

// Threat S5: a whole captured push is sent again.
func TestS5Replay(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(counted)
				a := account(mode, h)
				s, st := one(t, a)
				w, began := pack(a, text("你好")), time.Now()
				first := w.send(s)
				if read(t, a, first.body) == "success" {
					t.Fatal(first)
				}
				for _, again := range []struct {
					after time.Duration
					want  string // "" is the same reply
				}{
					{time.Second, ""},
					{59 * time.Second, ""},
					{61 * time.Second, "success"},
					{4 * time.Minute, "success"},
					{time.Hour, "refused"},
					{8 * 24 * time.Hour, "refused"},
				} {
					if again.after > 24*time.Hour {
						// Nobody runs a week without a restart, which spares the test a
						// hundred thousand renewals of the lease.
						if n := s.Stats().Replays; n != 2 {
							t.Errorf("%d replays counted, want 2", n)
						}
						s.Shutdown(t.Context())
						time.Sleep(time.Until(began.Add(again.after)))
						s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
					}
					time.Sleep(time.Until(began.Add(again.after)))
					g := w.send(s)
					ok := false
					switch again.want {
					case "":
						ok = g.status == 200 && read(t, a, g.body) == read(t, a, first.body)
					case "success":
						ok = g.is(200, "success")
					case "refused":
						ok = g.is(403, "")
					}
					if !ok {
						t.Errorf("after %v: %v, want %q", again.after, g, again.want)
					}
				}
				if h.n.Load() != 1 {
					t.Errorf("%d starts", h.n.Load())
				}
			})
		})
	}
}
