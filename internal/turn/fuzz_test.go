package turn

import (
	"testing"
	"time"
)

// FuzzStep plays a script of faults: each two bytes are a pause of up to five seconds
// and what breaks then, on which node or for whom. The oracle says what must hold all the same.
func FuzzStep(f *testing.F) {
	const (
		crash = iota
		pause
		sleep
		cut
		outage
		jump
		erase
		twin
		apiDown
		gone
		resend
		drop
		word
		question
		tap
		longAPIDown
		kinds
	)
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte{20, crash, 1, crash, 1, crash})
	f.Add(uint64(3), []byte{10, sleep, 200, twin, 200, twin + kinds, 250, crash + kinds})
	f.Add(uint64(4), []byte{5, outage, 100, crash, 250, cut, 50, jump, 3, erase})
	f.Add(uint64(5), []byte{30, outage + kinds, 255, twin, 255, twin, 1, pause, 1, crash + kinds})
	f.Add(uint64(6), []byte{1, apiDown, 250, question, 250, question + kinds, 100, crash, 250, resend})
	f.Add(uint64(7), []byte{200, word, 250, tap, 5, tap, 250, word + kinds, 250, drop, 200, tap + kinds})
	f.Add(uint64(8), []byte{100, longAPIDown, 255, crash, 255, crash + kinds, 255, jump, 255, gone, 255, question})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		s := newSim(seed, 0, profile{nodes: 1 + int(seed%3), messages: 3, spacing: time.Second})
		s.ticketLife, s.disturbed = 4*time.Minute, len(script) > 0
		at := time.Duration(0)
		for ; len(script) >= 2 && at < 5*time.Minute; script = script[2:] {
			at += time.Duration(script[0]) * 20 * time.Millisecond
			what, which := script[1]%kinds, int(script[1]/kinds)
			s.plans++
			s.after(at, func() {
				s.plans--
				n, m := s.nodes[which%len(s.nodes)], s.msgs[which%len(s.msgs)]
				switch what {
				case crash:
					n.crash()
				case pause, sleep:
					if n.up && !n.paused {
						n.pause(map[byte]time.Duration{pause: 700 * time.Millisecond, sleep: 20 * time.Second}[what])
					}
				case cut, outage:
					n.cutOff = true
					s.after(map[byte]time.Duration{cut: 2 * time.Second, outage: 13 * time.Second}[what], func() { n.cutOff = false })
				case jump:
					s.jump()
				case erase:
					s.disk.erase(m)
				case twin:
					if n.up && m.sent > 0 {
						m.seen.repeated++
						n.receive(&conn{m: m, number: m.sent, at: s.now, over: true})
					}
				case apiDown:
					s.apiDown = s.now + 10*time.Second
				case longAPIDown:
					s.apiDown = s.now + 2*time.Minute
				case gone:
					m.user.gone = true
				case resend:
					s.operate(n, m, Resend)
				case drop:
					s.operate(n, m, Drop)
				case word:
					m.user.says()
				case question:
					m.user.asks()
				case tap:
					if l := m.user.last; l != nil {
						m.user.tap(*l)
					}
				}
			})
		}
		s.end = max(s.end, at+10*time.Second)
		s.run()
		for _, v := range s.violations {
			t.Error(v)
		}
	})
}
