package callback

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Reason is why a request was refused. It is a label of metrics and logs and is
// never told to the one who asked: R-ORDER-ANSWERS.
type Reason uint8

// The reasons, in the order of verification.
const (
	BadQuery Reason = iota // a parameter is malformed, or given twice
	Missing                // a parameter is missing
	BadFormat
	BadSignature
	Stale
	WrongMode
	BadEncoding // Content-Encoding
	TooLong
	BadBody // it could not be read, or came too slowly
	JSONBody
	BadOuter // the outer document of an encrypted push
	BadMsgSignature
	BadEnvelope
	WrongOriginalID
	SignatureReused
	Overloaded
	// UnknownPath is no label of metrics: the request is for no account.
	UnknownPath
	numReasons
)

var reasons = [numReasons]struct{ name, hint string }{
	BadQuery:        {"query", "a parameter of the query is malformed or given twice: WeChat does not send that, and a proxy should not change it"},
	Missing:         {"missing_parameter", "signature, timestamp, nonce or msg_signature is missing: browsers, scanners and WeChat's debugging page call like that; pass the query through every proxy"},
	BadFormat:       {"format", "timestamp, nonce or a signature does not look like WeChat's: pass the query unchanged through every proxy"},
	BadSignature:    {"signature", "the signature was made with another token: make the token in the configuration the same as in WeChat's console (令牌 Token)"},
	Stale:           {"stale", "the timestamp is too far from this machine's clock: check the clock; if it is right, somebody sends old requests again"},
	WrongMode:       {"mode", "encrypt_type does not fit the account's mode: make mode in the configuration the same as in WeChat's console (消息加解密方式)"},
	BadEncoding:     {"content_encoding", "the body is compressed, which WeChat never does: switch it off in the proxy"},
	TooLong:         {"too_long", "the body is over body_limit: raise it if the push is real"},
	BadBody:         {"body", "the body did not arrive whole and in time: check the proxy and the network"},
	JSONBody:        {"json", "the body is JSON, which Official Accounts never get: choose XML in WeChat's console (数据格式)"},
	BadOuter:        {"outer_document", "the body holds no encrypted message: make mode in the configuration the same as in WeChat's console (消息加解密方式)"},
	BadMsgSignature: {"msg_signature", "msg_signature does not fit the body: something between WeChat and here changes it, or somebody forges"},
	BadEnvelope:     {"envelope", "the message does not open: make encoding_aes_key and app_id the same as in WeChat's console (消息加解密密钥, AppID)"},
	WrongOriginalID: {"original_id", "the push is for another account: check original_id (原始ID), and that the URL in WeChat's console names the right account"},
	SignatureReused: {"signature_reused", "a second message came under a used signature: somebody has seen a URL of a push; use mode safe"},
	Overloaded:      {"overloaded", "as many pushes are open, or handlers run, as allowed: find out why handlers are slow, or run more nodes"},
	UnknownPath:     {"unknown_path", "no account has this URL: make the URL in WeChat's console (服务器地址) end in /wx/ and the name of the account in the configuration"},
}

func (r Reason) String() string {
	if r < numReasons {
		return reasons[r].name
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Refusal is one line about refused requests: those of one account, reason and
// minute.
type Refusal struct {
	// Account is empty if the request was for none.
	Account string `json:"account"`
	Reason  string `json:"reason"`
	// Detail is such as "by 321 s", or the path of no account; nothing else of the request.
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint"` // what to do
	// Remote is the IP address that the first of them came from: that of a proxy, if there is
	// one. Empty if it is not known.
	Remote string    `json:"remote,omitempty"`
	First  time.Time `json:"first"`
	Count  int       `json:"count"`
}

// refusals counts what was refused and keeps the last lines.
type refusals struct {
	logger *slog.Logger

	mu       sync.Mutex
	accounts map[string]*[numReasons]tally
	last     []*Refusal // oldest first
}

// tally is what was refused to one account for one reason.
type tally struct {
	count  uint64
	line   *Refusal  // the newest, which may have left the last ones
	warned time.Time // monotonic: when that line was begun
}

// keptRefusals is how many lines are kept for the operator.
const keptRefusals = 200

// noteFrom is note for a request.
func (r *refusals) noteFrom(req *http.Request, now time.Time, account string, why Reason, detail string) {
	host, _, _ := net.SplitHostPort(req.RemoteAddr)
	r.add(req.Context(), now, account, why, detail, host)
}

// note counts a refusal and warns once for each account, reason and minute, so that
// neither an attack nor a wrong setting fills the log.
func (r *refusals) note(ctx context.Context, now time.Time, account string, why Reason, detail string) {
	r.add(ctx, now, account, why, detail, "")
}

func (r *refusals) add(ctx context.Context, now time.Time, account string, why Reason, detail, remote string) {
	r.mu.Lock()
	c := r.accounts[account]
	if c == nil {
		c = new([numReasons]tally)
		r.accounts[account] = c
	}
	n := &c[why]
	n.count++
	if n.line != nil && time.Since(n.warned) < time.Minute {
		n.line.Count++
		r.mu.Unlock()
		return
	}
	if len(r.last) == keptRefusals {
		r.last = slices.Delete(r.last, 0, 1)
	}
	n.line = &Refusal{Account: account, Reason: why.String(), Detail: detail, Hint: reasons[why].hint, Remote: remote, First: now.UTC(), Count: 1}
	n.warned = time.Now()
	r.last = append(r.last, n.line)
	r.mu.Unlock()

	attrs := []slog.Attr{slog.String(keyAccount, account), slog.String(keyReason, why.String())}
	if detail != "" {
		attrs = append(attrs, slog.String(keyDetail, detail))
	}
	r.logger.LogAttrs(ctx, slog.LevelWarn, "push refused", append(attrs, slog.String(keyHint, reasons[why].hint))...)
}

func (r *refusals) list() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Refusal, 0, len(r.last))
	for _, line := range slices.Backward(r.last) {
		list = append(list, *line)
	}
	return list
}

// count returns the numbers by configured account and reason, those above zero.
func (r *refusals) count() map[string]map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]map[string]uint64, len(r.accounts))
	for account, c := range r.accounts {
		if account == "" {
			continue
		}
		all[account] = make(map[string]uint64)
		for why := range c {
			if n := c[why].count; n > 0 {
				all[account][Reason(why).String()] = n
			}
		}
	}
	return all
}
