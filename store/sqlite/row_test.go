package sqlite

import (
	"database/sql/driver"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/packed"
	"github.com/echostr/echostr/store"
)

// values are those of a row that holds t.
func values(t *store.Turn) []driver.Value {
	return appendLate(appendProgress(appendReceived([]driver.Value{t.Key[:], t.Version}, t), t), t)
}

// Whatever stands in a row, reading it gives a turn or an error; and what it gives
// is written and read as the same again.
func FuzzReadRow(f *testing.F) {
	whole := store.Turn{
		Key: store.Key{1, 2, 3}, Version: 3, Account: "a", OpenID: "o\xff\x00", Body: "b", ReceivedAt: time.UnixMilli(1).UTC(), Seen: 2, State: store.Answered, Attempt: 1,
		Pushes: []store.Push{{Number: 1, At: time.UnixMilli(5).UTC(), Got: store.Cut}, {Number: 3, At: time.UnixMilli(2).UTC(), Got: store.GotReply}},
		Due:    time.UnixMilli(7).UTC(), Code: "c\xff", Placeholder: "p",
	}
	pushes, way := packed.AppendPushes(nil, whole.Pushes), packed.AppendWay(nil, &someWay)
	f.Add(pushes, way, 0, byte(0), int64(7), "x", uint8(26))
	f.Add(pushes, way[:len(way)-1], 25, byte(0), int64(7), "x", uint8(26))
	f.Add([]byte{0x80, 0x80}, []byte(nil), 10, byte(2), int64(-1), "", uint8(26))
	f.Add([]byte{2, 2, 1, 2, 2}, []byte{0, 0, 0, 0, 0, 0, 0, 0}, 13, byte(1), int64(300), "\xff", uint8(26))
	f.Add([]byte(nil), make([]byte, 8), 0, byte(3), int64(0), "short", uint8(25))
	f.Fuzz(func(t *testing.T, pushes, way []byte, at int, kind byte, number int64, text string, columns uint8) {
		row := values(&whole)
		row[10], row[25] = pushes, way
		if at >= 0 && at < len(row) {
			switch kind % 4 {
			case 0:
				row[at] = number
			case 1:
				row[at] = text
			case 2:
				row[at] = []byte(text)
			case 3:
				row[at] = nil
			}
		}
		got, err := readRow(row[:min(int(columns), len(row))])
		if err != nil {
			return
		}
		again := values(&got)
		for i, v := range again {
			if b, ok := v.(bool); ok { // SQLite keeps it as a number
				again[i] = int64(0)
				if b {
					again[i] = int64(1)
				}
			}
		}
		twice, err := readRow(again)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(got, twice); diff != "" {
			t.Errorf("(-first +second)\n%s", diff)
		}
	})
}

var someWay = store.Way{
	Told: 300, Pages: 7, Shown: 1 << 30, Sent: -1, Tries: 2, Unknown: 1,
	TakenBy: store.Key{4, 5}, Fetch: store.Fetch{Of: store.Key{6}, Page: 3, Again: true},
}
