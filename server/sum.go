package server

import (
	"reflect"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

// stats are the numbers of all callbacks together.
func (s *Server) stats() callback.Stats {
	total := s.parts[0].callback.Stats()
	for _, p := range s.parts[1:] {
		one := p.callback.Stats()
		age := max(total.OutboxAge, one.OutboxAge)
		add(reflect.ValueOf(&total).Elem(), reflect.ValueOf(one))
		total.OutboxAge = age
	}
	return total
}

// storeStats are those of the stores that tell, if there are any.
func (s *Server) storeStats() (total sqlite.Stats, ok bool) {
	for _, p := range s.parts {
		var one sqlite.Stats
		switch db := p.store.(type) {
		case interface{ Stats() sqlite.Stats }:
			one = db.Stats()
		case *postgres.Store:
			st := db.Stats()
			one = sqlite.Stats{Commits: st.Commits, Rows: st.Rows, Latency: st.Latency, GroupSize: st.GroupSize, FreeBytes: -1, FileBytes: -1, WALBytes: -1}
		default:
			continue
		}
		if !ok {
			total, ok = one, true
			continue
		}
		free, file, wal, full := least(total.FreeBytes, one.FreeBytes), together(total.FileBytes, one.FileBytes), together(total.WALBytes, one.WALBytes), total.Full || one.Full
		add(reflect.ValueOf(&total).Elem(), reflect.ValueOf(one))
		total.FreeBytes, total.FileBytes, total.WALBytes, total.Full = free, file, wal, full
	}
	return total, ok
}

// least is the smaller of two sizes that may be unknown, which is below zero.
func least(a, b int64) int64 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// together is the sum of two sizes that may be unknown.
func together(a, b int64) int64 {
	if a < 0 || b < 0 {
		return max(a, b)
	}
	return a + b
}

// add adds the numbers in from to those in to, wherever they stand. Histograms have the same buckets.
func add(to, from reflect.Value) {
	if h, ok := to.Addr().Interface().(*histogram.Snapshot); ok {
		*h = h.Plus(from.Interface().(histogram.Snapshot))
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		for i := range to.NumField() {
			add(to.Field(i), from.Field(i))
		}
	case reflect.Map:
		for key, value := range from.Seq2() {
			sum := reflect.New(value.Type()).Elem()
			sum.Set(value)
			if old := to.MapIndex(key); old.IsValid() {
				add(sum, old)
			}
			to.SetMapIndex(key, sum)
		}
	case reflect.Uint64:
		to.SetUint(to.Uint() + from.Uint())
	case reflect.Int64:
		to.SetInt(to.Int() + from.Int())
	case reflect.Float64:
		to.SetFloat(to.Float() + from.Float())
	}
}
