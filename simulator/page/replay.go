package page

import (
	"bytes"
	"net/http"
	"reflect"
	"time"

	"github.com/echostr/echostr/simulator"
)

// replayView is what a captured exchange shows about the server. No user sees what comes of it,
// so it has no verdict of the usual kind.
type replayView struct {
	// Of is the exchange whose first push has the same bytes; 0 if they were changed, or it is
	// not kept any more.
	Of int64 `json:"of"`
	// Result compares the answers: one of the constants below, and empty while the exchange is
	// under way and where its problem says everything.
	Result string `json:"result"`
}

// What can come of a replay. Only replayTwice and replayEarly speak against the server.
const (
	replaySame    = "same"    // the answer of the first time
	replayAnew    = "anew"    // the same reply with another CreateTime: written again
	replaySilent  = "silent"  // no reply, where there was one: it was recognized
	replayRefused = "refused" // 401 or 403, as for a push that is too old
	replayEarly   = "early"   // 401 or 403 so soon that WeChat's own retry would have been refused, too
	replayTwice   = "twice"   // another reply: perhaps handled twice
	replayUnclear = "unclear" // the first time was not answered well, so there is nothing to compare
	replayTaken   = "taken"   // changed bytes, and the server answered as to a good push
)

// viewOfReplay finds the exchange that was replayed, and compares. It is nil for what was not
// captured.
func (h *handler) viewOfReplay(e simulator.Exchange) *replayView {
	if !e.Captured {
		return nil
	}
	v := &replayView{}
	var first simulator.Exchange
	for _, x := range h.p.Exchanges() {
		if x.ID < e.ID && !x.Captured && x.AppID == e.AppID && x.OpenID == e.OpenID && sameBytes(x, e) {
			first, v.Of = x, x.ID
			break
		}
	}
	if !e.Ended.IsZero() {
		v.Result = compare(first, e)
	}
	return v
}

// sameBytes reports whether two exchanges begin with the same request.
func sameBytes(a, b simulator.Exchange) bool {
	if len(a.Report.Pushes) == 0 || len(b.Report.Pushes) == 0 {
		return false
	}
	x, y := a.Report.Pushes[0].Request, b.Report.Pushes[0].Request
	return x.URL == y.URL && bytes.Equal(x.Body, y.Body) && reflect.DeepEqual(x.Header, y.Header)
}

// compare says what a replay has shown. first is the zero value if the bytes were changed.
func compare(first, replay simulator.Exchange) string {
	verdict := replay.Report.Verdict
	status := 0
	if n := len(replay.Report.Pushes); n > 0 {
		status = replay.Report.Pushes[n-1].Status
	}
	refused := verdict.Problem == "status" && (status == http.StatusUnauthorized || status == http.StatusForbidden)
	rules := first.Rules()
	before, after := first.Report.Verdict.Reply, verdict.Reply
	switch {
	case first.ID == 0 && refused:
		return replayRefused
	case first.ID == 0 && verdict.OK():
		return replayTaken
	case refused && first.Report.Verdict.OK() && replay.Begun.Sub(first.Begun) < rules.Timeout*time.Duration(rules.Pushes):
		return replayEarly
	case refused && first.Report.Verdict.OK():
		return replayRefused
	case !verdict.OK():
		return ""
	case first.Ended.IsZero() || !first.Report.Verdict.OK():
		return replayUnclear
	case after == nil && before == nil:
		return replaySame
	case after == nil:
		return replaySilent
	case before == nil || !reflect.DeepEqual(said(before), said(after)):
		return replayTwice
	case before.CreateTime != after.CreateTime:
		return replayAnew
	}
	return replaySame
}

// said is a reply without what differs when it is written or sealed once more.
func said(r *simulator.Reply) simulator.Reply {
	c := *r
	c.CreateTime, c.Sealed, c.Document = 0, false, nil
	return c
}
