package turn

import (
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/store"
)

// The ways of a reply that no push carries: the outbox and tickets. R-LATE-LADDER R-LATE-CLAIM

// Allowance returns for how long after its arrival WeChat's API takes messages because of a
// turn's message, and how many: R-API-WINDOW. An event that WeChat does not name as an action
// of the user gets the longer one: WeChat knows whether the user has written of late.
func (p *Policy) Allowance(row *store.Turn) (window time.Duration, quota int) {
	if isAction(row) {
		return p.ShortWindow, p.ShortQuota
	}
	return p.Window, p.Quota
}

// MaxParts bounds the messages of the API in which one long text goes out, with those that were said before
// it: the last of them tells how to fetch the rest. WeChat counts the messages since the user last wrote, so a
// text that takes all of them leaves none for the answer to the user's other question. R-LATE-PAGE
const MaxParts = 3

// isAction reports whether the message is the event of a click, scan or follow.
func isAction(row *store.Turn) bool {
	if !strings.EqualFold(row.MsgType, "event") {
		return false
	}
	switch strings.ToUpper(row.Event) {
	case "CLICK", "SCANCODE_PUSH", "SCANCODE_WAITMSG", "SUBSCRIBE", "SCAN":
		return true
	}
	return false
}

// Asked reports whether the user expects an answer, so that one may be promised.
func Asked(row *store.Turn) bool {
	return row.OpenID != "" && (!strings.EqualFold(row.MsgType, "event") || isAction(row))
}

// decided reports whether pushes get something else than the reply.
func (t *step) decided() bool {
	switch t.Row.Delivery {
	case store.Undelivered, store.Offered, store.Written, store.Assumed:
		return t.Row.Placeholder != "" || t.p.DropUnknown && t.perhaps() // the API may have sent it: P4
	}
	return true
}

// deliverable reports whether the result is something to be sent.
func (t *step) deliverable() bool {
	return t.Row.State == store.Answered || t.Row.State == store.Failed && t.p.Fallback && t.Row.OpenID != ""
}

// promise answers a push that may be the last, or may as well be, since the handler is not done: R-LATE-PLACEHOLDER
func (t *step) promise() {
	fetches := t.Row.Way.Fetch.Page > 0
	switch {
	case fetches && t.ev.Placeholder != "":
		// What it asks for is not there yet, and stays the other turn's: the user may ask again.
		t.Row.Placeholder = t.ev.Placeholder
		t.finish(store.Silent, "")
		t.do(Effect{Do: Cancel})
	case t.p.API && !t.ev.NoAPI:
		// What ends WeChat's retries (R-PUSH-STOP) leaves the reply to the outbox (R-PUSH-LATE).
		t.Row.Delivery = store.Late
		if t.save(Lazily); t.ev.Placeholder != "" {
			t.Row.Placeholder, t.Row.Way.Told = t.ev.Placeholder, t.ev.Told
			t.save(Now)
		}
	case t.ev.Placeholder != "" && Asked(&t.Row):
		t.Row.Placeholder, t.Row.Way.Told, t.Row.Code = t.ev.Placeholder, t.ev.Told, t.ev.Code
		t.Row.Delivery = store.Ticket
		t.Row.Due = t.ev.Now.Add(t.p.TicketLife)
		t.save(Now)
		t.do(Effect{Do: NoteTicket})
	default:
		t.Row.Delivery = store.Late
		t.save(Lazily)
	}
	t.settle()
}

// afterResult sends the result of an attempt on its way, if no open push is to carry it.
func (t *step) afterResult() {
	w := &t.Row.Way
	w.Sent += t.ev.Said
	if w.Pages = t.ev.Pages; w.Pages > 1 && t.Row.Code == "" {
		t.Row.Code = t.ev.Code
	}
	told := Told(&t.Row)
	if told < w.Told && t.Row.State == store.Answered {
		t.do(Effect{Do: NoteAmbiguous}) // the draft may have arrived, and comes again
	}
	w.Told = min(t.ev.Told, told)
	t.route()
}

// Told returns how many bytes of the reply's text the user has been told when the result comes: what the
// placeholder told, if a push is known to have taken it.
func Told(row *store.Turn) int {
	if Promised(row) {
		return row.Way.Told
	}
	return 0
}

// Promised reports whether a push is known to have taken the placeholder, so that the user knows of the answer.
func Promised(row *store.Turn) bool {
	return slices.ContainsFunc(row.Pushes, func(p store.Push) bool { return p.Got == store.GotPlaceholder })
}

// route sends a result on its way.
func (t *step) route() {
	w := &t.Row.Way
	_, quota := t.p.Allowance(&t.Row)
	switch {
	case !t.deliverable():
	case t.Row.Delivery == store.Ticket:
		t.Row.Due = t.ev.Now.Add(t.p.TicketLife)
	case t.Row.Delivery == store.Late:
		t.nextWay(ReasonNoPush)
	case t.Row.State == store.Answered && t.p.API && !t.ev.NoAPI && t.ev.Parts > 1 && t.ev.Parts <= min(quota, MaxParts)-w.Sent:
		// The API brings all of it, without the user having to ask for each page.
		t.nextWay("")
	case t.Row.State == store.Answered && !t.anyOpen(store.Open):
		t.Row.Due = t.ev.Now.Add(t.p.AssumeAfter) // WeChat's next push may carry it
	}
}

// anyOpen reports whether a push is open here that is being given this; [store.Open]: that is not decided.
func (t *step) anyOpen(given store.Outcome) bool {
	return slices.ContainsFunc(t.Open, func(o Push) bool { return o.Given == given })
}

// undelivered notes that the push with this number did not take what it was given.
func (t *step) undelivered(given store.Outcome, number int) {
	if given != store.GotReply || t.Row.Delivery != store.Offered || t.Row.State != store.Answered {
		return
	}
	if t.anyOpen(store.GotReply) {
		return // another one may
	}
	if number >= t.p.LastPush && !t.anotherMayHave() {
		if t.broughtBefore() {
			t.assume()
		} else {
			t.nextWay(ReasonNoPush)
		}
		return
	}
	// WeChat's next push may carry it. Or a process that was cut off from the store may still say that an earlier one has.
	t.Row.Due = t.ev.Now.Add(t.p.AssumeAfter)
	t.touch()
}

// broughtBefore reports whether the API was taken to have brought the reply before a push was given it as well. Nothing of
// it is left to be sent then: the row says again what it said.
func (t *step) broughtBefore() bool {
	return t.Row.Way.Told > 0 || t.perhaps() // only texts are told in parts
}

// perhaps reports whether nobody knows if a part arrived that was sent before.
func (t *step) perhaps() bool { return t.Row.Reason == ReasonTwice || t.Row.Reason == ReasonOnce }

// note records why the present part is not sent yet, if what is on record is not that nobody knows of an earlier one.
func (t *step) note(reason string) {
	if !t.perhaps() {
		t.Row.Reason = t.because(reason)
	}
}

// assume notes that the user is taken to have got the reply.
func (t *step) assume() {
	t.given(store.Assumed)
	t.save(Now)
}

// isOurs reports whether a node is this process, or was before its lease ran out.
func (ev *Event) isOurs(n store.Node) bool {
	return n == ev.Self || n.ID == ev.Self.ID && ev.Since > 0 && ev.Since <= n.Epoch && n.Epoch < ev.Self.Epoch
}

// anotherMayHave reports whether nobody has said how another push has ended that was given the reply, perhaps by
// another process.
func (t *step) anotherMayHave() bool {
	return !t.ev.isOurs(t.Row.Owner) || slices.ContainsFunc(t.Row.Pushes, func(p store.Push) bool {
		return p.Got == store.GotReply || p.Got == store.Open && p.Number <= t.Row.OfferedTo
	})
}

// nextWay gives the reply to the outbox or, for an account without one, to the user to fetch.
func (t *step) nextWay(reason string) {
	switch {
	case t.Row.OpenID == "":
		t.giveUp(ReasonUnasked)
	case !t.p.API:
		t.keep(reason)
	default:
		t.Row.Delivery, t.Row.Due = store.Late, t.ev.Now
		t.save(Now)
		t.do(Effect{Do: NoteLate})
	}
}

// keep makes the reply a ticket that the user was not told of: R-LATE-LIFE
func (t *step) keep(reason string) {
	if !Asked(&t.Row) {
		if !t.p.API {
			reason = ReasonUnasked
		}
		t.giveUp(reason)
		return
	}
	if t.Row.Delivery = store.Ticket; t.Row.Code == "" {
		t.Row.Code = t.ev.Code
	}
	t.Row.Way.Shown, t.Row.Way.TakenBy = 0, store.Key{}
	t.Row.Due, t.Row.Reason = t.ev.Now.Add(t.p.TicketLife), t.because(reason)
	t.save(Now)
	t.do(Effect{Do: NoteTicket})
}

// giveUp records that no way is left.
func (t *step) giveUp(reason string) {
	t.Row.Delivery, t.Row.Due, t.Row.Reason = store.Undeliverable, time.Time{}, t.because(reason)
	t.save(Now)
	t.do(Effect{Do: NoteUndeliverable})
}

// because returns the reason to be recorded. Why a turn failed says more than what has become of its
// fallback text, and why it was not sent more than that it was not fetched either.
func (t *step) because(reason string) string {
	switch {
	case t.Row.State == store.Failed && t.Row.Reason != "":
		return t.Row.Reason
	case reason == ReasonExpired && strings.HasPrefix(t.Row.Reason, ReasonExpired):
		return t.Row.Reason // once more, after a Resend
	case reason == ReasonExpired && t.Row.Reason != "":
		return reason + "; before that: " + t.Row.Reason
	}
	return reason
}

// OnItsWay reports whether a row that is due is an answer that has not come to its end: a time far off is then that
// of a clock that has gone back since. What waits for the user may be due in days.
func OnItsWay(row *store.Turn) bool {
	switch row.Delivery {
	case store.Undelivered, store.Late, store.Sending:
		return true
	case store.Offered:
		return row.Way.Pages <= 1
	}
	return false
}

// due looks at a turn whose time has come.
func (t *step) due() {
	if t.Row.Due.IsZero() {
		return
	}
	if t.ev.Now.Before(t.Row.Due) {
		// The wall clock may have gone back by much; what is on its way waits no longer than it ever has to.
		if !OnItsWay(&t.Row) || t.Row.Due.Sub(t.ev.Now) <= 2*t.p.MaxBackOff {
			return
		}
		t.Row.Due = t.ev.Now
	}
	switch t.Row.Delivery {
	case store.Late:
		t.begin()
	case store.Sending:
		if t.Row.Owner == t.ev.Self && !t.Sending {
			t.send() // nobody has carried that out
		}
		t.postpone(t.p.SendTime) // else by a process that lives, or OwnerLost would have come
	case store.Undelivered, store.Offered:
		switch {
		case len(t.Open) > 0 || t.retrying():
			t.postpone(t.p.AssumeAfter)
		case t.Row.Delivery == store.Offered:
			t.inVain()
		default:
			t.nextWay(ReasonNoPush)
		}
	case store.Ticket:
		switch {
		case !t.Row.State.Finished():
			t.postpone(t.p.TicketLife)
		case !t.deliverable():
			t.done()
		default:
			t.giveUp(ReasonExpired)
		}
	case store.Fetched:
		w := &t.Row.Way
		switch t.ev.Taker {
		case store.Running:
			t.postpone(t.p.SendTime)
			return
		case store.Failed, store.Silent:
			if w.Pages <= 1 {
				w.Shown, w.TakenBy = 0, store.Key{} // it is to be had again
				t.nextWay(ReasonTaker)
				return
			}
		}
		if t.old() {
			t.done()
			return
		}
		t.postpone(t.p.TicketLife)
	default: // all of it was given, and may be asked for again no longer
		t.done()
	}
}

// old reports whether the pages of the reply are not kept any longer.
func (t *step) old() bool { return !t.ev.Now.Before(t.Row.FinishedAt.Add(t.p.TicketLife)) }

func (t *step) postpone(d time.Duration) {
	t.Row.Due = t.ev.Now.Add(d)
	t.touch()
}

func (t *step) done() {
	t.Row.Due = time.Time{}
	t.touch()
}

// begin marks that the next part of the reply is being sent, if it still may be: R-LATE-WINDOW
func (t *step) begin() {
	window, quota := t.p.Allowance(&t.Row)
	switch {
	case !t.Row.State.Finished():
		t.done()
	case !t.deliverable():
		t.giveUp(ReasonNoAPI)
	case !t.p.API:
		t.keep(ReasonNoAPI)
	case t.ev.Now.Sub(t.Row.ReceivedAt) > window:
		t.keep(ReasonWindow)
	case t.Row.Way.Sent >= quota:
		t.keep(ReasonQuota)
	case t.ev.Busy:
		t.postpone(t.p.FirstBackOff)
	case t.Sending:
		// Somebody has taken this process for dead while it was sending. What comes of that would be taken
		// for the outcome of the next request.
		t.postpone(t.p.FirstBackOff)
	default:
		t.Row.Delivery, t.Row.Owner = store.Sending, t.ev.Self
		t.Row.Due = t.ev.Now.Add(t.p.SendTime)
		t.save(Now)
		t.send()
	}
}

// send has this process send what the row says that it sends.
func (t *step) send() {
	t.Sending, t.sender = true, t.Row.Owner
	t.do(Effect{Do: Send})
}

// sent takes in what has become of a part. Only the process that has sent it may.
func (t *step) sent() {
	t.Sending = false
	if t.Row.Delivery != store.Sending || t.Row.Owner != t.ev.Self || t.Row.State == store.Erased {
		return
	}
	w := &t.Row.Way
	switch t.ev.Fate {
	case Done:
		w.Tries, w.Unknown = 0, 0
		t.note("")
		t.taken(store.Sent)
	case Refused:
		t.keep(t.ev.Reason)
	case Gone:
		t.giveUp(t.ev.Reason)
	case Unknown:
		t.unknown()
	default:
		w.Tries++
		t.note(t.ev.Reason)
		t.again(max(t.ev.After, t.backOff()))
	}
}

// taken goes on behind a part that the API has, or is taken to have.
func (t *step) taken(last store.Delivery) {
	w := &t.Row.Way
	w.Sent++
	w.Told = t.ev.Told
	switch {
	case t.ev.Pages > 0:
		w.Pages, w.Shown = t.ev.Pages, 0
		t.Row.Delivery, t.Row.Due = store.Ticket, t.ev.Now.Add(t.p.TicketLife)
		if t.Row.Code == "" {
			t.Row.Code = t.ev.Code
		}
		t.do(Effect{Do: NoteTicket})
	case t.ev.More:
		t.Row.Delivery, t.Row.Due = store.Late, t.ev.Now
	case t.perhaps():
		t.Row.Delivery, t.Row.Due = store.Assumed, time.Time{}
	default:
		t.Row.Delivery, t.Row.Due = last, time.Time{}
	}
	t.save(Now)
}

// unknown decides about a part that may have been sent: it is sent once more, or never: P4, R-LATE-UNKNOWN
func (t *step) unknown() {
	t.do(Effect{Do: NoteAmbiguous})
	w := &t.Row.Way
	w.Tries++
	w.Unknown++
	if !t.p.DropUnknown && w.Unknown == 1 {
		t.note(t.ev.Reason)
		t.again(t.p.ResendAfter)
		return
	}
	reason := ReasonTwice
	if w.Unknown == 1 {
		reason = ReasonOnce
	}
	w.Tries, w.Unknown, t.Row.Reason = 0, 0, t.because(reason)
	t.taken(store.Assumed)
}

// again gives the part back to the outbox.
func (t *step) again(pause time.Duration) {
	t.Row.Delivery, t.Row.Due = store.Late, t.ev.Now.Add(pause)
	t.save(Now)
}

// backOff is the pause after the present number of tries in vain, at random between nothing and
// twice as much as the time before, so that not all come back at once: R-LATE-BACKOFF
func (t *step) backOff() time.Duration {
	longest := t.p.FirstBackOff
	for range t.Row.Way.Tries - 1 {
		if longest *= 2; longest >= t.p.MaxBackOff {
			longest = t.p.MaxBackOff
			break
		}
	}
	return time.Duration(t.ev.Jitter * float64(longest))
}

// take gives the reply, or a page of it, to another turn of the user: R-LATE-FETCH
func (t *step) take() {
	if t.Row.State == store.Running {
		t.do(Effect{Do: Wait})
		return
	}
	w, whole := &t.Row.Way, t.ev.Page == 0
	pages := t.ev.Pages
	if pages == 0 {
		pages = max(w.Pages, 1)
	}
	switch {
	case !t.fetchable(pages):
		if t.Row.Delivery == store.Ticket && (t.Row.State == store.Failed || t.Row.State == store.Silent) && !t.deliverable() && !whole {
			// The user is told that there is none, and the word leads to the one before.
			t.Row.Delivery, t.Row.Due = store.Fetched, t.ev.Now.Add(t.p.TicketLife)
			t.save(Now)
		}
		t.do(Effect{Do: Deny})
		return
	case w.TakenBy == t.ev.By && t.ev.By != store.Key{} && (whole || t.ev.Page == w.Shown):
		// It has taken it before, in an attempt whose process died.
	case whole && w.Shown > 0, !whole && t.ev.Page <= w.Shown && !t.ev.Again:
		t.do(Effect{Do: Deny})
		return
	case !whole && t.ev.Page < w.Shown:
		// The user has scrolled up and tapped once more.
	default:
		w.Shown, w.Pages, w.TakenBy = max(t.ev.Page, 1), pages, t.ev.By
		t.Row.Due = t.ev.Now.Add(t.p.TicketLife)
		if pages == 1 {
			t.Row.Due = t.ev.Now.Add(t.p.SendTime) // to see whether it was carried
		}
		switch t.Row.Delivery {
		case store.Late:
			t.Row.Delivery = store.Fetched
		case store.Ticket:
			if w.Shown >= pages {
				t.Row.Delivery = store.Fetched
			}
		case store.Offered:
			t.Row.Delivery = store.Written // he has tapped on what the push brought
		}
		t.save(Now)
	}
	t.do(Effect{Do: Give})
}

// fetchable reports whether the user may fetch what is asked for. No page is left out, as the link of one that
// was shown before the rest was parted anew would. What the outbox has is the outbox's; but a reply
// that it could not send so far may be taken whole.
func (t *step) fetchable(pages int) bool {
	whole := t.ev.Page == 0 && pages == 1
	switch t.Row.Delivery {
	case store.Ticket, store.Fetched:
		return t.deliverable() && (whole || 0 < t.ev.Page && t.ev.Page <= min(pages, t.Row.Way.Shown+1))
	case store.Offered, store.Written, store.Assumed:
		return t.Row.State == store.Answered && pages > 1 && 0 < t.ev.Page && t.ev.Page <= min(pages, t.Row.Way.Shown+1)
	case store.Late:
		return t.Row.State == store.Answered && whole && t.Row.Way.Told == 0 && t.Row.Way.Unknown == 0
	}
	return false
}

// resend is the operator's wish to have a reply sent that is not on its way.
func (t *step) resend() {
	if !t.deliverable() || t.Row.Delivery == store.Sending {
		return
	}
	w := &t.Row.Way
	w.Tries, w.Unknown = 0, 0
	switch t.Row.Delivery {
	case store.Late, store.Ticket, store.Undeliverable: // from where it stopped
	default:
		w.Told, t.Row.Reason = 0, t.because("")
	}
	switch {
	case t.p.API:
		t.Row.Delivery, t.Row.Due = store.Late, t.ev.Now
		t.save(Now)
	default:
		t.keep(t.Row.Reason)
	}
}

// drop is the operator's wish to have a reply given up.
func (t *step) drop() {
	switch t.Row.Delivery {
	case store.Late, store.Ticket:
		if t.deliverable() {
			t.giveUp(ReasonDropped)
		}
	}
}
