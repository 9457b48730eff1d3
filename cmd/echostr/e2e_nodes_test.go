package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// node is one process of a server that has several.
type node struct {
	*process
	addr, admin, file string
}

// nodesYAML is the configuration of a node: an account that is not verified, so that pushes are held.
func nodesYAML(dsn string) string {
	return fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: %q\naccounts:\n  - {name: plain, app_id: %s, token: %s, mode: plain, bot: demo}\n", dsn, modes[0].AppID, modes[0].Token)
}

func serveNode(t *testing.T, dsn string) *node {
	t.Helper()
	n := &node{file: write(t, "echostr.yaml", nodesYAML(dsn))}
	n.process = launch(t, nil, binary(t, "echostr"), "serve", "-c", n.file)
	n.addr = n.waitFor(t, `account plain: http://([^/]+)/wx/plain`)
	n.admin = n.waitFor(t, `admin: http://(\S+)\n`)
	return n
}

// turns are those of the database, as this node tells them.
func (n *node) turns(t *testing.T) []server.Turn {
	t.Helper()
	token, err := server.ReadToken(filepath.Join(filepath.Dir(n.file), "echostr.admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	turns, err := (&server.Client{Address: n.admin, Token: token}).Turns(t.Context(), server.TurnFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return turns
}

// starts is how many handlers the process has started.
func (n *node) starts(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(fetch(t, http.MethodGet, "http://"+n.admin+"/metrics", "", nil)) {
		if count, ok := strings.CutPrefix(line, "echostr_handler_starts_total "); ok {
			return strings.TrimSpace(count)
		}
	}
	t.Fatal("there is no echostr_handler_starts_total")
	return ""
}

// TestNodesOnThePhone is the demonstration in the README: 慢 8, whose pushes go to two processes in turn.
func TestNodesOnThePhone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	one, two := serveNode(t, dsn), serveNode(t, dsn)
	p := launch(t, nil, binary(t, "echostr"), "simulate", "-c", one.file, "--listen=127.0.0.1:0", "--nodes", one.addr+","+two.addr)
	base := p.waitFor(t, `^\s*(http://\S+) +← `)
	p.waitFor(t, `(接入验证成功)`)
	if out := p.String(); !strings.Contains(out, "subscription (订阅号), not verified") || !strings.Contains(out, one.addr+", "+two.addr) || strings.Contains(out, modes[0].Token) {
		t.Errorf("it says\n%s", out)
	}
	var state struct {
		Users     []struct{ OpenID string }
		Exchanges []struct {
			Done    bool
			Pushes  []struct{ Node, Outcome string }
			Verdict struct{ Reply struct{ Text string } }
		}
	}
	fetch(t, http.MethodGet, base+"/api/state", "", &state)
	if got := fetch(t, http.MethodPost, base+"/api/act", fmt.Sprintf(`{"account":%q,"user":%q,"action":"text","text":"慢 8"}`, modes[0].AppID, state.Users[0].OpenID), nil); !strings.Contains(got, "true") {
		t.Fatalf("the page cannot send: %s", got)
	}
	waitFor(t, "the answer", func() bool {
		fetch(t, http.MethodGet, base+"/api/state", "", &state)
		return len(state.Exchanges) == 1 && state.Exchanges[0].Done
	})
	x := state.Exchanges[0]
	if x.Verdict.Reply.Text != "等了 8 秒" || len(x.Pushes) < 2 {
		t.Fatalf("%+v", x)
	}
	for i, push := range x.Pushes {
		if want := []string{one.addr, two.addr}[i%2]; push.Node != want {
			t.Errorf("push %d went to %s, want %s", i+1, push.Node, want)
		}
	}
	if starts := one.starts(t) + two.starts(t); starts != "10" {
		t.Errorf("the two nodes have started %s handlers, want 1 and 0", starts)
	}
	turns := two.turns(t)
	if len(turns) != 1 || turns[0].Attempt != 1 || turns[0].State != store.Answered || turns[0].OfferedTo != len(x.Pushes) {
		t.Errorf("%+v", turns)
	}
	for _, n := range []*node{one, two} {
		if code := n.terminate(t); code != 0 || !n.finished() {
			t.Errorf("exit code %d, or it did not finish", code)
		}
	}
}

// TestNodesWitness counts the starts of a slow handler outside of both nodes, while every retry goes to the other one.
func TestNodesWitness(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	witness := filepath.Join(t.TempDir(), "witness")
	a := modes[0]
	for range 2 {
		p := launch(t, nil, binary(t, "witness"), write(t, "echostr.yaml", nodesYAML(dsn)), witness, "6s")
		a.Nodes = append(a.Nodes, strings.TrimPrefix(p.waitFor(t, `listening: (\S+)\n`), "http://"))
	}
	w := wechat(t, "http://wx.example", a, simulator.Rules{})
	const messages = 20
	reports := make(chan *simulator.Report, messages)
	for i := range messages {
		go func() {
			m := simulator.Text(fmt.Sprint("消息 ", i))
			m.FromUserName = fmt.Sprint("oNodes", i)
			report, err := w.Send(t.Context(), m)
			if err != nil {
				t.Error(err)
			}
			reports <- report
		}()
	}
	for range messages {
		report := <-reports
		if report.Verdict.Reply == nil || len(report.Pushes) < 2 || report.Pushes[0].Node == report.Pushes[1].Node {
			t.Errorf("%v", report)
		}
	}
	if lines := strings.Count(read(t, witness), "\n"); lines != messages {
		t.Errorf("%d starts for %d messages", lines, messages)
	}
}

// TestNodeStops tells a node to stop while its handler runs and WeChat's pushes go to both: the message is answered, by
// one start. The node with the handler is still there when the next push comes to the other one.
func TestNodeStops(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	one, two := serveNode(t, dsn), serveNode(t, dsn)
	a := modes[0]
	a.Nodes = []string{one.addr, two.addr}
	sent := make(chan *simulator.Report, 1)
	go func() {
		report, err := wechat(t, "http://wx.example", a, simulator.Rules{}).Send(t.Context(), simulator.Text("慢 6"))
		if err != nil {
			t.Error(err)
		}
		sent <- report
	}()
	waitFor(t, "the start", func() bool { return one.starts(t) == "1" })
	if code := one.terminate(t); code != 0 || !one.finished() {
		t.Errorf("exit code %d, or it did not finish", code)
	}
	report := <-sent
	if report.Verdict.Reply == nil || report.Verdict.Reply.Content != "等了 6 秒" || report.Pushes[len(report.Pushes)-1].Node != two.addr {
		t.Errorf("%v", report)
	}
	if n := two.starts(t); n != "0" {
		t.Errorf("the other node has started %s handlers", n)
	}
}

// TestNodeHandsOver stops a node whose handler takes longer than a stopped node goes on: the other node starts the message
// again at once, with the same key, and not only when a lease has run out.
func TestNodeHandsOver(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	one, two := serveNode(t, dsn), serveNode(t, dsn)
	a := modes[0]
	a.Nodes = []string{one.addr, two.addr}
	sent := make(chan *simulator.Report, 1)
	go func() {
		report, err := wechat(t, "http://wx.example", a, simulator.Rules{}).Send(t.Context(), simulator.Text("慢 30"))
		if err != nil {
			t.Error(err)
		}
		sent <- report
	}()
	waitFor(t, "the start", func() bool { return one.starts(t) == "1" })
	if code := one.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left := time.Now()
	waitFor(t, "the second start", func() bool { return two.starts(t) == "1" })
	if took := time.Since(left); took >= store.Lease {
		t.Errorf("the other node took over after %v only, when the lease had run out", took)
	}
	report := <-sent
	if report.Verdict.Reply == nil || !strings.Contains(report.Verdict.Reply.Content, "还在处理") {
		t.Errorf("%v", report)
	}
	turns := two.turns(t)
	if len(turns) != 1 || turns[0].Attempt != 2 {
		t.Errorf("%+v", turns)
	}
}
