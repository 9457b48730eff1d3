package simulator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// URLCheck is what came of the check that WeChat makes when the server's
// address is saved (接入验证).
type URLCheck struct {
	// Echostr is the text that the server had to send back.
	Echostr string
	// Push is the request and its answer.
	Push Push
	// Problem is the short name of what is wrong: "timeout", "refused",
	// "reset", "tls", "status" or "echostr". Empty if the address would be accepted.
	Problem string
	// Why is a sentence for people: what is wrong and what to do.
	Why string
}

// OK reports whether WeChat would accept the address.
func (c *URLCheck) OK() bool { return c.Problem == "" }

func (c *URLCheck) String() string {
	if c.OK() {
		return "accepted: " + c.Why
	}
	return "Token 验证失败: " + c.Why
}

// Verify makes the check: one GET, signed and never encrypted, that has to be
// answered with the echostr. A wrong answer is no error; the error is that of
// ctx, if it ended first. R-VERIFY-ECHO
func (w *WeChat) Verify(ctx context.Context) (*URLCheck, error) {
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), newNonce()
	c := &URLCheck{Echostr: strconv.FormatInt(1_000_000_000_000_000_000+rand.Int64N(8_000_000_000_000_000_000), 10)}
	query := "signature=" + sign(w.account.Token, timestamp, nonce) + "&echostr=" + c.Echostr + "&timestamp=" + timestamp + "&nonce=" + nonce
	c.Push = Push{Number: 1, Node: w.node(0), Start: time.Now(), Request: *w.request(http.MethodGet, query, nil)}
	w.exchange(ctx, &c.Push)
	c.Push.Duration = time.Since(c.Push.Start)
	if err := ctx.Err(); err != nil && c.Push.Outcome != Answered {
		c.Problem, c.Why = "stopped", "it was stopped before WeChat would have given up"
		return c, err
	}
	c.Problem, c.Why = w.judgeCheck(c)
	return c, nil
}

func (w *WeChat) judgeCheck(c *URLCheck) (problem, why string) {
	switch c.Push.Outcome {
	case Cut:
		return "timeout", fmt.Sprintf("there was no answer in %v; check that the server is reachable and answers at once", w.rules.Timeout)
	case Refused:
		return "refused", fmt.Sprintf("no connection could be made: %v; start the server, or check the URL", c.Push.Err)
	case Reset:
		return "reset", fmt.Sprintf("the connection ended before the answer was complete: %v", c.Push.Err)
	case BadTLS:
		return "tls", w.aboutTLS(c.Push.Err)
	}
	if status := c.Push.Status; status != http.StatusOK {
		return "status", fmt.Sprintf("the answer has status %d: %s", status, aboutStatus(status, http.MethodGet, "it must be 200"))
	}
	switch body := string(c.Push.Body); {
	case body == c.Echostr:
		return "", "the answer is the echostr"
	case body == "":
		return "echostr", "the answer is empty; it must be the echostr"
	case strings.TrimSpace(body) == c.Echostr:
		return "echostr", "there is white space around the echostr; the answer must be the echostr and nothing else"
	case strings.Trim(body, "\"' \r\n") == c.Echostr:
		return "echostr", "there are quotation marks around the echostr, as JSON has them; answer with plain text"
	case strings.TrimPrefix(body, "\ufeff") == c.Echostr:
		return "echostr", "there is a byte order mark (BOM) in front of the echostr; leave it out"
	case strings.Contains(body, c.Echostr):
		return "echostr", "there is something around the echostr; the answer must be the echostr and nothing else"
	}
	return "echostr", fmt.Sprintf("the answer, of %d bytes, is not the echostr", len(c.Push.Body))
}
