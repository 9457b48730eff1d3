package server

import (
	"context"
	"io"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/echostr/echostr/internal/config"
)

// NewLogger makes the logger that the section log of the configuration asks for.
func NewLogger(w io.Writer, log config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(log.Level)) // it was checked; empty is info
	opts := &slog.HandlerOptions{Level: level}
	if log.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// sparing lets a few records pass at once and then one every ten seconds.
// net/http logs what strangers make it log.
type sparing struct {
	slog.Handler
	limit *rate.Limiter
}

func newSparing(h slog.Handler) slog.Handler {
	return sparing{Handler: h, limit: rate.NewLimiter(rate.Every(10*time.Second), 5)}
}

func (s sparing) Handle(ctx context.Context, r slog.Record) error {
	if !s.limit.Allow() {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}
