package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// TestS30DialHere: it is not the name that counts but where it leads.
func TestS30DialHere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		conn, err := dialHere(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		conn.Close()
	}
	// Nobody is asked: it is refused before a packet leaves.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "[::ffff:192.0.2.1]:80", "0.0.0.0:" + port} {
		conn, err := dialHere(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "--allow-remote") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestS30MayReach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		callback       string
		allowed        bool
		here           bool // what is dialed is watched
		warning, wrong string
	}{
		{callback: "http://127.0.0.1:8000/wx", here: true},
		{callback: "http://[::1]:8000/wx", here: true},
		{callback: "http://LocalHost/wx", here: true},
		{callback: "http://localhost/wx", allowed: true},
		{callback: "http://shop.example/wx", wrong: "shop.example is not on this machine"},
		{callback: "http://localhost.example/wx", wrong: "not on this machine"},
		{callback: "http://shop.example/wx?key=topsecret", allowed: true, warning: "shop.example"},
		{callback: "shop.example", wrong: "not an address"},
	} {
		var warnings bytes.Buffer
		dial, err := mayReach(&warnings, test.callback, test.allowed)
		if (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v", test.callback, err)
		}
		if (dial != nil) != test.here {
			t.Errorf("%s: watched is %v", test.callback, dial != nil)
		}
		if (warnings.Len() > 0) != (test.warning != "") || !strings.Contains(warnings.String(), test.warning) || strings.Contains(warnings.String(), "topsecret") {
			t.Errorf("%s: %s", test.callback, warnings.String())
		}
	}
}

// TestAddressOf: an address is shown without what a server may keep secret in its query.
func TestAddressOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://127.0.0.1:8000/wx/a":                    "http://127.0.0.1:8000/wx/a",
		"http://me:topsecret@127.0.0.1/wx?key=s#topic":  "http://127.0.0.1/wx",
		"http://127.0.0.1/%E5%BE%AE%1b%5B2J?key=topsec": "http://127.0.0.1/%E5%BE%AE%1b%5B2J",
		"http://127.0.0.1/\u202e":                       "http://127.0.0.1/%E2%80%AE",
		"\x1b[31m%zz":                                   "?",
	} {
		if got := addressOf(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// TestReplayPrints: a recording is a stranger's, and an address may hold a secret.
func TestReplayPrints(t *testing.T) {
	t.Parallel()
	server := newEchoServer(t)
	p := simulator.NewPlatform(simulator.PlatformConfig{})
	o, err := p.Add(simulator.OfficialConfig{Account: simulator.Account{URL: server.URL + "/wechat", Token: simulatedToken, Mode: simulator.Plain}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := o.AddFollower("小明").Say(t.Context(), "你好"); err != nil || !r.Verdict.OK() {
		t.Fatalf("%v %v", r, err)
	}
	recording := p.Record()
	recording.Exchanges[0].Sees = "re\x1b[2Jply\u202e"
	var b strings.Builder
	if err := recording.Write(&b); err != nil {
		t.Fatal(err)
	}
	file := write(t, "recording.json", b.String())
	got := execute(t, "", "replay", file, "--callback", server.URL+"/wechat?key=topsecret", "--token", simulatedToken)
	if strings.ContainsAny(got.out, "\x1b\u202e") || !strings.Contains(got.out, "re\ufffd[2Jply") {
		t.Errorf("what could change a terminal is printed: %q", got.out)
	}
	if strings.Contains(got.out, "topsecret") || !strings.Contains(got.out, "→ "+server.URL+"/wechat (") {
		t.Errorf("the address is not as it should be:\n%s", got.out)
	}
	got = execute(t, "", "push", "text", "x", "--url", server.URL+"/wechat?key=topsecret", "--token", simulatedToken)
	if strings.Contains(got.out, "topsecret") || !strings.Contains(got.out, "→ "+server.URL+"/wechat (") {
		t.Errorf("the address is not as it should be:\n%s", got.out)
	}
}
