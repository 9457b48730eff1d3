package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// nodes measures one node and two on one PostgreSQL, beside its bare inserts and bare net/http.
func (b *bench) nodes() ([]*Table, error) {
	dsn, ok, err := b.postgres()
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title:   fmt.Sprintf("Nodes on one PostgreSQL, plain, %d rounds of %s", b.rounds, thousands(fmt.Sprint(b.requests))),
		Columns: []string{"what", "messages/s", "beside bare inserts", "CPU µs per message of the nodes", "beside bare net/http", "aim", "of PostgreSQL", "p50 ms", "p99 ms"},
		Chart:   &Chart{"nodes.svg", "Messages per second", []int{1}},
	}
	if !ok {
		t.add(&Row{Name: noPostgres, Cells: make([]Cell, len(t.Columns)-1)})
		t.Chart = nil
		return []*Table{t}, nil
	}
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if _, err := pool.Exec(context.Background(), `CREATE TABLE bare (key bytea PRIMARY KEY, body bytea NOT NULL)`); err != nil {
		return nil, err
	}
	shared, _, err := b.postgres()
	if err != nil {
		return nil, err
	}
	alone, _, err := b.postgres()
	if err != nil {
		return nil, err
	}
	var inserts, insertsCost []float64
	subjects := []*struct {
		name, aim string
		roles     []role
		servers   []*process
		runs
		database []float64 // µs of PostgreSQL
	}{
		{name: bare, aim: "", roles: []role{{Kind: bare}}},
		{name: "Echostr, one node", aim: "4", roles: []role{node(alone)}},
		{name: "Echostr, two nodes", roles: []role{node(shared), node(shared)}},
	}
	for _, s := range subjects {
		for i, r := range s.roles {
			p, err := b.startOn(fmt.Sprint(i), r)
			if err != nil {
				return nil, err
			}
			defer p.stop()
			if err := b.prepare(newLoad(r.Mode, 1), p); err != nil {
				return nil, err
			}
			s.servers = append(s.servers, p)
		}
	}
	if err := b.takeTurns(1+len(subjects), func(i int) error {
		if i == 0 {
			rate, cost, err := b.bareInserts(pool)
			inserts, insertsCost = append(inserts, rate), append(insertsCost, cost)
			return err
		}
		s := subjects[i-1]
		before, err := b.databaseCPU()
		if err != nil {
			return err
		}
		if err := s.round(newLoad(s.roles[0].Mode, 1), b.conns, b.requests, s.servers...); err != nil {
			return err
		}
		after, err := b.databaseCPU()
		s.database = append(s.database, micros(after-before, b.requests/b.conns*b.conns))
		return err
	}); err != nil {
		return nil, err
	}
	t.add(&Row{
		Name:  fmt.Sprintf("bare inserts of as many bytes, %d in a group, on %d connections", insertGroup, insertConns),
		Cells: []Cell{rounds(inserts), text("1"), text(""), text(""), text(""), rounds(insertsCost), text(""), text("")},
	})
	for i, s := range subjects {
		cells := []Cell{rounds(s.rate), ratio(s.rate, inserts), rounds(s.cpu), ratio(s.cpu, subjects[0].cpu), text(s.aim), rounds(s.database), rounds(s.p50), rounds(s.p99)}
		if i == 0 {
			cells[0], cells[1], cells[5] = text(""), text(""), text("") // its rate is in the section callback, and would dwarf the others
		}
		t.add(&Row{Name: s.name, Cells: cells})
	}
	t.note("The nodes, PostgreSQL and the load share the cores of one machine, so two nodes show what sharing costs rather than what a second machine brings. A message is three writes, of which two are waited for; a bare insert is one.")
	return []*Table{t}, nil
}

func node(dsn string) role { return role{Kind: echostrBot, Mode: callback.Plain, Store: dsn} }

const (
	insertGroup = 64
	insertConns = 2
)

// bareInserts measures the least that durable rows take: of a message's size, in groups of a fixed size, with no index but that of the key.
func (b *bench) bareInserts(pool *pgxpool.Pool) (rate, cost float64, err error) {
	before, err := b.databaseCPU()
	if err != nil {
		return 0, 0, err
	}
	groups := max(b.requests/insertGroup/insertConns, 1)
	errs := make([]error, insertConns)
	d := database{keyer: store.NewKeyer([]byte("salt"))}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range insertConns {
		wg.Go(func() {
			for range groups {
				var keys, bodies [][]byte
				for range insertGroup {
					t := d.turn(time.Now())
					keys, bodies = append(keys, t.Key[:]), append(bodies, []byte(t.Body+t.OpenID))
				}
				if _, errs[i] = pool.Exec(context.Background(), `INSERT INTO bare SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`, keys, bodies); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	n := groups * insertGroup * insertConns
	rate = float64(n) / time.Since(began).Seconds()
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	after, err := b.databaseCPU()
	return rate, micros(after-before, n), err
}
