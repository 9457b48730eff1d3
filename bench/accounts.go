package main

import (
	"fmt"

	"github.com/echostr/echostr/callback"
)

// accounts measures a message on servers of few and of many accounts, which get pushes in turn.
func (b *bench) accounts() ([]*Table, error) {
	t := &Table{
		Title:   fmt.Sprintf("CPU and memory by the number of accounts, store in memory, plain, %d rounds of %s", b.rounds, thousands(fmt.Sprint(b.requests))),
		Columns: []string{"accounts", "CPU µs per push", "beside one account", "p50 ms", "p99 ms", "KiB per account"},
		Chart:   &Chart{"accounts.svg", "CPU per push, µs, by accounts of the server", []int{1}},
	}
	results := make([]runs, len(b.counts.accounts))
	memories := make([]float64, len(results))
	var servers []*process
	var loads []*load
	for i, n := range b.counts.accounts {
		s, err := b.start(role{Kind: echostrBot, Mode: callback.Plain, Accounts: n})
		if err != nil {
			return nil, err
		}
		defer s.stop()
		m, err := s.memory()
		if err != nil {
			return nil, err
		}
		memories[i] = m.resident / 1024
		l := newLoad(callback.Plain, n)
		if err := b.prepare(l, s); err != nil {
			return nil, fmt.Errorf("%d accounts: %w", n, err)
		}
		servers, loads = append(servers, s), append(loads, l)
	}
	if err := b.takeTurns(len(servers), func(i int) error { return results[i].round(loads[i], b.conns, b.requests, servers[i]) }); err != nil {
		return nil, err
	}
	for i, n := range b.counts.accounts {
		each := text("")
		if i > 0 {
			each = one((memories[i] - memories[0]) / float64(n-b.counts.accounts[0]))
		}
		r := results[i]
		t.add(&Row{Name: thousands(fmt.Sprint(n)), X: float64(n), Cells: []Cell{rounds(r.cpu), ratio(r.cpu, results[0].cpu), rounds(r.p50), rounds(r.p99), each}})
	}
	return []*Table{t}, nil
}
