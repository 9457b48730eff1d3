package page

import (
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// TestRefusedReplay is about when a replay is refused: while WeChat may still retry, the server
// refuses the retries with it.
func TestRefusedReplay(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	first := simulator.Exchange{ID: 1, Begun: begun, Ended: begun.Add(time.Second)}
	for after, want := range map[time.Duration]string{0: replayEarly, 14 * time.Second: replayEarly, 15 * time.Second: replayRefused, time.Hour: replayRefused} {
		for _, status := range []int{401, 403} {
			replay := simulator.Exchange{ID: 2, Begun: begun.Add(after), Report: simulator.Report{
				Pushes: []simulator.Push{{Outcome: simulator.Answered, Status: status}}, Verdict: simulator.Verdict{Problem: "status"},
			}}
			if got := compare(first, replay); got != want {
				t.Errorf("%d after %v: %q, want %q", status, after, got, want)
			}
		}
	}
}
