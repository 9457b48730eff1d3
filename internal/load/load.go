// Package load pushes messages of many users to a server at a fixed rate, by WeChat's rules, and keeps a ledger of what came of
// them. The rate is kept whatever the server does, and latencies count from the moment when a message was due: a
// server that is slow for a while is not spared the messages of that while. Memory does not grow with
// the number of messages, only with those that are open.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/echostr/echostr/simulator"
)

// Config says what load is made. Every field without a default must be given.
type Config struct {
	// Official is the account whose server is pushed to.
	Official simulator.OfficialConfig
	// Rules are WeChat's habits.
	Rules simulator.Rules
	// DialContext and Transport make the connections of pushes, as in [simulator.Config].
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Transport   http.RoundTripper

	// Rate is how many messages are sent each second, and Messages how many in all.
	Rate     float64
	Messages int
	// Users is how many users take turns. More are made when all of them have written within the last second, or wait
	// for an answer: then the next message would change what becomes of the one before.
	Users int
	// Mix is what they send.
	Mix Mix
	// Text and SlowText are what texts say, the second those of the kind [Slow].
	Text, SlowText string
	// Seed decides which message is of which kind.
	Seed uint64

	// API says that [Load.API] is served and that the server calls it, so that answers by it are waited for: for Wait at
	// most, from the acknowledgement of their message on.
	API  bool
	Wait time.Duration
}

// Load is one run. Make one with [New].
type Load struct {
	config   Config
	official *simulator.Official
	messages []simulator.Message // by the kinds of the mix

	hashes maphash.Seed
	count  *counters

	mu       sync.Mutex // of what follows, and of the messages
	users    map[string]*user
	free     []*user // who wrote last, last
	started  time.Time
	ended    time.Time // of sending
	complete bool
}

// user is one who takes turns.
type user struct {
	*simulator.User
	wrote time.Time
	last  *message
}

// message is what a user has sent last.
type message struct {
	kind    int // in the mix
	due     time.Time
	replied bool
	later   bool          // answered by the API
	told    chan struct{} // closed then
	seen    []uint64      // hashes of its answers
}

// New checks the account, without connecting to it.
func New(c Config) (*Load, error) {
	p := simulator.NewPlatform(simulator.PlatformConfig{
		Rules: c.Rules, DialContext: c.DialContext, Transport: c.Transport,
		KeptBubbles: 1, // nobody reads the chats
		// New users each time: what an earlier run has left waiting would come ahead of this one's answers.
		OpenIDs: fmt.Sprintf("oLoad%08x", rand.Uint32()),
	})
	official, err := p.Add(c.Official)
	if err != nil {
		return nil, err
	}
	l := &Load{config: c, official: official, hashes: maphash.MakeSeed(), users: map[string]*user{}}
	l.config.Rules = official.Rules()
	l.count = newCounters(len(c.Mix), l.config.Rules.Pushes)
	for _, share := range c.Mix {
		for _, k := range kinds {
			if k.name == share.Kind {
				l.messages = append(l.messages, k.make(&c))
			}
		}
	}
	if len(l.messages) != len(c.Mix) || len(c.Mix) == 0 || !(c.Rate > 0) || c.Messages <= 0 {
		return nil, errors.New("load: the mix, the rate or the number of messages is missing")
	}
	return l, nil
}

// Official returns the account that is pushed to, whose Verify makes the check of the address.
func (l *Load) Official() *simulator.Official { return l.official }

// Run sends the messages, and returns when WeChat is done with the last one. When ctx ends no more are sent, and
// those that are open are stopped. Call it once.
func (l *Load) Run(ctx context.Context) {
	l.mu.Lock()
	l.started = time.Now()
	l.mu.Unlock()
	rng := rand.New(rand.NewPCG(l.config.Seed, 0x6c6f6164))
	var open sync.WaitGroup
	sent := Pace(ctx, l.config.Rate, l.config.Messages, func(due time.Time) int {
		m := &message{kind: l.config.Mix.pick(rng.Float64()), due: due, told: make(chan struct{})}
		l.count.sent(m.kind)
		open.Go(func() { l.send(ctx, m) })
		return 1
	})
	l.mu.Lock()
	l.ended, l.complete = time.Now(), sent == l.config.Messages
	l.mu.Unlock()
	open.Wait()
	if l.config.API {
		select { // what comes twice comes after what came once
		case <-time.After(min(listenOn, l.config.Wait)):
		case <-ctx.Done():
		}
	}
}

// listenOn is how long after the last answer the API still listens.
const listenOn = 3 * time.Second

// pause is how long a user writes nothing more: WeChat's clock counts seconds, and two taps on one button within one
// are the same event to a server.
const pause = time.Second

// take lets a user write m.
func (l *Load) take(m *message) *user {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var u *user
	if len(l.users) >= l.config.Users && len(l.free) > 0 && now.Sub(l.free[0].wrote) >= pause {
		u, l.free = l.free[0], l.free[1:]
	} else {
		u = &user{User: l.official.AddFollower("")}
		l.users[u.OpenID()] = u
	}
	u.wrote, u.last = now, m
	return u
}

// send sends one message, and returns when nothing more is to come of it.
func (l *Load) send(ctx context.Context, m *message) {
	u := l.take(m)
	defer func() {
		l.mu.Lock()
		l.free = append(l.free, u)
		l.mu.Unlock()
	}()
	report, err := u.Send(ctx, l.messages[m.kind])
	if report == nil {
		l.count.stopped(m.kind)
		return
	}
	l.count.pushes(report, m.due, l.config.Rules)
	verdict, last := report.Verdict, len(report.Pushes)
	switch {
	case err != nil:
		l.count.stopped(m.kind)
	case report.Pushes[last-1].Outcome != simulator.Answered || report.Pushes[last-1].Status != http.StatusOK:
		l.count.lost(m.kind, verdict)
	case !verdict.OK():
		l.count.invalid(m.kind, verdict)
	default:
		took := end(&report.Pushes[last-1]).Sub(m.due)
		if verdict.Sees == simulator.SeesReply {
			l.reply(u, m, verdict.Reply)
			l.count.replied(m.kind, last, took)
			return
		}
		l.count.acknowledged(m.kind, last, len(report.Pushes[last-1].Body) == 0, took)
		if !l.config.API {
			return
		}
		// A reply to this user is a reply to this message as long as there is no other.
		timer := time.NewTimer(l.config.Wait)
		defer timer.Stop()
		select {
		case <-m.told:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// reply notes a passive reply, for which the API may have been quicker.
func (l *Load) reply(u *user, m *message, r *simulator.Reply) {
	text := string(r.Document)
	if r.MsgType == "text" {
		text = "text\x00" + r.Content
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m.replied = true
	l.count.again(m.kind, l.sees(m, text))
}

// maxSeen is how many answers to one message are compared.
const maxSeen = 64

// sees notes an answer to m, and reports whether it was there before. l.mu is held.
func (l *Load) sees(m *message, text string) (before bool) {
	hash := maphash.String(l.hashes, text)
	for _, h := range m.seen {
		if h == hash {
			return true
		}
	}
	if len(m.seen) < maxSeen {
		m.seen = append(m.seen, hash)
	}
	return false
}

// API is WeChat's HTTP API, as the simulator has it. Messages by it are answers to what their users have sent last.
func (l *Load) API() http.Handler {
	api := l.official.Platform().API()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != "/cgi-bin/message/custom/send" {
			api.ServeHTTP(w, r)
			return
		}
		var body bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &body), r.Body}
		kept := &keeper{ResponseWriter: w}
		api.ServeHTTP(kept, r)
		var answer struct {
			Errcode *int   `json:"errcode"`
			Errmsg  string `json:"errmsg"`
		}
		if err := json.Unmarshal(kept.body.Bytes(), &answer); err != nil || answer.Errcode == nil || *answer.Errcode != 0 {
			why := "a customer-service message (客服消息) was refused"
			if answer.Errcode != nil {
				why += fmt.Sprintf(": errcode %d, %s", *answer.Errcode, answer.Errmsg)
			}
			l.count.refused(why)
			return
		}
		l.told(body.Bytes())
	})
}

// told notes a customer-service message (客服消息) that was taken.
func (l *Load) told(body []byte) {
	var in struct {
		ToUser  string `json:"touser"`
		MsgType string `json:"msgtype"`
		Text    struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	if json.Unmarshal(body, &in) != nil {
		return // the simulator has read it, so this cannot be
	}
	text := string(body)
	if in.MsgType == "text" {
		text = "text\x00" + in.Text.Content
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.told()
	u := l.users[in.ToUser]
	if u == nil || u.last == nil {
		return
	}
	m := u.last
	l.count.again(m.kind, l.sees(m, text))
	if !m.replied && !m.later {
		m.later = true
		close(m.told)
		l.count.later(m.kind, time.Since(m.due))
	}
}

// keeper keeps a copy of an answer.
type keeper struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func (k *keeper) Write(p []byte) (int, error) {
	k.body.Write(p)
	return k.ResponseWriter.Write(p)
}

// end is when a push was over.
func end(p *simulator.Push) time.Time { return p.Start.Add(p.Duration) }

// Winsock's numbers for want of files, ports and buffers. Those of package syscall are made up on Windows.
const (
	wsaEMFILE        syscall.Errno = 10024
	wsaEADDRINUSE    syscall.Errno = 10048
	wsaEADDRNOTAVAIL syscall.Errno = 10049
	wsaENOBUFS       syscall.Errno = 10055
)

// own reports whether a push went wrong on this side, which is a goos, for want of ports or files.
func own(p *simulator.Push, goos string) bool {
	ours := []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE}
	if goos == "windows" {
		ours = []syscall.Errno{wsaEMFILE, wsaEADDRINUSE, wsaEADDRNOTAVAIL, wsaENOBUFS}
	}
	return slices.ContainsFunc(ours, func(e syscall.Errno) bool { return errors.Is(p.Err, e) }) ||
		p.Err != nil && strings.Contains(p.Err.Error(), "too many open files") // net.DNSError has the text only
}
