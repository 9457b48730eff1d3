package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// TestOutboxCommand follows a late answer while WeChat's API is down, through a kill of the server, to its
// user.
func TestOutboxCommand(t *testing.T) {
	t.Parallel()
	platform := simulator.NewPlatform(simulator.PlatformConfig{})
	api := httptest.NewServer(platform.API())
	defer api.Close()
	if err := platform.SetFaults(simulator.Fault{Path: "custom/send", Errcode: -1}); err != nil {
		t.Fatal(err)
	}
	const token, appID, secret = "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb9", "wx00000000000000a1", "0123456789abcdef0123456789abcdef"
	admin := "127.0.0.1:" + freePort(t)
	yaml := filepath.Join(t.TempDir(), "echostr.yaml")
	if err := os.WriteFile(yaml, []byte("listen: 127.0.0.1:0\nadmin: "+admin+"\napi_base_url: "+api.URL+
		"\naccounts:\n  - {name: plain, app_id: "+appID+", app_secret: "+secret+", token: "+token+", mode: plain, verified: true, bot: demo}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := serve(t, yaml)
	official, err := platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: r.base + "/wx/plain", Token: token, Mode: simulator.Plain, AppID: appID},
		Kind:    simulator.Service, Verified: true, AppSecret: secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	user := official.AddFollower("小明")
	if got := execute(t, "", "outbox", "ls", "-c", yaml); got.code != 0 || !strings.Contains(got.out, "no answers are waiting") {
		t.Errorf("an empty outbox: %+v", got)
	}
	if _, err := user.Say(t.Context(), "慢 5"); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^.*plain +late +(?:in [0-9.]+m?s|now) +[1-9][0-9]* .* ([0-9a-f]{16}) .*-1.*$`)
	var key string
	waitFor(t, "a try in vain", func() bool {
		got := execute(t, "", "outbox", "ls", "-c", yaml)
		if m := line.FindStringSubmatch(got.out); m != nil {
			key = m[1]
		}
		return key != ""
	})
	if got := execute(t, "", "outbox", "show", key, "-c", yaml); got.code != 0 || !strings.Contains(got.out, "waits to be sent by the API") || !strings.Contains(got.out, "tries in vain") || !strings.Contains(got.out, "等了 5 秒") {
		t.Errorf("show: %+v", got)
	}
	if got := execute(t, "", "outbox", "drop", "0000000000000000", "-c", yaml); got.code != exitFailed || got.err == "" {
		t.Errorf("drop of nothing: %+v", got)
	}
	if got := execute(t, "", "outbox", "drop", key, "-c", yaml); got.code != 0 || !strings.Contains(got.out, "undeliverable") {
		t.Errorf("drop: %+v", got)
	}
	r.cmd.Process.Kill()
	<-r.ended
	if got := execute(t, "", "outbox", "retry", key, "-c", yaml); got.code != exitFailed || !strings.Contains(got.err, "start it first") {
		t.Errorf("retry without a server: %+v", got)
	}
	if got := execute(t, "", "outbox", "ls", "--all", "-c", yaml); got.code != 0 || !strings.Contains(got.out, "undeliverable") || !strings.Contains(got.out, "dropped by the operator") || !strings.Contains(got.err, "no server answers") {
		t.Errorf("ls --all without a server: %+v", got)
	}
	if err := platform.SetFaults(); err != nil {
		t.Fatal(err)
	}
	again := serve(t, yaml)
	if got := execute(t, "", "outbox", "retry", key, "-c", yaml); got.code != 0 || !strings.Contains(got.out, "late") {
		t.Errorf("retry: %+v", got)
	}
	waitFor(t, "the answer", func() bool {
		for _, b := range user.Chat() {
			if b.Way == simulator.WayAPI && b.Text == "等了 5 秒" {
				return true
			}
		}
		return false
	})
	if got := execute(t, "", "turn", "show", key, "-c", yaml); got.code != 0 || !strings.Contains(got.out, "sent by the API (客服消息), in 1 message") {
		t.Errorf("show after it: %+v", got)
	}

	// WeChat cuts the only push, and then there is an answer: it waits for the next push, and says so.
	account := simulator.Account{URL: "plain", Token: token, Mode: simulator.Plain, AppID: appID}
	if _, err := wechat(t, again.base, account, simulator.Rules{Timeout: 500 * time.Millisecond, Pushes: 1}).Send(t.Context(), simulator.Text("慢 1")); err != nil {
		t.Fatal(err)
	}
	waits := regexp.MustCompile(`(?m)^.*plain +none +in [0-9.]+s .* ([0-9a-f]{16})$`)
	waitFor(t, "an answer that waits for a push", func() bool {
		got := execute(t, "", "outbox", "ls", "-c", yaml)
		m := waits.FindStringSubmatch(got.out)
		if m != nil {
			key = m[1]
		}
		return m != nil
	})
	if got := execute(t, "", "outbox", "show", key, "-c", yaml); got.code != 0 || !strings.Contains(got.out, "waits for WeChat's next push, and takes the next way if none has come in 1") {
		t.Errorf("show of an answer that waits for a push: %+v", got)
	}
}

// waitFor asks until something has come true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s does not come", what)
		}
	}
}
