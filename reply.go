package echostr

// Reply is the answer to a message as a value. Nil means no answer.
type Reply interface {
	isReply()
}
