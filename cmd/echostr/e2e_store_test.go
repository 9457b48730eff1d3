package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
)

// TestBadDatabases starts a server on what it cannot use: it says in one sentence
// what is wrong and what to do, ends with 78, and changes nothing.
func TestBadDatabases(t *testing.T) {
	t.Parallel()
	good := read(t, goodDatabase(t))
	garbage := "SQLite format 3\x00" + strings.Repeat("\xa5", 40_000)
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string) // makes dir/echostr.db
		want    string
	}{
		{"a text file", file("hello, I am a letter to my mother"), "is not a SQLite database"},
		{"garbage behind a good header", file(garbage), "echostr.db"},
		{"half a file", file(good[:len(good)/2]), "damaged"},
		{"pages overwritten", file(good[:4096] + strings.Repeat("\x00\xff", (len(good)-4096)/2)), "damaged"},
		{"a newer version", changed(good, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"), "newer version"},
		{"another program's", changed(good, "PRAGMA application_id = 7"), "another program"},
		{"a folder", func(t *testing.T, dir string) { folder(t, filepath.Join(dir, "echostr.db")) }, "is a folder"},
		{"a file where a folder should be", nil, "is not a folder"},
		{"no folder", nil, "does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			key := "sqlite:./echostr.db"
			switch {
			case tt.prepare != nil:
				tt.prepare(t, dir)
			case strings.HasPrefix(tt.name, "no "):
				key = "sqlite:./none/echostr.db"
			default:
				file("x")(t, dir)
				key = "sqlite:./echostr.db/x.db"
			}
			yaml := filepath.Join(dir, "echostr.yaml")
			if err := os.WriteFile(yaml, []byte("store: "+key+"\n"+modesYAML("")), 0o600); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(filepath.Join(dir, "echostr.db"))
			refused(t, launch(t, nil, binary(t, "echostr"), "serve", "-c", yaml, "--log-level", "error"), tt.want)
			after, _ := os.ReadFile(filepath.Join(dir, "echostr.db"))
			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// refused waits for the end of a server that cannot start.
func refused(t *testing.T, p *process, want string) {
	t.Helper()
	if code := p.wait(t); code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	text := p.String()
	if !strings.HasPrefix(text, "echostr: store: ") || !strings.Contains(text, want) || strings.Count(text, "\n") != 1 || !strings.ContainsAny(text, ":;") {
		t.Errorf("it says %q, want one line with %q", text, want)
	}
}

func file(content string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "echostr.db"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// changed is a database after a statement.
func changed(content, statement string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		file(content)(t, dir)
		db, err := sql.Open("sqlite", filepath.Join(dir, "echostr.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func folder(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// goodDatabase is what a server leaves behind that has answered a few messages.
func goodDatabase(t *testing.T) string {
	t.Helper()
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	r := serve(t, yaml)
	for range 3 {
		if report, err := wechat(t, r.base, modes[0], calm).Send(t.Context(), simulator.Text("你好")); err != nil || report.Verdict.Reply == nil {
			t.Fatalf("%v %v", report, err)
		}
	}
	if code := r.terminate(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	return filepath.Join(filepath.Dir(yaml), "echostr.db")
}

// TestReadOnlyFolder runs as somebody whom modes stop.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED on Windows, where modes say nothing")
	}
	dir := t.TempDir()
	program, yaml := filepath.Join(dir, "echostr"), filepath.Join(dir, "echostr.yaml")
	for name, content := range map[string]string{program: read(t, binary(t, "echostr")), yaml: "admin_token_file: /nonexistent/token\n" + modesYAML("")} {
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{dir: 0o555, filepath.Dir(dir): 0o755} { // testing makes them 0700
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	run := func(args ...string) *process {
		p := &process{cmd: exec.Command(program, args...), output: new(output), ended: make(chan struct{})}
		p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
		p.cmd.Env = append(os.Environ(), "ECHOSTR_ADMIN_TOKEN_FILE="+filepath.Join(os.TempDir(), "echostr-token-"+fmt.Sprint(os.Getpid())))
		if os.Getuid() == 0 {
			asNobody(p.cmd)
		}
		p.start(t)
		return p
	}
	for _, parent := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(parent); err != nil || info.Mode().Perm()&0o005 != 0o005 {
			t.Skipf("NOT TESTED: others may not enter %s", parent)
		}
	}
	p := run("serve", "-c", yaml, "--log-level", "error")
	t.Cleanup(func() { os.Remove(filepath.Join(os.TempDir(), "echostr-token-"+fmt.Sprint(os.Getpid()))) })
	refused(t, p, "may not write")
	p = run("config", "check", yaml)
	if code := p.wait(t); code != exitConfig || !strings.Contains(p.String(), "may not write into "+dir) {
		t.Errorf("config check: exit code %d:\n%s", code, p)
	}
}

// TestFullDisk needs a small disk, which only root can make.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: this user cannot mount a small disk: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	yaml := write(t, "echostr.yaml", "store: sqlite:"+filepath.Join(dir, "echostr.db")+"\n"+modesYAML(""))
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, launch(t, nil, binary(t, "echostr"), "serve", "-c", yaml, "--log-level", "error"), "no room")
}

// TestOneProcess: the second server on a database says who has it, or waits.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	first := serve(t, yaml)
	who := fmt.Sprintf("in use by process %d", first.cmd.Process.Pid)
	refused(t, launch(t, nil, binary(t, "echostr"), "serve", "-c", yaml, "--log-level", "error"), who)

	// With the addresses of the first, too, it is the database that says who it is.
	busy := strings.Replace(modesYAML(", bot: sample"), "listen: 127.0.0.1:0", "listen: "+strings.TrimPrefix(first.base, "http://"), 1)
	busyYAML := filepath.Join(filepath.Dir(yaml), "busy.yaml")
	if err := os.WriteFile(busyYAML, []byte(busy), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, launch(t, nil, binary(t, "echostr"), "serve", "-c", busyYAML, "--log-level", "error"), who)
	for _, args := range [][]string{{"erase", "oSomebody", "--admin", "127.0.0.1:1", "--token-file", "none"}, {"restore", filepath.Join(filepath.Dir(yaml), "echostr.db"), "-c", yaml}} {
		if got := execute(t, "", args...); got.code == 0 {
			t.Errorf("%v while a server runs: %+v", args, got)
		}
	}

	second := launch(t, nil, binary(t, "echostr"), "serve", "-c", busyYAML, "--wait-lock", "5m")
	select {
	case <-second.ended:
		t.Fatal("the second did not wait")
	case <-time.After(300 * time.Millisecond):
	}
	if code := first.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	base := second.waitFor(t, `account plain: (http://[^/]+)/wx/plain`)
	if r, err := wechat(t, base, modes[0], calm).Send(t.Context(), simulator.Text("你好")); err != nil || r.Verdict.Reply == nil {
		t.Errorf("%v %v", r, err)
	}

	// One that waits can be stopped.
	third := launch(t, nil, binary(t, "echostr"), "serve", "-c", yaml, "--wait-lock", "10m")
	time.Sleep(time.Second) // it says nothing while it waits; a signal before main runs ends any program
	if code := third.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestS34Erasure searches everything that a server keeps and says for what a user has
// written who then unsubscribed. P10
func TestS34Erasure(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: files are tidied after ten real seconds")
	}
	const user, text = "oRecognisable0123456789abcde", "记得这句话 recognisable 0123456789"
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	r := serve(t, yaml)
	db := filepath.Join(filepath.Dir(yaml), "echostr.db")
	hits := func() (found []string) {
		for _, name := range []string{db, db + "-wal", db + "-shm", db + ".lock"} {
			content, err := os.ReadFile(name)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, secret := range []string{user, text} {
				if bytes.Contains(content, []byte(secret)) {
					found = append(found, filepath.Base(name)+": "+secret)
				}
			}
		}
		return found
	}
	send := func(m simulator.Message, from string) {
		m.FromUserName = from
		for _, a := range modes {
			report, err := wechat(t, r.base, a, calm).Send(t.Context(), m)
			if err != nil || !report.Verdict.OK() {
				t.Fatalf("%v %v", report, err)
			}
		}
	}
	for range 5 {
		send(simulator.Text(text), user)
		send(simulator.Text("我留下"), "oWhoStays")
	}
	if found := hits(); len(found) < 2 {
		t.Fatalf("before, only %v was found, so the search shows nothing", found)
	}
	send(simulator.Unsubscribe(), user)
	for end := time.Now().Add(patience); len(hits()) > 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still there: %v", hits())
		}
	}
	admin := r.client.Address
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for what, where := range map[string]string{"metrics": string(metrics), "log": r.String()} {
		if strings.Contains(where, user) || strings.Contains(where, "recognisable") {
			t.Errorf("it is in the %s", what)
		}
	}
	if got := execute(t, "", "turn", "ls", "-c", yaml, "--admin", admin, "--token-file", filepath.Join(filepath.Dir(yaml), "echostr.admin-token"), "--state", "erased", "-n", "100"); strings.Count(got.out, " erased ") != 18 {
		t.Errorf("%+v", got)
	}
	r.terminate(t)
	if found := hits(); len(found) > 0 {
		t.Errorf("after the end: %v", found)
	}
	content := read(t, db)
	if !strings.Contains(content, "oWhoStays") {
		t.Error("the other user is gone, too")
	}
}

// TestBackup copies a database in use, loses it, and restores it.
func TestBackup(t *testing.T) {
	t.Parallel()
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	dir := filepath.Dir(yaml)
	r := serve(t, yaml)
	send := func(base, text string) *simulator.Report {
		report, err := wechat(t, base, modes[0], calm).Send(t.Context(), simulator.Text(text))
		if err != nil || report.Verdict.Reply == nil {
			t.Fatalf("%v %v", report, err)
		}
		return report
	}
	kept := send(r.base, "一")
	copied := filepath.Join(dir, "copy.db")
	got := execute(t, "", "backup", copied, "-c", yaml)
	sum := regexp.MustCompile(`(?m)^SHA-256 ([0-9a-f]{64})$`).FindStringSubmatch(got.out)
	if got.code != 0 || !strings.Contains(got.out, "copy.db is a copy of") || !strings.Contains(got.out, ", 1 message, the youngest of 20") || sum == nil {
		t.Fatalf("%+v", got)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, copied)))); sum[1] != want {
		t.Errorf("it prints the checksum %s, and sha256sum %s", sum[1], want)
	}
	if info, err := os.Stat(copied); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if got := execute(t, "", "backup", copied, "-c", yaml); got.code == 0 || !strings.Contains(got.err, "copy.db") {
		t.Errorf("over another backup: %+v", got)
	}
	send(r.base, "二")
	if got := execute(t, "", "restore", copied, "-c", yaml); got.code != exitConfig || strings.Count(got.err, "\n") != 1 {
		t.Errorf("while the server runs: %+v", got)
	}
	r.terminate(t)
	if got := execute(t, "", "restore", copied, "-c", yaml); got.code != exitConfig || !strings.Contains(got.err, "move") {
		t.Errorf("over the old database: %+v", got)
	}
	old, err := filepath.Glob(filepath.Join(dir, "echostr.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if err := os.Rename(name, strings.Replace(name, "echostr", "old", 1)); err != nil {
			t.Fatal(err)
		}
	}
	other := strings.Repeat("0", 64)
	if got := execute(t, "", "restore", copied, "-c", yaml, "--sha256", other); got.code != exitConfig || !strings.Contains(got.err, sum[1]) || strings.Count(got.err, "\n") != 1 {
		t.Errorf("with another checksum: %+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "echostr.db*")); err != nil || len(left) != 1 { // the lock
		t.Errorf("a restore that was refused leaves %v, %v", left, err)
	}
	got = execute(t, "", "restore", copied, "-c", yaml, "--sha256", sum[1])
	if got.code != 0 || !strings.Contains(got.out, "holds the 1 message of copy.db again") || !regexp.MustCompile(`not_before is \d{4}-`).MatchString(got.out) || !strings.Contains(got.out, "runs again") {
		t.Errorf("%+v", got)
	}
	r = serve(t, yaml)
	again, err := wechat(t, r.base, modes[0], calm).Repeat(t.Context(), kept)
	if err != nil || again.Verdict.Reply == nil {
		t.Errorf("the message of the backup: %v %v", again, err)
	}
	if turns, err := r.client.Turns(t.Context(), server.TurnFilter{}); err != nil || len(turns) != 1 {
		t.Errorf("%v %v", turns, err)
	}
	// Without a server it goes as well.
	r.terminate(t)
	if got := execute(t, "", "backup", filepath.Join(dir, "second.db"), "-c", yaml, "--json"); got.code != 0 || !strings.Contains(got.out, `"turns": 1`) || !strings.Contains(got.out, `"sha256": "`) {
		t.Errorf("%+v", got)
	}
	if got := execute(t, "", "backup", filepath.Join(dir, "x.db"), "-c", write(t, "m.yaml", "store: memory:\n"+modesYAML(""))); got.code != exitConfig || !strings.Contains(got.err, "memory:") {
		t.Errorf("of a store in memory: %+v", got)
	}
}

// TestEraseCommand erases through the server, and without one.
func TestEraseCommand(t *testing.T) {
	t.Parallel()
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	admin := "127.0.0.1:" + freePort(t)
	if err := os.WriteFile(yaml, []byte(strings.Replace(modesYAML(", bot: sample"), "admin: 127.0.0.1:0", "admin: "+admin, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := serve(t, yaml)
	for _, user := range []string{"oFirst", "oSecond", "oSecond"} {
		m := simulator.Text("秘密")
		m.FromUserName = user
		if _, err := wechat(t, r.base, modes[0], calm).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	got := execute(t, "", "erase", "oFirst", "-c", yaml)
	if got.code != 0 || !strings.Contains(got.out, "1 message erased") || !strings.Contains(got.out, "within a minute") || !strings.Contains(got.out, "30 days old") || got.err != "" {
		t.Errorf("%+v", got)
	}
	if got := execute(t, "", "erase", "oFirst", "-c", yaml); got.code != 0 || !strings.Contains(got.out, "Nothing is stored") {
		t.Errorf("once more: %+v", got)
	}
	if got := execute(t, "", "erase", "oSecond", "-c", yaml, "--account", "shop"); got.code != exitFailed || !strings.Contains(got.err, `no account "shop"`) || !strings.Contains(got.err, "plain, compatible, safe") {
		t.Errorf("of no account: %+v", got)
	}
	listed := func(when string) {
		t.Helper()
		if got := execute(t, "", "turn", "ls", "-c", yaml, "--account", "shop"); got.code != exitFailed || got.out != "" || !strings.Contains(got.err, "plain, compatible, safe") {
			t.Errorf("turn ls of no account %s: %+v", when, got)
		}
	}
	listed("with a server")
	if got := execute(t, "", "refusals", "-c", yaml); got.code != 0 || !strings.Contains(got.out, "没有被拒绝的请求") {
		t.Errorf("no refusals: %+v", got)
	}
	if got := execute(t, "", "push", "text", "x", "--url", r.base+"/wx/plain", "--token", "zAnotherTokenOfThirtyTwoLetters0", "--pushes", "1"); got.code == 0 {
		t.Errorf("a push with another token: %+v", got)
	}
	if got := execute(t, "", "refusals", "-c", yaml); got.code != 0 || !strings.Contains(got.out, "plain    signature  1      127.0.0.1") || !strings.Contains(got.out, "令牌 Token") {
		t.Errorf("refusals: %+v", got)
	}
	if got := execute(t, "", "refusals", "-c", yaml, "--json"); got.code != 0 || !strings.Contains(got.out, `"reason": "signature"`) || !strings.Contains(got.out, `"remote": "127.0.0.1"`) {
		t.Errorf("refusals --json: %+v", got)
	}
	r.terminate(t)
	listed("without a server")
	if got := execute(t, "", "refusals", "-c", yaml); got.code != exitFailed || !strings.Contains(got.err, "running server") {
		t.Errorf("refusals without a server: %+v", got)
	}
	if got := execute(t, "", "erase", "oSecond", "-c", yaml, "--account", "shop"); got.code != exitFailed || !strings.Contains(got.err, "plain, compatible, safe") {
		t.Errorf("of no account, without a server: %+v", got)
	}
	got = execute(t, "", "erase", "oSecond", "-c", yaml, "--json")
	if got.code != 0 || !strings.Contains(got.out, `"turns": 2`) || !strings.Contains(got.err, "no server answers; opening "+filepath.Join(filepath.Dir(yaml), "echostr.db")) {
		t.Errorf("without a server: %+v", got)
	}
	if content := read(t, filepath.Join(filepath.Dir(yaml), "echostr.db")); strings.Contains(content, "oSecond") || strings.Contains(content, "秘密") {
		t.Error("it is still in the file")
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
