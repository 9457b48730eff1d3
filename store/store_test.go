package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"
	"time"
)

func TestKeyIsTimeAndSaltedDigest(t *testing.T) {
	t.Parallel()
	salt := []byte("installation")
	digest := sha256.Sum256([]byte("a message"))
	received := time.Date(2026, 11, 22, 1, 59, 0, 0, time.UTC)
	k := NewKeyer(salt)

	key := k.Key(digest, 1478317060, received)
	if got := key.Time().Unix(); got != 1478317060 {
		t.Errorf("time in front of the key: %d", got)
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write(digest[:])
	if [16]byte(key[4:]) != [16]byte(mac.Sum(nil)[:16]) {
		t.Error("the key does not hold HMAC-SHA256(salt, digest) cut to 16 bytes")
	}
	if other := NewKeyer([]byte("other")).Key(digest, 1478317060, received); other == key {
		t.Error("two salts give one key")
	}
	if again := k.Key(digest, 1478317060, received.Add(time.Hour)); again != key {
		t.Error("the time of receipt changed the key of a message that has a time")
	}
}

// A body without a time keeps its key from one retry to the next.
func TestKeyWithoutCreateTime(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("not XML"))
	k := NewKeyer(nil)
	at := time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
	for _, createTime := range []int64{0, -1, 1 << 32} {
		if a, b := k.Key(digest, createTime, at), k.Key(digest, createTime, at.Add(10*time.Second)); a != b {
			t.Errorf("CreateTime %d: the retry has another key", createTime)
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	key := NewKeyer(nil).Key([32]byte{1}, 1, time.Time{})
	got, err := ParseKey(key.String())
	if err != nil || got != key {
		t.Fatalf("ParseKey(String()) = %v, %v", got, err)
	}
	for _, bad := range []string{"", "00", key.String() + "0", "zz" + key.String()[2:]} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) gave no error", bad)
		}
	}
}

func TestStateText(t *testing.T) {
	t.Parallel()
	for s := Running; s <= Erased; s++ {
		text, _ := s.MarshalText()
		var got State
		if err := got.UnmarshalText(text); err != nil || got != s {
			t.Errorf("%v comes back as %v, %v", s, got, err)
		}
		if s.Finished() != (s != Running) {
			t.Errorf("%v: Finished() = %v", s, s.Finished())
		}
	}
	var s State
	if err := s.UnmarshalText([]byte("done")); err == nil {
		t.Error("an unknown state was accepted")
	}
}
