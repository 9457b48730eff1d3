package conformance_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

// TestOurs: our own server passes everything in all modes, with and without the
// customer-service API, and there is no advice for it.
func TestOurs(t *testing.T) {
	t.Parallel()
	for mode, ours := range map[simulator.Mode]callback.Mode{
		simulator.Plain: callback.Plain, simulator.Compatible: callback.Compatible, simulator.Safe: callback.Safe,
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				a := callback.Account{Name: "test", AppID: appID, Token: token, EncodingAESKey: aesKey, Mode: ours}
				if mode == simulator.Safe {
					a.API = deafAPI{}
				}
				wx, err := callback.New(callback.Config{
					Handler:  bots.Demo(),
					Accounts: []callback.Account{a},
					Logger:   slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer wx.Shutdown(context.Background())
				report := check(t, &http.Server{Handler: wx, ReadHeaderTimeout: 3 * time.Second}, conformance.Config{Account: accountIn(mode), SlowText: "慢 8"})
				wantNothingWrong(t, report, true)
				if !report.Echoes {
					t.Error("it was not seen that the server echoes")
				}
				if n := report.Count(conformance.Pass); n < 140 {
					t.Errorf("%d checks passed only", n)
				}
			})
		})
	}
}

// deafAPI is a customer-service API that takes every message.
type deafAPI struct{}

func (deafAPI) Send(context.Context, string, echostr.Reply) callback.Sending {
	return callback.Sending{Fate: callback.SendDone}
}

func (deafAPI) Typing(context.Context, string) error { return nil }
