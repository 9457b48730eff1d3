package callback

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/store"
)

// bodyTimeout is how long a body may take to arrive: R-ORDER-SLOW.
const bodyTimeout = 3 * time.Second

// verifyURL answers the GET with which WeChat checks the URL, which is
// signed like a plain push in every mode: R-URL-VERIFY, R-URL-PLAIN, R-URL-ECHO.
func (s *Server) verifyURL(w http.ResponseWriter, r *http.Request, a *account) {
	q, ok := parseQuery(r.URL.RawQuery)
	if ok && q.signature == "" && q.timestamp == "" && q.nonce == "" && q.echostr == "" {
		s.stats.bareGets.Add(1)
		w.WriteHeader(http.StatusBadRequest) // a browser or a health probe: R-URL-BARE
		return
	}
	if ok && q.echostr == "" {
		s.refuse(w, r, a, Missing, "")
		return
	}
	if ok && !isEchostr(q.echostr) {
		s.refuse(w, r, a, BadFormat, "")
		return
	}
	if _, why, detail := s.verifyQuery(a, &q, ok); why != accepted {
		s.refuse(w, r, a, why, detail)
		return
	}
	s.stats.urlChecks.Add(1)
	h := w.Header()
	h["Content-Type"] = plainText
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = noContent
	io.WriteString(w, q.echostr)
}

// accepted is the reason of what is not refused.
const accepted = numReasons

// verifyQuery is steps 3 to 5 of the order of verification: the query's form,
// the plain signature, which stands in every mode, and the age. R-ORDER-STEPS,
// R-SIG-ALWAYS, R-SIG-FRESH
func (s *Server) verifyQuery(a *account, q *query, parsed bool) (now time.Time, why Reason, detail string) {
	switch {
	case !parsed:
		return now, BadQuery, ""
	case q.signature == "" || q.timestamp == "" || q.nonce == "":
		return now, Missing, ""
	case !q.wellFormed():
		return now, BadFormat, ""
	}
	now = s.clock.now()
	if _, ok := a.ring.Verify(now, q.signature, q.timestamp, q.nonce); !ok {
		return now, BadSignature, ""
	}
	age := now.Sub(time.Unix(q.seconds(), 0))
	if age > a.Freshness || -age > a.Freshness {
		return now, Stale, "by " + strconv.FormatInt(int64(age/time.Second), 10) + " s"
	}
	return now, accepted, ""
}

// verifyMode is the part of step 3 that depends on the mode, which is the
// account's: what the request says is only compared with it. R-MODE-ACCOUNT
func verifyMode(a *account, q *query) Reason {
	if a.Mode == Plain {
		if q.encryptType != "" && q.encryptType != "raw" {
			return WrongMode
		}
		return accepted
	}
	switch {
	case q.encryptType != "aes":
		return WrongMode
	case q.msgSignature == "":
		return Missing
	}
	return accepted
}

// received is a verified push: what its turn will hold, should it be a new one,
// and what the answer needs.
type received struct {
	now    time.Time
	msg    echostr.Message // nil if the body does not parse
	event  string
	body   string
	reason string // why it does not parse
	key    store.Key
	digest [32]byte // of the message key
	// Which of the account's secrets it was made with; the reply is made with
	// the same.
	token, secret int
}

// row is the turn of a message that nobody knows.
func (in *received) row(account string) store.Turn {
	t := store.Turn{Key: in.key, Account: account, Event: in.event, Body: in.body}
	if in.msg == nil {
		t.State, t.Reason = store.Unparseable, in.reason
		return t
	}
	head := in.msg.Head()
	t.OpenID, t.OriginalID = in.openID(), head.ToUserName
	t.MsgType, t.CreateTime = head.MsgType, head.CreateTime
	return t
}

// openID is the user that a message is about, who need not be the one in FromUserName:
// R-EVENT-USER.
func (in *received) openID() string {
	switch m := in.msg.(type) {
	case nil:
		return ""
	case *echostr.UserAuthorizationRevokeEvent:
		return m.OpenID
	case *echostr.UserAuthorizationCancellationEvent:
		return m.OpenID
	default:
		return m.Head().FromUserName
	}
}

// buffers holds bodies while they are read and opened; documents are parsed
// into immutable strings, so both can be used again.
var (
	buffers   = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	documents = sync.Pool{New: func() any { return new(echostr.Document) }}
)

const keptBuffer = 64 << 10 // larger ones are left to the garbage collector

func release(b *[]byte) {
	if cap(*b) <= keptBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// receive verifies a push, in the order of R-ORDER-STEPS, and reads it. It answers
// the request itself and reports false if there is nothing to handle.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, a *account, in *received) (ok bool) {
	// Steps 3 to 5: what costs little, before the body is read.
	q, parsed := parseQuery(r.URL.RawQuery)
	now, why, detail := s.verifyQuery(a, &q, parsed)
	if why == accepted {
		why = verifyMode(a, &q)
	}
	if why == accepted && r.Header["Content-Encoding"] != nil {
		why = BadEncoding
	}
	if why != accepted {
		s.refuse(w, r, a, why, detail)
		return false
	}
	in.now = now
	// Step 6: the body.
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	body, err := readBody(w, r, (*buf)[:0], a.BodyLimit)
	*buf = body[:0]
	switch {
	case errors.Is(err, errTooLong):
		s.refusals.note(r.Context(), now, a.Name, TooLong, strconv.FormatInt(a.BodyLimit, 10)+" bytes are allowed")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return false
	case err != nil:
		w.Header().Set("Connection", "close")
		s.refuse(w, r, a, BadBody, "")
		return false
	case len(body) == 0:
		s.stats.emptyBodies.Add(1)
		writeSuccess(w)
		return false
	}
	if why = s.open(a, &q, in, body); why != accepted {
		s.refuse(w, r, a, why, "")
		return false
	}
	// A signature is good for one message, also if that is none.
	if a.bindings != nil && !a.bindings.bind(q.signature, in.key) {
		if a.BindSignature {
			s.refuse(w, r, a, SignatureReused, "")
			return false
		}
		s.refusals.note(r.Context(), now, a.Name, SignatureReused, "accepted, since it may be real")
	}
	return true
}

// open reads the body: steps 7 to 11. Of the outer document of an encrypted push
// only Encrypt and ToUserName are read. Once verified, a push is never refused
// for what it says, only for whom it is for. R-ENV-OUTER, R-ENV-NAMES, R-MODE-JSON
func (s *Server) open(a *account, q *query, in *received, body []byte) Reason {
	if first := bytes.TrimLeft(body, " \t\r\n\ufeff"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		return JSONBody
	}
	doc := documents.Get().(*echostr.Document)
	defer documents.Put(doc)
	outerTo := ""
	if a.Mode != Plain {
		if doc.Parse(body) != nil {
			return BadOuter
		}
		encrypt, _ := doc.Get("Encrypt")
		if outerTo, _ = doc.Get("ToUserName"); encrypt == "" {
			return BadOuter
		}
		var ok bool
		if in.token, ok = a.ring.VerifyMsg(in.now, q.msgSignature, q.timestamp, q.nonce, encrypt); !ok {
			return BadMsgSignature
		}
		plain := buffers.Get().(*[]byte)
		defer release(plain)
		var err error
		if *plain, in.secret, err = a.ring.Open(in.now, (*plain)[:0], encrypt); err != nil {
			return BadEnvelope
		}
		body = *plain
	}
	if err := doc.Parse(body); err != nil {
		// Kept raw, so that it can be looked at: R-XML-KEEP.
		in.body, in.reason = string(body), err.Error()
		in.identify(s, echostr.RawKey(a.identity(), body))
		return accepted
	}
	in.msg = doc.Message()
	in.event, _ = doc.Get("Event")
	in.body = doc.Raw()
	to := in.msg.Head().ToUserName
	if (a.OriginalID != "" && to != a.OriginalID) || (outerTo != "" && outerTo != to) {
		return WrongOriginalID
	}
	in.identify(s, doc.Key(a.identity()))
	return accepted
}

// identify sets the key of the message.
func (in *received) identify(s *Server, key echostr.MessageKey) {
	in.digest = key.Digest
	in.key = s.keyer.Key(key.Digest, key.CreateTime, in.now)
}

var errTooLong = errors.New("body too long")

// limitBody gives the body a time to arrive in. net/http reads what a handler
// leaves of a body, so this is done for every request, refused or not, and
// is taken back only when the body is there.
//
// A connection that carried chunks is closed afterwards: a Content-Length may have stood beside them, which
// net/http takes away and a proxy in front may have gone by, so that what follows is a request to one of the
// two only (RFC 9112, 6.3). WeChat does not send chunks. S36
func limitBody(w http.ResponseWriter, r *http.Request, entered time.Time) {
	if r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(entered.Add(bodyTimeout))
	}
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
}

// readBody reads the whole body (R-ORDER-LIMIT) into buf, whatever its framing.
// From then on the connection is read for WeChat's hanging up, so the deadline
// goes.
func readBody(w http.ResponseWriter, r *http.Request, buf []byte, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return buf, errTooLong
	}
	buf, err := readAll(r, buf, limit)
	if err == nil && r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	return buf, err
}

func readAll(r *http.Request, buf []byte, limit int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 {
		if int64(cap(buf)) < n {
			buf = make([]byte, 0, n)
		}
		_, err := io.ReadFull(r.Body, buf[:n])
		if err == nil {
			// Reading to the end is what makes net/http watch for the close.
			var more [1]byte
			if _, err = r.Body.Read(more[:]); err == io.EOF {
				err = nil
			}
		}
		return buf[:n], err
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Body.Read(buf[len(buf):min(int64(cap(buf)), limit+1)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf, errTooLong
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// success ends WeChat's retries and shows the user nothing. It is never
// encrypted: R-REPLY-NONE.
const success = "success"

func writeSuccess(w http.ResponseWriter) bool {
	begin(w, plainText, len(success))
	_, err := io.WriteString(w, success)
	return err == nil && flush(w)
}

// begin sets the header of a 200. With the length known the response can be
// flushed whole.
func begin(w http.ResponseWriter, contentType []string, length int) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(length)}
}

// flush pushes the response out and reports whether that worked.
func flush(w http.ResponseWriter) bool {
	f, ok := w.(interface{ FlushError() error })
	return !ok || f.FlushError() == nil
}
