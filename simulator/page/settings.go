package page

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/echostr/echostr/simulator"
)

// check is what came of the check of an account's address (接入验证).
type check struct {
	account simulator.Account // that was checked

	At      float64 `json:"at"`
	Problem string  `json:"problem"`
	Why     string  `json:"why"`
	Status  int     `json:"status"` // of the answer, if there was one

	// What the page's own sentences leave open.
	Want  string `json:"want"`  // the echostr, if Problem is "echostr"
	Got   string `json:"got"`   // what came in its place, quoted
	Error string `json:"error"` // if Problem is "reset" or "tls"
}

// newCheck is the result of a check.
func newCheck(account simulator.Account, result *simulator.URLCheck) check {
	c := check{account: account, At: milliseconds(time.Now()), Problem: result.Problem, Why: result.Why, Status: result.Push.Status}
	switch result.Problem {
	case "echostr":
		c.Want, c.Got = result.Echostr, strconv.Quote(shortened(string(result.Push.Body)))
	case "reset", "tls":
		if result.Push.Err != nil {
			c.Error = result.Push.Err.Error()
		}
	}
	return c
}

// checkOnce checks an account's address, without waiting, if that was not done since its
// configuration changed.
func (h *handler) checkOnce(o *simulator.Official) {
	account := o.Config().Account
	h.mu.Lock()
	last, done := h.checks[o.AppID()]
	done = done && reflect.DeepEqual(last.account, account)
	if !done {
		h.checks[o.AppID()] = check{account: account, Problem: "pending"}
	}
	h.mu.Unlock()
	if !done {
		go func() { _, _ = h.checkNow(h.options.Context, o) }() // the result is kept
	}
}

func (h *handler) checkNow(ctx context.Context, o *simulator.Official) (check, error) {
	account := o.Config().Account
	result, err := o.Verify(ctx)
	if err != nil {
		return check{}, err
	}
	c := newCheck(account, result)
	h.mu.Lock()
	last := h.checks[o.AppID()]
	h.checks[o.AppID()] = c
	h.mu.Unlock()
	if last.Problem != c.Problem || last.Status != c.Status || c.Problem == "" {
		h.ring()
	}
	return c, nil
}

// recheck checks the addresses at which there was no server, in case it has been started.
func (h *handler) recheck() {
	for _, o := range h.p.Officials() {
		h.mu.Lock()
		c := h.checks[o.AppID()]
		again := c.Problem == "refused" && milliseconds(time.Now())-c.At > float64(recheckEvery/time.Millisecond)/2
		if again {
			c.At = milliseconds(time.Now()) // so that another stream does not do it, too
			h.checks[o.AppID()] = c
		}
		h.mu.Unlock()
		if again {
			go func() { _, _ = h.checkNow(h.options.Context, o) }()
		}
	}
}

func (h *handler) verify(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account string `json:"account"`
	}
	if !read(w, r, &in) {
		return
	}
	o := h.official(w, in.Account)
	if o == nil {
		return
	}
	if _, err := h.checkNow(r.Context(), o); err != nil {
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("the check was stopped: %w; try again", err))
		return
	}
	answer(w, http.StatusOK, h.accountView(o))
}

// token shows the token, which is in no other answer. It is asked for by POST, so
// that nothing that remembers addresses or prefetches them comes by it.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account string `json:"account"`
	}
	if !read(w, r, &in) {
		return
	}
	if o := h.official(w, in.Account); o != nil {
		answer(w, http.StatusOK, map[string]string{"token": o.Config().Account.Token})
	}
}

// rulesView is simulator.Rules, and what else of the account can be switched.
type rulesView struct {
	Timeout          float64 `json:"timeout"`
	Pushes           int     `json:"pushes"`
	FreshRetries     bool    `json:"freshRetries"`
	WaitAfterFailure bool    `json:"waitAfterFailure"`
	LoseFirst        int     `json:"loseFirst"`
	LoseSilently     bool    `json:"loseSilently"`
	EventFaultNotice bool    `json:"eventFaultNotice"`
	MarkFail         int     `json:"markFail"`
	OmitRecognition  bool    `json:"omitRecognition"`
}

func viewOfRules(r simulator.Rules) rulesView {
	return rulesView{
		float64(r.Timeout) / float64(time.Millisecond), r.Pushes, r.FreshRetries, r.WaitAfterFailure,
		r.LoseFirst, r.LoseSilently, r.EventFaultNotice, r.MarkFail, r.OmitRecognition,
	}
}

func (h *handler) setRules(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account     string    `json:"account"`
		Rules       rulesView `json:"rules"`
		Recognition bool      `json:"recognition"`
	}
	if !read(w, r, &in) {
		return
	}
	v := in.Rules
	if v.Timeout < 100 || v.Timeout > 60_000 || v.Pushes < 1 || v.Pushes > 10 || v.LoseFirst < 0 || v.LoseFirst > v.Pushes || v.MarkFail < 0 || v.MarkFail > 1000 {
		refuse(w, http.StatusUnprocessableEntity, fmt.Errorf("these rules are out of range; a time-out is 100 ms to 60 s, and there are 1 to 10 pushes, of which none or some are lost"))
		return
	}
	o := h.official(w, in.Account)
	if o == nil {
		return
	}
	if c := o.Config(); c.Recognition != in.Recognition {
		c.Recognition = in.Recognition
		if err := o.Configure(c); err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
	}
	o.SetRules(simulator.Rules{
		Timeout: time.Duration(v.Timeout * float64(time.Millisecond)), Pushes: v.Pushes, FreshRetries: v.FreshRetries,
		WaitAfterFailure: v.WaitAfterFailure, LoseFirst: v.LoseFirst, LoseSilently: v.LoseSilently,
		EventFaultNotice: v.EventFaultNotice, MarkFail: v.MarkFail, OmitRecognition: v.OmitRecognition,
	})
	answer(w, http.StatusOK, h.accountView(o))
}

// setFaults replaces the faults of the API, each in the form of simulator.ParseFault.
func (h *handler) setFaults(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account string   `json:"account"`
		Faults  []string `json:"faults"`
	}
	if !read(w, r, &in) {
		return
	}
	o := h.official(w, in.Account)
	if o == nil {
		return
	}
	var faults []simulator.Fault
	for _, text := range in.Faults {
		f, err := simulator.ParseFault(text)
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		faults = append(faults, f)
	}
	if err := h.p.SetFaults(faults...); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	h.ring()
	answer(w, http.StatusOK, h.accountView(o))
}
