package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/echostr/echostr/store"
)

// When the janitor works.
const (
	firstRound  = time.Minute      // after the start, when the rush is over
	expireEvery = time.Hour        // retention
	tidyHour    = 4                // o'clock, every night
	tidyAfter   = 10 * time.Second // after an erasure, together with those that follow it
	tidyAgain   = time.Minute      // after it failed
	tidyShare   = 20               // it rests so many times as long as it took,
	maxRest     = time.Hour        // and no longer than this
)

// keyRetention is how long it stays known, at least, that there was a message: P7.
const keyRetention = 7 * 24 * time.Hour

// janitor removes from a store what is older than its retention, and sees to it
// that what was erased is gone from its files, if it has any: P10.
type janitor struct {
	store  store.Store
	bodies time.Duration
	logger *slog.Logger
	erased chan struct{}
}

// tidier is a store that keeps copies of what was erased until it is told to tidy
// its files.
type tidier interface {
	Tidy(ctx context.Context) error
}

func newJanitor(st store.Store, bodies time.Duration, logger *slog.Logger) *janitor {
	return &janitor{store: st, bodies: bodies, logger: logger, erased: make(chan struct{}, 1)}
}

// note says that something was erased.
func (j *janitor) note() {
	select {
	case j.erased <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (j *janitor) run(ctx context.Context) {
	expire := time.NewTimer(firstRound)
	defer expire.Stop()
	// A process that was killed may have left an erasure to be tidied up after.
	tidyAt := time.Now().Add(firstRound)
	tidy := time.NewTimer(firstRound)
	defer tidy.Stop()
	// To tidy is to read the whole file, which should not go on all day.
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			j.expire(ctx)
			expire.Reset(expireEvery)
		case <-j.erased:
			if soon := later(time.Now().Add(tidyAfter), rested); soon.Before(tidyAt) {
				tidyAt = soon
				tidy.Reset(time.Until(tidyAt))
			}
		case <-tidy.C:
			began := time.Now()
			err := j.tidy(ctx)
			ended := time.Now()
			rested = ended.Add(min(tidyShare*ended.Sub(began), maxRest))
			if tidyAt = nextNight(ended); err != nil {
				tidyAt = later(ended.Add(tidyAgain), rested)
				j.failed(ctx, "what was erased may still stand in the free parts of the database file", err, slog.Duration("again_in", tidyAt.Sub(ended).Round(time.Second)))
			}
			tidy.Reset(time.Until(tidyAt))
		}
	}
}

// nextNight is the next time that the clock shows tidyHour.
func nextNight(now time.Time) time.Time {
	y, m, d := now.Date()
	night := time.Date(y, m, d, tidyHour, 0, 0, 0, now.Location())
	if !night.After(now) {
		night = time.Date(y, m, d+1, tidyHour, 0, 0, 0, now.Location())
	}
	return night
}

func (j *janitor) expire(ctx context.Context) {
	now := time.Now()
	removed, err := j.store.Expire(ctx, now.Add(-j.bodies), now.Add(-max(j.bodies, keyRetention)))
	switch {
	case err != nil:
		j.failed(ctx, "what is older than its retention could not be removed", err, slog.Duration("again_in", expireEvery))
	case removed > 0:
		j.logger.Info("messages older than their retention were removed", slog.Int("messages", removed))
	}
	if _, err := j.store.ExpireSessions(ctx, now); err != nil {
		j.failed(ctx, "what handlers have remembered of users could not be removed in time", err, slog.Duration("again_in", expireEvery))
	}
}

func (j *janitor) tidy(ctx context.Context) error {
	if t, ok := j.store.(tidier); ok {
		return t.Tidy(ctx)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// failed logs an error, unless the server ends or somebody else tells of it.
func (j *janitor) failed(ctx context.Context, text string, err error, more ...any) {
	if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrBroken) {
		j.logger.Warn(text, append(more, slog.Any("error", err))...)
	}
}
