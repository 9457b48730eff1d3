package main

import (
	"fmt"

	"github.com/echostr/echostr/callback"
)

// parked measures the memory of pushes that nobody answers yet.
func (b *bench) parked() ([]*Table, error) {
	t := &Table{
		Title:   thousands(fmt.Sprint(b.counts.parked)) + " parked pushes",
		Columns: []string{"server", "KiB each", "of it heap", "stacks", "aim"},
		Chart:   &Chart{"parked.svg", "Memory of a parked push, KiB", []int{1}},
	}
	for _, k := range []struct {
		role
		aim string
	}{
		{role{Kind: bare}, ""}, {role{Kind: skeletonBot}, ""},
		{role{Kind: echostrBot, Mode: callback.Plain}, "28"}, {role{Kind: echostrBot, Mode: callback.Plain, Store: "SQLite"}, ""},
	} {
		var resident, heap, stacks []float64
		for range b.rounds {
			m, err := b.parkedMemory(k.role)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", &k.role, err)
			}
			each := 1024 * float64(b.counts.parked)
			resident, heap, stacks = append(resident, m.resident/each), append(heap, m.heap/each), append(stacks, m.stacks/each)
		}
		t.add(&Row{Name: k.String(), Cells: []Cell{rounds(resident), rounds(heap), rounds(stacks), text(k.aim)}})
	}
	t.note("Heap and stacks may add up to more than what is resident, part of which was so before. The other libraries hold no push: their handlers end, or the user reads the fault notice.")
	return []*Table{t}, nil
}

func (b *bench) parkedMemory(r role) (m usage, err error) {
	if r.Store != "" {
		r.Store = b.path(".db") // or it would take over what the round before has left
	}
	s, err := b.start(r)
	if err != nil {
		return m, err
	}
	defer s.stop()
	l := newLoad(r.Mode, 1)
	if err := l.check(s.addr); err != nil {
		return m, err
	}
	if _, _, err := l.hit(b.conns, 2048, s.addr); err != nil {
		return m, err
	}
	before, err := s.memory()
	if err != nil {
		return m, err
	}
	stop, err := l.wait(s.addr, b.counts.parked)
	defer stop()
	if err != nil {
		return m, err
	}
	after, err := s.memory()
	return usage{after.resident - before.resident, after.heap - before.heap, after.stacks - before.stacks}, err
}
