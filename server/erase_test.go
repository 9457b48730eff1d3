package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

func TestErase(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		wechat := r.wechat(t)
		for range 3 {
			m := simulator.Text("我的秘密")
			m.FromUserName = "oForgetMe"
			if _, err := wechat.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		other := simulator.Text("你好")
		other.FromUserName = "oRememberMe"
		if _, err := wechat.Send(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		client := &Client{Address: "localhost", Token: r.token, DialContext: r.admin.DialContext}
		before, err := client.Turns(t.Context(), TurnFilter{User: "oForgetMe"})
		if err != nil || len(before) != 3 {
			t.Fatalf("%v %v", before, err)
		}
		if _, err := client.Erase(t.Context(), "shop", "oForgetMe"); err == nil || !strings.Contains(err.Error(), `no account "shop"`) {
			t.Errorf("of an account that does not exist: %v", err)
		}
		if _, err := client.Erase(t.Context(), "", ""); err == nil || !strings.Contains(err.Error(), "openid") {
			t.Errorf("of nobody: %v", err)
		}
		done, err := client.Erase(t.Context(), "", "oForgetMe")
		if diff := cmp.Diff(Erasure{Turns: 3}, done); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		again, err := client.Erase(t.Context(), "demo", "oForgetMe")
		if again.Turns != 0 || err != nil {
			t.Errorf("once more: %v %v", again, err)
		}
		turn, err := client.Turn(t.Context(), before[0].Key)
		if err != nil || turn.State != store.Erased || turn.Body+turn.Reply+turn.OpenID != "" {
			t.Errorf("%+v %v", turn, err)
		}
		if left, err := client.Turns(t.Context(), TurnFilter{User: "oRememberMe"}); err != nil || len(left) != 1 {
			t.Errorf("of the other user are left %v, %v", left, err)
		}
		if log := r.log.String(); strings.Count(log, "erased on request") != 1 || !strings.Contains(log, "messages=3") || strings.Contains(log, "oForgetMe") {
			t.Errorf("the log says\n%s", log)
		}
		if status, _ := r.get(t, "/api/v1/erase", http.Header{"Method": {"POST"}}); status != 401 {
			t.Errorf("without a token: %d", status)
		}
		if status, _ := r.get(t, "/api/v1/erase", http.Header{"Authorization": {"Bearer " + r.token}}); status != 405 {
			t.Errorf("GET: %d", status)
		}
	})
}

// More messages than a list holds, of two accounts, one of which is not
// configured any more.
func TestEraseMany(t *testing.T) {
	t.Parallel()
	st := memory.New(memory.Config{})
	defer st.Close()
	now := time.Now().UTC()
	keyer := store.NewKeyer(nil)
	add := func(account string, n int, at time.Time) {
		for i := range n {
			key := keyer.Key([32]byte{byte(i), byte(i >> 8), account[0], byte(at.Unix())}, now.Unix(), now)
			ops := []store.Op{{Turn: store.Turn{Key: key, Account: account, OpenID: "o1", State: store.Silent, ReceivedAt: at}}}
			if err := st.Claim(t.Context(), ops); err != nil || !ops[0].OK {
				t.Fatal(err, ops[0].Err)
			}
		}
	}
	add("old", 1200, now.Add(-time.Minute))
	add("shop", 1500, now)
	add("shop", 1, now.Add(time.Hour)) // by a clock that was ahead and was set back
	done, err := eraseUser(t.Context(), st, "", "o1")
	if diff := cmp.Diff(Erasure{Turns: 2701}, done); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if left, err := st.List(t.Context(), store.Filter{OpenID: "o1"}); len(left) > 0 || err != nil {
		t.Errorf("%d are left, %v", len(left), err)
	}
}

// A key can be abbreviated, however many turns are younger.
func TestFindTurn(t *testing.T) {
	t.Parallel()
	st := memory.New(memory.Config{Keep: 1000 * time.Hour})
	defer st.Close()
	now := time.Now().UTC().Truncate(time.Second)
	keyer := store.NewKeyer(nil)
	add := func(n int, created, received time.Time) store.Key {
		key := keyer.Key([32]byte{byte(n), byte(n >> 8)}, created.Unix(), received)
		ops := []store.Op{{Turn: store.Turn{Key: key, Account: "demo", State: store.Silent, ReceivedAt: received}}}
		if err := st.Claim(t.Context(), ops); err != nil || !ops[0].OK {
			t.Fatal(err, ops[0].Err)
		}
		return key
	}
	// The same second in front, and the next hexadecimal digits are those of a hash.
	old := add(1, now.Add(-48*time.Hour), now.Add(-48*time.Hour+time.Second))
	delayed := add(2, now.Add(-30*time.Hour), now.Add(-30*time.Hour+30*time.Minute))
	captured := add(3, now.Add(-1000*time.Hour), now)
	twins := [2]store.Key{add(4, now.Add(-24*time.Hour), now.Add(-24*time.Hour)), add(5, now.Add(-24*time.Hour), now.Add(-24*time.Hour))}
	for n := range findLimit - 1 {
		add(n+10, now.Add(-time.Hour), now.Add(-time.Hour))
	}
	for _, want := range []store.Key{old, delayed, captured, twins[0]} {
		for _, given := range []string{want.String(), want.String()[:16], strings.ToUpper(want.String()[:15])} {
			if got, err := turnIn(t.Context(), st, given); err != nil || got.Key != want.String() {
				t.Errorf("%s: %v %v", given, got, err)
			}
		}
	}
	for given, want := range map[string]error{
		twins[0].String()[:8]: errManyKey, "0011": errBadKey, "": errBadKey, "nothexadecimal": errBadKey,
		old.String() + "00": errBadKey, "0011223344556677": errNoTurn, strings.Repeat("0", 40): errNoTurn,
	} {
		if got, err := turnIn(t.Context(), st, given); err == nil || !strings.HasPrefix(err.Error(), want.Error()) {
			t.Errorf("%q: %v %v, want %v", given, got, err, want)
		}
	}
}

// An account that does not exist is named together with those that do, in a short line.
func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	cfg := new(Config)
	for i := range 12 {
		cfg.Accounts = append(cfg.Accounts, config.Account{Name: fmt.Sprintf("a%d", i)})
	}
	if err := UnknownAccount(cfg, "a11"); err != nil {
		t.Error(err)
	}
	err := UnknownAccount(cfg, "shop")
	if err == nil || !strings.Contains(err.Error(), `"shop"`) || !strings.HasSuffix(err.Error(), "a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 2 more") {
		t.Error(err)
	}
}
