package wxcrypt

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"
)

type cryptoVector struct {
	Name, Expect, Token, EncodingAESKey, AppID string
	Timestamp, Nonce, MsgSignature, Encrypted  string
	Plaintext, RandomHex, Error                string
}

func readVectors(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../testdata/vectors", path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func cryptoVectors(t testing.TB) []cryptoVector {
	var all []cryptoVector
	readVectors(t, "crypto/vectors.json", &all)
	return all
}

func vector(t testing.TB, name string) cryptoVector {
	t.Helper()
	for _, v := range cryptoVectors(t) {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no vector %q", name)
	return cryptoVector{}
}

func newCipher(t testing.TB, key, appID string) *Cipher {
	t.Helper()
	c, err := NewCipher(key, appID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCryptoVectors(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for _, v := range cryptoVectors(t) {
		count[v.Expect]++
		t.Run(v.Name, func(t *testing.T) {
			signed := VerifyMsg(v.MsgSignature, v.Token, v.Timestamp, v.Nonce, v.Encrypted)
			if v.Error == "signature" {
				if signed {
					t.Error("a wrong signature verifies")
				}
				return // what is inside is right
			}
			// An empty ciphertext has a right signature and is refused all the same.
			if want := v.Encrypted != ""; signed != want {
				t.Errorf("VerifyMsg = %v, want %v", signed, want)
			}
			c, err := NewCipher(v.EncodingAESKey, v.AppID)
			if v.Error == "key" {
				if err == nil {
					t.Error("a bad EncodingAESKey is accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Open(nil, v.Encrypted)
			if v.Expect != "accept" { // "either" is refused here, both of them
				if err != ErrEnvelope || got != nil {
					t.Fatalf("Open = %q, %v, want ErrEnvelope", got, err)
				}
				return
			}
			if err != nil || string(got) != v.Plaintext {
				t.Fatalf("Open = %q, %v, want %q", got, err, v.Plaintext)
			}
			random, err := hex.DecodeString(v.RandomHex)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(c.sealWith(nil, []byte(v.Plaintext), [randomLen]byte(random))); got != v.Encrypted {
				t.Errorf("sealed:\n%s\nwant:\n%s", got, v.Encrypted)
			}
			if got := MsgSignature(v.Token, v.Timestamp, v.Nonce, v.Encrypted); got != v.MsgSignature {
				t.Errorf("MsgSignature = %s, want %s", got, v.MsgSignature)
			}
		})
	}
	if count["accept"] < 24 || count["reject"] < 39 || count["either"] < 2 {
		t.Errorf("vectors are missing: %v", count)
	}
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	var all []struct {
		Name, Token, Timestamp, Nonce, Signature string
		OK                                       bool
	}
	readVectors(t, "signature/vectors.json", &all)
	if len(all) < 26 {
		t.Errorf("only %d vectors", len(all))
	}
	for _, v := range all {
		if got := Verify(v.Signature, v.Token, v.Timestamp, v.Nonce); got != v.OK {
			t.Errorf("%s: Verify = %v, want %v", v.Name, got, v.OK)
		}
		if got := Signature(v.Token, v.Timestamp, v.Nonce); (got == v.Signature) != v.OK {
			t.Errorf("%s: Signature = %s, vector has %s, %v", v.Name, got, v.Signature, v.OK)
		}
	}
}

func TestReplyEnvelopeVector(t *testing.T) {
	t.Parallel()
	v := vector(t, "own-reply")
	var want, got struct {
		XMLName                                 xml.Name `xml:"xml"`
		Encrypt, MsgSignature, TimeStamp, Nonce string
	}
	data, err := os.ReadFile("../testdata/vectors/replies/envelope.xml")
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	random, _ := hex.DecodeString(v.RandomHex)
	body := newCipher(t, v.EncodingAESKey, v.AppID).appendEnvelope([]byte("x"), []byte(v.Plaintext), [randomLen]byte(random), v.Token, want.TimeStamp, want.Nonce)
	if body[0] != 'x' {
		t.Error("the envelope is not appended")
	}
	if err := xml.Unmarshal(body[1:], &got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("envelope:\n%+v\nwant:\n%+v", got, want)
	}
}
