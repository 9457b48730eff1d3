package simulator_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/echostr/echostr/simulator"
)

// TestWithBegun: the ids are those of the user's own exchanges, told before they are pushed.
func TestWithBegun(t *testing.T) {
	t.Parallel()
	var told []int64
	p := simulator.NewPlatform(simulator.PlatformConfig{Transport: simulator.Direct(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(told) == 0 {
			t.Error("it was pushed before anybody was told")
		}
		io.WriteString(w, "success")
	}))})
	o, err := p.Add(simulator.OfficialConfig{Account: simulator.Account{URL: "http://server.example/wx", Token: "begunTestToken", Mode: simulator.Plain}})
	if err != nil {
		t.Fatal(err)
	}
	o.SetMenu(&simulator.Menu{Buttons: []simulator.Button{{Type: "pic_weixin", Name: "图", Key: "PIC"}}})
	ctx := simulator.WithBegun(t.Context(), func(exchange int64) {
		if _, ok := p.Exchange(exchange); !ok {
			t.Errorf("there is no exchange %d", exchange)
		}
		told = append(told, exchange)
	})
	follower, stranger := o.AddFollower("小明"), o.AddUser("陌生人")
	if _, err := stranger.Say(ctx, "x"); err == nil || len(told) != 0 {
		t.Errorf("what was refused: %v, %v", err, told)
	}
	for _, act := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := follower.Say(ctx, "x"); return err },
		func(ctx context.Context) error { _, err := p.Replay(ctx, 1); return err },
		func(ctx context.Context) error { _, err := follower.Click(ctx, "图", nil); return err },
	} {
		if err := act(ctx); err != nil {
			t.Error(err)
		}
	}
	if want := []int64{1, 2, 3, 4}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}
