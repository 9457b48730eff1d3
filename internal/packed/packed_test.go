package packed

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

var (
	somePushes = []store.Push{
		{Number: 1, At: time.UnixMilli(1793346000123).UTC(), Got: store.Cut},
		{Number: 3, At: time.UnixMilli(1793345999000).UTC(), Got: store.GotPlaceholder}, // by a clock that was set back
	}
	someWay = store.Way{
		Told: 300, Pages: 127, Shown: 128, Sent: 5, Tries: 1 << 30, Unknown: 1,
		TakenBy: store.Key{1}, Fetch: store.Fetch{Of: store.Key{19: 2}, Page: 3, Again: true},
	}
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, pushes := range [][]store.Push{nil, somePushes[:1], somePushes} {
		got, err := Pushes(AppendPushes(nil, pushes))
		if diff := cmp.Diff(pushes, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	for _, way := range []store.Way{{}, someWay, {Told: 1}, {TakenBy: someWay.TakenBy}, {Fetch: store.Fetch{Of: someWay.Fetch.Of}}, {Fetch: store.Fetch{Again: true}}} {
		got, err := Way(AppendWay(nil, &way))
		if diff := cmp.Diff(way, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	if n := len(AppendWay(nil, new(store.Way))); n != 0 {
		t.Errorf("an answer that has not come anywhere takes %d bytes", n)
	}
}

// What was cut off or goes on too long is not taken for something else.
func TestDamaged(t *testing.T) {
	t.Parallel()
	pushes, way := AppendPushes(nil, somePushes[:1]), AppendWay(nil, &someWay)
	for n := 1; n < len(pushes); n++ {
		if got, err := Pushes(pushes[:n]); err == nil {
			t.Errorf("%d of %d bytes are read as %v", n, len(pushes), got)
		}
	}
	for n := 1; n < len(way); n++ {
		if got, err := Way(way[:n]); err == nil {
			t.Errorf("%d of %d bytes are read as %v", n, len(way), got)
		}
	}
	if got, err := Pushes(bytes.Repeat(pushes, store.MaxPushes+1)); err == nil {
		t.Errorf("more pushes than are ever recorded are read as %v", got)
	}
	if got, err := Way(append(way, 0)); err == nil {
		t.Errorf("a way with more behind it is read as %v", got)
	}
}

func TestWay(t *testing.T) {
	t.Parallel()
	if b := AppendWay(nil, &store.Way{}); b != nil {
		t.Errorf("the zero Way takes %d bytes", len(b))
	}
	want := store.Way{
		Told: 300, Pages: 7, Shown: 1 << 30, Sent: -1, Tries: 2, Unknown: 1,
		TakenBy: store.Key{4, 5}, Fetch: store.Fetch{Of: store.Key{6}, Page: 3, Again: true},
	}
	whole := AppendWay(nil, &want)
	if got, err := Way(whole); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	plain := AppendWay(nil, &store.Way{Told: 1})
	for n := 1; n < len(whole); n++ {
		if got, err := Way(whole[:n]); err == nil || got != (store.Way{}) {
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
		if got, err := Way(damaged); err == nil || got != (store.Way{}) {
			t.Errorf("%s: %x was read as %+v, %v", name, damaged, got, err)
		}
	}
}

func TestPushesOfAnyTime(t *testing.T) {
	t.Parallel()
	want := []store.Push{{Number: -1, At: time.UnixMilli(-1 << 50).UTC(), Got: 255}, {Number: 1 << 30, At: time.UnixMilli(1 << 50).UTC()}}
	got, err := Pushes(AppendPushes(nil, want))
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	for _, damaged := range [][]byte{{0x80}, {2, 0x80}, {2, 2, 0x80}, {2, 2}, append([]byte{2, 2}, binary.AppendUvarint(nil, 256)...), make([]byte, 3*(store.MaxPushes+1))} {
		if _, err := Pushes(damaged); err == nil {
			t.Errorf("%x was read", damaged)
		}
	}
}

// Whatever the bytes are, they give a value or an error; and the value is written and read as the
// same again.
func FuzzRead(f *testing.F) {
	f.Add(AppendPushes(nil, somePushes), AppendWay(nil, &someWay))
	f.Add([]byte{0x80, 0x80}, make([]byte, 8))
	f.Add([]byte{2, 2, 1, 2, 2}, []byte{0, 0, 0, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, pushes, way []byte) {
		if got, err := Pushes(pushes); err == nil {
			again, err := Pushes(AppendPushes(nil, got))
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		} else if got != nil {
			t.Errorf("%v beside %v", got, err)
		}
		if got, err := Way(way); err == nil {
			again, err := Way(AppendWay(nil, &got))
			if got != again || err != nil {
				t.Errorf("%+v is read as %+v, %v", got, again, err)
			}
		} else if got != (store.Way{}) {
			t.Errorf("%+v beside %v", got, err)
		}
	})
}
