package chaos

import (
	"fmt"
	"regexp"
	"strconv"
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

var instructionPattern = regexp.MustCompile(`\b(echo|silent|fail|panic)(?::([0-9]{1,6}))?/([0-9a-z.]+)`)

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

var answerPattern = regexp.MustCompile(`\banswer ([A-Za-z]+/[0-9a-z.]+) ([0-9]{1,9}) ([0-9]{1,9}) ([0-9]{1,18}|[1-8][0-9]{18})\b`)

// parseAnswers finds the answers in what a user reads, which may bring those of earlier questions ahead of
// its own.
func parseAnswers(text string) (starts []Mark) {
	for _, f := range answerPattern.FindAllStringSubmatch(text, -1) {
		attempt, _ := strconv.Atoi(f[2])
		pid, _ := strconv.Atoi(f[3])
		nano, _ := strconv.ParseInt(f[4], 10, 64)
		starts = append(starts, Mark{ID: f[1], Attempt: attempt, PID: pid, At: time.Unix(0, nano)})
	}
	return starts
}

// answerTo finds the answer to one message in what a user reads.
func answerTo(id, text string) (start Mark, ok bool) {
	for _, s := range parseAnswers(text) {
		if s.ID == id {
			return s, true
		}
	}
	return Mark{}, false
}

// fallbackText is what the accounts with a fallback answer when a turn has failed.
const fallbackText = "something went wrong"
