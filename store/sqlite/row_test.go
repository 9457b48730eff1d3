package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	pushes, way := appendPushes(nil, whole.Pushes), appendWay(nil, &someWay)
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

func TestWay(t *testing.T) {
	t.Parallel()
	if b := appendWay(nil, &store.Way{}); b != nil {
		t.Errorf("the zero Way takes %d bytes", len(b))
	}
	whole := appendWay(nil, &someWay)
	if got, err := readWay(whole); err != nil || got != someWay {
		t.Errorf("%+v, %v", got, err)
	}
	plain := appendWay(nil, &store.Way{Told: 1})
	for n := 1; n < len(whole); n++ {
		if got, err := readWay(whole[:n]); err == nil || got != (store.Way{}) {
			t.Errorf("the first %d of %d bytes were read as %+v, %v", n, len(whole), got, err)
		}
	}
	for name, damaged := range map[string][]byte{
		"a byte too many":               append(bytes.Clone(whole), 0),
		"a byte too many after flags":   append(bytes.Clone(plain), 0),
		"a flag that there is not":      append(bytes.Clone(plain[:len(plain)-1]), wayFlags+1),
		"a number that does not end":    bytes.Repeat([]byte{0xff}, 40),
		"a key instead of two":          append(bytes.Clone(plain[:len(plain)-1]), append([]byte{hasTakenBy | hasFetchOf}, make([]byte, 20)...)...),
		"a key that nobody said it has": append(bytes.Clone(plain), make([]byte, 20)...),
	} {
		if got, err := readWay(damaged); err == nil || got != (store.Way{}) {
			t.Errorf("%s: %x was read as %+v, %v", name, damaged, got, err)
		}
	}
}

func TestPushesOfAnyTime(t *testing.T) {
	t.Parallel()
	want := []store.Push{{Number: -1, At: time.UnixMilli(-1 << 50).UTC(), Got: 255}, {Number: 1 << 30, At: time.UnixMilli(1 << 50).UTC()}}
	got, err := readPushes(appendPushes(nil, want))
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	for _, damaged := range [][]byte{{0x80}, {2, 0x80}, {2, 2, 0x80}, {2, 2}, append([]byte{2, 2}, binary.AppendUvarint(nil, 256)...), make([]byte, 3*(store.MaxPushes+1))} {
		if _, err := readPushes(damaged); err == nil {
			t.Errorf("%x was read", damaged)
		}
	}
}
