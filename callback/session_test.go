package callback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// remembers is a handler that does with the session what the first word of a text says, then takes as long as
// the second says, and answers with the values and the questions that it has found.
func remembers(do map[string]func(m *echostr.Memory) error) *bot {
	return &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
		m, err := echostr.Session(ctx)
		if err != nil {
			return nil, err
		}
		var x, y string
		m.Get("x", &x)
		m.Get("y", &y)
		found := fmt.Sprintf("x=%s y=%s", x, y)
		for _, t := range m.Turns(50) {
			found += " " + strings.Fields(t.Question)[0]
		}
		what, rest, _ := strings.Cut(content, " ")
		if f := do[what]; f != nil {
			if err := f(m); err != nil {
				return nil, err
			}
		}
		if d, err := time.ParseDuration(rest); err == nil {
			if err := pause(ctx, d); err != nil {
				return nil, err
			}
		}
		switch {
		case strings.HasSuffix(what, "fails"):
			return nil, errors.New("it fails")
		case strings.HasSuffix(what, "panics"):
			panic("it panics")
		case strings.HasSuffix(what, "silent"):
			return nil, nil
		case strings.HasSuffix(what, "invalid"):
			return echostr.Image(""), nil
		}
		return echostr.Text(found), nil
	}}
}

func sets(name, value string) func(m *echostr.Memory) error {
	return func(m *echostr.Memory) error { return m.Set(name, value, time.Hour) }
}

// What a handler remembers is there for the user's next message, on any node and after a restart, and for
// no other user and account.
func TestSessionIsRemembered(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1"), "more": sets("y", "2"), "delete": func(m *echostr.Memory) error { m.Delete("x"); return nil }})
		accounts := []callback.Account{patient(callback.Plain, h), patient(callback.Safe, h)}
		accounts[1].Name, accounts[1].AppID = "other", "wx2222222222222222"
		mem := memory.New(memory.Config{})
		var off atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		first := start(t, callback.Config{Accounts: accounts, Store: mem, NodeID: "first", Now: now})
		second := start(t, callback.Config{Accounts: accounts, Store: mem, NodeID: "second", Now: now})
		p := newPhone(t, first, accounts[0])
		expect := func(content, want string) {
			t.Helper()
			if g := p.says(content); g.text != want {
				t.Errorf("%q: the handler finds %q, want %q", content, g.text, want)
			}
		}
		expect("set", "x= y=")
		p.s = second
		expect("more", "x=1 y= set")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := errors.Join(first.Shutdown(ctx), second.Shutdown(ctx)); err != nil {
			t.Fatal(err)
		}
		server := start(t, callback.Config{Accounts: accounts, Store: mem, NodeID: "first", Now: now})
		p.s = server
		expect("look", "x=1 y=2 set more")
		p.user = "oOther"
		expect("look", "x= y=")
		p.user, p.a = testUser, accounts[1]
		expect("look", "x= y=")
		p.a = accounts[0]
		expect("delete", "x=1 y=2 set more look")
		expect("look", "x= y=2 set more look delete")
		time.Sleep(time.Hour) // of the values
		expect("look", "x= y= set more look delete look")
		// Thirty days of silence, and all is forgotten.
		off.Store(int64(31 * 24 * time.Hour))
		w := packAt(accounts[0], textFrom(testUser, now().Unix(), "look"), now())
		if g := w.sendCut(server); parseReply(t, g.body).Content != "x= y=" {
			t.Errorf("a month later the handler finds %v", g)
		}
	})
}

// A turn that is not answered stores nothing.
func TestSessionOfAFailedTurn(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{
		"fails": "x=1 y= set", "panics": "x=1 y= set", "invalid": "x=1 y= set", "hangs 1h": "x=1 y= set",
		"silent": "x=1 y=2 set", // it is no turn of the conversation
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				do := map[string]func(m *echostr.Memory) error{"set": sets("x", "1")}
				do[strings.Fields(what)[0]] = sets("y", "2")
				a := account(callback.Plain, remembers(do))
				server, _ := one(t, a)
				p := newPhone(t, server, a)
				p.says("set")
				p.says(what)
				time.Sleep(2 * time.Minute)
				if g := p.says("look"); !strings.HasSuffix(g.text, want) {
					t.Errorf("the handler finds %q, want %q", g.text, want)
				}
			})
		})
	}
}

// Handlers of one user that run at the same time do not undo what the others have stored: each adds what it
// has changed itself.
func TestSessionsMerge(t *testing.T) {
	t.Parallel()
	nothing := func(*echostr.Memory) error { return nil }
	deletes := func(m *echostr.Memory) error { m.Delete("x"); return nil }
	forgets := func(m *echostr.Memory) error { m.Forget(); return nil }
	for _, test := range []struct {
		name        string
		slow, quick func(m *echostr.Memory) error
		want        string
	}{
		{"each sets another", sets("x", "S"), sets("y", "Q"), "x=S y=Q before quick slow"},
		{"both set the same", sets("x", "S"), sets("x", "Q"), "x=S y=0 before quick slow"},
		{"one has only read", nothing, sets("x", "Q"), "x=Q y=0 before quick slow"},
		{"the slow one deletes", deletes, sets("y", "Q"), "x= y=Q before quick slow"},
		{"the quick one deletes", sets("y", "S"), deletes, "x= y=S before quick slow"},
		{"the slow one forgets", forgets, nothing, "x=0 y=0 quick slow"},
		{"the quick one forgets", nothing, forgets, "x=0 y=0 quick slow"},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/fresh=%v", test.name, fresh), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{
						"slow": test.slow, "quick": test.quick,
						"before": func(m *echostr.Memory) error { return errors.Join(sets("x", "0")(m), sets("y", "0")(m)) },
					}))
					server, _ := one(t, a)
					p := newPhone(t, server, a)
					if !fresh {
						p.says("before")
					}
					done := make(chan seen, 1)
					go func() { done <- newPhone(t, server, a).says("slow 3s") }()
					time.Sleep(time.Second)
					p.says("quick")
					<-done
					want := test.want
					if fresh { // there was nothing before
						want = strings.ReplaceAll(strings.Replace(want, " before", "", 1), "=0", "=")
					}
					if g := p.says("look"); g.text != want {
						t.Errorf("the handler finds %q, want %q", g.text, want)
					}
				})
			})
		}
	}
}

// Together they may have set more than is remembered. What has no room is left out, and nobody waits for it.
func TestSessionsMergeTooMuch(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		fills := func(prefix string) func(m *echostr.Memory) error {
			return func(m *echostr.Memory) error {
				for i := range 4 {
					if err := m.Set(fmt.Sprint(prefix, i), strings.Repeat("x", 30<<10), time.Hour); err != nil {
						return err
					}
				}
				return nil
			}
		}
		a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"slow": fills("s"), "quick": fills("q")}))
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		done := make(chan seen, 1)
		go func() { done <- newPhone(t, server, a).says("slow 3s") }()
		time.Sleep(time.Second)
		p.says("quick")
		if g := <-done; g.kind != "text" || g.pushes != 1 {
			t.Errorf("the user sees %v", g)
		}
		if g := p.says("look"); g.text != "x= y= quick slow" {
			t.Errorf("the handler finds %q", g.text)
		}
	})
}

// P10: what is remembered of a user is gone when he is, also what a handler that ran meanwhile would store.
func TestSessionIsErased(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"unsubscribe", "operator", "operator, all accounts"} {
		for _, when := range []string{"before", "meanwhile", "while it is saved", "while the first one is saved"} {
			t.Run(how+"/"+when, func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1"), "slow": sets("y", "2")}))
					mem := memory.New(memory.Config{})
					st := &sessions{Store: mem}
					server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
					p := newPhone(t, server, a)
					if when != "while the first one is saved" {
						p.says("set")
					}
					other := newPhone(t, server, a)
					other.user = "oOther"
					other.says("set")
					done := make(chan seen, 1)
					switch when {
					case "meanwhile":
						go func() { done <- newPhone(t, server, a).says("slow 3s") }()
					case "while it is saved", "while the first one is saved":
						st.slow.Store(int64(3 * time.Second))
						go func() { done <- newPhone(t, server, a).says("slow") }()
					default:
						close(done)
					}
					time.Sleep(time.Second)
					switch how {
					case "unsubscribe":
						p.do(event(testUser, "unsubscribe", ""))
					case "operator":
						if _, err := server.Erase(t.Context(), a.Name, testUser); err != nil {
							t.Error(err)
						}
					default:
						if _, err := server.Erase(t.Context(), "", testUser); err != nil {
							t.Error(err)
						}
					}
					<-done
					st.slow.Store(0)
					time.Sleep(5 * time.Second)
					if s, err := mem.Session(t.Context(), a.Name, testUser); err == nil && s.Data != "" {
						t.Errorf("%q is remembered", s.Data)
					}
					if _, err := mem.ExpireSessions(t.Context(), time.Now()); err != nil {
						t.Error(err)
					}
					if _, err := mem.Session(t.Context(), a.Name, testUser); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("something is left: %v", err)
					}
					if g := p.says("look"); g.text != "x= y=" {
						t.Errorf("the handler finds %q", g.text)
					}
					if g := other.says("look"); g.text != "x=1 y= set" {
						t.Errorf("of another user the handler finds %q", g.text)
					}
				})
			})
		}
	}
}

// Another node erases the user while his first conversation is going on here.
func TestSessionIsErasedElsewhere(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprint("first=", first), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1"), "slow": sets("y", "2")}))
				verify(&a)
				c := newCluster(t, a, 2)
				if !first {
					newPhone(t, c.nodes[0], a).says("set")
				}
				done := make(chan seen, 1)
				go func() { done <- newPhone(t, c.nodes[0], a).says("slow 20s") }()
				time.Sleep(8 * time.Second)
				newPhone(t, c.nodes[1], a).do(event(testUser, "unsubscribe", ""))
				<-done
				time.Sleep(time.Minute)
				if s, err := c.st.Session(t.Context(), a.Name, testUser); err == nil && s.Data != "" {
					t.Errorf("%q is remembered", s.Data)
				}
				if g := newPhone(t, c.nodes[0], a).says("look"); g.text != "x= y=" {
					t.Errorf("the handler finds %q", g.text)
				}
			})
		})
	}
}

// The user is erased while a process runs the handler that it has taken over from one that died, so that no push of it has
// come here.
func TestSessionIsErasedAfterTakeOver(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("writes again=", again), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1"), "slow": sets("y", "2")}))
				verify(&a)
				st := memory.New(memory.Config{})
				link := &faulty{Store: st}
				dead := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "node"})
				go newPhone(t, dead, a).says("slow 40s")
				time.Sleep(6 * time.Second)
				link.fail(before)
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "node"})
				time.Sleep(10 * time.Second)
				if row := rowWith(t, st, "slow"); row.State != store.Running || row.Attempt != 2 {
					t.Fatalf("%v, attempt %d: there is nothing to see here", row.State, row.Attempt)
				}
				if _, err := s.Erase(t.Context(), a.Name, testUser); err != nil {
					t.Fatal(err)
				}
				want := "x= y="
				if again {
					newPhone(t, s, a).says("set")
					want = "x=1 y= set"
				}
				time.Sleep(2 * time.Minute)
				if g := newPhone(t, s, a).says("look"); g.text != want {
					t.Errorf("the handler finds %q", g.text)
				}
			})
		})
	}
}

// sessions is a store whose sessions are slow, or fail.
type sessions struct {
	store.Store
	slow   atomic.Int64 // what a call of SaveSession takes, before it is done
	read   atomic.Int64 // what a call of Session takes
	fails  atomic.Bool
	breaks atomic.Bool
	lost   atomic.Bool // SaveSession is done, and says that it is not
}

func (s *sessions) Session(ctx context.Context, account, openID string) (store.Session, error) {
	time.Sleep(time.Duration(s.read.Load()))
	if s.breaks.Load() {
		return store.Session{}, store.ErrBroken
	}
	if s.fails.Load() {
		return store.Session{}, store.ErrUnavailable
	}
	return s.Store.Session(ctx, account, openID)
}

func (s *sessions) SaveSession(ctx context.Context, x *store.Session) (bool, error) {
	time.Sleep(time.Duration(s.slow.Load()))
	if s.breaks.Load() {
		return false, store.ErrBroken
	}
	if s.fails.Load() {
		return false, store.ErrUnavailable
	}
	if s.lost.Swap(false) {
		y := *x
		s.Store.SaveSession(ctx, &y)
		return false, store.ErrUnavailable
	}
	return s.Store.SaveSession(ctx, x)
}

// The store does not answer. The handler is told, and the pushes do not wait for it.
func TestSessionWithoutAStore(t *testing.T) {
	t.Parallel()
	t.Run("reading fails", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
				if _, err := echostr.Session(ctx); !errors.Is(err, store.ErrUnavailable) {
					return nil, err
				}
				return echostr.Text("without"), nil
			}}
			a := account(callback.Plain, h)
			st := &sessions{Store: memory.New(memory.Config{})}
			st.fails.Store(true)
			server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			if g := newPhone(t, server, a).says("x"); g.text != "without" {
				t.Errorf("the user sees %v", g)
			}
		})
	})
	t.Run("reading takes long", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			a := account(callback.Plain, remembers(nil))
			api := verify(&a)
			st := &sessions{Store: memory.New(memory.Config{})}
			st.read.Store(int64(8 * time.Second))
			server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			if g := newPhone(t, server, a).says("x"); !g.is("success", "", 1, 4500*time.Millisecond) {
				t.Errorf("P5: the user sees %v", g)
			}
			time.Sleep(10 * time.Second)
			if got := api.texts(testUser); !slices.Equal(got, []string{"x= y="}) {
				t.Errorf("the API has sent %q", got)
			}
		})
	})
	t.Run("saving fails for a while", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1")}))
			st := &sessions{Store: memory.New(memory.Config{})}
			server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			p := newPhone(t, server, a)
			st.slow.Store(int64(100 * time.Millisecond))
			time.AfterFunc(50*time.Millisecond, func() { st.fails.Store(true) })
			time.AfterFunc(7*time.Second, func() { st.fails.Store(false) })
			if g := p.says("set"); g.text != "x= y=" || g.pushes != 2 {
				t.Errorf("the user sees %v", g)
			}
			if g := p.says("look"); g.text != "x=1 y= set" {
				t.Errorf("the handler finds %q", g.text)
			}
		})
	})
	t.Run("saved, and nobody was told", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			a := account(callback.Plain, remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1")}))
			st := &sessions{Store: memory.New(memory.Config{})}
			server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			p := newPhone(t, server, a)
			for range 2 {
				st.lost.Store(true)
				p.says("set")
			}
			if g := p.says("look"); g.text != "x=1 y= set set" {
				t.Errorf("the handler finds %q", g.text)
			}
		})
	})
}

// Storage that breaks while a session is read or saved ends the process like any other call, and nothing is
// acknowledged.
func TestSessionBreaksTheStore(t *testing.T) {
	t.Parallel()
	for _, saving := range []bool{false, true} {
		t.Run(fmt.Sprintf("saving=%v", saving), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, remembers(nil))
				st := &sessions{Store: memory.New(memory.Config{})}
				fatal := make(chan error, 1)
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Fatal: func(err error) { fatal <- err }})
				if saving {
					st.slow.Store(int64(time.Second))
					time.AfterFunc(500*time.Millisecond, func() { st.breaks.Store(true) })
				} else {
					st.breaks.Store(true)
				}
				if g := newPhone(t, server, a).says("x"); g.kind != "fault" {
					t.Errorf("the user sees %v", g)
				}
				select {
				case err := <-fatal:
					if !errors.Is(err, store.ErrBroken) {
						t.Error(err)
					}
				default:
					t.Error("nobody was told")
				}
			})
		})
	}
}

// What a user has written is not remembered for longer than it is kept, even if he goes on writing; and no value
// if he does not.
func TestSessionRetention(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		retention, step, silence time.Duration
	}{
		{0, 20 * day, 31 * day},
		{day, 20 * time.Hour, 25 * time.Hour},
		{90 * day, 25 * day, 31 * day},
	} {
		t.Run(fmt.Sprint(test.retention), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := remembers(map[string]func(m *echostr.Memory) error{
					"set":    func(m *echostr.Memory) error { return m.Set("x", "1", 1000*day) },
					"import": func(m *echostr.Memory) error { m.Add(echostr.Exchange{Key: "k", Question: "elsewhere"}); return nil },
				})
				a := patient(callback.Plain, h)
				mem := memory.New(memory.Config{})
				var off atomic.Int64
				now := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
				step := func(d time.Duration) *callback.Server {
					off.Add(int64(d))
					return start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: fmt.Sprint("at", off.Load()), Now: now, Retention: test.retention})
				}
				server := step(0)
				expect := func(content, want string) {
					t.Helper()
					g := packAt(a, textFrom(testUser, now().Unix(), content), now()).sendCut(server)
					if got := parseReply(t, g.body).Content; got != want {
						t.Errorf("%q: the handler finds %q, want %q", content, got, want)
					}
				}
				expect("set", "x= y=")
				expect("import", "x=1 y= set")
				server = step(test.step)
				expect("first", "x=1 y= set elsewhere import")
				server = step(test.step)
				if test.retention == 90*day {
					expect("second", "x=1 y= set elsewhere import first")
				} else {
					expect("second", "x=1 y= elsewhere first") // what had no time has had one since it was seen
				}
				s, err := mem.Session(t.Context(), a.Name, testUser)
				if kept := strings.Contains(s.Data, `"set"`); err != nil || kept != (test.retention == 90*day) {
					t.Errorf("the store has %s, %v", s.Data, err)
				}
				server = step(test.silence)
				expect("third", "x= y=")
			})
		})
	}
}

// The process dies when what is to be remembered is stored, and the result is not. The next attempt finds
// what it has set itself, and the turn is remembered once.
func TestSessionOfASecondAttempt(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := remembers(map[string]func(m *echostr.Memory) error{"set": sets("x", "1")})
		a := account(callback.Plain, h)
		mem := memory.New(memory.Config{})
		dying := &dyingSessions{faulty: faulty{Store: mem}}
		r := new(relay)
		r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"}))
		time.AfterFunc(2*time.Second, func() {
			r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"}))
		})
		p := newPhone(t, r, a)
		g := p.says("set")
		if g.kind != "text" || g.pushes != 2 || h.started("set") != 2 {
			t.Fatalf("the user sees %v after %d starts", g, h.started("set"))
		}
		if g := p.says("look"); g.text != "x=1 y= set" {
			t.Errorf("the handler finds %q", g.text)
		}
	})
}

// dyingSessions is the store of a process that dies when it has saved a session.
type dyingSessions struct{ faulty }

func (s *dyingSessions) SaveSession(ctx context.Context, x *store.Session) (bool, error) {
	ok, err := s.Store.SaveSession(ctx, x)
	s.fail(before)
	return ok, err
}
