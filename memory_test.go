package echostr_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/store"
)

// stored returns what is left of m after it was stored and loaded.
func stored(t *testing.T, m *echostr.Memory) *echostr.Memory {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	back := new(echostr.Memory)
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return back
}

func TestMemoryValues(t *testing.T) {
	t.Parallel()
	type step struct {
		N    int
		Note string
	}
	synctest.Test(t, func(t *testing.T) {
		m := new(echostr.Memory)
		want := step{3, "<等待> & \"回答\""}
		if err := m.Set("step", want, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := m.Set("null", nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got step
			if found, err := m.Get("step", &got); !found || err != nil || got != want {
				t.Errorf("got %v, %v, %v", got, found, err)
			}
			nothing := &want
			if found, err := m.Get("null", &nothing); !found || err != nil || nothing != nil {
				t.Errorf("got %v, %v, %v", nothing, found, err)
			}
			if found, err := m.Get("other", nil); found || err != nil {
				t.Errorf("what was not set: %v, %v", found, err)
			}
			m = stored(t, m)
		}
		var number int
		if found, err := m.Get("step", &number); found || err == nil || !strings.Contains(err.Error(), `"step"`) {
			t.Errorf("a struct as a number: %v, %v", found, err)
		}

		time.Sleep(time.Minute - time.Nanosecond)
		if found, _ := m.Get("step", new(step)); !found {
			t.Error("the value expired before its time")
		}
		time.Sleep(time.Nanosecond)
		if found, err := m.Get("step", new(step)); found || err != nil {
			t.Errorf("an expired value: %v, %v", found, err)
		}
		if text, err := json.Marshal(m); string(text) != "{}" || err != nil {
			t.Errorf("an expired value is stored: %s, %v", text, err)
		}
		if err := m.Set("step", want, time.Hour); err != nil {
			t.Fatal(err)
		}
		m.Delete("step")
		m.Delete("step")
		if found, err := m.Get("step", new(step)); found || err != nil {
			t.Errorf("a deleted value: %v, %v", found, err)
		}
	})
}

// TestMemoryRefusals: an error names the value, and what was there before stays.
func TestMemoryRefusals(t *testing.T) {
	t.Parallel()
	full := func() *echostr.Memory {
		m := new(echostr.Memory)
		for _, name := range []string{"v", "a", "b", "c"} {
			if err := m.Set(name, strings.Repeat("x", 31<<10), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	tests := []struct {
		name  string
		value any
		ttl   time.Duration
		ok    bool
	}{
		{"v", 1, 0, false},
		{"v", 1, -time.Second, false},
		{"v", math.NaN(), time.Hour, false},
		{"v", make(chan int), time.Hour, false},
		{"v", strings.Repeat("x", 32<<10-1), time.Hour, false},
		{"v", strings.Repeat("x", 32<<10-2), time.Hour, true}, // in place of the one before
		{"new", strings.Repeat("x", 4<<10), time.Hour, false},
		{"new", strings.Repeat("x", 3<<10), time.Hour, true},
		{strings.Repeat("n", 4<<10), 1, time.Hour, false},
		{"\xff", 1, time.Hour, false},
	}
	for _, tt := range tests {
		m := full()
		err := m.Set(tt.name, tt.value, tt.ttl)
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", tt.name)) {
			t.Errorf("%.10s: %v", tt.name, err)
		}
		var kept string
		if found, err := m.Get("v", &kept); !found || err != nil || !tt.ok && len(kept) != 31<<10 {
			t.Errorf("%.10s: the value before is gone: %v, %v", tt.name, found, err)
		}
	}
	m := full()
	m.Delete("a")
	if err := m.Set("new", strings.Repeat("x", 31<<10), time.Hour); err != nil {
		t.Errorf("the room of a deleted value is not given back: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		m := full()
		time.Sleep(time.Hour)
		if err := m.Set("new", strings.Repeat("x", 31<<10), time.Hour); err != nil {
			t.Errorf("the room of expired values is not given back: %v", err)
		}
	})
}

func TestMemoryTurns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	turn := func(n int) echostr.Exchange {
		return echostr.Exchange{Key: fmt.Sprint("key", n), Question: fmt.Sprint("问", n), Answer: fmt.Sprint("答", n), At: at.Add(time.Duration(n) * time.Second)}
	}
	m := new(echostr.Memory)
	for i := range 60 {
		m.Add(turn(i))
	}
	for range 2 {
		for n, want := range map[int][]echostr.Exchange{-1: nil, 0: nil, 1: {turn(59)}, 3: {turn(57), turn(58), turn(59)}} {
			if diff := cmp.Diff(want, m.Turns(n), cmp.Transformer("", func(list []echostr.Exchange) string { return fmt.Sprint(list) })); diff != "" {
				t.Errorf("the last %d turns (-want +got):\n%s", n, diff)
			}
		}
		if all := m.Turns(math.MaxInt); len(all) != 50 || all[0] != turn(10) || len(m.Turns(50)) != 50 {
			t.Errorf("all %d turns begin with %v", len(all), all[0])
		}
		m = stored(t, m)
	}

	// What is returned is the caller's own.
	m.Turns(1)[0].Answer = "changed"
	if got := m.Turns(1)[0]; got != turn(59) {
		t.Errorf("a change of what was returned changes the conversation: %v", got)
	}
	// A turn that is answered twice, as after a crash, is in it once.
	again := turn(30)
	again.Answer = "另一个"
	m.Add(again)
	all := m.Turns(50)
	if n := len(slices.DeleteFunc(slices.Clone(all), func(x echostr.Exchange) bool { return x.Key != again.Key })); n != 1 || all[49] != again {
		t.Errorf("%d turns have the key, the last is %v", n, all[49])
	}
	m.Add(echostr.Exchange{Question: "a"})
	m.Add(echostr.Exchange{Question: "b"})
	if got := m.Turns(2); got[0].Question != "a" || got[1].Question != "b" {
		t.Errorf("turns without a key replace each other: %v", got)
	}
	if err := m.Set("stays", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	m.Forget()
	if found, _ := m.Get("stays", new(int)); !found || len(m.Turns(50)) != 0 {
		t.Errorf("after Forget: the value is found: %v, turns: %v", found, m.Turns(50))
	}
}

func TestMemoryLongTurns(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"as it is", strings.Repeat("字", 2730), strings.Repeat("字", 2730)},
		{"cut between characters", strings.Repeat("字", 2731), strings.Repeat("字", 2730)},
		{"not UTF-8", "a\xffb\xef\xbf", "a\ufffdb\ufffd"},
		{"long and not UTF-8", strings.Repeat("\x80", 9000), "\ufffd"},
	}
	for _, tt := range tests {
		m := new(echostr.Memory)
		m.Add(echostr.Exchange{Question: tt.text, Answer: tt.text})
		got := m.Turns(1)[0]
		if got.Question != tt.want || got.Answer != tt.want {
			t.Errorf("%s: %d and %d bytes are remembered, want %d", tt.name, len(got.Question), len(got.Answer), len(tt.want))
		}
		if back := stored(t, m).Turns(1)[0]; back != got {
			t.Errorf("%s: stored it is another", tt.name)
		}
	}
}

// TestMemorySize: whatever is remembered, a store takes it, and the newest turn is part of it.
func TestMemorySize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := new(echostr.Memory)
		// Few characters, which JSON writes in one to six bytes, so that the limits are met.
		text := rapid.Custom(func(t *rapid.T) string {
			part := rapid.SampledFrom([]string{"a", "字", "😀", "<", "\n", "\x01", "\u2028", "\x7f", "\\\"", "\xff", "a<字&\xef"}).Draw(t, "part")
			return strings.Repeat(part, rapid.IntRange(0, 9000).Draw(t, "times"))
		})
		now := time.Now()
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"add", "add again", "set", "delete"}).Draw(t, "step") {
			case "add":
				m.Add(echostr.Exchange{Question: text.Draw(t, "question"), Answer: text.Draw(t, "answer"), At: now})
				if len(m.Turns(1)) != 1 {
					t.Fatal("the newest turn was forgotten")
				}
			case "add again":
				m.Add(echostr.Exchange{Key: strings.Repeat("f", 64) + "\xff", Question: text.Draw(t, "question"), At: now})
			case "set":
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "<e", strings.Repeat("&", 1000)}).Draw(t, "name")
				_ = m.Set(name, text.Draw(t, "value"), time.Hour) // refused if it is too long
			case "delete":
				m.Delete("a")
			}
		}
		stored, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) > store.MaxSession {
			t.Fatalf("it is stored in %d bytes", len(stored))
		}
		var back echostr.Memory
		if err := json.Unmarshal(stored, &back); err != nil || len(back.Turns(50)) != len(m.Turns(50)) {
			t.Fatalf("it comes back with %d turns of %d: %v", len(back.Turns(50)), len(m.Turns(50)), err)
		}
		if again, err := json.Marshal(&back); err != nil || string(again) != string(stored) {
			t.Fatalf("stored twice it differs: %v", err)
		}
	})
}

// TestMemoryManyValues: what is around a value counts, too.
func TestMemoryManyValues(t *testing.T) {
	t.Parallel()
	m := new(echostr.Memory)
	n := 0
	for m.Set(fmt.Sprint("v", n), n, time.Hour) == nil {
		n++
	}
	if text, err := json.Marshal(m); err != nil || n < 1000 || len(text) > 128<<10 {
		t.Errorf("%d values are stored in %d bytes: %v", n, len(text), err)
	}
}

// TestMemoryValuesBeforeTurns: what a handler sets is kept, and turns give way to it.
func TestMemoryValuesBeforeTurns(t *testing.T) {
	t.Parallel()
	m := new(echostr.Memory)
	for range 20 {
		m.Add(echostr.Exchange{Question: strings.Repeat("q", 8000), Answer: strings.Repeat("a", 8000)})
	}
	before := len(m.Turns(50))
	for i := range 4 {
		if err := m.Set(fmt.Sprint(i), strings.Repeat("x", 31<<10), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if after := len(m.Turns(50)); before < 15 || after >= before || after < 7 {
		t.Errorf("%d turns before and %d after", before, after)
	}
}

// TestMemoryLoadsTooMuch: what others have stored, or two have put together, is cut to the same limits.
func TestMemoryLoadsTooMuch(t *testing.T) {
	t.Parallel()
	var much struct {
		Turns []echostr.Exchange `json:"turns"`
	}
	for i := range 60 {
		much.Turns = append(much.Turns, echostr.Exchange{Question: fmt.Sprint(i), Answer: strings.Repeat("<", 1000)})
	}
	text, err := json.Marshal(much)
	if err != nil {
		t.Fatal(err)
	}
	var m echostr.Memory
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Turns(50)); n < 40 || n >= 50 || m.Turns(1)[0].Question != "59" {
		t.Errorf("%d turns are left, the last is %.10v", n, m.Turns(1))
	}
}

func TestMemoryUnreadable(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`[]`, `{"turns":7}`, `{"values":{"a":7}}`, `{"values":{"a":{"expires":"soon"}}}`} {
		if err := json.Unmarshal([]byte(text), new(echostr.Memory)); err == nil {
			t.Errorf("%s is read as a Memory", text)
		}
	}
	m := new(echostr.Memory)
	m.Add(echostr.Exchange{Question: "a"})
	if err := json.Unmarshal([]byte(`{}`), m); err != nil || len(m.Turns(50)) != 0 {
		t.Errorf("what was there before is mixed with what is loaded: %v, %v", m.Turns(50), err)
	}
}

// TestMemoryConcurrent is for the race detector.
func TestMemoryConcurrent(t *testing.T) {
	t.Parallel()
	m := new(echostr.Memory)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprint(i % 3)
			for range 50 {
				m.Add(echostr.Exchange{Key: name, Question: "q"})
				if err := m.Set(name, i, time.Hour); err != nil {
					t.Error(err)
				}
				if _, err := m.Get(name, new(int)); err != nil {
					t.Error(err)
				}
				m.Turns(5)
				m.Delete(name)
				if _, err := json.Marshal(m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(m.Turns(50)); n != 3 {
		t.Errorf("there are %d turns of three keys", n)
	}
}
