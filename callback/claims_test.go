package callback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// Who has an answer, when its process dies or meets another one: nothing is lost, and nothing is sent twice.

// An attempt takes an answer ahead of its own and dies; the next one has a reply that has no room for it.
func TestAheadOfAnAttemptThatAnswersOtherwise(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateTicket} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{}
				h.answer = func(ctx context.Context, content string) (echostr.Reply, error) {
					switch {
					case content == "waits":
						return echostr.Text("re: waits"), pause(ctx, 20*time.Second)
					case h.started(content) == 1:
						return echostr.Text("short"), nil
					}
					return echostr.Image("picture"), nil
				}
				a := patient(callback.Plain, h)
				a.Late = late
				api := new(fakeAPI)
				var refuse atomic.Bool
				refuse.Store(true)
				api.fate = func(int, sent) callback.Sending {
					if refuse.Load() {
						return callback.Sending{Fate: callback.SendRefused, Reason: "not now"}
					}
					return callback.Sending{Fate: callback.SendDone}
				}
				if late == callback.LateAPI {
					a.API = api
				}
				mem := memory.New(memory.Config{})
				dying := &mortal{faulty: faulty{Store: mem}}
				r := new(relay)
				r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"}))
				p := newPhone(t, r, a)
				p.says("waits")
				time.Sleep(time.Minute) // then it is a ticket either way
				dying.diesAfter(func(row *store.Turn) bool { return row.Delivery == store.Fetched })
				time.AfterFunc(3*time.Second, func() {
					r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"}))
				})
				if g := p.says("now"); g.kind != "image" || h.started("now") != 2 {
					t.Fatalf("the user sees %v after %d starts", g, h.started("now"))
				}
				refuse.Store(false)
				time.Sleep(3 * time.Minute)
				got := strings.Join(api.texts(testUser), "")
				if late == callback.LateTicket {
					got = p.says("继续").text
				}
				if got != "re: waits" {
					t.Errorf("the user reads %q, and the answer that waited is %v", got, rowWith(t, mem, "[waits]").Delivery)
				}
			})
		})
	}
}

// The word does not skip a page that the user may never have seen.
func TestWordAfterAPushThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		answer := longText(5000)
		h := &bot{answer: func(_ context.Context, content string) (echostr.Reply, error) {
			if content == "x" {
				return echostr.Text(answer), nil
			}
			return echostr.Text("re: " + content), nil
		}}
		a := patient(callback.Plain, h)
		mem := memory.New(memory.Config{})
		dying := &mortal{faulty: faulty{Store: mem}}
		old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"})
		dying.diesAfter(func(row *store.Turn) bool { return row.Delivery == store.Offered })
		ctx, cut := context.WithTimeout(t.Context(), time.Second)
		pack(a, text("x")).sendContext(ctx, old)
		cut()
		p := newPhone(t, start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"}), a)
		if g := p.says("继续"); g.text != "re: 继续" {
			t.Errorf("the user reads %q", g.text)
		}
	})
}

// A link to a page that comes later than the next one, as one of an older paging does, shows the next one.
func TestLinksLeaveOutNoPage(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		answer := longText(7000)
		h := &bot{answer: func(context.Context, string) (echostr.Reply, error) { return echostr.Text(answer), nil }}
		server, st := one(t, patient(callback.Plain, h))
		p := newPhone(t, server, patient(callback.Plain, h))
		g := p.says("x")
		next := p.link(g.text[strings.LastIndex(g.text, "<a "):])
		far := next
		far.content = strings.TrimSuffix(next.content, "-2") + "-4"
		shown := p.taps(far)
		if again := p.taps(next); again.text != shown.text || shown.kind != "text" || shown.text == goneText {
			t.Errorf("the link to page 4 shows %v, and that to page 2 %v", shown, again)
		}
		codes := make(map[string]int)
		for _, row := range rows(t, st) {
			if codes[row.Code]++; row.Code != "" && codes[row.Code] > 1 {
				t.Errorf("the code %s names two turns", row.Code)
			}
		}
	})
}

// A push that was given what there was so far has not taken it. The user reads all of the answer.
func TestDraftThatDidNotArrive(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateTicket} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				// The rest would fit into one message, and all of it does not.
				part := func(i int) string { return fmt.Sprintf("第%d句%s。", i, strings.Repeat("很", 36)) }
				h := writes(20, part, func(s string) string { return s })
				a := patient(callback.Plain, h)
				a.Late = late
				api := new(fakeAPI)
				if late == callback.LateAPI {
					a.API = api
				}
				server, _ := one(t, a)
				w := pack(a, text("x"))
				for number, last := 1, map[callback.Late]int{callback.LateAPI: 1, callback.LateTicket: 3}[late]; number <= last; number++ {
					if number < last {
						w.sendCut(server)
						continue
					}
					w.sendBroken(t.Context(), server)
				}
				time.Sleep(time.Minute)
				var want strings.Builder
				for i := range 20 {
					want.WriteString(part(i))
				}
				got := strings.Join(api.texts(testUser), "")
				if late == callback.LateTicket {
					p := newPhone(t, server, a)
					got, _ = p.reads(p.says("继续"))
				}
				if squeezed(got) != want.String() {
					t.Errorf("the user reads %q", got)
				}
			})
		})
	}
}

// meddler has another node write every row once, just before it is marked as written.
type meddler struct {
	faulty
	mu  sync.Mutex
	met map[store.Key]bool
}

func (s *meddler) Save(ctx context.Context, ops []store.Op) error {
	s.mu.Lock()
	for i := range ops {
		if key := ops[i].Turn.Key; ops[i].Mark && ops[i].Turn.Delivery == store.Written && !s.met[key] {
			s.met[key] = true
			row, err := s.Store.Get(ctx, key)
			if err == nil {
				err = s.Store.Save(ctx, []store.Op{{Turn: row}})
			}
			if err != nil {
				panic(err)
			}
		}
	}
	s.mu.Unlock()
	return s.faulty.Save(ctx, ops)
}

// That an answer was written is saved when there is time. Whatever is in its way, it is saved, since the answer is
// sent once more otherwise.
func TestWrittenIsNotForgotten(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"the store is down", "another node wrote the row"} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, new(counted))
				api := verify(&a)
				mem := memory.New(memory.Config{})
				link := &meddler{faulty: faulty{Store: mem}, met: make(map[store.Key]bool)}
				var st store.Store = link
				if why == "the store is down" {
					st = &link.faulty
				}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "old"})
				w := pack(a, text("x"))
				w.sendBroken(t.Context(), s) // the first push does not take it, so the answer is due
				synctest.Wait()
				if why == "the store is down" {
					link.failOnly("Save", 0, before)
				}
				if g := w.sendCut(s); g.status != 200 {
					t.Fatal(g)
				}
				time.Sleep(3 * time.Second)
				link.fail(works)
				time.Sleep(time.Second)
				if row := only(t, mem); row.Delivery != store.Written || !row.Due.IsZero() {
					t.Errorf("%v, due %v", row.Delivery, row.Due)
				}
				link.fail(before) // it dies
				start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "new"})
				time.Sleep(5 * time.Minute)
				if n := api.requests(); n != 0 {
					t.Errorf("the API was asked %d times for what the user has", n)
				}
			})
		})
	}
}

// leaseless takes and gives everything, but renews no lease, and lets nobody join for a while.
type leaseless struct {
	faulty
	joins, renews atomic.Bool
}

func (s *leaseless) Join(ctx context.Context, id string) (store.Node, error) {
	if !s.joins.Load() {
		return store.Node{}, store.ErrUnavailable
	}
	return s.faulty.Join(ctx, id)
}

func (s *leaseless) Renew(ctx context.Context, n store.Node) error {
	if !s.renews.Load() {
		return store.ErrUnavailable
	}
	return s.faulty.Renew(ctx, n)
}

// A node whose lease is not renewed begins nothing more under it, whatever was on its way at that moment, until it has
// joined again.
func TestNothingBeginsWhenTheLeaseRunsOut(t *testing.T) {
	t.Parallel()
	const over = store.Lease - store.Lease/3
	for _, api := range []bool{false, true} {
		for at := -70 * time.Millisecond; at <= 20*time.Millisecond; at += 10 * time.Millisecond {
			t.Run(fmt.Sprintf("api=%v/%v", api, at), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					began, link := time.Now(), &leaseless{faulty: faulty{Store: memory.New(memory.Config{})}}
					link.joins.Store(true)
					begins := func(what string) {
						if d := time.Since(began); d > over && link.count("Join") < 2 {
							t.Errorf("%s after %v", what, d)
						}
					}
					var handlers atomic.Int64
					a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
						handlers.Add(1)
						begins("a handler begins")
						if api {
							return echostr.Text("done"), pause(ctx, over+at-60*time.Millisecond-time.Since(began))
						}
						return echostr.Text("done"), nil
					}))
					a.HandlerTimeout = time.Minute
					service := verify(&a)
					service.fate = func(int, sent) callback.Sending {
						begins("a message is sent")
						return callback.Sending{Fate: callback.SendDone}
					}
					s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link})
					link.joins.Store(false)
					time.AfterFunc(over+time.Second, func() { link.joins.Store(true); link.renews.Store(true) })
					if api {
						time.Sleep(time.Second)
						pack(a, text("x")).sendCut(s)
					} else {
						time.Sleep(over + at - time.Since(began))
					}
					link.slowDown(50 * time.Millisecond)
					if !api {
						pack(a, text("x")).sendCut(s)
					}
					time.Sleep(time.Minute)
					if row := only(t, link.Store); row.State != store.Answered || !slices.Contains([]store.Delivery{store.Written, store.Sent}, row.Delivery) {
						t.Errorf("%v, %v", row.State, row.Delivery)
					}
					if n := handlers.Load(); n != 1 || api && service.requests() != 1 {
						t.Errorf("%d handlers, %d messages", n, service.requests())
					}
				})
			})
		}
	}
}

// Two nodes that have something for a user at the same time send it one after the other. The one that waits does not
// ask the store all the time.
func TestNodesSendToAUserOneAfterTheOther(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := newDownAPI(&a)
		api.slow.Store(int64(10 * time.Second))
		c := newCluster(t, a, 2)
		tell(t, c.nodes[0], a, testUser, "5s 0")
		c.links[1].slowDown(5 * time.Millisecond)
		tell(t, c.nodes[1], a, testUser, "5s 1") // is there while the first one is sent
		saves := c.links[1].count("Save")
		time.Sleep(2 * time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 5s 0", "re: 5s 1"}) || api.crowded() {
			t.Errorf("the API has sent %q; two at a time: %v", got, api.crowded())
		}
		if n := c.links[1].count("Save") - saves; n > 40 {
			t.Errorf("the second node has asked the store %d times", n)
		}
	})
}

// What one node keeps for a user goes ahead of an answer from another one, and its link has a code that no other node
// gives to something else.
func TestAheadOfAnAnswerFromAnotherNode(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		c := newCluster(t, a, 2)
		link := newPhone(t, c.nodes[0], a).promised("20s").text
		if l := linksIn(link)[0]; len(l.content) < len("查看回答 2345") {
			t.Errorf("the link sends %q", l.content)
		}
		time.Sleep(30 * time.Second)
		p := newPhone(t, c.nodes[1], a)
		if g := p.says("now"); g.text != "您之前问“20s”：\nre: 20s\n\n————\n\nre: now" {
			t.Errorf("the user reads %q", g.text)
		}
		if g := newPhone(t, c.nodes[0], a).says("then"); g.text != "re: then" {
			t.Errorf("then the user reads %q", g.text)
		}
	})
}

// So it does when very many are kept at the same time, more than a node reads of them at once.
func TestAheadOfAnAnswerAmongMany(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		c := newCluster(t, a, 2)
		const users = 1100
		name := func(i int) string { return fmt.Sprintf("oUser%04d", i) }
		var all sync.WaitGroup
		for i := range users {
			w := pack(a, textFrom(name(i), time.Now().Unix(), "20s"))
			all.Go(func() {
				for range 3 {
					if w.sendCut(c.nodes[0]).status == 200 {
						break
					}
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		time.Sleep(30 * time.Second)
		for _, i := range []int{0, users / 2, users - 1} {
			if g := pack(a, textFrom(name(i), time.Now().Unix(), "now")).sendCut(c.nodes[1]); !strings.Contains(g.body, "您之前问") {
				t.Errorf("user %d reads %v", i, g)
			}
		}
	})
}

// Many answers that a node knows of were fetched at another one. They keep no other answer from going ahead.
func TestAheadOfManyFetchedAtAnotherNode(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		c := newCluster(t, a, 2)
		p := newPhone(t, c.nodes[0], a)
		var links []tapLink
		for i := range 12 {
			links = append(links, p.link(p.promised(fmt.Sprint("20s ", i)).text))
		}
		time.Sleep(30 * time.Second)
		for _, link := range links {
			if g := p.taps(link); !strings.HasPrefix(g.text, "re: 20s") {
				t.Fatalf("a tap shows %v", g)
			}
		}
		p.s = c.nodes[1]
		p.promised("20s last")
		time.Sleep(30 * time.Second)
		if g := p.says("now"); g.text != "您之前问“20s last”：\nre: 20s last\n\n————\n\nre: now" {
			t.Errorf("the user reads %q", g.text)
		}
	})
}

// A node dies when it has offered an answer to a push, and has not said whether that has taken it. The others,
// which live, see to it, whatever came in meanwhile and since.
func TestOthersConfirmWhatADeadNodeOffered(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		api := verify(&a)
		mem := memory.New(memory.Config{})
		others := []*callback.Server{
			start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "B"}),
			start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "C"}),
		}
		time.Sleep(time.Hour)
		link := &forgetful{faulty: faulty{Store: mem}}
		dying := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "A"})
		time.Sleep(time.Minute)
		link.armed.Store(true)
		w := pack(a, text("x"))
		if g := w.sendCut(dying); g.status != 200 {
			t.Fatal(g)
		}
		synctest.Wait()
		link.fail(before)
		for i := range 10 {
			time.Sleep(6 * time.Second)
			pack(a, text(fmt.Sprint("y", i))).sendCut(others[i%2])
		}
		time.Sleep(2 * time.Minute)
		var ambiguous uint64
		for _, s := range others {
			ambiguous += s.Stats().Ambiguous
		}
		if row := rowOf(t, mem, w); row.Delivery != store.Sent || api.requests() != 1 || ambiguous != 1 {
			t.Errorf("%v, due %v; %d messages of the API, %d counted as ambiguous", row.Delivery, row.Due, api.requests(), ambiguous)
		}
	})
}

// saves records the turns whose rows are saved, in the order of that.
type saves struct {
	store.Store
	mu   sync.Mutex
	keys []store.Key
}

func (s *saves) Save(ctx context.Context, ops []store.Op) error {
	s.mu.Lock()
	for _, op := range ops {
		s.keys = append(s.keys, op.Turn.Key)
	}
	s.mu.Unlock()
	return s.Store.Save(ctx, ops)
}

// One process after the other dies before it has seen to what the one before had offered, for much longer than
// answers are on their way. The one that comes then sees to all of it, and not again to what the store
// says when it is due.
func TestP6ManyLives(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		const lives, perLife, postponed = 10, 50, 3
		began := time.Now()
		var want []store.Key
		for range lives {
			n := joined(t, mem, "server")
			for i := range perLife {
				row := offered(a, n, uint32(i))
				if i < postponed {
					row.Due = began.Add(lives*perLife*time.Second + 10*time.Second)
				} else {
					want = append(want, row.Key)
				}
				claim(t, mem, row)
				time.Sleep(time.Second)
			}
		}
		link := &saves{Store: mem}
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "server"})
		synctest.Wait()
		link.mu.Lock()
		got := slices.Clone(link.keys)
		link.mu.Unlock()
		order := func(a, b store.Key) int { return bytes.Compare(a[:], b[:]) }
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
		if !slices.Equal(got, want) {
			t.Errorf("%d answers were seen to at once, want %d", len(got), len(want))
		}
		time.Sleep(time.Minute)
		if left, err := mem.List(t.Context(), store.Filter{Deliveries: []store.Delivery{store.Offered}}); err != nil || len(left) > 0 {
			t.Errorf("%d answers stay offered (%v)", len(left), err)
		}
	})
}

// What a dead node has left is seen to though it could not be read at first.
func TestP6StoreFailsWhileItIsConfirmed(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		dead := joined(t, mem, "server")
		var rows []store.Turn
		for i := range 10 {
			rows = append(rows, offered(a, dead, uint32(i)))
			claim(t, mem, rows[i])
		}
		link := &faulty{Store: mem}
		link.failOnly("Get", 7, before)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "server"})
		time.Sleep(time.Minute)
		for _, row := range rows {
			isAssumed(t, mem, row.Key)
		}
	})
}

// A process dies before it has seen to what the one before had offered long ago, but not before it has got a message: what
// is young then is none of the ones that are looked for.
func TestP6YoungRowsOfAShortLife(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		row := offered(a, joined(t, mem, "server"), 1)
		claim(t, mem, row)
		time.Sleep(3 * time.Minute) // the store was away
		young := offered(a, joined(t, mem, "server"), 2)
		young.Delivery = store.Written
		claim(t, mem, young)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"})
		time.Sleep(time.Minute)
		isAssumed(t, mem, row.Key)
	})
}

// A node dies while the store is away, for so long that it is not named any more when that is back.
func TestP6DiesInALongOutage(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		link := &faulty{Store: mem}
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "B"})
		time.Sleep(time.Hour)
		dead := joined(t, mem, "A")
		row := offered(a, dead, 1)
		claim(t, mem, row)
		link.fail(before)
		time.Sleep(store.RecentlyDeparted + time.Minute)
		link.fail(works)
		time.Sleep(2 * time.Minute)
		isAssumed(t, mem, row.Key)
	})
}

// Another node has learnt that an answer's pages are kept for a day. Then WeChat came again, and the node that gave it
// the first page once more died.
func TestP6LearntAndBroughtForward(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		owner := joined(t, mem, "A")
		row := offered(a, owner, 1)
		row.Delivery, row.Due, row.Way.Pages, row.Way.Shown = store.Written, time.Now().Add(24*time.Hour), 3, 1
		claim(t, mem, row)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "B"})
		time.Sleep(5 * time.Second)
		row = rowAt(t, mem, row.Key)
		row.Delivery, row.Due = store.Offered, time.Now().Add(15*time.Second)
		if err := mem.Save(t.Context(), []store.Op{{Turn: row}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		isAssumed(t, mem, row.Key)
	})
}

func rowAt(t *testing.T, s store.Store, key store.Key) store.Turn {
	t.Helper()
	row, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// isAssumed requires that an answer of which nobody knows whether it arrived is taken as delivered.
func isAssumed(t *testing.T, s store.Store, key store.Key) {
	t.Helper()
	if row := rowAt(t, s, key); row.Delivery != store.Assumed {
		t.Errorf("%v, due %v", row.Delivery, row.Due)
	}
}

func joined(t *testing.T, s store.Store, id string) store.Node {
	t.Helper()
	n, err := s.Join(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// offered is a turn whose answer a node has just offered to a push, without having said more.
func offered(a callback.Account, by store.Node, n uint32) store.Turn {
	now := time.Now()
	row := store.Turn{
		Account: a.Name, OpenID: testUser, OriginalID: a.OriginalID, MsgType: "text", CreateTime: now.Unix(), ReceivedAt: now,
		Pushes: []store.Push{{Number: 1, At: now, Got: store.GotReply}}, Seen: 1, State: store.Answered, Attempt: 1,
		Owner: by, FinishedAt: now, Reply: "<xml></xml>", Delivery: store.Offered, OfferedTo: 1,
	}
	binary.BigEndian.PutUint32(row.Key[:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(row.Key[4:], n)
	return row
}

func claim(t *testing.T, s store.Store, row store.Turn) {
	t.Helper()
	ops := []store.Op{{Turn: row}}
	if err := s.Claim(t.Context(), ops); err != nil || !ops[0].OK {
		t.Fatal(err, ops[0].Err)
	}
}

// The last push was given the answer, and has not taken it. The answer goes the next way, also from the process that
// comes next, if the one that knows of it dies at once.
func TestLastPushDidNotTakeIt(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateHold, callback.LateTicket} {
		for _, push := range []int{1, 3} {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/push %d/dies=%v", lateNames[late], push, dies), func(t *testing.T) {
					t.Parallel()
					in2026(t, func(t *testing.T) {
						a := patient(callback.Plain, new(bot))
						a.Late = late
						api := new(fakeAPI)
						if late != callback.LateTicket {
							a.API = api
						}
						mem := memory.New(memory.Config{})
						link := &faulty{Store: mem}
						s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "server"})
						w := pack(a, textFrom(testUser, time.Now().Unix()-int64(push-1)*5, "100ms"))
						w.sendBroken(t.Context(), s)
						synctest.Wait()
						row := only(t, mem)
						if row.Delivery != store.Sent && row.Due.Before(row.ReceivedAt) || push == 3 && row.Delivery == store.Offered {
							t.Errorf("%v, due %v", row.Delivery, row.Due)
						}
						if dies {
							link.fail(before)
							s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"})
						}
						time.Sleep(5 * time.Minute)
						got := strings.Join(api.texts(testUser), "")
						if late == callback.LateTicket {
							got = newPhone(t, s, a).says("继续").text
						}
						if got != "re: 100ms" {
							t.Errorf("the user reads %q, and the answer is %v", got, rowWith(t, mem, "[100ms]").Delivery)
						}
					})
				})
			}
		}
	}
}

// A process starts with very many answers that wait for their users, and one that waits for the API.
func TestStartWithManyWaiting(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := verify(&a)
		mem := memory.New(memory.Config{})
		var ops []store.Op
		for i := range 3500 {
			row := store.Turn{
				Key: store.Key{1, byte(i), byte(i >> 8)}, Account: a.Name, OpenID: fmt.Sprint("o", i), OriginalID: testOriginal, MsgType: "text", State: store.Answered,
				Reply:      string(echostr.AppendReply(nil, echostr.Text("re"), echostr.Address{ToUserName: "o", FromUserName: testOriginal})),
				ReceivedAt: time.Now(), FinishedAt: time.Now(), Delivery: store.Ticket, Code: "AB", Due: time.Now().Add(23 * time.Hour),
			}
			if i == 3000 {
				row.OpenID, row.Delivery, row.Due = testUser, store.Late, time.Now()
			}
			ops = append(ops, store.Op{Turn: row})
		}
		if err := mem.Claim(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		link := &faulty{Store: mem}
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link})
		time.Sleep(time.Second)
		if got := api.texts(testUser); len(got) != 1 {
			t.Errorf("the API has sent %q", got)
		}
		if n := link.count("List"); n > 20 {
			t.Errorf("the store was asked %d times", n)
		}
		time.Sleep(24 * time.Hour)
		if n := s.Stats().Undeliverable; n != 3499 {
			t.Errorf("%d answers were given up, want all that nobody has fetched", n)
		}
	})
}
