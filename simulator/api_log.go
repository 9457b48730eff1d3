package simulator

import (
	"net/url"
	"regexp"
	"slices"
	"time"
)

// keptAPICalls is how many calls are remembered, and keptAPIBody how many bytes of each body.
const (
	keptAPICalls = 500
	keptAPIBody  = 16 << 10
)

// APICall is one call of the HTTP API, as it was seen by WeChat. Tokens and secrets are left out.
type APICall struct {
	// ID grows from 1.
	ID int64
	// RID is the id that errmsg names.
	RID string
	// At is when it came, and Duration how long it took.
	At       time.Time
	Duration time.Duration
	// AppID is the account, "" if the call did not get so far as to have one.
	AppID               string
	Method, Path, Query string
	// Request and Answer are the bodies, or their first 16 KiB.
	Request, Answer []byte
	// Status is the status of the answer, 0 if there was none.
	Status int
	// Errcode is 0 if the call has worked.
	Errcode int
	// Fault is the fault that it met, in the form of [ParseFault].
	Fault string
}

// APICalls returns the last 500 calls of the HTTP API, the oldest first.
func (p *Platform) APICalls() []APICall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.api.calls)
}

func (p *Platform) noteCall(c APICall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api.last++
	c.ID = p.api.last
	if len(p.api.calls) >= keptAPICalls {
		p.api.calls = slices.Delete(p.api.calls, 0, 1)
	}
	p.api.calls = append(p.api.calls, c)
	p.changed(Change{Kind: ChangeAPI, AppID: c.AppID})
}

// withoutSecrets is a query whose secret values are replaced.
func withoutSecrets(q url.Values) string {
	for _, name := range []string{"access_token", "secret", "appsecret"} {
		if q.Has(name) {
			q = clone(q)
			q.Set(name, "***")
		}
	}
	return q.Encode()
}

func clone(q url.Values) url.Values {
	c := make(url.Values, len(q))
	for name, values := range q {
		c[name] = slices.Clone(values)
	}
	return c
}

var secretField = regexp.MustCompile(`("(?:secret|access_token)"\s*:\s*")[^"]*`)

// shortened is the beginning of a body, without secrets.
func shortened(body []byte) []byte {
	return secretField.ReplaceAll(body[:min(len(body), keptAPIBody)], []byte("${1}***"))
}
