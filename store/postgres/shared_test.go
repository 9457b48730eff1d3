package postgres_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// One at a time, on all nodes, and each sees what the one before has stored.
func TestUpdateShared(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	stores := []*postgres.Store{open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn})}
	const callers = 12
	var inside atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			err := stores[c%2].UpdateShared(t.Context(), "token", func(_ context.Context, stored []byte) ([]byte, error) {
				if inside.Add(1) != 1 {
					t.Error("two at a time")
				}
				defer inside.Add(-1)
				n, _ := strconv.Atoi(string(stored)) // nothing is 0
				return strconv.AppendInt(nil, int64(n+1), 10), nil
			})
			if err != nil {
				t.Errorf("UpdateShared: %v", err)
			}
		})
	}
	wg.Wait()
	refused := errors.New("refused")
	for name, want := range map[string]string{"token": strconv.Itoa(callers), "another": ""} {
		err := stores[0].UpdateShared(t.Context(), name, func(_ context.Context, stored []byte) ([]byte, error) {
			if string(stored) != want || (stored == nil) != (want == "") {
				t.Errorf("%s is %q, want %q", name, stored, want)
			}
			return []byte("not stored"), refused
		})
		if !errors.Is(err, refused) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("an update that was refused: %v", err)
		}
	}
	_ = stores[1].UpdateShared(t.Context(), "token", func(_ context.Context, stored []byte) ([]byte, error) {
		if string(stored) != strconv.Itoa(callers) {
			t.Errorf("a refused update has stored %q", stored)
		}
		return stored, nil
	})
}

// Whoever updates keeps nobody from other names or from messages, and a caller leaves when it wants to.
func TestUpdateSharedHoldsNothingElse(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{})
	owner := join(t, s, "node")
	err := s.UpdateShared(t.Context(), "one", func(context.Context, []byte) ([]byte, error) {
		claim(t, s, sample(1, time.Now(), owner))
		if err := s.UpdateShared(t.Context(), "two", func(context.Context, []byte) ([]byte, error) { return nil, nil }); err != nil {
			t.Errorf("another name: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := s.UpdateShared(ctx, "one", func(context.Context, []byte) ([]byte, error) {
			t.Error("two at a time")
			return nil, nil
		})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a caller that could not wait: %v", err)
		}
		return []byte("x"), nil
	})
	if err != nil {
		t.Error(err)
	}
}
