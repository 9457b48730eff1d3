package wxcrypt

import (
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slowSum is the rule as it is written down.
func slowSum(parts ...string) string {
	slices.Sort(parts)
	return fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(parts, ""))))
}

func TestSignatureAgreesWithTheRule(t *testing.T) {
	t.Parallel()
	// Strings that share prefixes, so that every order and every buffer is met.
	part := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(rapid.SampledFrom([]string{"", "a", "ab", "b", "é"}).Draw(t, "unit"), rapid.SampledFrom([]int{1, 2, 3, 40, 700, 3000}).Draw(t, "times")) +
			rapid.SampledFrom([]string{"", "+", "Z", "z"}).Draw(t, "end")
	})
	rapid.Check(t, func(t *rapid.T) {
		token, ts, nonce, enc := part.Draw(t, "token"), part.Draw(t, "timestamp"), part.Draw(t, "nonce"), part.Draw(t, "encrypt")
		plain, msg := slowSum(token, ts, nonce), slowSum(token, ts, nonce, enc)
		if got := Signature(token, ts, nonce); got != plain {
			t.Fatalf("Signature = %s, want %s", got, plain)
		}
		if got := MsgSignature(token, ts, nonce, enc); got != msg {
			t.Fatalf("MsgSignature = %s, want %s", got, msg)
		}
		if sum := digest(token, ts, nonce, []byte(enc)); fmt.Sprintf("%x", sum) != msg {
			t.Fatalf("digest of bytes = %x, want %s", sum, msg)
		}
		if got := Verify(plain, token, ts, nonce); got != (token != "") {
			t.Fatalf("Verify = %v", got)
		}
		if got := VerifyMsg(msg, token, ts, nonce, enc); got != (token != "" && enc != "") {
			t.Fatalf("VerifyMsg = %v", got)
		}
		if token != "" && enc != "" && VerifyMsg(msg, token, ts, nonce, enc+"A") {
			t.Fatal("VerifyMsg accepts another text")
		}
	})
}

// Whatever one byte of what is signed, or of the token, is changed into, put in or left out, the signature is none of it
// any more.
func TestAnyChangeBreaksTheSignature(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 26))
	const letters = "ABCXYZabcxyz0123456789+/"
	word := func(least, most int) string {
		b := make([]byte, least+rng.IntN(most-least+1))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	for n := range 2_000 {
		parts := [4]string{word(1, 32), strconv.Itoa(1_000_000_000 + rng.IntN(1_000_000_000)), word(1, 64), word(1, 100)}
		plain, msg := Signature(parts[0], parts[1], parts[2]), MsgSignature(parts[0], parts[1], parts[2], parts[3])
		if !Verify(plain, parts[0], parts[1], parts[2]) || !VerifyMsg(msg, parts[0], parts[1], parts[2], parts[3]) {
			t.Fatalf("round %d: what was signed does not verify: %q", n, parts)
		}
		was, which := parts, rng.IntN(4)
		s := parts[which]
		at := rng.IntN(len(s))
		switch rng.IntN(3) {
		case 0:
			parts[which] = s[:at] + s[at+1:]
		case 1:
			parts[which] = s[:at] + word(1, 1) + s[at:]
		case 2:
			parts[which] = s[:at] + string(s[at]^byte(1+rng.IntN(127))) + s[at+1:]
		}
		if which < 3 && Verify(plain, parts[0], parts[1], parts[2]) || VerifyMsg(msg, parts[0], parts[1], parts[2], parts[3]) {
			t.Fatalf("round %d: the signature of %q verifies for %q", n, was, parts)
		}
	}
}

// TestS1ForgedSignatures: threat S1.
func TestS1ForgedSignatures(t *testing.T) {
	t.Parallel()
	good := Signature("weixinToken", "1700002001", "1234567890")
	if !Verify(good, "weixinToken", "1700002001", "1234567890") {
		t.Fatal("the right one does not verify")
	}
	forged := map[string]string{
		"empty":           "",
		"upper case":      strings.ToUpper(good),
		"one upper":       strings.Replace(good, "d", "D", 1),
		"blank before":    " " + good,
		"blank for digit": " " + good[1:],
		"0x":              "0x" + good[2:],
		"g":               "g" + good[1:],
		"NUL":             good[:39] + "\x00",
		"short":           good[:39],
		"long":            good + "0",
		"zeros":           strings.Repeat("0", 40),
		"raw bytes":       string(make([]byte, 20)),
		"full width":      "０" + good[3:],
		"sha1 of nothing": slowSum(),
	}
	for i := range 40 { // every digit counts
		b := []byte(good)
		b[i] = "123456789abcdef0"[strings.IndexByte("0123456789abcdef", b[i])]
		forged[fmt.Sprint("digit ", i)] = string(b)
	}
	t.Logf("hostile inputs: %d", len(forged))
	for name, sig := range forged {
		if Verify(sig, "weixinToken", "1700002001", "1234567890") {
			t.Errorf("%s: %q verifies", name, sig)
		}
	}
	if Verify(slowSum("1700002001", "1234567890"), "", "1700002001", "1234567890") || Verify(slowSum(), "", "", "") {
		t.Error("an empty token verifies")
	}
	if VerifyMsg(good, "weixinToken", "1700002001", "1234567890", "") {
		t.Error("the plain signature passes as msg_signature of an empty Encrypt")
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	for _, n := range []int{0, 44, 472, 28076} {
		enc := strings.Repeat("A", n)
		sig := MsgSignature("weixinToken", "1700002001", "1234567890", enc)
		got := testing.AllocsPerRun(100, func() {
			if !verify(sig, "weixinToken", "1700002001", "1234567890", enc) {
				t.Fatal("does not verify")
			}
		})
		if got != 0 && !raceEnabled {
			t.Errorf("Encrypt of %d: %v allocations", n, got)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	const token, ts, nonce = "z3Jq0mWc7tXo5uRk1Yv8BnEa6DfLhPsG", "1700002001", "1234567890"
	for _, n := range []int{0, 472, 28076} {
		enc := strings.Repeat("A", n)
		sig := MsgSignature(token, ts, nonce, enc)
		joined := []byte(token + ts + nonce + enc)
		b.Run(fmt.Sprintf("encrypt=%d/check", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify(sig, token, ts, nonce, enc) {
					b.Fatal("does not verify")
				}
			}
		})
		b.Run(fmt.Sprintf("encrypt=%d/sha1", n), func(b *testing.B) {
			for b.Loop() {
				sha1.Sum(joined)
			}
		})
	}
}
