package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

func TestInstruction(t *testing.T) {
	t.Parallel()
	for _, want := range []Instruction{
		{Do: doEcho, Mark: "1f"},
		{Do: doEcho, Wait: 300 * time.Millisecond, Mark: "z0"},
		{Do: doSilent, Mark: "2"},
		{Do: doFail, Mark: "3"},
		{Do: doPanic, Mark: "4"},
	} {
		for _, text := range []string{want.String(), "<xml><Content><![CDATA[" + want.String() + "]]></Content></xml>"} {
			if got, ok := parseInstruction(text); !ok || got != want {
				t.Errorf("%q is read as %+v, %v", text, got, ok)
			}
		}
	}
	for _, text := range []string{"", "hello", "echo", "reecho/1", "echo:x/1", "echo/"} {
		if got, ok := parseInstruction(text); ok {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestWitness(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "witness")
	if starts, ends, err := readWitness(path); err != nil || starts != nil || ends != nil {
		t.Errorf("a file that is not there has %v, %v, %v", starts, ends, err)
	}
	late := Mark{ID: "text/b", Key: "0b", Attempt: 2, PID: 7, At: after(time.Second)}
	early := Mark{ID: "text/a", Key: "0a", Attempt: 1, PID: 7, At: noon}
	for range 2 { // as two processes would
		w, err := openWitness(path)
		if err != nil {
			t.Fatal(err)
		}
		w.write("start", &late)
		w.write("start", &early)
		w.write("end", &late)
		w.file.Close()
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 6*recordSize || os.Getpagesize()%recordSize != 0 {
		t.Errorf("6 records are %d bytes, %v: one of them may lie across the border of two pages", info.Size(), err)
	}
	starts, ends, err := readWitness(path)
	if err != nil {
		t.Fatal(err)
	}
	local := func(a, b time.Time) bool { return a.Equal(b) }
	if diff := cmp.Diff([]Mark{early, early, late, late}, starts, cmp.Comparer(local)); diff != "" {
		t.Errorf("starts (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Mark{late, late}, ends, cmp.Comparer(local)); diff != "" {
		t.Errorf("ends (-want +got)\n%s", diff)
	}
	if got, ok := answerTo("text/b", "one\n"+answer(&early)+"\n"+answer(&late)); !ok || got.ID != late.ID || got.Attempt != 2 || got.PID != 7 || !got.At.Equal(late.At) {
		t.Errorf("the answer %q is read as %+v, %v", answer(&late), got, ok)
	}
	for _, bad := range []string{"start text/a 0a 1 7\n", "start text/a 0a x 7 1\n", "middle text/a 0a 1 7 1\n"} {
		if _, _, err := parseWitness(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
	for _, bad := range []string{"", "answer", "answer text/a 1 2 x", fallbackText} {
		if got := parseAnswers(bad); got != nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestRowOf(t *testing.T) {
	t.Parallel()
	turn := store.Turn{
		Account: "plain-hold", OpenID: "oUser", MsgType: "event", Event: "CLICK", State: store.Answered, Attempt: 2,
		Body:  "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[CLICK]]></Event><EventKey><![CDATA[echo/1f]]></EventKey></xml>",
		Reply: "<xml><ToUserName><![CDATA[oUser]]></ToUserName><Content><![CDATA[answer CLICK/1f 2 3 4]]></Content></xml>",
	}
	got := rowOf(&turn)
	if got.ID != "CLICK/1f" || got.Reply != "answer CLICK/1f 2 3 4" || got.To != "oUser" || got.State != "answered" || !got.done() {
		t.Errorf("got %+v", got)
	}
	turn.Body, turn.MsgType, turn.Event = "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[sleep]]></Content><MsgId>7</MsgId></xml>", "text", ""
	turn.Placeholder = `<xml><Content><![CDATA[tap <a href="x">here</a>]]></Content></xml>`
	turn.Way.Fetch = store.Fetch{Of: store.Key{1}, Page: 1, Again: true}
	if got := rowOf(&turn); got.ID != "msg/7" || got.Placeholder != `tap <a href="x">here</a>` || got.Fetches != turn.Way.Fetch.Of.String() || !got.Again || got.TakenBy != "" {
		t.Errorf("a body without an instruction is %+v", got)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line   string
		ok     bool
		failed bool
		folder bool
	}{
		{"1234 1795324706.123456 fdatasync(9</srv/x/echostr.db>) = 0 (DELAYED)", true, false, false},
		{"1234 1795324706.123456 fsync(9</srv/x/echostr.db-wal>) = -1 EIO (Input/output error) (INJECTED)", true, true, false},
		{"1234 1795324706.123456 fsync(9</srv/x>) = -1 EIO (Input/output error) (INJECTED)", true, true, true},
		{"1234 1795324706.123456 fsync(9</srv/x/echostr.db> <unfinished ...>", false, false, false},
		{"1234 1795324706.123456 <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)", true, true, false},
		{"1234 1795324706.123456 +++ exited with 70 +++", false, false, false},
		{"", false, false, false},
	}
	for _, test := range tests {
		got, ok := parseTrace(test.line)
		if ok != test.ok || got.failed != test.failed || got.folder != test.folder || ok && got.at.UnixMicro()/1000 != 1795324706123 {
			t.Errorf("%q is read as %+v, %v", test.line, got, ok)
		}
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(200-i)*time.Millisecond)
	}
	want := map[string]float64{"n": 200, "p50": 101, "p99": 199, "max": 200}
	if diff := cmp.Diff(want, percentiles(list)); diff != "" {
		t.Error(diff)
	}
	if percentiles(nil) != nil {
		t.Error("nothing has percentiles")
	}
}

// TestSkip has a scenario whose needs no machine meets.
func TestSkip(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := &scenario{
		name: "impossible", rate: 1, needs: []string{needStrace},
		flags: func(*flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			return func(context.Context, *run) error { t.Error("it has run"); return nil },
				func() map[string]any { return map[string]any{} }
		},
	}
	for required, want := range map[string]int{"": 0, "root": 0, "root,strace": exitFailed} {
		t.Setenv("ECHOSTR_TEST_REQUIRE", required)
		var out, log bytes.Buffer
		_, code := s.main(t.Context(), []string{"impossible"}, &out, &log)
		var line Report
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if code != want || line.OK != (want == 0) || !strings.Contains(line.Skipped, "apt-get install strace") || !strings.Contains(log.String(), "SKIPPED") {
			t.Errorf("ECHOSTR_TEST_REQUIRE=%s: exit code %d, report %s, log %s", required, code, &out, &log)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	wrong := [][]string{nil, {"help"}, {"nonsense"}, {"kill", "more"}, {"kill", "-nonsense"}, {"kill", "-kills", "-1"}, {"kill", "-rate", "0"}, {"kill", "-p99", "-1s"}, {"all"}, {"all", "-short", "-full"}, {"all", "-full", "-nightly"}, {"bot"}}
	for _, s := range scenarios {
		wrong = append(wrong, []string{s.name, "-rate", "0"})
	}
	for _, args := range wrong {
		var out, log bytes.Buffer
		if code := Main(args, &out, &log); code != exitUsage || out.Len() > 0 || log.Len() == 0 {
			t.Errorf("wxchaos %v: exit code %d, %q, %q", args, code, &out, &log)
		}
	}
}

// TestAllFlags has the lines of `wxchaos all` be lines that their scenarios take.
func TestAllFlags(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		for _, args := range slices.Concat(s.short, s.full, s.nightly) {
			f := flag.NewFlagSet(s.name, flag.ContinueOnError)
			f.Float64("rate", s.rate, "")
			f.Bool("untimed", false, "")
			s.flags(f)
			if err := f.Parse(args); err != nil || f.NArg() > 0 {
				t.Errorf("wxchaos %s %v: %v", s.name, args, err)
			}
		}
		if len(s.full) == 0 || len(s.nightly) == 0 {
			t.Errorf("wxchaos all -full or -nightly leaves %s out", s.name)
		}
	}
}

// TestList has the suites say what they run, with what is judged by time and what is not.
func TestList(t *testing.T) {
	t.Parallel()
	for suite, want := range map[string]string{
		"-short": "wxchaos failsync -max 8 -rate 100 -untimed -seed 7\n", "-full": "wxchaos failsync -max 20 -seed 7\n", "-nightly": "wxchaos sweep -untimed -seed 7\n",
	} {
		var out, log bytes.Buffer
		if code := Main([]string{"all", suite, "-seed", "7", "-list"}, &out, &log); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("wxchaos all %s -list: exit code %d\n%s%s", suite, code, &out, &log)
		}
	}
}

// TestFirstAcks has the first 200 of each process but the first, and no 200 of another
// process's push.
func TestFirstAcks(t *testing.T) {
	t.Parallel()
	e := clean()
	if got := firstAcks(e); !slices.Equal(got, []time.Duration{5449*time.Millisecond - 510*time.Millisecond}) {
		t.Errorf("got %v", got)
	}
}

// TestMix has every kind of message that a scenario asks for, and the same ones for the
// same seed.
func TestMix(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc"); err != nil {
		t.Skip("it needs addresses of loopback as Linux has them")
	}
	ids := func() map[string]int {
		w, err := newWeChat("127.0.0.1:1", 5, killMix, true) // nobody listens
		if err != nil {
			t.Fatal(err)
		}
		for range 400 {
			w.next()
		}
		if err := w.settle(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]int)
		for _, m := range w.ledger() {
			kind, _, _ := strings.Cut(m.ID, "/")
			seen[kind]++
			seen[m.Account]++
			seen[m.Do.Do]++
			if m.Forged {
				seen["forged"]++
			}
			if m.Do.Wait > 0 {
				seen["slow"]++
			}
		}
		return seen
	}
	first := ids()
	for _, what := range []string{"text", "CLICK", "VIEW", "plain-hold", "plain-api", "safe-hold", "safe-api", doEcho, doSilent, doFail, doPanic, "forged", "slow"} {
		if first[what] == 0 {
			t.Errorf("no message is %s", what)
		}
	}
	if diff := cmp.Diff(first, ids()); diff != "" {
		t.Errorf("the same seed has other messages\n%s", diff)
	}
}
