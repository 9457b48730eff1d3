package wxapi

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ErrInvalid is in the chain of errors that say that a call was not made, since WeChat would
// refuse what it was given or it is not a call. Making it again is useless.
var ErrInvalid = errors.New("wxapi: the call was not made")

// Error is a refusal of WeChat: an errcode (返回码) other than 0. R-API-ERRCODE
type Error struct {
	// Code is WeChat's errcode.
	Code int
	// Msg is WeChat's errmsg without the RID. Its words change: decide by Code.
	Msg string
	// RID is the id of the request, by which WeChat finds it for seven days; "" if there is none.
	RID string
	// Path is that of the call that WeChat has refused, which may be the call for a token.
	Path string
	// Until is zero, unless the call was not made because WeChat has refused with this
	// error before; from Until on it is asked again. R-API-PROBE
	Until time.Time

	held string // the path of the call that was not made
}

// class is what may be done after an errcode.
type class int

const (
	classFinal class = iota // nothing, with this call: also of codes that we do not know
	classRetry              // make the call again later
	classToken              // fetch a token
	classUser               // wait for the user
)

var (
	ridInText   = regexp.MustCompile(`,?\s*\brid: ([0-9a-f]+(?:-[0-9a-f]+)+)`)
	tokenInText = regexp.MustCompile(`((?:access_token|secret)=)[^&\s"']+`)
)

// maxMsg bounds what is kept of errmsg, in bytes.
const maxMsg = 512

func newError(path string, code int, msg string) *Error {
	e := &Error{Code: code, Path: path}
	if m := ridInText.FindStringSubmatchIndex(msg); m != nil {
		e.RID = msg[m[2]:m[3]]
		msg = msg[:m[0]] + msg[m[1]:]
	}
	msg = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, msg)
	if len(msg) > maxMsg {
		msg = strings.ToValidUTF8(msg[:maxMsg], "")
	}
	e.Msg = strings.TrimSpace(msg)
	return e
}

func (e *Error) class() class {
	k := codes[e.Code].class
	if k == classToken && isTokenPath(e.Path) {
		return classFinal // at the token call, 40001 is a wrong AppSecret
	}
	return k
}

// Retry reports whether the same call may go well later, without anybody doing anything: see After.
func (e *Error) Retry() bool { k := e.class(); return k == classRetry || k == classToken }

// UserMustAct reports whether the call is in vain until the user does something: writes again, taps
// the menu, follows. Another call for another user may go well.
func (e *Error) UserMustAct() bool { return e.class() == classUser }

// Final reports whether the call is in vain until its data or the account's configuration
// change. So it is for codes that this package does not know. Exactly one of Retry, UserMustAct
// and Final is true.
func (e *Error) Final() bool { return e.class() == classFinal }

// Account reports whether every call of the account is in vain until its owner acts, since
// no token can be had or none is accepted: AppSecret, whitelist of addresses. Then Final is
// true, too; but what could not be sent may go out once that is put right.
func (e *Error) Account() bool { return e.accountWide() }

// After returns how long to wait at least before a call that may be retried, 0 if it may not.
func (e *Error) After() time.Duration {
	switch {
	case !e.Retry():
		return 0
	case e.Code == 45009:
		return 10 * time.Minute
	case e.Code == 45011:
		return time.Minute
	case e.class() == classToken:
		return fetchEvery
	}
	return time.Second
}

// Codes that hit every call, or every call of one path. R-API-PROBE
func (e *Error) accountWide() bool {
	switch e.Code {
	case 40125, 40164, 40243, 89503, 89506, 89507:
		return true
	}
	return isTokenPath(e.Path) && e.Final()
}

func (e *Error) pathWide() bool { return e.Code == 48001 || e.Code == 48004 }

// Error says in one sentence what WeChat has refused, why, and what to do.
func (e *Error) Error() string {
	b := new(strings.Builder)
	b.WriteString("wxapi: ")
	if !e.Until.IsZero() {
		if e.held != "" {
			fmt.Fprintf(b, "%s was not called until %s, since ", e.held, e.Until.Format(time.RFC3339))
		} else {
			fmt.Fprintf(b, "WeChat is not asked until %s, since ", e.Until.Format(time.RFC3339))
		}
	}
	fmt.Fprintf(b, "%s was refused with %d", e.Path, e.Code)
	k, known := codes[e.Code]
	if isTokenPath(e.Path) && e.Code == 40001 {
		k = codes[40125]
	}
	if known {
		fmt.Fprintf(b, ", %s (%s); %s", k.what, k.chinese, k.next)
	} else {
		b.WriteString(", which is not one of the known codes; look it up under 全局返回码 in WeChat's documentation")
	}
	switch {
	case e.Msg != "" && e.RID != "":
		fmt.Fprintf(b, " [%s; rid %s]", e.Msg, e.RID)
	case e.Msg != "":
		fmt.Fprintf(b, " [%s]", e.Msg)
	case e.RID != "":
		fmt.Fprintf(b, " [rid %s]", e.RID)
	}
	return b.String()
}

// TransportError says that no answer of WeChat has come: the network, a proxy or a gateway has
// failed, or what came is not WeChat's. The cause is in its chain, such as context.DeadlineExceeded.
type TransportError struct {
	// Path is that of the request that failed.
	Path string
	// Sent is false if WeChat has certainly not got the call. If it is true, WeChat may have
	// carried it out. R-API-OUTCOME
	Sent bool
	// Status is the HTTP status of an answer that is not WeChat's, 0 if none came.
	Status int
	// Err is the cause, without URL and secrets.
	Err error
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// Error says in one sentence what has failed, whether the call may be out, and what to do.
func (e *TransportError) Error() string {
	switch {
	case e.Status/100 == 3:
		return fmt.Sprintf("wxapi: %s was answered with a redirect (%s), which is not followed; BaseURL must be that of WeChat's API or of a proxy that passes calls on", e.Path, status(e.Status))
	case e.Status != 0:
		return fmt.Sprintf("wxapi: %s was not answered by WeChat's API (%s: %v); look at BaseURL and the proxies on the way, and try again later", e.Path, status(e.Status), e.Err)
	case !e.Sent:
		return fmt.Sprintf("wxapi: %s was not reached (%v); nothing was sent, so look at the network and try again", e.Path, e.Err)
	}
	return fmt.Sprintf("wxapi: %s has not answered (%v), so it is not known whether the call was carried out; make it again only if twice does no harm", e.Path, e.Err)
}

func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// Outcome is what is known of a call after it. R-API-OUTCOME
type Outcome int

const (
	// OutcomeDone: WeChat has carried it out.
	OutcomeDone Outcome = iota
	// OutcomeRefused: it was not carried out, because WeChat has refused it ([*Error]), or
	// would ([ErrInvalid]).
	OutcomeRefused
	// OutcomeNotSent: WeChat has certainly not got it, so it may be made again.
	OutcomeNotSent
	// OutcomeUnknown: WeChat may have carried it out. Making it again may do it twice.
	OutcomeUnknown
)

// String returns done, refused, not sent or unknown.
func (o Outcome) String() string {
	switch o {
	case OutcomeDone:
		return "done"
	case OutcomeRefused:
		return "refused"
	case OutcomeNotSent:
		return "not sent"
	}
	return "unknown"
}

// OutcomeOf tells the outcome of a call of this package by its error. Errors of
// others are taken for such that came before the call: not sent.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeDone
	}
	if _, refused := errors.AsType[*Error](err); refused || errors.Is(err, ErrInvalid) {
		return OutcomeRefused
	}
	if e, lost := errors.AsType[*TransportError](err); lost && e.Sent {
		return OutcomeUnknown
	}
	return OutcomeNotSent
}
