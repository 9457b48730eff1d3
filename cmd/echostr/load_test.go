package main

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/load"
)

var update = flag.Bool("update", false, "write golden files")

// countingServer has an account in mode plain at /wechat: it answers texts, wants a tap pushed twice, sends
// JSON for a picture and takes no subscriptions. It counts what comes.
type countingServer struct {
	*httptest.Server
	mu   sync.Mutex
	want map[string]int
	seen map[string]bool
}

func newCountingServer(t *testing.T) *countingServer {
	s := &countingServer{want: map[string]int{}, seen: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *countingServer) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		io.WriteString(w, r.URL.Query().Get("echostr"))
		return
	}
	var m struct {
		ToUserName, FromUserName, MsgType, Event string
		CreateTime                               int64
	}
	if err := xml.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprint(m.FromUserName, m.CreateTime, m.MsgType, m.Event)
	again := s.seen[key]
	s.seen[key] = true
	s.want["pushes"]++
	switch {
	case m.MsgType == "text":
		s.want["replied"]++
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>好</Content></xml>", m.FromUserName, m.ToUserName)
	case m.MsgType == "image":
		s.want["invalid"]++
		io.WriteString(w, `{"content":"好"}`)
	case m.Event == "CLICK" && again:
		s.want["acknowledged"]++
		io.WriteString(w, "success")
	case m.Event == "subscribe" && !again:
		s.want["lost"]++
		fallthrough
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	server := newCountingServer(t)
	got := execute(t, "", "load", server.URL+"/wechat", "--token=LoadToken2026", "--rate=200", "--count=100", "--mix=text=4,click=3,image=2,subscribe=1", "--timeout=30s", "--json")
	var ledger loadJSON
	if err := json.Unmarshal([]byte(got.out), &ledger); err != nil || got.code != exitFailed || got.err != "" {
		t.Fatalf("%v, %d %s\n%s", err, got.code, got.err, got.out)
	}
	have := map[string]int{"pushes": ledger.Pushes, "replied": ledger.Replied, "acknowledged": ledger.Acknowledged, "invalid": ledger.Invalid, "lost": ledger.Lost}
	server.mu.Lock()
	defer server.mu.Unlock()
	if diff := cmp.Diff(server.want, have); diff != "" {
		t.Errorf("server (-) and ledger (+):\n%s", diff)
	}
	if ledger.OK || ledger.FaultNotices != ledger.Invalid || ledger.Messages != 100 || ledger.URL != server.URL+"/wechat" || ledger.Mode != "plain" || !ledger.Complete ||
		ledger.AcknowledgedByPush[1] != ledger.Acknowledged || ledger.Problems["json"].Count != ledger.Invalid || ledger.Problems["status"].Count != ledger.Lost || ledger.Lost == 0 || ledger.Invalid == 0 {
		t.Errorf("%s", got.out)
	}
	if strings.Contains(got.out, "LoadToken2026") {
		t.Error("the token is in the ledger")
	}
}

// TestLoadPrints holds the ledger for people to a golden file.
func TestLoadPrints(t *testing.T) {
	t.Parallel()
	took := func(n uint64, base float64) load.Latency {
		return load.Latency{Count: n, P50: base, P90: 2 * base, P99: 5 * base, P999: 20 * base, Max: 100 * base}
	}
	good := &load.Ledger{
		Seconds: 19.9967, Users: 1000, Complete: true,
		Counts:        load.Counts{Messages: 6000, Replied: 5100, Acknowledged: 900},
		RepliedByPush: []int{5000, 80, 20}, AcknowledgedByPush: []int{900, 0, 0}, Empty: 3,
		Pushes: 6120, Retries: 120, Outcomes: load.Outcomes{OK: 6000, Cut: 120},
		FirstAnswer: took(6000, .0021), Push: []load.Latency{took(6000, .0021), took(100, .5), took(20, .04)}, Start: took(6000, .0001),
		Kinds: []load.KindLedger{
			{Kind: "text", Counts: load.Counts{Messages: 5000, Replied: 5000}, FirstAnswer: took(5000, .002)},
			{Kind: "click", Counts: load.Counts{Messages: 1000, Replied: 100, Acknowledged: 900}, FirstAnswer: took(1000, .003)},
		},
	}
	bad := &load.Ledger{
		Seconds: 1234.5, Users: 1_234_567, Complete: false,
		Counts:        load.Counts{Messages: 1_234_567, Replied: 1_000_000, Acknowledged: 234_000, Later: 200_000, Invalid: 500, Lost: 60, Stopped: 7, FaultNotices: 555, Duplicates: 12},
		RepliedByPush: []int{1_000_000, 0, 0}, AcknowledgedByPush: []int{234_000, 0, 0},
		Problems: map[string]load.Problem{
			"timeout": {Count: 60, Why: "all 3 pushes failed: no answer in 5s, no answer in 5s, no answer in 5s; answer within 4.5 s"},
			"json":    {Count: 500, Why: "the answer is JSON; send XML"},
		},
		Pushes: 1_234_687, Retries: 120, Outcomes: load.Outcomes{OK: 1_234_500, Status: 1, Cut: 180, Refused: 2, Reset: 3, TLS: 1},
		API:         &load.APILedger{Sent: 200_012, Refused: 2, Latency: took(200_000, 8.2)},
		FirstAnswer: took(1_234_000, .0021), Push: []load.Latency{took(1_234_567, .0021)}, Start: took(1_234_567, .01), StartedLate: 1234, OwnFailures: 5,
		Kinds: []load.KindLedger{
			{Kind: "text", Counts: load.Counts{Messages: 1_234_507, Replied: 1_000_000, Acknowledged: 234_000, Later: 200_000, Invalid: 500, Stopped: 7, Duplicates: 12}, FirstAnswer: took(1_234_000, .0021)},
			{Kind: "slow", Counts: load.Counts{Messages: 60, Lost: 60}},
		},
	}
	silent := &load.Ledger{
		Seconds: 1e-5, Complete: true, Users: 1, Counts: load.Counts{Messages: 1, Acknowledged: 1}, AcknowledgedByPush: []int{1}, Pushes: 1, Outcomes: load.Outcomes{OK: 1}, API: new(load.APILedger),
		FirstAnswer: took(1, .001), Push: []load.Latency{took(1, .001)}, Start: took(1, 0), Kinds: []load.KindLedger{{Kind: "text", Counts: load.Counts{Messages: 1, Acknowledged: 1}}},
	}
	var b strings.Builder
	c := &loadCommand{Listen: "127.0.0.1:8090"}
	for _, l := range []*load.Ledger{good, bad, silent} {
		c.print(&b, l)
		b.WriteString("\n--\n\n")
	}
	golden := filepath.Join("testdata", "load.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, golden), b.String()); diff != "" {
		t.Errorf("the golden file (-) and what is printed (+); go test ./cmd/echostr -run TestLoadPrints -update writes it:\n%s", diff)
	}
}

func TestLoadDev(t *testing.T) {
	url := startDev(t)
	got := execute(t, "", "load", "--rate=100", "--count=50", "--mix=text=3,click=1,image=1", "--timeout=30s", "--seed=3")
	for _, want := range []string{"50 messages at 100/s to " + url + " (plain, 明文模式), text=3,click=1,image=1, seed 3\n", "all is well: ", "cannot be seen", "status 200: 50\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not there", want)
		}
	}
	if got.code != 0 || got.err != "" || strings.Contains(got.out, "\x1b") || t.Failed() {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}
	// A server that does not take the address gets no load.
	got = execute(t, "", "load", url, "--token=AnotherToken2026")
	if got.code != exitFailed || got.out != "" || !strings.Contains(got.err, "no message was sent") || !strings.Contains(got.err, "status 403") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLoadUsage(t *testing.T) {
	t.Parallel()
	server := " http://127.0.0.1:1/ --token=T0ken"
	for _, test := range []struct{ args, want string }{
		{"--rate=0", "--rate lies above 0"},
		{"--rate=NaN", "--rate lies above 0"},
		{"--count=-1", "--count and --duration"},
		{"--count=0", "--count and --duration"},
		{"--duration=0s", "--count and --duration"},
		{"--rate=90000 --duration=24h", "more than 1000000000 messages"},
		{"--users=0", "--users"},
		{"--mix=hologram=1", "the kinds are text, slow, image"},
		{"--mix=text", "--mix: "},
		{"--pushes=6", "--pushes"},
		{"--timeout=1ms", "between 100ms and 1m"},
		{"--wait=-1s", "--wait"},
		{"--text=", "--text"},
		{"--mode=secret", "plain, compatible or safe"},
		{"--listen=0.0.0.0:8090" + server, "use 127.0.0.1"},
		{"--listen=127.0.0.1:8090" + server, "--app-secret"},
		{"http://127.0.0.1:1/", "the token (令牌) of the server is missing"},
		{"http://example.com/wx --token=T0ken", "--allow-remote"},
		{"--nodes=192.0.2.1:80" + server, "--allow-remote"},
		{"--nodes=127.0.0.1" + server, "host:port"},
		{"--mode=safe --encoding-aes-key=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG" + server, "AppID"},
	} {
		got := execute(t, "", append([]string{"load"}, strings.Fields(test.args)...)...)
		if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, test.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v", test.args, got)
		}
	}
	// A verified server that is not told otherwise sends late answers to WeChat itself.
	file := write(t, "echostr.yaml", strings.Replace(modesYAML(", bot: demo, verified: true, app_secret: 0f1e2d3c4b5a69788796a5b4c3d2e1f0"), "127.0.0.1:0", "127.0.0.1:1", 1))
	for mix, warned := range map[string]bool{"slow=1": true, "text=1": false} {
		got := execute(t, "", "load", "-c", file, "--account=plain", "--mix", mix)
		if got.code != exitFailed || strings.Contains(got.err, "warning: answers to slow questions go to WeChat's own API") != warned || !strings.Contains(got.err, "start the server") {
			t.Errorf("%s: %+v", mix, got)
		}
	}
	if got := execute(t, "", "load", "http://127.0.0.1:1/", "--token=T0ken"); got.code != exitFailed || !strings.Contains(got.err, "start the server") {
		t.Errorf("nobody listens: %+v", got)
	}
}

// TestE2ELoad: the binary loads the binary, whose slow answers come by the API that the load serves.
func TestE2ELoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: answers after 6 real seconds")
	}
	api := "127.0.0.1:" + freePort(t)
	file := write(t, "echostr.yaml", "store: memory\napi_base_url: http://"+api+"\n"+modesYAML(", bot: demo, verified: true, app_secret: 0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
	server := launch(t, nil, binary(t, "echostr"), "serve", "-c", file)
	base := server.waitFor(t, `(http://127\.0\.0\.1:\d+)/wx/plain`)
	p := launch(t, nil, binary(t, "echostr"), "load", base+"/wx/safe", "-c", file, "--account=safe", "--listen", api,
		"--rate=40", "--duration=2s", "--mix=text=8,slow=1", "--slow-text=慢 6", "--timeout=30s", "--wait=2m", "--json")
	code := p.wait(t)
	var ledger loadJSON
	if err := json.Unmarshal([]byte(p.String()), &ledger); err != nil || code != 0 {
		t.Fatalf("%v, exit code %d", err, code)
	}
	slow := ledger.Kinds[1]
	if slow.Kind != load.Slow || slow.Messages == 0 || slow.Later != slow.Messages || slow.Acknowledged != slow.Messages || ledger.API.Latency.Max < 6 {
		t.Errorf("slow questions: %+v, by the API: %+v", slow, ledger.API)
	}
	if ledger.Messages != 80 || ledger.Replied != ledger.Kinds[0].Messages || ledger.Duplicates != 0 || ledger.API.Sent != slow.Messages || !ledger.OK {
		t.Errorf("%s", p)
	}
}

// TestLoadVerdict: what the last line says, and whether the exit code is 0.
func TestLoadVerdict(t *testing.T) {
	t.Parallel()
	api := func(refused int) *load.APILedger { return &load.APILedger{Refused: refused} }
	tests := []struct {
		want string
		ok   bool
		of   load.Ledger
	}{
		{"all is well: no message was lost, and", true, load.Ledger{Complete: true, Counts: load.Counts{Messages: 2, Replied: 1, Acknowledged: 1}}},
		{"all is well: ", true, load.Ledger{Complete: true, OwnFailures: 1, Counts: load.Counts{Messages: 1, Replied: 1}}},
		{"all is well: no message was lost, every", true, load.Ledger{Complete: true, API: api(0), Counts: load.Counts{Messages: 2, Acknowledged: 2, Later: 1}}},
		{"not well: no user got an answer", false, load.Ledger{Complete: true, API: api(0), Counts: load.Counts{Messages: 2, Acknowledged: 2}}},
		{"not well: lost messages: 0, invalid answers: 0, duplicates: 0, refused by the API: 1", false, load.Ledger{Complete: true, API: api(1), Counts: load.Counts{Messages: 2, Replied: 2}}},
		{"not well: lost messages: 1, invalid answers: 0, duplicates: unknown", false, load.Ledger{Complete: true, Counts: load.Counts{Messages: 2, Replied: 1, Lost: 1}}},
		{"nothing can be said of the server: this side", false, load.Ledger{Complete: true, OwnFailures: 3, Counts: load.Counts{Messages: 2, Replied: 1, Lost: 1}}},
		{"not well: lost messages: 1, invalid answers: 1", false, load.Ledger{Complete: true, OwnFailures: 3, Counts: load.Counts{Messages: 2, Invalid: 1, Lost: 1}}},
		{"nothing can be said of the server: no message", false, load.Ledger{Counts: load.Counts{Messages: 79, Stopped: 79}}},
		{"as far as it went, all is well: ", false, load.Ledger{Counts: load.Counts{Messages: 79, Replied: 1, Stopped: 78}}},
		{"as far as it went, all is well: ", false, load.Ledger{Counts: load.Counts{Messages: 79, Replied: 79}}},
	}
	for _, test := range tests {
		var out strings.Builder
		new(loadCommand).conclude(&out, &test.of)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, test.want) || test.of.OK() != test.ok {
			t.Errorf("%+v: %q, ok %v; want %q, %v", test.of.Counts, last, test.of.OK(), test.want, test.ok)
		}
	}
}

// TestE2ELoadEnded: SIGTERM ends the load, and the ledger is printed. Such a run proves nothing, so a script must not take it for a good one.
func TestE2ELoadEnded(t *testing.T) {
	t.Parallel()
	server := newCountingServer(t)
	p := launch(t, nil, binary(t, "echostr"), "load", server.URL+"/wechat", "--token=LoadToken2026", "--rate=20", "--count=1000000", "--mix=text=1", "--timeout=30s")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		server.mu.Lock()
		n := server.want["replied"]
		server.mu.Unlock()
		if n > 5 {
			break
		}
	}
	if code := p.terminate(t); code != 1 || !strings.Contains(p.String(), "ended early") || !strings.Contains(p.String(), "as far as it went, all is well") {
		t.Errorf("exit code %d", code)
	}
}

// TestLoadDocuments: the documents in both languages have every switch of the load and every key of its JSON.
func TestLoadDocuments(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(loadJSON{Ledger: &load.Ledger{
		Problems: map[string]load.Problem{"": {}}, API: new(load.APILedger), Push: []load.Latency{{}}, Kinds: []load.KindLedger{{}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				keys[key] = true
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(value)
	delete(keys, "") // of a problem
	if len(keys) < 40 {
		t.Fatalf("only %d keys; the search itself is broken", len(keys))
	}
	for _, file := range []string{"load.md", "load.zh-CN.md"} {
		document := read(t, filepath.Join("../../docs", file))
		for key := range keys {
			if !strings.Contains(document, "`"+key+"`") {
				t.Errorf("%s: the key %s is missing", file, key)
			}
		}
		for _, kind := range load.Kinds() {
			if !strings.Contains(document, kind) {
				t.Errorf("%s: the kind %s is missing", file, kind)
			}
		}
	}
}
