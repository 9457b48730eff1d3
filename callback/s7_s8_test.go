package callback_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// response is everything that a client can see of an answer.
func response(g got) string {
	var header strings.Builder
	for _, name := range slices.Sorted(maps.Keys(g.header)) {
		fmt.Fprintf(&header, "%s: %q\n", name, g.header[name])
	}
	return fmt.Sprintf("%d\n%s\n%q\naborted %v", g.status, &header, g.body, g.aborted)
}

// Threat S7: the answers to broken ciphertext tell nothing about where it is
// broken, and without a signature nothing is decrypted at all.
//
// That it is not can be seen by the reasons: opening ends as `envelope`, as a
// refusal for the wrong account, or as a row. A text that would open and is not
// signed ends as none of them, and neither does one that would not open.
func TestS7PaddingOracle(t *testing.T) {
	t.Parallel()
	const flips, unsigned = 10_000, 2_000
	h := new(counted)
	a := account(callback.Safe, h)
	a.OriginalID = testOriginal
	s, st := one(t, a)
	good := seal(testKey, testAppID, text("你好"))
	raw, _ := base64.StdEncoding.DecodeString(good)
	rng := rand.New(rand.NewPCG(7, 7))
	responses := map[string]int{}
	send := func(encrypt string, badSignature bool) got {
		w := wire{account: a.Name, body: "<xml><Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"}
		w.query = signed(a, w.body, fmt.Sprint(time.Now().Unix()), "1")
		if badSignature {
			w.query.Set("msg_signature", w.query.Get("signature"))
		}
		return w.send(s)
	}
	mutate := func(n int) string {
		data := slices.Clone(raw)
		switch n % 10 {
		case 7: // cut to whole blocks, or not
			data = data[:rng.IntN(len(data))]
		case 8: // another AppID, or another key
			return seal(testKey, "wx0000000000000000", text("x"))
		case 9:
			return strings.Repeat("A", rng.IntN(200))
		default:
			// In the first half, where the random bytes and the length stand, or in the
			// last two blocks, where AppID and padding do: what is between
			// is the message, which no check of the envelope covers.
			bit := rng.IntN(16*8) + 128
			if n%2 == 0 {
				bit = len(data)*8 - 1 - rng.IntN(3*16*8)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
		return base64.StdEncoding.EncodeToString(data)
	}
	for n := range unsigned {
		responses[response(send(mutate(n), true))]++
	}
	refused := s.Stats().Refused["demo"]
	if refused["msg_signature"]+refused["outer_document"] != unsigned || refused["envelope"] != 0 || refused["msg_signature"] < unsigned*9/10 {
		t.Errorf("without a signature: %v", refused)
	}
	if g := send(good, true); !g.is(403, "") {
		t.Errorf("good ciphertext without a signature: %v", g)
	}
	if n := len(rows(t, st)); n != 0 {
		t.Fatalf("%d rows", n)
	}
	opened := 0
	for n := range flips {
		encrypt := mutate(n)
		g := send(encrypt, false)
		if g.status == 200 {
			opened++ // the flip hit the 16 random bytes or the message: it is an envelope as good as any
			continue
		}
		responses[response(g)]++
	}
	if len(responses) != 1 {
		t.Errorf("%d different answers: %v", len(responses), responses)
	}
	if n := s.Stats().Refused["demo"]["envelope"]; n < flips/3 {
		t.Errorf("only %d of %d flips were decrypted and refused", n, flips)
	}
	t.Logf("%d flips: %d answers that differ, %d opened", flips+unsigned, len(responses)-1, opened)
	if g := send(good, false); g.status != 200 {
		t.Errorf("the real push: %v", g)
	}
}

// Threat S8: what is meant for another account does not get in.
func TestS8AnotherAccount(t *testing.T) {
	t.Parallel()
	const otherKey, otherToken, otherAppID = "cYKczsJyMDYxV5WHHFxufDGmdFmPWQwOlQri73N0wyv", "zAnotherTokenOfThirtyTwoLetters0", "wx0000000000000002"
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			h := new(counted)
			a := account(mode, h)
			a.OriginalID = testOriginal
			b := a
			b.Name, b.AppID, b.OriginalID = "other", otherAppID, "gh_other"
			s := start(t, callback.Config{Accounts: []callback.Account{a, b}, Store: nil})
			cases := map[string]func() wire{
				"token": func() wire {
					a := a
					a.Token = otherToken
					return pack(a, text("x"))
				},
				"ToUserName": func() wire { return pack(a, strings.ReplaceAll(text("x"), testOriginal, "gh_other")) },
				"no ToUserName": func() wire {
					return pack(a, strings.ReplaceAll(text("x"), "<ToUserName><![CDATA["+testOriginal+"]]></ToUserName>", ""))
				},
				"the same request at the other URL": func() wire {
					w := pack(a, text("x"))
					w.account = b.Name
					return w
				},
			}
			if mode != callback.Plain {
				cases["key"] = func() wire {
					a := a
					a.EncodingAESKey = otherKey
					return pack(a, text("x"))
				}
				cases["AppID"] = func() wire {
					a := a
					a.AppID = otherAppID
					return pack(a, text("x"))
				}
				cases["AppID with more behind it"] = func() wire {
					a := a
					a.AppID += "0"
					return pack(a, text("x"))
				}
				cases["no AppID"] = func() wire {
					a := a
					a.AppID = ""
					return pack(a, text("x"))
				}
				cases["outer ToUserName"] = func() wire {
					w := pack(a, text("x"))
					w.body = strings.Replace(w.body, testOriginal, "gh_other", 1)
					return w
				}
			}
			for name, w := range cases {
				if g := w().send(s); !g.is(403, "") {
					t.Errorf("%s: %v", name, g)
				}
			}
			if h.n.Load() != 0 || s.Stats().Pushes != 0 {
				t.Errorf("%d starts, %d pushes", h.n.Load(), s.Stats().Pushes)
			}
			if g := pack(a, text("x")).send(s); g.status != 200 || h.n.Load() != 1 {
				t.Errorf("the real push: %v", g)
			}
		})
	}
	t.Run("without an original id", func(t *testing.T) {
		t.Parallel()
		a := account(callback.Safe, new(counted))
		s, _ := one(t, a)
		w := pack(a, text("x"))
		w.body = strings.Replace(w.body, testOriginal, "gh_other", 1)
		if g := w.send(s); !g.is(403, "") {
			t.Errorf("outer and inner ToUserName differ: %v", g)
		}
	})
}

// Threat S8, after a leak: while token and key are changed, WeChat uses the old
// and the new ones in any mixture, and nothing good is refused.
func TestS8Rotation(t *testing.T) {
	t.Parallel()
	const newKey, newToken = "cYKczsJyMDYxV5WHHFxufDGmdFmPWQwOlQri73N0wyv", "zNewTokenOfThirtyTwoCharacters00"
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				before := account(mode, new(counted))
				after := before
				after.Token = newToken
				after.PreviousToken, after.PreviousUntil = before.Token, time.Now().Add(24*time.Hour)
				if mode != callback.Plain {
					after.EncodingAESKey, after.PreviousEncodingAESKey = newKey, before.EncodingAESKey
				}
				st := memory.New(memory.Config{})
				s := start(t, callback.Config{Accounts: []callback.Account{after}, Store: st, MaxUserMessages: -1})
				var refused, sent int
				var mu sync.Mutex
				var all sync.WaitGroup
				send := func(tokenOf, keyOf callback.Account) {
					all.Go(func() {
						a := tokenOf
						a.EncodingAESKey = keyOf.EncodingAESKey
						g := pack(a, text("x")).send(s)
						mu.Lock()
						defer mu.Unlock()
						sent++
						if g.status != 200 {
							refused++
							return
						}
						// The reply is made with the secrets that the push came with.
						if r := parseReply(t, read(t, a, g.body)); r.Content != "re: x" {
							t.Errorf("reply %+v", r)
						}
					})
				}
				for range 50 {
					send(before, before)
					send(before, after)
					send(after, before)
					send(after, after)
				}
				all.Wait()
				if refused != 0 || sent != 200 || len(rows(t, st)) != 200 {
					t.Errorf("%d of %d good pushes were refused, %d rows", refused, sent, len(rows(t, st)))
				}
				s.Shutdown(t.Context())
				time.Sleep(24 * time.Hour)
				s = start(t, callback.Config{Accounts: []callback.Account{after}, Store: st})
				if g := pack(before, text("x")).send(s); !g.is(403, "") {
					t.Errorf("an old secret after its end: %v", g)
				}
				if g := pack(after, text("x")).send(s); g.status != 200 {
					t.Errorf("the new secrets: %v", g)
				}
			})
		})
	}
}

// Threat S29: whatever is wrong, the answer is the same to the last byte of its head.
func TestS29RefusalsAreAlike(t *testing.T) {
	t.Parallel()
	a := account(callback.Safe, new(counted))
	a.OriginalID = testOriginal
	s, _ := one(t, a)
	good := pack(a, text("x"))
	change := func(f func(w *wire)) wire {
		w := pack(a, text("x"))
		f(&w)
		return w
	}
	responses := map[string][]string{}
	refused := map[string]wire{
		"no query":       {account: a.Name, body: good.body},
		"signature":      change(func(w *wire) { w.query.Set("signature", strings.Repeat("0", 40)) }),
		"format":         change(func(w *wire) { w.query.Set("nonce", "?") }),
		"twice":          change(func(w *wire) { w.query.Add("nonce", "1") }),
		"stale":          packAt(a, text("x"), time.Now().Add(-time.Hour)),
		"mode":           change(func(w *wire) { w.query.Del("encrypt_type") }),
		"no msg":         change(func(w *wire) { w.query.Del("msg_signature") }),
		"json":           change(func(w *wire) { w.body = "{}" }),
		"outer document": change(func(w *wire) { w.body = "<xml>" }),
		"no Encrypt":     change(func(w *wire) { w.body = "<xml><A>1</A></xml>" }),
		"DOCTYPE":        change(func(w *wire) { w.body = "<!DOCTYPE xml><xml><Encrypt>AAAA</Encrypt></xml>" }),
		"msg_signature":  change(func(w *wire) { w.query.Set("msg_signature", strings.Repeat("0", 40)) }),
		"envelope": change(func(w *wire) {
			w.body = "<xml><Encrypt><![CDATA[AAAA]]></Encrypt></xml>"
			w.query = signed(a, w.body, w.query.Get("timestamp"), w.query.Get("nonce"))
		}),
		"AppID": func() wire {
			b := a
			b.AppID = "wx"
			return pack(b, text("x"))
		}(),
		"original id": pack(a, strings.ReplaceAll(text("x"), testOriginal, "gh_other")),
	}
	t.Logf("hostile inputs: %d", len(refused)+2)
	for name, w := range refused {
		responses[response(w.send(s))] = append(responses[response(w.send(s))], name)
	}
	r := httptest.NewRequest("POST", "/wx/demo?"+good.query.Encode(), strings.NewReader(good.body))
	r.Header.Set("Content-Encoding", "gzip")
	responses[response(do(s, r))] = append(responses[response(do(s, r))], "gzip")
	// A GET is refused in the same way.
	r = httptest.NewRequest("GET", "/wx/demo?"+good.query.Encode()+"&echostr=<script>", nil)
	responses[response(do(s, r))] = append(responses[response(do(s, r))], "GET")
	if len(responses) != 1 {
		for r, names := range responses {
			t.Errorf("%v:\n%s", names, r)
		}
	}
	if n := len(s.Stats().Refused["demo"]); n < 10 {
		t.Errorf("only %d reasons were met: %v", n, s.Stats().Refused["demo"])
	}
}
