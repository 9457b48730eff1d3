package callback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// The properties of this file hold for whatever a seed makes up. A failure names the seed, which makes the same up again.

const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func word(rng *rand.Rand, letters string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rng.IntN(len(letters))]
	}
	return string(b)
}

// upTo is a random duration of d at most.
func upTo(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(d) + 1))
}

// splits are all pairs of timestamp and nonce whose signature is that of a text: what is left of it without the token, cut
// anywhere.
func splits(all, token string) (pairs [][2]string) {
	for i := 0; i+len(token) <= len(all); i++ {
		if all[i:i+len(token)] != token {
			continue
		}
		before, behind := all[:i], all[i+len(token):]
		cuts := [][2]string{{before, behind}}
		for k := range before {
			if behind == "" {
				cuts = append(cuts, [2]string{before[:k], before[k:]})
			}
		}
		for k := range behind {
			if before == "" {
				cuts = append(cuts, [2]string{behind[:k], behind[k:]})
			}
		}
		for _, c := range cuts {
			pairs = append(pairs, c, [2]string{c[1], c[0]})
		}
	}
	return slices.DeleteFunc(pairs, func(p [2]string) bool {
		parts := []string{token, p[0], p[1]}
		slices.Sort(parts)
		return strings.Join(parts, "") != all
	})
}

// A signature is good for one pair of timestamp and nonce, whatever the token is: the strings are joined without delimiters, and
// all other ways to cut them are refused.
func TestOneQueryPerSignature(t *testing.T) {
	t.Parallel()
	fooled := 0
	for seed := range uint64(60) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			token := "z" + word(rng, alnum, 31)
			switch seed % 3 {
			case 1:
				token = word(rng, alnum, 32)
			case 2: // of an old account
				token = word(rng, "0123456789", 3+rng.IntN(5))
			}
			a := account(callback.Plain, new(counted))
			a.Token, a.AllowWeakToken = token, true
			s, _ := one(t, a)
			timestamp := strconv.FormatInt(time.Now().Unix()-rng.Int64N(200), 10)
			nonce := word(rng, alnum[:10+52*rng.IntN(2)], 1+rng.IntN(40))
			if rng.IntN(2) == 0 { // more of it fits
				nonce = token[:rng.IntN(len(token))] + nonce[:min(len(nonce), 20)]
			}
			parts := []string{token, timestamp, nonce}
			slices.Sort(parts)
			signature, accepted := sign(token, timestamp, nonce), map[[2]string]bool{}
			for _, p := range splits(strings.Join(parts, ""), token) {
				fooled++
				q := url.Values{"signature": {signature}, "timestamp": {p[0]}, "nonce": {p[1]}}
				if g := (wire{account: a.Name, query: q, body: text("x")}).send(s); g.status == 200 {
					accepted[p] = true
				} else if !g.is(403, "") {
					t.Errorf("seed %d: %v", seed, g)
				}
			}
			if len(accepted) != 1 || !accepted[[2]string{timestamp, nonce}] {
				t.Errorf("seed %d: the signature of %s and %s with the token %s is accepted for %v", seed, timestamp, nonce, token, accepted)
			}
		})
	}
	if fooled < 60*10 {
		t.Errorf("only %d pairs have the signature", fooled)
	}
	t.Logf("%d pairs have one of 60 signatures, and one of each is accepted", fooled)
}

// Whatever one thing is changed in a push, it is refused with the same bytes, and nothing is left of it.
func TestAnyChangeIsRefusedAlike(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(counted)
				a := account(mode, h)
				s, st := one(t, a)
				want := response(wire{account: a.Name, body: "x"}.send(s))
				names := []string{"signature", "timestamp", "nonce"}
				if mode != callback.Plain {
					names = append(names, "msg_signature", "encrypt_type", "body")
				}
				change := func(rng *rand.Rand, s string) string {
					at := rng.IntN(len(s))
					switch rng.IntN(4) {
					case 0:
						return s[:at] + s[at+1:]
					case 1:
						return s[:at] + word(rng, alnum+"+/= \n]<&\x00\xff", 1) + s[at:]
					default:
						return s[:at] + string(s[at]^byte(1+rng.IntN(127))) + s[at+1:]
					}
				}
				for seed := range uint64(400) {
					rng := rand.New(rand.NewPCG(seed, 5))
					w := packAt(a, text("x"), time.Now().Add(-upTo(rng, 4*time.Minute)))
					name := names[rng.IntN(len(names))]
					was := w.query.Get(name)
					switch n := rng.IntN(10); {
					case name == "body":
						before, rest, _ := strings.Cut(w.body, "<Encrypt><![CDATA[")
						encrypt, behind, _ := strings.Cut(rest, "]]></Encrypt>")
						w.body = before + "<Encrypt><![CDATA[" + change(rng, encrypt) + "]]></Encrypt>" + behind
					case n == 0:
						w.query.Del(name)
					case n == 1:
						w.query.Set(name, "")
					case n == 2:
						w.query.Add(name, was)
					case n == 3: // signed well, and old, or of the future
						w = packAt(a, text("x"), time.Now().Add(time.Duration(rng.IntN(2)*2-1)*(11*time.Minute+upTo(rng, 24*time.Hour))))
					case n == 4: // signed well by somebody else
						b := a
						b.Token = change(rng, strings.Repeat("0", 32))
						w = pack(b, text("x"))
					default:
						w.query.Set(name, change(rng, was))
					}
					if got := response(w.send(s)); got != want {
						t.Fatalf("seed %d: a changed %s, of %q:\n%s\nand others get\n%s", seed, name, was, got, want)
					}
				}
				if n := len(rows(t, st)); n > 0 || h.n.Load() > 0 {
					t.Errorf("%d rows, %d starts", n, h.n.Load())
				}
				if n := len(s.Stats().Refused[a.Name]); n < 5 {
					t.Errorf("only %d reasons were met: %v", n, s.Stats().Refused[a.Name])
				}
			})
		})
	}
}

// A push is known as long as it is fresh: whatever freshness an account may have, one that is stamped as late as it can be
// and comes again as late as it can starts nothing a second time, though the store in memory forgets meanwhile.
func TestReplaysAreKnownWhileFresh(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 13))
			h := new(byUser)
			a := account(modes[rng.IntN(3)], h)
			if rng.IntN(4) > 0 {
				a.Freshness = time.Second + upTo(rng, 12*time.Minute)
			}
			st := memory.New(memory.Config{})
			s, err := callback.New(callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: quiet})
			if err != nil {
				if a.Freshness <= 10*time.Minute {
					t.Errorf("seed %d: %v", seed, err)
				}
				return // no such configuration
			}
			defer s.Shutdown(context.Background())
			fresh := a.Freshness
			if fresh == 0 {
				if fresh = 5 * time.Minute; a.Mode == callback.Safe {
					fresh = 10 * time.Minute
				}
			}
			// Full seconds, as WeChat has them.
			stamp := time.Now().Add(fresh).Truncate(time.Second)
			w := packAt(a, text("x"), stamp)
			if g := w.send(s); g.status != 200 {
				t.Fatalf("seed %d, freshness %v: %v", seed, fresh, g)
			}
			replay := func(at time.Time, status int) {
				time.Sleep(time.Until(at))
				pack(a, textFrom("oOther", time.Now().Unix(), "x")).send(s) // which makes the store forget
				if g := w.send(s); g.status != status || h.of(testUser) != 1 {
					t.Errorf("seed %d, freshness %v: after %v %v, and %d starts", seed, fresh, time.Until(stamp), g, h.of(testUser))
				}
			}
			replay(time.Now().Add(upTo(rng, 2*fresh-2*time.Second)), 200)
			replay(stamp.Add(fresh), 200)
			replay(stamp.Add(fresh+time.Second), 403)
		})
	}
}

// What was erased stays so, whoever sends it again, whenever: no handler starts, and nothing of it comes back.
func TestReplaysOfWhatWasErased(t *testing.T) {
	t.Parallel()
	replays := 0
	for seed := range uint64(8) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 14))
			h := &byUser{takes: upTo(rng, 2*time.Second)}
			a := account(modes[rng.IntN(3)], h)
			if rng.IntN(2) == 0 {
				verify(&a)
			}
			st := memory.New(memory.Config{Keep: 24 * time.Hour})
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			users := []string{"oUserA", "oUserB"}
			captured, erased := map[string][]wire{}, map[string][]wire{}
			content := func(n int) string { return fmt.Sprintf("秘密%d。", n) }
			said := map[string]bool{} // what must be gone
			for n := range 40 {
				time.Sleep(upTo(rng, 5*time.Second))
				u := users[rng.IntN(2)]
				switch k := rng.IntN(10); {
				case k < 5:
					w := pack(a, textFrom(u, time.Now().Unix(), content(n)))
					captured[u] = append(captured[u], w)
					said[content(n)] = false
					w.sendCut(s)
				case k < 7:
					w := pack(a, event(u, "CLICK", content(n)))
					captured[u] = append(captured[u], w)
					said[content(n)] = false
					w.sendCut(s)
				case k == 7:
					w := pack(a, event(u, "unsubscribe", ""))
					w.sendCut(s)
					time.Sleep(5 * time.Second)
					erased[u] = append(append(erased[u], captured[u]...), w)
					for _, w := range captured[u] {
						for c := range said {
							said[c] = said[c] || strings.Contains(w.document, c)
						}
					}
					captured[u] = nil
				case k == 8:
					s.Shutdown(t.Context())
					s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
				case len(erased[u]) > 0:
					replays++
					w, starts := erased[u][rng.IntN(len(erased[u]))], h.of(u)
					if g := w.sendCut(s); !g.is(200, "success") && !g.is(403, "") {
						t.Errorf("seed %d: a replay: %v", seed, g)
					}
					if time.Sleep(3 * time.Second); h.of(u) != starts {
						t.Errorf("seed %d: a replay has started a handler", seed)
					}
				}
			}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			for _, row := range rows(t, st) {
				for c, gone := range said {
					if all := fmt.Sprintf("%+v", row); gone && strings.Contains(all, c) {
						t.Errorf("seed %d: of what was erased there is %s", seed, all)
					}
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d replays", replays)
	if replays < 8 {
		t.Errorf("only %d replays", replays)
	}
}

// Whatever happens to an account with whatever secrets, none of them is in the log, at any level, nor in an error.
func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	lines := 0
	for seed := range uint64(12) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 15))
			var out log
			key := func() string { return word(rng, alnum+"+/", 42) + word(rng, "AEIMQUYcgkosw048", 1) }
			access := word(rng, alnum+"-_", 64)
			lost := &url.Error{Op: "Post", URL: "https://api.weixin.qq.com/cgi-bin/message/custom/send?access_token=" + access, Err: errors.New("EOF")}
			a := account(modes[rng.IntN(3)], echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
				switch rng.IntN(5) {
				case 0:
					panic(lost)
				case 1:
					return nil, fmt.Errorf("send: %w", lost)
				case 2:
					return echostr.Image(""), nil
				}
				return echostr.Text("re"), nil
			}))
			a.Token, a.PreviousToken = word(rng, alnum, 32), word(rng, alnum, 32)
			a.EncodingAESKey, a.PreviousEncodingAESKey, a.PreviousUntil = key(), key(), time.Now().Add(time.Hour)
			secrets := []string{a.Token, a.PreviousToken, a.EncodingAESKey, a.PreviousEncodingAESKey, access, "signature="}
			logger := out.logger(slog.LevelDebug)
			logger.Info("account", slog.Any("account", a), slog.String("text", fmt.Sprintf("%v %+v %#v %s", a, a, &a, []callback.Account{a})))
			broken := a
			switch rng.IntN(4) {
			case 0:
				broken.EncodingAESKey = a.EncodingAESKey[:rng.IntN(43)] + "!"
				broken.Mode = callback.Safe
			case 1:
				broken.Token = a.Token[:10+rng.IntN(5)] + "-"
			case 2:
				broken.PreviousEncodingAESKey += "=="
				broken.Mode = callback.Safe
			case 3:
				broken.PreviousUntil = time.Time{}
			}
			if _, err := callback.New(callback.Config{Accounts: []callback.Account{broken}, Logger: logger}); err == nil {
				t.Errorf("seed %d: accepted", seed)
			} else {
				logger.Error("no server", slog.Any("error", err))
			}
			st := &faulty{Store: memory.New(memory.Config{})}
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: logger})
			old := a
			old.Token, old.EncodingAESKey = a.PreviousToken, a.PreviousEncodingAESKey
			for range 30 {
				w := pack(a, text("x"))
				switch rng.IntN(8) {
				case 0:
					w = pack(old, text("x"))
				case 1:
					w.query.Set([]string{"signature", "nonce", "timestamp", "msg_signature"}[rng.IntN(4)], word(rng, alnum+"%&=", rng.IntN(50)))
				case 2:
					w.body = w.body[:rng.IntN(len(w.body))]
				case 3:
					w.body = `{"token":"x"`
				case 4:
					w = packAt(a, text("x"), time.Now().Add(-time.Hour))
				case 5:
					st.failOnly("Save", 1, either)
				}
				w.sendCut(s)
				time.Sleep(upTo(rng, 40*time.Second))
			}
			lines += len(out.lines(t))
			for _, secret := range secrets {
				for _, part := range []string{secret[:min(10, len(secret))], secret[max(0, len(secret)-10):]} {
					if strings.Contains(out.String(), part) {
						t.Errorf("seed %d: %q is in the log:\n%s", seed, part, out.String())
					}
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	if lines < 12*20 {
		t.Errorf("only %d lines", lines)
	}
}

// However a user writes, at most the messages of two windows are handled at once, and those of one more for each ten seconds that
// follow; and nobody is refused who has written no more within ten seconds than he may, whatever the others do.
func TestFloodBound(t *testing.T) {
	t.Parallel()
	const window = 10 * time.Second
	refusals, whole := 0, 0
	for seed := range uint64(6) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 18))
			limit := 1 + rng.IntN(8)
			var mu sync.Mutex
			handled := map[string][]time.Time{}
			a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
				mu.Lock()
				user := m.Head().FromUserName
				handled[user] = append(handled[user], time.Now())
				mu.Unlock()
				takes, err := time.ParseDuration(m.(*echostr.TextMessage).Content)
				if err != nil {
					return nil, err
				}
				return echostr.Text("re"), pause(ctx, takes)
			}))
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: memory.New(memory.Config{}), MaxUserMessages: limit})
			users := []string{"oUserA", "oUserB", "oUserC"}
			sent := map[string][]time.Time{}
			var all sync.WaitGroup
			for range 150 {
				switch rng.IntN(3) { // bursts, a trickle, and moments when windows begin and end
				case 0:
					time.Sleep(upTo(rng, 4*time.Second))
				case 1:
					time.Sleep(time.Duration(rng.IntN(3)) * window / 2)
				}
				user := users[min(rng.IntN(4), 2)]
				at, before := time.Now(), sent[user]
				sent[user] = append(before, at)
				recent := 1
				for i := len(before) - 1; i >= 0 && at.Sub(before[i]) < window; i-- {
					recent++
				}
				w := pack(a, textFrom(user, at.Unix(), upTo(rng, time.Duration(seed%4)*window).String()))
				mu.Lock()
				n := len(handled[user])
				mu.Unlock()
				again := rng.IntN(4) == 0
				all.Go(func() {
					w.sendCut(s)
					if again {
						w.sendCut(s)
					}
				})
				synctest.Wait()
				mu.Lock()
				refused := len(handled[user]) == n
				mu.Unlock()
				if refused {
					refusals++
				} else if recent <= limit {
					whole++
				}
				if refused && recent <= limit {
					t.Errorf("seed %d: message %d of a user within ten seconds is refused, and %d are allowed", seed, recent, limit)
				}
			}
			all.Wait()
			for user, times := range handled {
				for i := range times {
					for j := i; j < len(times); j++ {
						if took := times[j].Sub(times[i]); j-i+1 > limit*(2+int(took/window)) {
							t.Errorf("seed %d: %d messages of %s are handled within %v, of %d in ten seconds", seed, j-i+1, user, took, limit)
						}
					}
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d messages are refused", refusals, 6*150)
	if refusals < 60 || whole < 60 {
		t.Errorf("%d refusals and %d messages that must not be refused", refusals, whole)
	}
}

// However long answers take: no more pushes than the budget are left to WeChat's cut within any five minutes.
func TestHoldBudgetBound(t *testing.T) {
	t.Parallel()
	held, spent := 0, 0
	for seed := range uint64(8) {
		in2026(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 19))
			a := patient(callback.Plain, &byUser{takes: time.Minute})
			a.HoldBudget = 1 + rng.IntN(12)
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: memory.New(memory.Config{}), MaxUserMessages: -1})
			var mu sync.Mutex
			var cut []time.Time
			var all sync.WaitGroup
			for range 60 {
				time.Sleep(upTo(rng, 30*time.Second))
				all.Go(func() {
					for w, n := pack(a, text("x")), 0; n < 3; n++ {
						at := time.Now()
						if !w.sendCut(s).cut {
							return
						}
						mu.Lock()
						cut = append(cut, at)
						mu.Unlock()
					}
				})
			}
			all.Wait()
			slices.SortFunc(cut, time.Time.Compare)
			held += len(cut)
			for i := a.HoldBudget; i < len(cut); i++ {
				// The budget is asked when an answer is due, 4.5 s after the push.
				if took := cut[i].Sub(cut[i-a.HoldBudget]); took < 5*time.Minute-time.Second {
					t.Errorf("seed %d: %d pushes are held within %v", seed, a.HoldBudget+1, took)
				} else if took < 6*time.Minute {
					spent++
				}
			}
		})
	}
	if held < 100 || spent < 50 {
		t.Errorf("%d pushes were held, and the budget was spent %d times", held, spent)
	}
}

// While secrets are changed, at whatever moment: what is signed with the old one is accepted until its end, what is
// signed with the new one from the change on, nothing else, and each is answered with its own.
func TestRotationAtAnyMoment(t *testing.T) {
	t.Parallel()
	accepted, refused := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 21))
		began := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
		changed := began.Add(upTo(rng, 24*time.Hour).Truncate(time.Second))
		ended := changed.Add(upTo(rng, 24*time.Hour).Truncate(time.Second))
		var clock atomic.Int64 // Unix seconds
		clock.Store(began.Unix())
		before := account(modes[rng.IntN(3)], new(counted))
		after := before
		after.Token = "z" + word(rng, alnum, 31)
		if after.PreviousToken, after.PreviousUntil = before.Token, ended; before.Mode != callback.Plain {
			after.EncodingAESKey, after.PreviousEncodingAESKey = word(rng, alnum, 42)+"A", before.EncodingAESKey
		}
		server := func(a callback.Account) *callback.Server {
			return start(t, callback.Config{Accounts: []callback.Account{a}, Store: memory.New(memory.Config{}), MaxUserMessages: -1, Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
		}
		s, is := server(before), before
		moments := []time.Time{changed.Add(-time.Second), changed, ended.Add(-time.Second), ended, ended.Add(time.Second)}
		for range 20 {
			moments = append(moments, began.Add(upTo(rng, 72*time.Hour)).Truncate(time.Second))
		}
		slices.SortFunc(moments, time.Time.Compare)
		for _, now := range moments {
			clock.Store(now.Unix())
			if !now.Before(changed) && is.Token == before.Token {
				s, is = server(after), after
			}
			for _, with := range []callback.Account{before, after} {
				want := now.Before(ended) || is.Token == before.Token
				if with.Token == after.Token {
					want = is.Token == after.Token
				}
				g := packAt(with, textFrom(testUser, now.Unix(), "x"), now).send(s)
				switch {
				case want && g.status == 200 && parseReply(t, read(t, with, g.body)).Content == "re: x":
					accepted++
				case !want && g.is(403, ""):
					refused++
				default:
					t.Fatalf("seed %d, %v: a push with the new secrets %v, changed at %v, the old ones ending at %v: %v, want accepted %v",
						seed, now, with.Token == after.Token, changed, ended, g, want)
				}
			}
		}
	}
	if accepted < 200 || refused < 200 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}
