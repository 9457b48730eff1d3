package chaos

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

// talk is a user who asks something that takes long, and comes back until he has read the answer: he taps on
// the link that he was given, says the word, or asks something else. Everything that he sends is
// a message of the ledger.
type talk struct {
	w    *wechat
	p    pusher
	user string
	mark string
	rng  *rand.Rand
	sent int // messages
}

// Bounds of a talk.
const (
	shortestThought = 100 * time.Millisecond // how long the handler takes
	longestThought  = 20 * time.Second
	maxVisits       = 10
	fetchWord       = "继续"
	fetchText       = "查看回答" // and the code
)

func (t *talk) run() {
	// Half of them are late, and there are many of a few hundred milliseconds as well as of many seconds.
	u := t.rng.Float64()
	wait := time.Duration(float64(shortestThought) * math.Pow(float64(longestThought/shortestThought), 1-u*u))
	m := t.ask(wait)
	for range maxVisits {
		t.pause()
		if t.w.seen.has(m.ID) {
			break
		}
		t.visit()
	}
	if t.rng.IntN(4) == 0 {
		t.pause()
		t.visit() // what he has read must not come again
	}
}

func (t *talk) pause() { time.Sleep(time.Duration(200+t.rng.IntN(4800)) * time.Millisecond) }

// visit is one more message for the sake of the answer.
func (t *talk) visit() {
	links := t.w.seen.links(t.user)
	switch n := t.rng.IntN(20); {
	case len(links) == 0 && n < 10:
		// Nothing was promised, so he waits.
	case len(links) == 0 || n < 3:
		t.ask(0)
	case n < 6:
		t.fetch(simulator.Text(fetchWord))
	case n < 18:
		l := links[t.rng.IntN(len(links))]
		if n < 12 { // nobody promises that WeChat tells it
			l.id = ""
		}
		t.fetch(l.message())
	default:
		l := links[t.rng.IntN(len(links))]
		t.fetch(l.message(), l.message()) // with both thumbs
	}
}

// ask sends a question, and returns when WeChat is done with it.
func (t *talk) ask(wait time.Duration) *Message {
	do := Instruction{Do: doEcho, Wait: wait.Round(time.Millisecond), Mark: t.next()}
	m := &Message{ID: "text/" + do.Mark, Account: t.p.account.name, User: t.user, Do: do, Hold: t.p.account.holds()}
	t.w.handlers.begin(wait)
	t.w.push(t.p, m, simulator.Text(do.String()), -1)
	return m
}

// fetch sends messages at the same time that have no instruction of their own, and are known by their MsgId.
func (t *talk) fetch(all ...simulator.Message) {
	mark, _ := strconv.ParseInt(t.mark, 36, 64)
	var group sync.WaitGroup
	for _, out := range all {
		t.sent++
		out.MsgID = fetchMsgID(mark, t.sent)
		m := &Message{ID: messageID(out.MsgID), Account: t.p.account.name, User: t.user, Hold: t.p.account.holds(), Fetch: true}
		group.Go(func() { t.w.push(t.p, m, out, -1) })
	}
	group.Wait()
}

// kept are the rows of the answers that are kept for their users.
func (w *wechat) kept(rows []Row) (kept []*Row) {
	for i := range rows {
		r := &rows[i]
		p := w.pusherOf(r)
		if r.Delivery == "ticket" && p != nil && (r.State == "answered" || r.State == "failed" && p.account.fallback != "") {
			kept = append(kept, r)
		}
	}
	return kept
}

func (w *wechat) pusherOf(r *Row) *pusher {
	at := slices.IndexFunc(w.pushers, func(p pusher) bool { return p.account.name == r.Account })
	if at < 0 {
		return nil
	}
	return &w.pushers[at]
}

// fetchKept has each user to whom an answer is kept come once more, one after the other: by its code if he was told
// that, else with a question that it comes ahead of.
func (w *wechat) fetchKept(kept []*Row, round int) {
	visited := make(map[string]bool)
	for _, r := range kept {
		if visited[r.User] {
			continue
		}
		visited[r.User] = true
		t := &talk{w: w, p: *w.pusherOf(r), user: r.User, mark: w.newMark()}
		told := r.Placeholder != "" || round > 1
		w.under.Add(1)
		w.group.Go(func() {
			defer w.under.Add(-1)
			if told {
				t.fetch(simulator.Text(fetchText + " " + r.Code))
			} else {
				t.ask(0)
			}
		})
		if len(visited)%100 == 0 {
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func (t *talk) next() string {
	t.sent++
	return t.mark + "." + strconv.Itoa(t.sent)
}

// fetchMsgID is the MsgId of the nth message of the talk with that mark: simulator's own are below.
func fetchMsgID(mark int64, n int) int64 { return 7e18 + mark<<8 + int64(n) }

// messageID is the ID of a message without an instruction.
func messageID(msgID int64) string { return "msg/" + strconv.FormatInt(msgID, 10) }

// handlers are those that the questions of talks have started, to aim at.
type handlers struct {
	mu   sync.Mutex
	list []span
}

// span is from the beginning of a handler to its end, if nothing comes in between.
type span struct{ begin, end time.Time }

func (h *handlers) begin(wait time.Duration) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(slices.DeleteFunc(h.list, func(s span) bool { return s.end.Before(now) }), span{now, now.Add(wait)})
}

// next is when the last handler ends, before that time, which has begun since ready and runs longer than a push
// waits; zero if none does.
func (h *handlers) next(ready, before time.Time) (end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.list {
		if s.begin.After(ready) && s.end.Sub(s.begin) > answerBy && s.end.Before(before) && s.end.After(end) && time.Until(s.end) > 0 {
			end = s.end
		}
	}
	return end
}

// link is a link that says something in the user's name.
type link struct{ content, id string }

// message is what a tap on it sends.
func (l link) message() simulator.Message {
	if l.id == "" {
		return simulator.Text(l.content)
	}
	return simulator.MenuText(l.content, l.id)
}

var linkPattern = regexp.MustCompile(`weixin://bizmsgmenu\?msgmenucontent=([^&"]*)&msgmenuid=([^&"]*)"`)

// seen is what the users have read, by whatever way.
type seen struct {
	mu      sync.Mutex
	answers map[string]bool   // by the message that they answer
	offered map[string][]link // by the user
}

func (s *seen) reads(user, text string) {
	if text == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers, s.offered = make(map[string]bool), make(map[string][]link)
	}
	for _, a := range parseAnswers(text) {
		s.answers[a.ID] = true
	}
	if !strings.Contains(text, "weixin://") {
		return
	}
	for _, f := range linkPattern.FindAllStringSubmatch(text, -1) {
		s.offered[user] = append(s.offered[user], link{f[1], f[2]})
	}
}

func (s *seen) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[id]
}

func (s *seen) links(user string) []link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offered[user]
}
