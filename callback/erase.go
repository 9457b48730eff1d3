package callback

import (
	"strings"

	"github.com/echostr/echostr/store"
)

// erases reports whether a turn ends with the erasure of the user's data.
func (a *account) erases(row *store.Turn) bool {
	if row.OpenID == "" || !strings.EqualFold(row.MsgType, "event") {
		return false
	}
	return withdraws(row.Event) || !a.KeepUnsubscribed && strings.EqualFold(row.Event, "unsubscribe")
}

// withdraws reports whether an event says that a user has withdrawn an
// authorisation, or closed the WeChat account.
func withdraws(event string) bool {
	return strings.EqualFold(event, "user_authorization_revoke") || strings.EqualFold(event, "user_authorization_cancellation")
}

// erase erases what a user who unsubscribes or withdraws has sent, before the result is
// stored: should the process die in between, the next attempt does it again. The
// result then meets a row that is erased, which ends the turn. It reports whether the
// event still stands. P10, R-EVENT-ERASE
func (f *flight) erase() bool {
	row := &f.state.Row
	if row.State != store.Running || !f.account.erases(row) {
		return true
	}
	// The event itself too, and nothing that the user sends later.
	for pause := firstPause; ; {
		_, err := f.s.cfg.Store.Erase(f.s.storeCtx, row.Account, row.OpenID, row.Key)
		if err == nil {
			return true
		}
		f.s.storeFailed(err)
		if !f.s.rest(&pause) {
			return false
		}
	}
}
