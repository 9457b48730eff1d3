package echostr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Memory is what is remembered of one user of one account; see [Session]. Its methods are safe for
// concurrent use. The zero Memory is empty.
//
// All of it together is at most 256 KiB; when it grows beyond, the oldest turns are forgotten.
type Memory struct {
	mu     sync.Mutex
	values map[string]memoryValue
	turns  []Exchange
	// How many bytes of JSON they are.
	valuesSize, turnsSize int
}

type memoryValue struct {
	Value   json.RawMessage `json:"value"`
	Expires time.Time       `json:"expires"`
}

// Exchange is one turn of a conversation.
type Exchange struct {
	// Key is that of the turn: see [Turn].
	Key string `json:"key"`
	// Question is what the user wrote or said, or the kind of message in brackets, such as [image].
	Question string `json:"question"`
	// Answer is the text of the reply, or its kind in brackets.
	Answer string `json:"answer"`
	// At is when the question arrived.
	At time.Time `json:"at"`
}

// Limits of a Memory. Sizes are those of the JSON that is stored, which can be six times as long as the text.
const (
	maxTurns       = 50
	maxTurnText    = 8 << 10   // bytes of a question or answer that are remembered, of text
	maxMemory      = 255 << 10 // bytes of all turns and values; JSON puts a little around them
	maxMemoryValue = 32 << 10
	maxMemoryTotal = 128 << 10 // bytes of all values
	aroundValue    = 80        // at most, beside the name and the value
	aroundTurn     = 100       // at most, beside its three texts
)

// Get reads the value that was set under name into v, as encoding/json does. It reports false if
// there is none, or if it has expired. The error is that of a value that does not fit v.
func (m *Memory) Get(name string, v any) (bool, error) {
	m.mu.Lock()
	value, ok := m.values[name]
	m.mu.Unlock()
	if !ok || !time.Now().Before(value.Expires) {
		return false, nil
	}
	if err := json.Unmarshal(value.Value, v); err != nil {
		return false, fmt.Errorf("session: the value %q cannot be read into a %T: %w", name, v, err)
	}
	return true, nil
}

// Set remembers v under name, which must be UTF-8, for the time ttl, which must be positive. v is whatever
// encoding/json writes, up to 32 KiB; all values together are at most 128 KiB, with their names and 80
// bytes for each. If there is no room beside the turns, the oldest of those are forgotten.
func (m *Memory) Set(name string, v any, ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("session: the value %q was to be kept for %v; give a time above zero, or call Delete", name, ttl)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("session: the name %q is not UTF-8, so it would be another one when it is stored; give one that is", name)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("session: the value %q cannot be written as JSON: %w", name, err)
	}
	if len(text) > maxMemoryValue {
		return fmt.Errorf("session: the value %q has %d bytes, and at most %d are remembered; keep it elsewhere, and its key here", name, len(text), maxMemoryValue)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	value := memoryValue{text, time.Now().Add(ttl)}
	grown := m.valuesSize + value.size(name)
	if old, ok := m.values[name]; ok {
		grown -= old.size(name)
	}
	if grown > maxMemoryTotal {
		return fmt.Errorf("session: with the value %q the values would have %d bytes, and at most %d are remembered; delete some", name, grown, maxMemoryTotal)
	}
	if m.values == nil {
		m.values = make(map[string]memoryValue)
	}
	m.values[name] = value
	m.valuesSize = grown
	m.trim()
	return nil
}

// Delete forgets the value under name.
func (m *Memory) Delete(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.values[name]; ok {
		m.valuesSize -= old.size(name)
		delete(m.values, name)
	}
}

// Turns returns the last n turns of the conversation before this one, the oldest first; at most 50
// are remembered.
func (m *Memory) Turns(n int) []Exchange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.turns[max(0, len(m.turns)-max(n, 0)):])
}

// Forget forgets all turns of the conversation, as when the user begins anew.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns, m.turnsSize = nil, 0
}

// Add appends a turn to the conversation; one with the same key is replaced. The server does so itself
// with each turn that is answered; it is for tests, and for histories that come from elsewhere.
func (m *Memory) Add(x Exchange) {
	x.Key = strings.ToValidUTF8(x.Key, "\ufffd")
	x.Question, x.Answer = head(x.Question, maxTurnText), head(x.Answer, maxTurnText)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns = slices.DeleteFunc(m.turns, func(old Exchange) bool {
		again := x.Key != "" && old.Key == x.Key
		if again {
			m.turnsSize -= old.size()
		}
		return again
	})
	m.turns = append(m.turns, x)
	m.turnsSize += x.size()
	m.expire(time.Now())
	m.trim()
}

// trim forgets the oldest turns as long as there is too much. The newest one always has room: the
// values and the longest turn together are less than the whole.
func (m *Memory) trim() {
	for len(m.turns) > maxTurns || m.valuesSize+m.turnsSize > maxMemory && len(m.turns) > 0 {
		m.turnsSize -= m.turns[0].size()
		m.turns = m.turns[1:]
	}
}

func (x *Exchange) size() int {
	return jsonSize(x.Key) + jsonSize(x.Question) + jsonSize(x.Answer) + aroundTurn
}

func (v *memoryValue) size(name string) int { return jsonSize(name) + len(v.Value) + aroundValue }

// jsonSize is how many bytes encoding/json writes for s, which is UTF-8, without the quotation marks.
func jsonSize(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
			n += 2
		case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029':
			n += 6
		default:
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// head is the beginning of s, at most n bytes, as UTF-8.
func head(s string, n int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (m *Memory) expire(now time.Time) {
	maps.DeleteFunc(m.values, func(name string, v memoryValue) bool {
		gone := !now.Before(v.Expires)
		if gone {
			m.valuesSize -= v.size(name)
		}
		return gone
	})
}

// memoryJSON is how a Memory is stored.
type memoryJSON struct {
	Values map[string]memoryValue `json:"values,omitempty"`
	Turns  []Exchange             `json:"turns,omitempty"`
}

// MarshalJSON writes what is remembered, without what has expired.
func (m *Memory) MarshalJSON() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	return json.Marshal(memoryJSON{m.values, m.turns})
}

// UnmarshalJSON reads what MarshalJSON wrote. Of turns beyond the limits it forgets the oldest.
func (m *Memory) UnmarshalJSON(data []byte) error {
	var j memoryJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values, m.turns, m.valuesSize, m.turnsSize = j.Values, j.Turns, 0, 0
	for name, v := range m.values {
		m.valuesSize += v.size(name)
	}
	for i := range m.turns {
		m.turnsSize += m.turns[i].size()
	}
	m.trim()
	return nil
}
