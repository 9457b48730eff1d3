package callback

import (
	"sync"

	"github.com/echostr/echostr/store"
)

// marks save what nobody waits for: which answers were written, and what the pushes
// got. The rows of turns that would else be put away are saved in batches, as
// fast as the store takes them, and so share the flushes of what is waited
// for. While the store is down they wait: an answer that was written, and of which the store does
// not know that, would be sent once more when it is due.
type marks struct {
	s *Server

	mu      sync.Mutex
	waiting batch
	spare   batch
	saving  bool
}

// batch is some rows and the flights that they belong to.
type batch struct {
	rows    []store.Op
	flights []*flight
}

// add takes in the row of f, of which only what [store.Op.Mark] names has changed
// since it was saved.
func (m *marks) add(f *flight) {
	m.mu.Lock()
	m.waiting.rows = append(m.waiting.rows, store.Op{Turn: f.state.Row, Mark: true})
	m.waiting.flights = append(m.waiting.flights, f)
	start := !m.saving
	m.saving = true
	m.mu.Unlock()
	if start {
		go m.save()
	}
}

func (m *marks) save() {
	for {
		m.mu.Lock()
		b := m.waiting
		if len(b.rows) == 0 {
			m.saving = false
			m.mu.Unlock()
			return
		}
		m.waiting, m.spare = m.spare, batch{}
		m.mu.Unlock()
		for pause := firstPause; ; {
			err := m.s.cfg.Store.Save(m.s.storeCtx, b.rows)
			if err == nil {
				break
			}
			if m.s.storeFailed(err); !m.s.rest(&pause) {
				for i := range b.rows {
					b.rows[i].OK, b.rows[i].Err = false, err
				}
				break
			}
		}
		for i, f := range b.flights {
			f.marked(&b.rows[i])
		}
		clear(b.rows)
		clear(b.flights)
		m.mu.Lock()
		m.spare = batch{b.rows[:0], b.flights[:0]}
		m.mu.Unlock()
	}
}
