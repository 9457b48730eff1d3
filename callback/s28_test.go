package callback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// Threat S28: a handler that fails with an access token in its error or panic puts it neither into the log, at
// any level, nor into the database, where `echostr turn show` would show it.
func TestS28HandlerFails(t *testing.T) {
	t.Parallel()
	lost := &url.Error{Op: "Post", URL: "https://api.weixin.qq.com/cgi-bin/message/custom/send?access_token=CANARY", Err: errors.New("EOF")}
	fails := map[string]func() error{
		"error":           func() error { return lost },
		"wrapped":         func() error { return fmt.Errorf("send: %w", lost) },
		"formatted":       func() error { return fmt.Errorf("send: %v", lost) },
		"panic":           func() error { panic(lost) },
		"panic with text": func() error { panic("send: " + lost.Error()) },
	}
	in2026(t, func(t *testing.T) {
		var out log
		a := account(callback.Plain, echostr.HandlerFunc(func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
			return nil, fails[m.(*echostr.TextMessage).Content]()
		}))
		st := memory.New(memory.Config{})
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelDebug)})
		for name := range fails {
			if g := pack(a, text(name)).send(s); !g.is(200, "success") {
				t.Errorf("%s: %v", name, g)
			}
		}
		if n := strings.Count(out.String(), "EOF"); n < len(fails) {
			t.Errorf("only %d lines say what has happened:\n%s", n, out.String())
		}
		list := rows(t, st)
		if len(list) != len(fails) {
			t.Fatalf("%d rows", len(list))
		}
		for _, row := range list {
			if strings.Contains(row.Reason, "CANARY") {
				t.Errorf("the database has the token: %s", row.Reason)
			}
		}
		if strings.Contains(out.String(), "CANARY") {
			t.Errorf("the log has the token:\n%s", out.String())
		}
	})
}
