package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
)

// TestReply: the bot of this program answers, not that of the configuration, and
// the admin port knows the message.
func TestReply(t *testing.T) {
	t.Parallel()
	const token = "zServerExampleToken0000000000000"
	file := filepath.Join(t.TempDir(), "echostr.yaml")
	if err := os.WriteFile(file, []byte(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
accounts:
  - {name: shop, app_id: wxb11529c136998cb6, token: `+token+`, mode: plain, bot: sample}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	srv, err := newServer(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	wechat, err := simulator.New(simulator.Config{Account: simulator.Account{
		URL: "http://" + srv.Addr().String() + "/wx/shop", Token: token, Mode: simulator.Plain,
	}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := wechat.Send(t.Context(), simulator.Text("你好"))
	if err != nil || report.Verdict.Reply == nil || report.Verdict.Reply.Content != "你说：你好" {
		t.Errorf("the bot answered: %v\n%v", err, report)
	}

	adminToken, err := server.ReadToken(filepath.Join(filepath.Dir(file), "echostr.admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client{Address: srv.AdminAddr().String(), Token: adminToken}
	if turns, err := client.Turns(t.Context(), server.TurnFilter{}); err != nil || len(turns) != 1 {
		t.Errorf("the admin port lists %v, %v", turns, err)
	}
}

// TestConfiguration: without a file and without accounts in the environment
// there is nothing to serve.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := newServer(filepath.Join(t.TempDir(), "echostr.yaml"), nil); err == nil {
		t.Error("a server without accounts has started")
	}
}
