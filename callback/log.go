package callback

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Keys of the log. OpenIDs and content of messages have none: they go out at
// debug level only, if at all.
const (
	keyAccount = "account"
	keyAttempt = "attempt"
	keyBytes   = "bytes"
	keyDetail  = "detail"
	keyError   = "error"
	keyOutage  = "outage"
	keyEvent   = "event"
	keyHint    = "hint"
	keyMsgType = "msg_type"
	keyNode    = "node"
	keyPanic   = "panic"
	keyReason  = "reason"
	keyStack   = "stack"
	keyState   = "state"
	keyTook    = "took"
	keyTurn    = "turn"
)

// withoutSecrets is the text of what a handler has returned as an error or panicked with, without the URLs
// that net/http quotes in its errors: WeChat's API carries the access token there, and the token call the AppSecret.
// An error that was formatted into another is a text, so queries and secrets are looked for there, too, also in JSON.
func withoutSecrets(v any) string {
	text := fmt.Sprint(v)
	err, _ := v.(error)
	if e := (*url.Error)(nil); errors.As(err, &e) && e.URL != "" {
		text = strings.ReplaceAll(text, strconv.Quote(e.URL), "(URL)")
		text = strings.ReplaceAll(text, e.URL, "(URL)")
	}
	text = queryInText.ReplaceAllString(text, "${1}?(query)")
	return secretInText.ReplaceAllString(text, "${1}***")
}

var (
	queryInText  = regexp.MustCompile(`(?i)(https?://[^\s"'?]+)\?[^\s"']+`)
	secretInText = regexp.MustCompile(`(?i)((?:access_token|secret)\\?["']?\s*[=:]\s*\\?["']?)[^&\s"',;}\\]+`)
)
