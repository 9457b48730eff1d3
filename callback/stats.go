package callback

import (
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/store"
)

// counters are the live numbers behind Stats.
type counters struct {
	pushes, retries, replays, starts, panics    atomic.Uint64
	held, aborted, storeErrors, saves, saveTime atomic.Uint64
	answers                                     [store.GotSuccess + 1]atomic.Uint64
	urlChecks, bareGets, emptyBodies            atomic.Uint64
	unknownPath, otherMethod                    atomic.Uint64
	waiting, running, abandoned                 atomic.Int64
}

func (c *counters) saved(took time.Duration) {
	c.saves.Add(1)
	c.saveTime.Add(uint64(took))
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
	Held    uint64 // pushes left open beyond their window
	Aborted uint64 // pushes that outlived WeChat's cut

	Replies   uint64 // pushes answered with a reply
	Fallbacks uint64 // pushes answered with the fallback text
	Successes uint64 // pushes answered with success

	URLChecks   uint64 // verified GETs
	BareGets    uint64 // GETs without any parameter of WeChat's
	EmptyBodies uint64 // verified pushes without a body
	UnknownPath uint64 // requests for no account
	OtherMethod uint64 // neither GET nor POST

	StoreErrors uint64        // failed calls of the store
	Saves       uint64        // commits that somebody waited for
	SaveTime    time.Duration // what they took together

	Waiting   int64 // gauge: open pushes
	Running   int64 // gauge: handlers within their time
	Abandoned int64 // gauge: handlers that hang beyond it

	// Refused counts refused requests by account and reason.
	Refused map[string]map[string]uint64
}

// Stats returns the present numbers.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Pushes: c.pushes.Load(), Retries: c.retries.Load(), Replays: c.replays.Load(),
		Starts: c.starts.Load(), Panics: c.panics.Load(), Held: c.held.Load(), Aborted: c.aborted.Load(),
		Replies: c.answers[store.GotReply].Load(), Fallbacks: c.answers[store.GotFallback].Load(),
		Successes: c.answers[store.GotSuccess].Load(),
		URLChecks: c.urlChecks.Load(), BareGets: c.bareGets.Load(), EmptyBodies: c.emptyBodies.Load(),
		UnknownPath: c.unknownPath.Load(), OtherMethod: c.otherMethod.Load(),
		StoreErrors: c.storeErrors.Load(), Saves: c.saves.Load(), SaveTime: time.Duration(c.saveTime.Load()),
		Waiting: c.waiting.Load(), Running: c.running.Load(), Abandoned: c.abandoned.Load(),
		Refused: s.refusals.count(),
	}
}
