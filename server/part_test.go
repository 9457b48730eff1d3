package server

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// spread is a configuration of an account for each store.
func spread(t *testing.T, stores ...string) *Config {
	t.Helper()
	yaml := "store: memory:\naccounts:\n"
	for i, st := range stores {
		yaml += fmt.Sprintf("  - {name: a%d, app_id: wx000000000000000%d, token: %s%d, mode: plain, bot: demo, store: %q}\n", i, i+1, testToken[:31], i, st)
	}
	return load(t, yaml)
}

func (r *rig) say(t *testing.T, account int, text string) *simulator.Report {
	t.Helper()
	w, err := simulator.New(simulator.Config{
		Account:     simulator.Account{URL: fmt.Sprintf("http://pipe/wx/a%d", account), Token: fmt.Sprintf("%s%d", testToken[:31], account), Mode: simulator.Plain},
		DialContext: r.pushes.DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := simulator.Text(text)
	m.FromUserName = "oSomebody"
	report, err := w.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Accounts in several databases are one server to whoever asks it, and each is in its own.
func TestSeveralStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, stores := range map[string][]string{
		"two files":              {"sqlite:" + dir + "/one.db", "sqlite:" + dir + "/two.db"},
		"a file and PostgreSQL":  {"sqlite:" + dir + "/three.db", ""},
		"two PostgreSQL schemas": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hasPostgres := false
			for i := range stores {
				if stores[i] == "" {
					stores[i], hasPostgres = pgtest.DSN(t), true
				}
			}
			cfg := spread(t, stores...)
			if err := CheckStore(cfg); err != nil {
				t.Fatal(err)
			}
			r := start(t, cfg, Options{})
			client := &Client{Address: "localhost", Token: r.token, DialContext: r.admin.DialContext}
			for n := range 6 {
				if report := r.say(t, n%2, fmt.Sprint("message ", n)); report.Verdict.Reply == nil {
					t.Fatalf("%+v", report.Verdict)
				}
			}
			for n, st := range r.readers() {
				if rows, err := st.List(t.Context(), store.Filter{Limit: 10}); err != nil || len(rows) != 3 || rows[0].Account != fmt.Sprint("a", n) {
					t.Errorf("store %d has %d turns, %v", n, len(rows), err)
				}
			}
			all, err := client.Turns(t.Context(), TurnFilter{})
			if err != nil || len(all) != 6 {
				t.Fatalf("%d turns, %v", len(all), err)
			}
			for i := range all {
				if i > 0 && all[i].ReceivedAt.After(all[i-1].ReceivedAt) {
					t.Error("the list is out of order")
				}
				one, err := client.Turn(t.Context(), all[i].Key)
				if err != nil || one.Account != all[i].Account || one.Body == "" {
					t.Errorf("%+v, %v", one, err)
				}
			}
			if some, err := client.Turns(t.Context(), TurnFilter{Limit: 5}); err != nil || len(some) != 5 || some[0].Key != all[0].Key {
				t.Errorf("with a limit: %+v, %v", some, err)
			}
			if some, err := client.Turns(t.Context(), TurnFilter{Account: "a1"}); err != nil || len(some) != 3 || some[0].Account != "a1" {
				t.Errorf("of one account: %+v, %v", some, err)
			}
			if _, err := client.Turn(t.Context(), "0000000000000000000000000000000000000000"); err == nil || !strings.Contains(err.Error(), "no such turn") {
				t.Errorf("a key that is nowhere: %v", err)
			}
			for _, turn := range []Turn{all[0], all[1]} { // of both stores
				if _, err := client.Drop(t.Context(), turn.Key); err == nil || strings.Contains(err.Error(), "no such turn") {
					t.Errorf("dropping what does not wait: %v", err)
				}
			}
			status, metrics := r.get(t, "/metrics", nil)
			for _, want := range []string{"echostr_pushes_total 6", "echostr_handler_seconds_count 6", "echostr_ready 1", `echostr_answers_total{answer="reply",way="push"} 6`} {
				if status != 200 || !strings.Contains(metrics, "\n"+want+"\n") {
					t.Errorf("the metrics lack %s", want)
				}
			}
			if status, _ := r.get(t, "/readyz", nil); status != 200 {
				t.Errorf("/readyz: %d", status)
			}
			unsigned, err := (&http.Client{Transport: &http.Transport{DialContext: r.pushes.DialContext, DisableKeepAlives: true}}).Post("http://pipe/wx/a1?signature=0&timestamp=1&nonce=1", "text/xml", strings.NewReader("<xml/>"))
			if err != nil {
				t.Fatal(err)
			}
			unsigned.Body.Close()
			if list, err := client.Refusals(t.Context()); err != nil || len(list) != 1 || list[0].Account != "a1" {
				t.Errorf("refusals: %+v, %v", list, err)
			}
			if done, err := client.Erase(t.Context(), "", "oSomebody"); err != nil || done.Turns != 6 {
				t.Errorf("erased: %+v, %v", done, err)
			}
			r.end(t)
			if log := r.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("the log: %s", log)
			}

			archive, err := OpenArchive(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer archive.Close()
			if turns, err := archive.Turns(t.Context(), TurnFilter{}); err != nil || len(turns) != 6 || turns[0].State != store.Erased {
				t.Errorf("without a server: %+v, %v", turns, err)
			}
			done, err := EraseOffline(t.Context(), cfg, "", "oSomebody")
			if hasPostgres != errors.Is(err, ErrConfig) || done.Turns != 0 {
				t.Errorf("erasing without a server: %+v, %v", done, err)
			}
		})
	}
}

// Without a server a user is erased in all files, and a file that is not there yet is not made.
func TestEraseOfflineStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := []string{"sqlite:" + dir + "/one.db", "sqlite:" + dir + "/two.db", "sqlite:" + dir + "/three.db"}
	r := start(t, spread(t, stores[:2]...), Options{})
	r.say(t, 0, "一")
	r.say(t, 1, "二")
	r.end(t)
	cfg := spread(t, stores...)
	if done, err := EraseOffline(t.Context(), cfg, "", "oSomebody"); err != nil || done.Turns != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := EraseOffline(t.Context(), cfg, "nobody", "oSomebody"); err == nil || !strings.Contains(err.Error(), "no account") {
		t.Errorf("%v", err)
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, "three") {
			t.Errorf("there is %s", name)
		}
	}
}

// One database under two addresses is refused, and its copy is not.
func TestSameDatabase(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	start := func(cfg *Config) error {
		srv, err := New(cfg, &Options{Listener: pipenet.Listen(), AdminListener: pipenet.Listen(), TokenFile: filepath.Join(t.TempDir(), "token")})
		if srv != nil {
			t.Errorf("it starts")
		}
		return err
	}
	if err := start(spread(t, dsn, dsn+"&pool_max_conns=5")); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "a0") || !strings.Contains(err.Error(), "same database") {
		t.Errorf("%v", err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var living int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM node WHERE until > clock_timestamp()`).Scan(&living); err != nil || living != 0 {
		t.Errorf("%d nodes are left, %v", living, err)
	}
	if err := start(spread(t, dsn, "postgres://echostr:canary@127.0.0.1:1/wx?sslmode=disable")); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "store of a1") {
		t.Errorf("%v", err)
	} else {
		noCanaries(t, "New", err.Error())
	}
}

// While one database is away the accounts of the other are answered, and the operator reads whose are not.
func TestOneStoreAway(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewServer(t)
	r := start(t, spread(t, "sqlite:"+t.TempDir()+"/one.db", cluster.DSN(t)), Options{})
	defer r.end(t)
	cluster.Stop(t)
	defer cluster.Start(t) // the end of the test removes its schema
	if report := r.say(t, 0, "你好"); report.Verdict.Reply == nil {
		t.Errorf("%+v", report.Verdict)
	}
	status, text := r.get(t, "/readyz", nil)
	if status != 200 || !strings.Contains(text, "not for all accounts") || !strings.Contains(text, "store of a1") {
		t.Errorf("/readyz: %d %s", status, text)
	}
	if _, metrics := r.get(t, "/metrics", nil); !strings.Contains(metrics, "\nechostr_ready 0\n") {
		t.Error("echostr_ready is not 0")
	}
}
