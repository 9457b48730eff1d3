package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Commands that look into a database which several nodes share say so, and never its password.
func TestPostgresStore(t *testing.T) {
	t.Parallel()
	account := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	file := write(t, "echostr.yaml", "admin: 127.0.0.1:1\nstore: postgres://echostr:CANARY@127.0.0.1:1/wx?sslmode=disable\n"+account)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"config", "check", file}, exitFailed, "unavailable"},
		{[]string{"turn", "ls", "-c", file}, exitFailed, "reading postgres://echostr@127.0.0.1:1/wx"},
		{[]string{"outbox", "ls", "-c", file}, exitFailed, "reading postgres://echostr@127.0.0.1:1/wx"},
		{[]string{"erase", "-c", file, "oUser"}, exitConfig, "echostr: no node answers here, and in a database that several nodes share a node erases; start one, or name the address for the operator of one that runs, as ECHOSTR_ADMIN or by --admin and --token-file"},
		{[]string{"backup", "-c", file, "backup.db"}, exitConfig, "pg_dump"},
		{[]string{"restore", "-c", file, "backup.db"}, exitConfig, "pg_restore"},
	} {
		got := execute(t, "", test.args...)
		if got.code != test.code || !strings.Contains(got.err, test.want) || got.out != "" || strings.Contains(got.err, "CANARY") {
			t.Errorf("%q: %+v; want code %d and %q", test.args, got, test.code, test.want)
		}
	}
}

// What is erased in a database that others run is in no file of ours.
func TestErasedInPostgres(t *testing.T) {
	t.Parallel()
	account := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"turns":2}`) }))
	defer node.Close()
	for store, want := range map[string]string{"postgres://127.0.0.1:1/wx": "after the next vacuum", "sqlite:./echostr.db": "From the database file"} {
		file := write(t, "echostr.yaml", "admin: "+strings.TrimPrefix(node.URL, "http://")+"\nstore: "+store+"\n"+account)
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "echostr.admin-token"), []byte("0123456789abcdef"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := execute(t, "", "erase", "-c", file, "oUser"); got.code != 0 || !strings.Contains(got.out, "2 messages erased") || !strings.Contains(got.out, want) {
			t.Errorf("%s: %+v; want %q", store, got, want)
		}
	}
}

// Accounts in databases of their own: every command says which it has looked into, and one that copies a database must
// be told which.
func TestAccountStores(t *testing.T) {
	t.Parallel()
	one := execute(t, "", "account", "new", "one", "--app-id", "wxb11529c136998cb6").out
	two := strings.TrimPrefix(execute(t, "", "account", "new", "two", "--app-id", "wxb11529c136998cb7").out, "accounts:\n")
	yaml := "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n" + strings.Replace(one+two, "- name: two", "- name: two\n    store: sqlite:two.db", 1)
	file := write(t, "echostr.yaml", yaml)
	dir := filepath.Dir(file)
	first, second := filepath.Join(dir, "echostr.db"), filepath.Join(dir, "two.db")
	run := func(code int, want string, args ...string) result {
		t.Helper()
		got := execute(t, "", append(args, "-c", file)...)
		if got.code != code || !strings.Contains(got.out+got.err, want) {
			t.Errorf("%q: %+v; want code %d and %q", args, got, code, want)
		}
		return got
	}
	if got := execute(t, "", "config", "check", file); got.code != 0 || !strings.Contains(got.out, "Messages of one are kept in "+first+", which the first start makes. Messages of two are kept in "+second) {
		t.Errorf("%+v", got)
	}
	p := launch(t, nil, binary(t, "echostr"), "serve", "-c", file)
	p.waitFor(t, `admin: http://(\S+)\n`)
	if code := p.terminate(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	run(0, "reading "+first+" and "+second, "turn", "ls")
	run(0, "opening "+first+" and "+second, "erase", "oUser")
	backup := filepath.Join(dir, "backup.db")
	run(exitUsage, "of the accounts one | two; say which one is meant with --account NAME", "backup", backup)
	run(exitFailed, `no account "three"`, "backup", backup, "--account", "three")
	run(0, "is a copy of "+second, "backup", backup, "--account", "two")
	run(exitUsage, "--account NAME", "restore", backup)
	for _, name := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(second+name, filepath.Join(dir, "old"+name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	run(0, second+" holds", "restore", backup, "--account", "two")
}
