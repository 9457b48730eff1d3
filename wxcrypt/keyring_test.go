package wxcrypt

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

const (
	ts, nonce = "1700002001", "1234567890"
	newToken  = "zNewNewNewNewNewNewNewNewNewNewN"
	oldToken  = "zOldOldOldOldOldOldOldOldOldOldO"
)

// TestS8Rotation: threat S8. Old and new are both good until the end of the
// old, and each push is answered with what it used.
func TestS8Rotation(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	ring, err := NewKeyring(testAppID,
		Secret{Token: newToken, EncodingAESKey: testKey},
		Secret{Token: oldToken, EncodingAESKey: otherKey, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	ciphers := []*Cipher{newCipher(t, testKey, testAppID), newCipher(t, otherKey, testAppID)}
	tokens := []string{newToken, oldToken}
	for _, tt := range []struct {
		name       string
		now        time.Time
		token, key int
		ok         bool
	}{
		{"present", until.Add(-time.Hour), 0, 0, true},
		{"previous", until.Add(-time.Nanosecond), 1, 1, true},
		{"token new, key old", until.Add(-time.Hour), 0, 1, true},
		{"token old, key new", until.Add(-time.Hour), 1, 0, true},
		{"present, after the end", until.Add(time.Hour), 0, 0, true},
		{"previous, at the end", until, 1, 1, false},
		{"previous, after the end", until.Add(time.Hour), 1, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enc := string(ciphers[tt.key].Seal(nil, []byte("push")))
			sig, msgSig := Signature(tokens[tt.token], ts, nonce), MsgSignature(tokens[tt.token], ts, nonce, enc)
			if i, ok := ring.Verify(tt.now, sig, ts, nonce); ok != tt.ok || ok && i != tt.token {
				t.Errorf("Verify = %d, %v", i, ok)
			}
			token, ok := ring.VerifyMsg(tt.now, msgSig, ts, nonce, enc)
			if ok != tt.ok || ok && token != tt.token {
				t.Errorf("VerifyMsg = %d, %v", token, ok)
			}
			msg, key, err := ring.Open(tt.now, []byte("head "), enc)
			if !tt.ok {
				if err != ErrEnvelope || string(msg) != "head " {
					t.Errorf("Open = %q, %v", msg, err)
				}
				return
			}
			if err != nil || string(msg) != "head push" || key != tt.key {
				t.Fatalf("Open = %q, %d, %v", msg, key, err)
			}
			// The handler may take longer than the old secret lives.
			body := ring.AppendEnvelope(nil, []byte("reply"), token, key, tt.now.Add(time.Hour))
			var e struct{ Encrypt, MsgSignature, TimeStamp, Nonce string }
			if err := xml.Unmarshal(body, &e); err != nil {
				t.Fatal(err)
			}
			if !VerifyMsg(e.MsgSignature, tokens[tt.token], e.TimeStamp, e.Nonce, e.Encrypt) {
				t.Error("the reply is not signed with the token that verified")
			}
			if got, err := ciphers[tt.key].Open(nil, e.Encrypt); err != nil || string(got) != "reply" {
				t.Errorf("the reply is not sealed with the key that opened: %q, %v", got, err)
			}
		})
	}
}

func TestAppendEnvelope(t *testing.T) {
	t.Parallel()
	c := newCipher(t, testKey, testAppID)
	now := time.Unix(1700001003, 999)
	seen := map[string]bool{}
	for range 50 {
		body := string(c.AppendEnvelope(nil, []byte("reply"), newToken, now))
		if !strings.Contains(body, "<TimeStamp>1700001003</TimeStamp>") {
			t.Fatalf("no TimeStamp in %s", body)
		}
		_, rest, _ := strings.Cut(body, "<Nonce><![CDATA[")
		nonce, _, ok := strings.Cut(rest, "]]></Nonce></xml>")
		if !ok || nonce == "" || strings.Trim(nonce, "0123456789") != "" || seen[nonce] {
			t.Fatalf("nonce %q in %s", nonce, body)
		}
		seen[nonce] = true
	}
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	bad := testKey[1:]
	for name, secrets := range map[string][]Secret{
		"no token":             {{EncodingAESKey: testKey}},
		"present with an end":  {{Token: newToken, Until: now}},
		"bad present key":      {{Token: newToken, EncodingAESKey: bad}},
		"bad previous key":     {{Token: newToken}, {Token: oldToken, EncodingAESKey: bad}},
		"present key of blank": {{Token: newToken, EncodingAESKey: " "}},
	} {
		if _, err := NewKeyring(testAppID, secrets[0], secrets[1:]...); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), newToken) {
			t.Errorf("%s: the error quotes a secret: %v", name, err)
		}
	}

	enc := string(newCipher(t, testKey, testAppID).Seal(nil, []byte("push")))
	t.Run("plain account", func(t *testing.T) {
		ring, err := NewKeyring("", Secret{Token: newToken})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ring.Verify(now, Signature(newToken, ts, nonce), ts, nonce); !ok {
			t.Error("does not verify")
		}
		if _, _, err := ring.Open(now, nil, enc); err != ErrEnvelope {
			t.Errorf("Open = %v", err)
		}
	})
	t.Run("only the key was changed", func(t *testing.T) {
		ring, err := NewKeyring(testAppID, Secret{Token: newToken, EncodingAESKey: otherKey}, Secret{EncodingAESKey: testKey})
		if err != nil {
			t.Fatal(err)
		}
		if _, key, err := ring.Open(now, nil, enc); err != nil || key != 1 {
			t.Errorf("Open = %d, %v", key, err)
		}
		for _, token := range []string{"", oldToken} { // the empty token of the previous secret signs nothing
			if _, ok := ring.Verify(now, Signature(token, ts, nonce), ts, nonce); ok {
				t.Errorf("token %q verifies", token)
			}
		}
		if _, ok := ring.VerifyMsg(now, Signature(newToken, ts, nonce), ts, nonce, ""); ok {
			t.Error("the plain signature passes as msg_signature")
		}
	})
	t.Run("the same token twice", func(t *testing.T) {
		ring, err := NewKeyring(testAppID, Secret{Token: newToken}, Secret{Token: newToken})
		if err != nil {
			t.Fatal(err)
		}
		if i, ok := ring.Verify(now, Signature(newToken, ts, nonce), ts, nonce); !ok || i != 0 {
			t.Errorf("Verify = %d, %v", i, ok)
		}
	})
	t.Run("zero value", func(t *testing.T) {
		var ring Keyring
		if _, ok := ring.Verify(now, Signature(newToken, ts, nonce), ts, nonce); ok {
			t.Error("verifies")
		}
		if _, _, err := ring.Open(now, nil, enc); err != ErrEnvelope {
			t.Errorf("Open = %v", err)
		}
	})
}
