package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/wxapi"
)

// on is a configuration whose store is a database of several nodes.
func on(t *testing.T, yaml, dsn string) *Config {
	t.Helper()
	return load(t, strings.Replace(yaml, "store: memory:", "store: "+dsn, 1))
}

// Two servers share a database: what one has answered the other knows, and what looks into the database without a
// server does, too.
func TestPostgres(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	cfg := on(t, testYAML, dsn)
	if err := CheckStore(cfg); err != nil {
		t.Errorf("an empty database: %v", err)
	}
	one, two := start(t, cfg, Options{}), start(t, cfg, Options{})
	report, err := one.wechat(t).Send(t.Context(), simulator.Text("你好"))
	if err != nil || report.Verdict.Reply == nil {
		t.Fatalf("%v, %v", report, err)
	}
	again, err := two.wechat(t).Repeat(t.Context(), report)
	if err != nil || again.Verdict.Reply == nil || again.Verdict.Reply.Content != report.Verdict.Reply.Content {
		t.Errorf("the message again, to the other server: %v, %v", again, err)
	}
	turns, err := (&Client{Address: "localhost", Token: two.token, DialContext: two.admin.DialContext}).Turns(t.Context(), TurnFilter{})
	// Pushes are counted lazily, so what two nodes count at once may be lost.
	if err != nil || len(turns) != 1 || turns[0].State != store.Answered || len(turns[0].Pushes) == 0 {
		t.Errorf("the other server: %+v, %v", turns, err)
	}
	_, metrics := one.get(t, "/metrics", nil)
	for name, want := range map[string]bool{"echostr_store_commits_total": true, "echostr_store_group_size_count": true, "echostr_store_file_bytes": false} {
		if strings.Contains(metrics, "\n"+name) != want {
			t.Errorf("%s is among the metrics: %v", name, !want)
		}
	}
	one.end(t)
	two.end(t)

	archive, err := OpenArchive(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if turns, err := archive.Turns(t.Context(), TurnFilter{}); err != nil || len(turns) != 1 || turns[0].State != store.Answered {
		t.Errorf("without a server: %+v, %v", turns, err)
	}
	if _, err := EraseOffline(t.Context(), cfg, "demo", "o"); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("erasing without a server: %v", err)
	}
	for _, r := range []*rig{one, two} {
		if log := r.log.String(); strings.Contains(log, "search_path") || strings.Contains(log, "level=ERROR") {
			t.Errorf("the log: %s", log)
		}
	}
}

func TestPostgresErrors(t *testing.T) {
	t.Parallel()
	cfg := on(t, testYAML, "postgres://echostr:canary@127.0.0.1:1/echostr?sslmode=disable")
	_, starting := New(cfg, &Options{Listener: pipenet.Listen(), AdminListener: pipenet.Listen(), TokenFile: t.TempDir() + "/token"})
	for what, err := range map[string]error{"New": starting, "CheckStore": CheckStore(cfg)} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v; the server may be there at the next start", what, err)
		} else {
			noCanaries(t, what, err.Error())
		}
	}
	cfg = on(t, testYAML, pgtest.DSN(t)+"&synchronous_commit=off")
	_, starting = New(cfg, &Options{Listener: pipenet.Listen(), AdminListener: pipenet.Listen(), TokenFile: t.TempDir() + "/token"})
	for what, err := range map[string]error{"New": starting, "CheckStore": CheckStore(cfg)} {
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "synchronous_commit = on") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// All workers of all servers find their token dead at once: it is fetched once, and what is stored of it can be read by
// those only who know the AppSecret.
func TestPostgresTokens(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	var fetched atomic.Int64
	wechat := roundTrip(func(r *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, "token") {
			return answer(200, `{"errcode":0,"errmsg":"ok"}`)
		}
		return answer(200, fmt.Sprintf(`{"access_token":"canarytoken%d","expires_in":7200}`, fetched.Add(1)))
	})
	servers := []*rig{start(t, on(t, apiYAML, dsn), Options{transport: wechat}), start(t, on(t, apiYAML, dsn), Options{transport: wechat})}
	tokens := make(chan string, 64)
	var wg sync.WaitGroup
	for n := range cap(tokens) {
		wg.Go(func() {
			token, err := servers[n%2].clients["demo"].Token(t.Context())
			if err != nil {
				t.Error(err)
			}
			tokens <- token.Value.Reveal()
		})
	}
	wg.Wait()
	for range cap(tokens) {
		if token := <-tokens; token != "canarytoken1" {
			t.Fatalf("somebody has the token %q", token)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("the token was fetched %d times", n)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var rows int
	var stored []byte
	if err := conn.QueryRow(t.Context(), `SELECT count(*), string_agg(value, '') FROM shared`).Scan(&rows, &stored); err != nil || rows != 1 || len(stored) < 30 {
		t.Errorf("%d rows, %d bytes, %v", rows, len(stored), err)
	}
	noCanaries(t, "the database", string(stored))
	for _, r := range servers {
		r.end(t)
		noCanaries(t, "the log", r.log.String())
	}
}

// WeChat takes the token of two servers back, and tells 64 calls of theirs so at the same moment: one of them
// fetches another one, and all succeed. R-API-FLIGHT
func TestPostgresTokenRevoked(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten seconds, and the test is -short")
	}
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			const workers = 64
			var fetched, refused, repeated atomic.Int64
			var all sync.WaitGroup // have been refused
			all.Add(workers)
			wechat := roundTrip(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "token") {
					return answer(200, fmt.Sprintf(`{"access_token":"canarytoken%d","expires_in":7200}`, fetched.Add(1)))
				}
				if r.URL.Query().Get("access_token") != "canarytoken1" {
					repeated.Add(1)
					return answer(200, `{"errcode":0,"errmsg":"ok"}`)
				}
				refused.Add(1)
				all.Done()
				all.Wait()
				return answer(200, fmt.Sprintf(`{"errcode":%d,"errmsg":"no"}`, code))
			})
			servers := []*rig{start(t, on(t, apiYAML, dsn), Options{transport: wechat}), start(t, on(t, apiYAML, dsn), Options{transport: wechat})}
			for _, r := range servers {
				if token, err := r.clients["demo"].Token(t.Context()); err != nil || token.Value.Reveal() != "canarytoken1" {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Second) // no token is fetched sooner after another one, and sockets know no other time
			var wg sync.WaitGroup
			for n := range workers {
				wg.Go(func() {
					if err := servers[n%2].clients["demo"].Send(t.Context(), "oUser", echostr.Text("x"), nil); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if fetched.Load() != 2 || refused.Load() != workers || repeated.Load() != workers {
				t.Errorf("%d fetches, want 2; %d calls refused and %d repeated, want %d", fetched.Load(), refused.Load(), repeated.Load(), workers)
			}
			for _, r := range servers {
				r.end(t)
				noCanaries(t, "the log", r.log.String())
			}
		})
	}
}

// What was encrypted for another name or with another secret is no token.
func TestS27SealToken(t *testing.T) {
	t.Parallel()
	token := wxapi.Token{Value: wxapi.NewSecret("canary"), Expires: time.UnixMilli(1793346000123)}
	box, err := sharedTokens{secret: config.NewSecret("one")}.box()
	if err != nil {
		t.Fatal(err)
	}
	other, err := sharedTokens{secret: config.NewSecret("two")}.box()
	if err != nil {
		t.Fatal(err)
	}
	sealed := sealToken(box, "name", token)
	noCanaries(t, "what is stored", string(sealed))
	if got := openToken(box, "name", sealed); got.Value.Reveal() != "canary" || !got.Expires.Equal(token.Expires) {
		t.Errorf("%+v", got)
	}
	for what, got := range map[string]wxapi.Token{
		"another name": openToken(box, "other", sealed), "another secret": openToken(other, "name", sealed), "nothing": openToken(box, "name", nil),
		"half of it": openToken(box, "name", sealed[:len(sealed)/2]), "too short": openToken(box, "name", box.Seal(nil, nil, []byte("x"), []byte("name"))),
	} {
		if !got.Value.IsZero() || !got.Expires.IsZero() {
			t.Errorf("%s gives a token", what)
		}
	}
}
