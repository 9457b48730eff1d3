package callback

// Keys of the log. OpenIDs and content of messages have none: they go out at
// debug level only, if at all.
const (
	keyAccount = "account"
	keyAttempt = "attempt"
	keyBytes   = "bytes"
	keyDetail  = "detail"
	keyError   = "error"
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
