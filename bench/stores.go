package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// rowBytes is what a row of the section is taken to have at least: body, reply and names.
const rowBytes = 700

// stores measures the rows that each store commits in a second by the size of the commit, beside the least that this takes.
func (b *bench) stores() ([]*Table, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU()))
	t := &Table{
		Title:   fmt.Sprintf("Rows per second by the rows of a commit, one caller, %d rounds of %d commits", b.rounds, b.commits),
		Columns: []string{"rows in a commit", "append and fdatasync", "memory", "SQLite", "beside the file", "PostgreSQL", "beside the file"},
		Chart:   &Chart{"stores.svg", "Rows per second, by rows in a commit", []int{1, 2, 3, 5}},
	}
	file, err := newFloor(b.path(".floor"))
	if err != nil {
		return nil, err
	}
	defer file.close()
	writers := []func(group int) error{func(group int) error { return file.append(group * rowBytes) }}
	names := []string{"", b.path(".db")}
	switch dsn, ok, err := b.postgres(); {
	case err != nil:
		return nil, err
	case ok:
		names = append(names, dsn)
	default:
		t.note(noPostgres)
	}
	for _, name := range names {
		var s store.Store = memory.New(memory.Config{})
		if name != "" {
			if s, err = openStore(name); err != nil {
				return nil, err
			}
		}
		defer s.Close()
		d, err := b.newDatabase(s, name)
		if err != nil {
			return nil, err
		}
		writers = append(writers, d.writeGroup)
	}
	rates := make([][]float64, len(b.groups)*len(writers))
	if err := b.takeTurns(len(rates), func(i int) error {
		group, write := b.groups[i/len(writers)], writers[i%len(writers)]
		began := time.Now()
		for range b.commits {
			if err := write(group); err != nil {
				return err
			}
		}
		rates[i] = append(rates[i], float64(b.commits*group)/time.Since(began).Seconds())
		return nil
	}); err != nil {
		return nil, err
	}
	for i, group := range b.groups {
		r := rates[i*len(writers) : (i+1)*len(writers)]
		row := &Row{Name: fmt.Sprint(group), X: float64(group), Cells: []Cell{rounds(r[0]), rounds(r[1]), rounds(r[2]), ratio(r[2], r[0]), text(""), text("")}}
		if len(r) > 3 {
			row.Cells[4], row.Cells[5] = rounds(r[3]), ratio(r[3], r[0])
		}
		t.add(row)
	}
	t.note(fmt.Sprintf("The file gets %d bytes for a row, as many as a message and its answer have; the databases keep indexes as well. Rows in memory are not kept anywhere.", rowBytes))
	return []*Table{t}, nil
}

// writeGroup claims rows in one call.
func (d *database) writeGroup(group int) error {
	ops := make([]store.Op, group)
	for i := range ops {
		ops[i].Turn = d.turn(time.Now())
		finish(&ops[i].Turn)
	}
	if err := d.write(d.Claim, ops); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}
