package chaos

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Instruction is what a message tells the handler to do. It is the text of a
// message, or the EventKey of an event: "echo/1f", "sleep:300/20", with the
// mark behind the slash.
type Instruction struct {
	// Do is echo, silent, fail or panic; a handler with a Wait sleeps first.
	Do   string
	Wait time.Duration
	Mark string
}

const (
	doEcho   = "echo"
	doSilent = "silent"
	doFail   = "fail"
	doPanic  = "panic"
)

// String writes the instruction as a message has it.
func (i Instruction) String() string {
	if i.Wait > 0 {
		return fmt.Sprintf("%s:%d/%s", i.Do, i.Wait.Milliseconds(), i.Mark)
	}
	return i.Do + "/" + i.Mark
}

var instructionPattern = regexp.MustCompile(`\b(echo|silent|fail|panic)(?::([0-9]{1,6}))?/([0-9a-z]+)`)

// parseInstruction finds the instruction in a text: that of a message or event, or a
// whole document.
func parseInstruction(text string) (Instruction, bool) {
	m := instructionPattern.FindStringSubmatch(text)
	if m == nil {
		return Instruction{}, false
	}
	ms, _ := strconv.Atoi(m[2]) // absent: 0
	return Instruction{Do: m[1], Wait: time.Duration(ms) * time.Millisecond, Mark: m[3]}, true
}

// answer is the text of the reply of one start: the message it is about, and which
// start it was.
func answer(start *Mark) string {
	return fmt.Sprintf("answer %s %d %d %d", start.ID, start.Attempt, start.PID, start.At.UnixNano())
}

// parseAnswer takes it apart.
func parseAnswer(text string) (start Mark, ok bool) {
	f := strings.Fields(text)
	if len(f) != 5 || f[0] != "answer" {
		return Mark{}, false
	}
	attempt, err1 := strconv.Atoi(f[2])
	pid, err2 := strconv.Atoi(f[3])
	nano, err3 := strconv.ParseInt(f[4], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Mark{}, false
	}
	return Mark{ID: f[1], Attempt: attempt, PID: pid, At: time.Unix(0, nano)}, true
}

// fallbackText is what the accounts with a fallback answer when a turn has failed.
const fallbackText = "something went wrong"
