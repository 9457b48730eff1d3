package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// sample is one vector: a push, and what the sample bot answers to it.
type sample struct {
	name  string
	body  []byte
	reply string // empty: no reply
}

// samples reads all messages that are no envelopes. What is expected is
// computed here from the JSON of the vector, by the rules of the seed programs.
func samples(t *testing.T) []sample {
	t.Helper()
	var index struct {
		Messages []struct {
			Name string
			Tags []string
		}
	}
	if err := json.Unmarshal([]byte(read(t, vectors+"/index.json")), &index); err != nil {
		t.Fatal(err)
	}
	var all []sample
	for _, entry := range index.Messages {
		if slices.Contains(entry.Tags, "envelope") {
			continue
		}
		path := vectors + "/messages/" + entry.Name
		var fields map[string]any
		if err := json.Unmarshal([]byte(read(t, path+".json")), &fields); err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{name: entry.Name, body: []byte(read(t, path+".xml")), reply: wanted(fields)})
	}
	if len(all) < 110 {
		t.Fatalf("only %d samples", len(all))
	}
	return all
}

func wanted(fields map[string]any) string {
	value := func(name string) string {
		s, _ := fields[name].(string)
		return s
	}
	is := func(name, want string) bool { return strings.EqualFold(strings.TrimSpace(value(name)), want) }
	switch {
	case is("MsgType", "text"):
		return value("Content")
	case is("MsgType", "voice") && value("Recognition") != "":
		return value("Recognition")
	case is("MsgType", "voice"):
		return "未识别"
	case is("MsgType", "event") && is("Event", "subscribe"):
		if scene, ok := strings.CutPrefix(value("EventKey"), "qrscene_"); ok {
			return "感谢您的关注!场景值:" + scene
		}
		return "感谢您的关注!"
	case is("MsgType", "event") && is("Event", "SCAN"):
		return "您扫描的场景值为:" + value("EventKey")
	case is("MsgType", "event"):
		return ""
	}
	return "I love you, itcast!"
}

// message makes a new message of the sample, from a user of its own: what an
// unsubscribing user has sent is erased.
func (s *sample) message(t *testing.T, user string) simulator.Message {
	t.Helper()
	m, err := simulator.Raw(s.body, simulator.RawOptions{})
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	m.FromUserName = user
	return m
}

// check compares a report with what was expected.
func (s *sample) check(t *testing.T, a simulator.Account, r *simulator.Report) {
	t.Helper()
	v := r.Verdict
	switch {
	case !v.OK():
		t.Errorf("%s, %s: %v", a.Mode, s.name, r)
	case s.reply == "":
		if v.Reply != nil || string(r.Pushes[len(r.Pushes)-1].Body) != "success" {
			t.Errorf("%s, %s: %v, want success", a.Mode, s.name, r)
		}
	case v.Reply == nil || v.Reply.MsgType != "text" || v.Reply.Content != s.reply:
		t.Errorf("%s, %s: %v, want %q", a.Mode, s.name, r, s.reply)
	case v.Reply.Sealed != (a.Mode == simulator.Safe) && a.Mode != simulator.Compatible:
		t.Errorf("%s, %s: sealed is %v", a.Mode, s.name, v.Reply.Sealed)
	}
}

// each runs f for every sample in every mode, many at a time, with a user for each.
func each(t *testing.T, f func(s *sample, a simulator.Account, user string)) (users int) {
	t.Helper()
	var wg sync.WaitGroup
	room := make(chan struct{}, 16)
	all := samples(t)
	for _, a := range modes {
		for i := range all {
			users++
			user := fmt.Sprintf("oEndToEnd-%s-%03d", a.Mode, i)
			room <- struct{}{}
			wg.Go(func() {
				defer func() { <-room }()
				f(&all[i], a, user)
			})
		}
	}
	wg.Wait()
	return users
}

// TestServe starts `echostr serve` and sends it every vector in every mode,
// each as a message and as a duplicate.
func TestServe(t *testing.T) {
	t.Parallel()
	file := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	p := launch(t, nil, binary(t, "echostr"), "serve", "-c", file)
	base := p.waitFor(t, `account plain: (http://[^/]+)/wx/plain \(plain, 明文模式\)\n`)
	admin := p.waitFor(t, `admin: http://(\S+)\n`)

	for _, a := range modes {
		if c, err := wechat(t, base, a, calm).Verify(t.Context()); err != nil || !c.OK() {
			t.Fatalf("%s: the URL is not verified: %v %v", a.Mode, c, err)
		}
	}
	sent := each(t, func(s *sample, a simulator.Account, user string) {
		w := wechat(t, base, a, calm)
		first, err := w.Send(t.Context(), s.message(t, user))
		if err != nil {
			t.Error(err)
			return
		}
		s.check(t, a, first)
		again, err := w.Repeat(t.Context(), first)
		if err != nil {
			t.Error(err)
			return
		}
		s.check(t, a, again)
		if first.Verdict.Reply != nil && again.Verdict.Reply != nil && !bytes.Equal(first.Verdict.Reply.Document, again.Verdict.Reply.Document) {
			t.Errorf("%s, %s: the duplicate got another reply:\n%s\n%s", a.Mode, s.name, first.Verdict.Reply.Document, again.Verdict.Reply.Document)
		}
	})

	token, err := server.ReadToken(filepath.Join(filepath.Dir(file), "echostr.admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	client := &server.Client{Address: admin, Token: token}
	var turns []server.Turn
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		turns, err = client.Turns(t.Context(), server.TurnFilter{Limit: 1000})
		// That a push was a duplicate is written down after its answer.
		late := slices.ContainsFunc(turns, func(turn server.Turn) bool { return turn.Seen < 2 })
		if err != nil || !late || time.Now().After(end) {
			break
		}
	}
	if err != nil || len(turns) != sent {
		t.Fatalf("%d turns after %d messages, %v", len(turns), sent, err)
	}
	for i := range turns {
		turn := &turns[i]
		if turn.Attempt != 1 || turn.Seen != 2 || turn.State != store.Answered && turn.State != store.Silent && turn.State != store.Erased {
			t.Errorf("%+v", turn)
		}
	}
	hostile(t, base, admin, sent)
	if code := p.terminate(t); code != 0 || !p.finished() {
		t.Errorf("SIGTERM: exit code %d, or it did not finish what was under way", code)
	}
	for _, a := range modes {
		for _, secret := range []string{a.Token, a.EncodingAESKey} {
			if strings.Contains(p.String(), secret) {
				t.Errorf("a secret is in the log")
			}
		}
	}
	if strings.Contains(p.String(), "oEndToEnd") {
		t.Error("an OpenID is in the log")
	}
}

// TestOneStart counts starts from outside of the server, by a witness file, while
// WeChat gives up early and pushes again and again.
func TestOneStart(t *testing.T) {
	t.Parallel()
	file, witness := write(t, "echostr.yaml", modesYAML("")), filepath.Join(t.TempDir(), "witness")
	p := launch(t, nil, binary(t, "witness"), file, witness, "150ms")
	base := p.waitFor(t, `listening: (\S+)\n`)
	retried := false
	var mu sync.Mutex
	var want []string
	each(t, func(s *sample, a simulator.Account, user string) {
		// An impatient WeChat gives up twice. How many of the next pushes are needed is the
		// machine's matter, so those are patient.
		hasty := wechat(t, base, a, simulator.Rules{Timeout: 70 * time.Millisecond, Pushes: 2, FreshRetries: len(s.name)%2 == 0})
		r, err := hasty.Send(t.Context(), s.message(t, user))
		if err != nil {
			t.Error(err)
			return
		}
		patient := wechat(t, base, a, calm)
		for range 2 {
			again, err := patient.Repeat(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			s.check(t, a, again)
		}
		mu.Lock()
		defer mu.Unlock()
		want = append(want, user)
		retried = retried || len(r.Pushes) == 2 && r.Pushes[1].Outcome == simulator.Cut
	})
	if !retried {
		t.Error("nothing was retried, so the test shows nothing")
	}
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var got []string
	keys := map[string]bool{}
	for line := range strings.Lines(read(t, witness)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[2] != "1" {
			t.Fatalf("the witness says %q", line)
		}
		if keys[f[0]+f[1]] {
			t.Errorf("the key %s of %s came twice", f[1], f[0])
		}
		keys[f[0]+f[1]] = true
		got = append(got, f[3])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("starts (-messages +witnessed)\n%s", diff)
	}
}
