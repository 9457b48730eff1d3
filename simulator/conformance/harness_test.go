package conformance_test

import (
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

const (
	token = "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb1"
	appID = "wx0000000000000001"
	// The last character has spare bits, as most real keys do: R-KEY-DECODE.
	aesKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

var modes = []simulator.Mode{simulator.Plain, simulator.Compatible, simulator.Safe}

func accountIn(mode simulator.Mode) simulator.Account {
	return simulator.Account{URL: "http://server.example/wx/test", Token: token, Mode: mode, AppID: appID, EncodingAESKey: aesKey}
}

// check runs the checks in virtual time against a server on connections in memory.
func check(t *testing.T, server *http.Server, c conformance.Config) *conformance.Report {
	t.Helper()
	l := pipenet.Listen()
	server.ErrorLog = log.New(io.Discard, "", 0) // handlers panic on purpose
	go server.Serve(l)
	defer func() {
		server.Close()
		time.Sleep(time.Minute) // net/http closes some connections later
	}()
	c.DialContext = l.DialContext
	report, err := conformance.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// bubble runs f in virtual time, in a year whose Unix time has ten digits.
func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// wantNothingWrong fails the test for every failure, and for advice if strict.
func wantNothingWrong(t *testing.T, report *conformance.Report, strict bool) {
	t.Helper()
	if !report.Stopped.IsZero() {
		t.Errorf("stopped: %s", report.Stopped.EN)
	}
	for _, r := range report.Results {
		if r.Outcome == conformance.Fail || strict && r.Outcome == conformance.Advice {
			t.Errorf("%v %s (%s): %s", r.Outcome, r.Check.ID(), r.Rule, r.Why.EN)
		}
	}
}

// configIn is for servers that are slow on "slow".
func configIn(mode simulator.Mode) conformance.Config {
	return conformance.Config{Account: accountIn(mode), SlowText: "slow"}
}
