package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// Whatever stands in a row, reading it gives a turn or an error; and what it gives
// is written and read as the same again.
func FuzzReadRow(f *testing.F) {
	whole := store.Turn{
		Key: store.Key{1, 2, 3}, Version: 3, Account: "a", OpenID: "o\xff\x00", Body: "b", ReceivedAt: time.UnixMilli(1).UTC(), Seen: 2, State: store.Answered, Attempt: 1,
		Pushes: []store.Push{{Number: 1, At: time.UnixMilli(5).UTC(), Got: store.Cut}, {Number: 3, At: time.UnixMilli(2).UTC(), Got: store.GotReply}},
	}
	f.Add(appendPushes(nil, whole.Pushes), 0, byte(0), int64(7), "x", uint8(22))
	f.Add([]byte{0x80, 0x80}, 10, byte(2), int64(-1), "", uint8(22))
	f.Add([]byte{2, 2, 1, 2, 2}, 13, byte(1), int64(300), "\xff", uint8(22))
	f.Add([]byte(nil), 0, byte(3), int64(0), "short", uint8(21))
	f.Fuzz(func(t *testing.T, pushes []byte, at int, kind byte, number int64, text string, columns uint8) {
		row := appendProgress(appendReceived([]driver.Value{whole.Key[:], whole.Version}, &whole), &whole)
		row[10] = pushes
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
		again := appendProgress(appendReceived([]driver.Value{got.Key[:], got.Version}, &got), &got)
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
