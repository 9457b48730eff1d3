package echostr_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/echostr/echostr"
)

// quietTurn is a turn of an account that can do no more than answer.
type quietTurn struct{ echostr.Turn }

// talkingTurn can do all, and writes down what it was asked for.
type talkingTurn struct {
	echostr.Turn
	ctx    context.Context // that it was called with last
	said   []echostr.Reply
	typed  int
	drafts []string
	memory *echostr.Memory
	err    error
}

func (f *talkingTurn) Say(ctx context.Context, r echostr.Reply) error {
	f.ctx, f.said = ctx, append(f.said, r)
	return f.err
}

func (f *talkingTurn) Typing(ctx context.Context) error {
	f.ctx = ctx
	f.typed++
	return f.err
}

func (f *talkingTurn) Draft(text string) { f.drafts = append(f.drafts, text) }

func (f *talkingTurn) Session(ctx context.Context) (*echostr.Memory, error) {
	f.ctx = ctx
	return f.memory, f.err
}

// TestSayWithoutWay: a handler runs the same without a turn and with one that has no way.
func TestSayWithoutWay(t *testing.T) {
	t.Parallel()
	for name, ctx := range map[string]context.Context{
		"no turn":    t.Context(),
		"quiet turn": echostr.WithTurn(t.Context(), quietTurn{}),
	} {
		if err := echostr.Say(ctx, echostr.Text("稍等")); !errors.Is(err, echostr.ErrNoWay) {
			t.Errorf("%s: Say gives %v", name, err)
		}
		if err := echostr.Typing(ctx); !errors.Is(err, echostr.ErrNoWay) {
			t.Errorf("%s: Typing gives %v", name, err)
		}
		echostr.Draft(ctx, "一半")
		first, err := echostr.Session(ctx)
		if err != nil || first == nil || len(first.Turns(50)) != 0 {
			t.Fatalf("%s: Session gives %v, %v", name, first, err)
		}
		if err := first.Set("a", 1, time.Hour); err != nil {
			t.Errorf("%s: the empty session takes nothing: %v", name, err)
		}
		if second, err := echostr.Session(ctx); err != nil || second == first {
			t.Errorf("%s: the empty session is kept, %v", name, err)
		}
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	turn := &talkingTurn{memory: new(echostr.Memory)}
	type contextKey struct{}
	ctx := context.WithValue(echostr.WithTurn(t.Context(), turn), contextKey{}, 1)
	if err := echostr.Say(ctx, echostr.Text("稍等")); err != nil || len(turn.said) != 1 || turn.said[0] != echostr.Text("稍等") || turn.ctx != ctx {
		t.Errorf("Say gives %v, and the turn was asked to say %v", err, turn.said)
	}
	turn.ctx = nil
	if err := echostr.Typing(ctx); err != nil || turn.typed != 1 || turn.ctx != ctx {
		t.Errorf("Typing gives %v, and the turn was asked %d times", err, turn.typed)
	}
	echostr.Draft(ctx, "一")
	echostr.Draft(ctx, "一半")
	if len(turn.drafts) != 2 || turn.drafts[1] != "一半" {
		t.Errorf("the turn has the drafts %q", turn.drafts)
	}
	turn.ctx = nil
	if m, err := echostr.Session(ctx); m != turn.memory || err != nil || turn.ctx != ctx {
		t.Errorf("Session gives %v, %v", m, err)
	}

	turn.err = errors.New("WeChat says no")
	if err := echostr.Say(ctx, echostr.Text("稍等")); !errors.Is(err, turn.err) {
		t.Errorf("Say hides the turn's error: %v", err)
	}
	if err := echostr.Typing(ctx); !errors.Is(err, turn.err) {
		t.Errorf("Typing hides the turn's error: %v", err)
	}
	if _, err := echostr.Session(ctx); !errors.Is(err, turn.err) {
		t.Errorf("Session hides the turn's error: %v", err)
	}
}
