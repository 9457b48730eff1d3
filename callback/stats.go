package callback

import (
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// counters are the live numbers behind Stats.
type counters struct {
	pushes, retries, replays, starts     atomic.Uint64
	panics, errors, timeouts             atomic.Uint64
	quarantined, interrupted, floods     atomic.Uint64
	held, aborted, misses, storeErrors   atomic.Uint64
	late, ambiguous                      atomic.Uint64
	tickets, undeliverable, fetches      atomic.Uint64
	holdsDenied, noRetry                 atomic.Uint64
	sends                                [SendUnknown + 1]atomic.Uint64
	answers                              [store.GotPlaceholder + 1]struct{ first, retry atomic.Uint64 }
	urlChecks, bareGets, emptyBodies     atomic.Uint64
	unknownPath, otherMethod             atomic.Uint64
	waiting, heldNow, running, abandoned atomic.Int64
	storeLatency, answerAge, handlers    *histogram.Histogram
}

func (c *counters) init() {
	c.storeLatency = histogram.New(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	c.answerAge = histogram.New(.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 4, 4.5, 5, 7.5, 10, 15, 30, 60)
	c.handlers = histogram.New(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4.5, 10, 30, 60, 120, 300, 600)
}

// answered counts an answer that was written completely.
func (c *counters) answered(p *openPush, ans answer, took time.Duration) {
	n := &c.answers[ans.given]
	if ans.retry {
		n.retry.Add(1)
	} else {
		n.first.Add(1)
	}
	if ans.given != store.GotSuccess {
		c.answerAge.Observe((p.lag + took).Seconds())
	}
}

// givenUp counts a turn that is not started any more since processes died: P2.
func (c *counters) givenUp(reason string) {
	switch reason {
	case turn.ReasonQuarantined:
		c.quarantined.Add(1)
	case turn.ReasonInterrupted:
		c.interrupted.Add(1)
	}
}

// Answers counts answered pushes by whether they were WeChat's first of their message.
type Answers struct {
	First uint64
	Retry uint64 // its second, third …
}

// Stats are the numbers of a Server since it was made; those called gauges
// are the present ones. They are read one by one, so they may differ by what
// happens meanwhile.
type Stats struct {
	Pushes  uint64 // verified pushes, retries included
	Retries uint64 // pushes of a message that was known
	Replays uint64 // pushes that came too late to be retries
	Starts  uint64 // handler starts
	Panics  uint64 // handlers that panicked
	// HandlerErrors are handlers that returned an error, or a reply that WeChat would not take.
	HandlerErrors uint64
	// HandlerTimeouts are handlers that took longer than their time.
	HandlerTimeouts uint64
	// Quarantined are messages that are not started any more, because the process died in
	// every attempt, and Interrupted those of accounts with Once whose process died. P2
	Quarantined, Interrupted uint64
	// Floods are messages that were kept and not handled, because their users flood: see Config.MaxUserMessages.
	Floods uint64

	Held    uint64 // pushes left open beyond their window
	Aborted uint64 // pushes that outlived WeChat's cut
	// DeadlineMisses are pushes that were neither finished within 4.6 s nor held
	// for their retry, whatever the reason: a store that is slow or down, a machine
	// without CPU to spare. P5
	DeadlineMisses uint64

	Replies   Answers // pushes answered with a reply
	Fallbacks Answers // pushes answered with the fallback text
	Successes Answers // pushes answered with success
	// Placeholders are pushes answered with the text that says how to fetch the answer, or with
	// what there was of it.
	Placeholders Answers
	// Late counts how often a reply or fallback text was given to the API to be sent: since `success` or a
	// part of it had been said before it was ready, since no push took it, since it is longer than
	// one message, or since nobody knows whether a push took it. The parts of a long text count once.
	Late uint64
	// Ambiguous counts how often nobody knew whether something arrived: a reply on a push of a process
	// that died, a draft on a push, or each message that the API may have sent. One reply may count several
	// times, whether it is sent again or not. P4
	Ambiguous uint64

	// Tickets counts how often a reply was left to the user to fetch: each promise of one that is not
	// ready yet, whether it becomes a reply or not, and each reply, or rest of a long one, that no other way
	// was left for. Fetches are messages of users that fetched one, or a page of one.
	Tickets, Fetches uint64
	// Undeliverable are replies that no way was left for.
	Undeliverable uint64
	// Sends counts what the API was asked to send by its fate: done, later, refused, gone, unknown.
	Sends map[string]uint64
	// HoldsDenied are pushes that were not held since the account's HoldBudget was spent, or
	// since WeChat's retries do not come. NoRetry are held pushes after which none came.
	HoldsDenied, NoRetry uint64

	URLChecks   uint64 // verified GETs
	BareGets    uint64 // GETs without any parameter of WeChat's
	EmptyBodies uint64 // verified pushes without a body
	UnknownPath uint64 // requests for no account
	OtherMethod uint64 // neither GET nor POST

	StoreErrors uint64 // failed calls of the store

	// AnswerAge is how many seconds after the first push of its message a reply or
	// fallback text was written to a push: what the user waited.
	AnswerAge histogram.Snapshot
	// StoreLatency is how many seconds commits took that somebody waited for.
	StoreLatency histogram.Snapshot
	// HandlerTime is how many seconds handlers ran that have returned.
	HandlerTime histogram.Snapshot

	Waiting   int64 // gauge: open pushes
	HeldNow   int64 // gauge: those of them that are left open beyond their window
	Running   int64 // gauge: handlers within their time
	Abandoned int64 // gauge: handlers that hang beyond it
	// Outbox is a gauge: answers that the API is to send; OutboxAge is how many seconds ago
	// the oldest of them was ready.
	Outbox    int64
	OutboxAge float64

	// Refused counts refused requests by account and reason.
	Refused map[string]map[string]uint64
}

// Stats returns the present numbers.
func (s *Server) Stats() Stats {
	c := &s.stats
	answers := func(given store.Outcome) Answers {
		n := &c.answers[given]
		return Answers{First: n.first.Load(), Retry: n.retry.Load()}
	}
	waiting, oldest := s.outbox.waiting()
	age := 0.0
	if waiting > 0 {
		age = max(0, s.clock.now().Sub(oldest).Seconds())
	}
	sends := make(map[string]uint64)
	for fate := SendDone; fate <= SendUnknown; fate++ {
		sends[fate.String()] = c.sends[fate].Load()
	}
	return Stats{
		Outbox: int64(waiting), OutboxAge: age, Sends: sends,
		Tickets: c.tickets.Load(), Fetches: c.fetches.Load(), Undeliverable: c.undeliverable.Load(),
		HoldsDenied: c.holdsDenied.Load(), NoRetry: c.noRetry.Load(), Placeholders: answers(store.GotPlaceholder),
		Pushes: c.pushes.Load(), Retries: c.retries.Load(), Replays: c.replays.Load(),
		Starts: c.starts.Load(), Panics: c.panics.Load(), Held: c.held.Load(), Aborted: c.aborted.Load(),
		HandlerErrors: c.errors.Load(), HandlerTimeouts: c.timeouts.Load(),
		Quarantined: c.quarantined.Load(), Interrupted: c.interrupted.Load(), Floods: c.floods.Load(),
		DeadlineMisses: c.misses.Load(),
		Replies:        answers(store.GotReply), Fallbacks: answers(store.GotFallback), Successes: answers(store.GotSuccess),
		Late: c.late.Load(), Ambiguous: c.ambiguous.Load(),
		URLChecks: c.urlChecks.Load(), BareGets: c.bareGets.Load(), EmptyBodies: c.emptyBodies.Load(),
		UnknownPath: c.unknownPath.Load(), OtherMethod: c.otherMethod.Load(),
		StoreErrors: c.storeErrors.Load(),
		AnswerAge:   c.answerAge.Snapshot(), StoreLatency: c.storeLatency.Snapshot(), HandlerTime: c.handlers.Snapshot(),
		Waiting: c.waiting.Load(), HeldNow: c.heldNow.Load(), Running: c.running.Load(), Abandoned: c.abandoned.Load(),
		Refused: s.refusals.count(),
	}
}
