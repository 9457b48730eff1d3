// Package turntest computes, without any code of the server, what a message comes to
// under the rules: WeChat's schedule of pushes on one side, R-TIME-TABLE
// on the other. Tests compare the server with it.
package turntest

import "time"

// Case is one message and the world it meets.
type Case struct {
	Handler  time.Duration // how long the handler takes
	Verified bool          // the account has the customer-service API
	Pushes   int           // how many pushes WeChat makes at most
	// Lost is how many of the first pushes never arrive, and LostTakes how long
	// each of them takes: nothing if the connection is refused and WeChat
	// comes again at once, five seconds if it waits.
	Lost      int
	LostTakes time.Duration
	Cut       time.Duration // when WeChat hangs up, after the beginning of a push
	Offset    time.Duration // of the action within its second: CreateTime has no fractions
}

// Sees is what the user sees.
type Sees int

// What the user sees.
const (
	Reply Sees = iota
	Nothing
	Fault
)

// Expect returns what the user sees and after how many pushes.
func (c Case) Expect() (sees Sees, pushes int) {
	const window, last = 4500 * time.Millisecond, 3
	var at, result time.Duration // since the action
	seen := 0
	for pushes = 1; pushes <= c.Pushes; pushes++ {
		if pushes <= c.Lost {
			at += c.LostTakes
			continue
		}
		if seen == 0 {
			result = at + c.Handler
		}
		seen++
		// What the server can know of the number: how many it has seen, and
		// how old the message is.
		number := max(seen, 1+int((at+c.Offset+time.Second)/(5*time.Second)))
		switch {
		case result <= at+window:
			return Reply, pushes
		case c.Verified || number >= last:
			return Nothing, pushes // success; the answer is late
		case result < at+c.Cut:
			return Reply, pushes // the push was held
		}
		at += c.Cut
	}
	return Fault, c.Pushes
}
