package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// The operator sees what waits, has it sent, and gives it up.
func TestOutbox(t *testing.T) {
	t.Parallel()
	cfg := load(t, apiYAML)
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cfg, Options{})
		defer w.end(t)
		client := &Client{Address: "localhost", Token: w.token, DialContext: w.admin.DialContext}
		down := simulator.Fault{Path: "custom/send", Errcode: -1}
		if err := w.platform.SetFaults(down); err != nil {
			t.Fatal(err)
		}
		if _, err := w.user.Say(t.Context(), "慢 6"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		list := func(deliveries ...store.Delivery) []Turn {
			t.Helper()
			turns, err := client.Turns(t.Context(), TurnFilter{Due: true, Deliveries: deliveries})
			if err != nil {
				t.Fatal(err)
			}
			return turns
		}
		waiting := list(store.Late)
		if len(waiting) != 1 || waiting[0].Tries == 0 || waiting[0].Due.IsZero() || !strings.Contains(waiting[0].Reason, "-1") {
			t.Fatalf("%+v", waiting)
		}
		key := waiting[0].Key
		if got := list(store.Ticket); len(got) != 0 {
			t.Errorf("tickets: %+v", got)
		}

		if turn, err := client.Drop(t.Context(), key[:MinKey]); err != nil || turn.Delivery != "undeliverable" || !strings.Contains(turn.Reason, "operator") {
			t.Errorf("drop: %+v, %v", turn, err)
		}
		if got := list(); len(got) != 0 {
			t.Errorf("%+v is still due", got)
		}
		if _, err := client.Drop(t.Context(), key); err == nil || !strings.Contains(err.Error(), "undeliverable") {
			t.Errorf("dropped twice: %v", err)
		}

		if err := w.platform.SetFaults(); err != nil {
			t.Fatal(err)
		}
		if turn, err := client.Resend(t.Context(), key); err != nil || turn.Delivery != "late" {
			t.Errorf("retry: %+v, %v", turn, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.texts(); len(got) != 1 || got[0] != "api 等了 6 秒" {
			t.Errorf("the user reads %q", got)
		}
		if turn, err := client.Turn(t.Context(), key); err != nil || turn.Delivery != "sent" || turn.Sent != 1 || turn.Reason != "" {
			t.Errorf("%+v, %v", turn, err)
		}
		for _, bad := range []string{"ffffffffffffffff", "x", key[:2]} {
			if _, err := client.Resend(t.Context(), bad); err == nil {
				t.Errorf("key %q: no error", bad)
			}
		}
		if status, _ := w.get(t, "/api/v1/outbox/"+key+"/drop", map[string][]string{"Method": {"POST"}}); status != 401 {
			t.Errorf("without the token: %d", status)
		}
	})
}
