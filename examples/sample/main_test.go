package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/simulator"
)

// TestSameAsBuiltIn lets this program and the built-in bot answer every sample.
func TestSameAsBuiltIn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/vectors/messages/*.xml")
	if err != nil || len(files) < 100 {
		t.Fatalf("found %d samples: %v", len(files), err)
	}
	here, builtIn := bot(), bots.Sample()
	answered := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := echostr.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := here.Handle(t.Context(), m)
		want, wantErr := builtIn.Handle(t.Context(), m)
		if got != want || err != nil || wantErr != nil {
			t.Errorf("%s: %v, %v; the built-in bot answers %v, %v", filepath.Base(file), got, err, want, wantErr)
		}
		if got != nil {
			answered++
		}
	}
	if answered < 20 {
		t.Errorf("only %d of %d samples were answered", answered, len(files))
	}
}

// TestRun starts the program as main does and sends it a message.
func TestRun(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	const token = "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb2"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, address, token, bot()) }()

	// WeChat waits before it tries a server again that refused the connection.
	wechat, err := simulator.New(simulator.Config{
		Account: simulator.Account{URL: "http://" + address + "/wx/sample", Token: token, Mode: simulator.Plain},
		Rules:   simulator.Rules{Timeout: 500 * time.Millisecond, Pushes: 10, WaitAfterFailure: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := wechat.Send(t.Context(), simulator.Text("你好"))
	if err != nil || report.Verdict.Reply == nil || report.Verdict.Reply.Content != "你好" {
		t.Errorf("%v %v", report, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := run(t.Context(), address, "token", bot()); err == nil {
		t.Error("a token that everybody knows is accepted")
	}
}
