package main

import (
	"fmt"
	"strings"

	"github.com/echostr/echostr/bench/peers"
	"github.com/echostr/echostr/callback"
)

// missing is what servers leave out that others do, for who compares their figures.
var missing = map[string]string{
	bare:                              "everything: it reads the body and answers `success`",
	skeletonBot:                       "codec, store, rules",
	"github.com/fastwego/offiaccount": "signatures of pushes, durable messages, one start per message, late answers",
}

// A peer that is not named above leaves out the same as the others.
const missingOfPeers = "durable messages, one start per message, late answers"

// aims are the ratios to bare net/http that are aimed at.
var aims = map[string]string{
	"Echostr, memory": "1.25", "Echostr, memory, safe": "1.6", "Echostr, SQLite": "2.8", "Echostr, SQLite, Pure": "2", "Echostr, PostgreSQL": "4",
}

// callback compares the same echo bot on everything.
func (b *bench) callback() ([]*Table, error) {
	t := &Table{
		Title:   fmt.Sprintf("CPU and time of a push, %d connections, %d rounds of %s", b.conns, b.rounds, thousands(fmt.Sprint(b.requests))),
		Columns: []string{"server", "CPU µs per push", "beside bare net/http", "aim", "pushes/s", "p50 ms", "p99 ms", "what it does not do"},
		Chart:   &Chart{"callback.svg", "CPU per push, µs: median, and range of the rounds", []int{1}},
	}
	kinds, err := b.kinds(t)
	if err != nil {
		return nil, err
	}
	results := make([]runs, len(kinds))
	var servers []*process
	var loads []*load
	for _, k := range kinds {
		s, err := b.start(k)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		l := newLoad(k.Mode, 1)
		if err := b.prepare(l, s); err != nil {
			return nil, fmt.Errorf("%v: %w", &k, err)
		}
		servers, loads = append(servers, s), append(loads, l)
	}
	if err := b.takeTurns(len(kinds), func(i int) error {
		if err := results[i].round(loads[i], b.conns, b.requests, servers[i]); err != nil {
			return fmt.Errorf("%v: %w", &kinds[i], err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for i, k := range kinds {
		r := results[i]
		not, known := missing[k.Kind]
		if k.peer() && !known {
			not = missingOfPeers
		}
		t.add(&Row{Name: k.String(), Cells: []Cell{rounds(r.cpu), ratio(r.cpu, results[0].cpu), text(aims[k.String()]), rounds(r.rate), rounds(r.p50), rounds(r.p99), text(not)}})
	}
	t.note("The times are those of as many users as there are connections, each of whom sends the next message as soon as the last one is answered: what they wait for is the core. CPU is that of the server's process; PostgreSQL's own is in the section nodes.")
	return []*Table{t}, nil
}

// kinds of servers; the first is what the others are compared with.
func (b *bench) kinds(t *Table) ([]role, error) {
	kinds := []role{{Kind: skeletonBot}}
	for _, mode := range []callback.Mode{callback.Plain, callback.Safe} {
		for _, pure := range []bool{false, true} {
			kinds = append(kinds, role{Kind: echostrBot, Mode: mode, Pure: pure}, role{Kind: echostrBot, Mode: mode, Pure: pure, Store: b.path(".db")})
		}
		switch dsn, ok, err := b.postgres(); {
		case err != nil:
			return nil, err
		case ok:
			kinds = append(kinds, role{Kind: echostrBot, Mode: mode, Store: dsn})
		case mode == callback.Plain:
			t.note(noPostgres)
		}
		for _, p := range peers.All {
			kinds = append(kinds, role{Kind: p.Name, Mode: mode})
		}
	}
	chosen := []role{{Kind: bare}}
	for _, k := range kinds {
		if strings.Contains(k.String(), b.servers) {
			chosen = append(chosen, k)
		}
	}
	return chosen, nil
}

// prepare checks a server and warms it up.
func (b *bench) prepare(l *load, s *process) error {
	if err := l.check(s.addr); err != nil {
		return err
	}
	_, _, err := l.hit(b.conns, max(b.requests/10, b.conns), s.addr)
	return err
}
