package callback

// Keys of the log. OpenIDs and content of messages go out at debug level only.
const (
	keyAccount = "account"
	keyAttempt = "attempt"
	keyBytes   = "bytes"
	keyDetail  = "detail"
	keyError   = "error"
	keyHint    = "hint"
	keyMsgType = "msg_type"
	keyNode    = "node"
	keyOpenID  = "openid"
	keyPanic   = "panic"
	keyReason  = "reason"
	keyStack   = "stack"
	keyTook    = "took"
	keyTurn    = "turn"
)
