package simulator

import "time"

// Rules are WeChat's habits. The zero value is what is known or most likely;
// the switches are for what is not known, and for tests.
type Rules struct {
	// Timeout is how long a push may take, from the beginning of the
	// connection to the last byte of the answer. It is the only duration here:
	// change it and everything is scaled. Defaults to 5 s; WeChat has been
	// seen to cut after 4.958 s, too. R-PUSH-TIMEOUT
	Timeout time.Duration
	// Pushes is how often a message is pushed in all. Defaults to 3; four have
	// been seen. R-PUSH-COUNT
	Pushes int
	// FreshRetries makes timestamp, nonce, signatures and ciphertext anew for
	// every push. Otherwise a retry repeats those of the first. R-PUSH-SAME
	FreshRetries bool
	// WaitAfterFailure retries a push that failed at once (refused, broken,
	// status other than 200) only when its Timeout has passed. Otherwise it is
	// retried at once. R-PUSH-FAILURE
	WaitAfterFailure bool
	// LoseFirst is the number of first pushes of every message that never reach the server.
	LoseFirst int
	// LoseSilently lets lost pushes end by Timeout. Otherwise they end as refused.
	LoseSilently bool
	// EventFaultNotice shows the fault notice for events, too. Otherwise
	// the user sees nothing when an event goes wrong. R-FAULT-EVENT
	EventFaultNotice bool
	// MarkFail is after how many failed pushes in a row, of whatever messages, WeChat leaves
	// the server alone (MarkFail, 自动屏蔽): for a minute, which is twelve times the Timeout,
	// messages are not pushed at all. A push with a good answer starts the count anew. WeChat's
	// number is not known. Defaults to 0, which means never. R-PUSH-MARKFAIL
	MarkFail int
	// OmitRecognition leaves the element Recognition out of what [User.Speak] sends to accounts
	// without speech recognition. Otherwise it is there and empty. It concerns platforms only.
	OmitRecognition bool
}

func (r Rules) withDefaults() Rules {
	if r.Timeout <= 0 {
		r.Timeout = 5 * time.Second
	}
	if r.Pushes <= 0 {
		r.Pushes = 3
	}
	return r
}
