package page

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator"
)

// silent is a platform whose server answers success, with two users.
func silent(t *testing.T) (h *handler, ming, hong *simulator.User) {
	t.Helper()
	p := simulator.NewPlatform(simulator.PlatformConfig{Transport: simulator.Direct(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("success"))
	}))})
	o, err := p.Add(simulator.OfficialConfig{Account: simulator.Account{URL: "http://server.example/wx", Token: "startTestToken", Mode: simulator.Plain}})
	if err != nil {
		t.Fatal(err)
	}
	h = &handler{p: p, options: Options{Context: t.Context()}, slots: make(chan struct{}, maxUnderWay)}
	return h, o.AddFollower("小明"), o.AddFollower("小红")
}

// TestStartRefused: a refusal reaches the user also if it takes its time and others write meanwhile.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	h, _, hong := silent(t)
	w := httptest.NewRecorder()
	h.start(w, func(context.Context) error {
		for range 3 {
			if _, err := hong.Say(t.Context(), "你好"); err != nil {
				return err
			}
		}
		return errors.New("simulator: the phone says no")
	})
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "the phone says no") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(h.slots) != 0 {
		t.Errorf("%d are under way", len(h.slots))
	}
}

// TestStartTells: the answer names the exchange that the action has begun, and not another one.
func TestStartTells(t *testing.T) {
	t.Parallel()
	h, ming, hong := silent(t)
	for _, test := range []struct {
		do   func(context.Context) error
		want int64
	}{
		{func(ctx context.Context) error {
			if _, err := hong.Say(t.Context(), "先说"); err != nil {
				return err
			}
			_, err := ming.Say(ctx, "你好")
			return err
		}, 2},
		{func(ctx context.Context) error { // what fails later is no refusal
			_, err := ming.Say(ctx, "你好")
			return errors.Join(err, errors.New("and then it broke"))
		}, 3},
		{func(context.Context) error { return nil }, 0}, // such as a button that pushes nothing
	} {
		w := httptest.NewRecorder()
		h.start(w, test.do)
		var got struct {
			OK       bool
			Exchange int64
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusAccepted || !got.OK || got.Exchange != test.want {
			t.Errorf("%d %s, want the exchange %d", w.Code, w.Body, test.want)
		}
	}
}

// TestEncodeGrows: a batch for a slow reader takes memory as it is long, and not its square. Not
// parallel: it counts what is allocated.
func TestEncodeGrows(t *testing.T) {
	events := make([]event, 2000)
	for i := range events {
		events[i] = event{Kind: "bubble", User: strings.Repeat("x", 1000)}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text := encode(events, 7)
	runtime.ReadMemStats(&after)
	if strings.Count(text, "data: ") != len(events) || strings.Count(text, "id: 7\n") != 1 {
		t.Errorf("%d bytes are not what was asked for", len(text))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 30*uint64(len(text)) {
		t.Errorf("%d bytes were allocated for %d", used, len(text))
	}
}
