package turn

import (
	"testing"
	"time"
)

// FuzzStep plays a script of faults: each two bytes are a pause of up to five seconds
// and what breaks then, on which node. The oracle says what must hold all the same.
func FuzzStep(f *testing.F) {
	const crash, pause, sleep, cut, outage, jump, erase, twin = 0, 1, 2, 3, 4, 5, 6, 7
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte{20, crash, 1, crash, 1, crash})
	f.Add(uint64(3), []byte{10, sleep, 200, twin, 200, twin + 8, 250, crash + 8})
	f.Add(uint64(4), []byte{5, outage, 100, crash, 250, cut, 50, jump, 3, erase})
	f.Add(uint64(5), []byte{30, outage + 8, 255, twin, 255, twin, 1, pause, 1, crash + 8})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		s := newSim(seed, 0, profile{nodes: 1 + int(seed%3), messages: 3, spacing: time.Second})
		at := time.Duration(0)
		for ; len(script) >= 2 && at < 5*time.Minute; script = script[2:] {
			at += time.Duration(script[0]) * 20 * time.Millisecond
			what, which := script[1]%8, int(script[1]/8)
			s.after(at, func() {
				n, m := s.nodes[which%len(s.nodes)], s.msgs[which%len(s.msgs)]
				for _, m := range s.msgs {
					m.disturbed = true
				}
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
						n.receive(&conn{m: m, number: m.sent, at: s.now, over: true})
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
