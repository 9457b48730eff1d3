// Package turntest computes, without any code of the server, what a message comes to
// under the rules: WeChat's schedule of pushes on one side, R-TIME-TABLE
// on the other. Tests compare the server with it.
package turntest

import "time"

// Case is one message and the world it meets.
type Case struct {
	Handler time.Duration // how long the handler takes
	API     bool          // late replies go out by the customer-service API, else they are tickets
	Hold    bool          // pushes are held for WeChat's retries
	Asked   bool          // the user waits for an answer
	Drafts  bool          // the handler shows how far it has come
	Parts   int           // messages that the reply takes
	Quota   int           // messages that the API takes
	Pushes  int           // how many pushes WeChat makes at most
	// Lost is how many of the first pushes never arrive, and LostTakes how long
	// each of them takes: nothing if the connection is refused and WeChat
	// comes again at once, five seconds if it waits.
	Lost      int
	LostTakes time.Duration
	Cut       time.Duration // when WeChat hangs up, after the beginning of a push
	Offset    time.Duration // of the action within its second: CreateTime has no fractions
}

// Sees is what the user sees of the pushes.
type Sees int

// What the user sees.
const (
	Reply Sees = iota // the reply, or its first page
	Nothing
	Fault
	Placeholder // a promise, or a draft
)

// Way is how the reply gets to the user.
type Way int

// The ways of a reply, by what brings the end of it.
const (
	Push Way = iota
	API
	Ticket
	None
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
		held := c.Hold && number < last
		switch {
		case result <= at+window, held && result < at+c.Cut:
			if c.API && 1 < c.Parts && c.Parts <= c.Quota {
				return Nothing, pushes // the API brings all of it
			}
			return Reply, pushes
		case held:
			at += c.Cut
		case c.Drafts, !c.API && c.Asked:
			if !c.API && !c.Asked {
				return Nothing, pushes
			}
			return Placeholder, pushes
		default:
			return Nothing, pushes // success; the answer is late
		}
	}
	return Fault, c.Pushes
}

// Way returns how the reply gets to a user who has seen this of the pushes.
func (c Case) Way(sees Sees) Way {
	switch {
	case sees == Reply:
		return Push
	case c.API && c.Parts <= c.Quota:
		return API
	case c.API && c.Quota > 0: // the last message tells how to fetch the rest
		return Ticket
	case c.Asked:
		return Ticket
	}
	return None
}
