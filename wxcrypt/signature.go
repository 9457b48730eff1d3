package wxcrypt

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"sync"
)

// Signature returns the signature of a push: 40 lower-case hexadecimal digits.
// The order of the arguments does not matter, since they are sorted.
// R-SIG-HASH
func Signature(token, timestamp, nonce string) string {
	sum := digest(token, timestamp, nonce, "")
	return hex.EncodeToString(sum[:])
}

// MsgSignature returns the msg_signature of an envelope: 40 lower-case
// hexadecimal digits. encrypt is the text of the element Encrypt, exactly.
// R-SIG-MSG
func MsgSignature(token, timestamp, nonce, encrypt string) string {
	sum := digest(token, timestamp, nonce, encrypt)
	return hex.EncodeToString(sum[:])
}

// Verify reports whether signature is the one of token, timestamp and nonce.
// It takes 40 lower-case hexadecimal digits and nothing else, and compares the
// 20 bytes in constant time. With an empty token it reports false, because
// everybody can sign with that. It does not allocate. R-SIG-COMPARE
func Verify(signature, token, timestamp, nonce string) bool {
	return verify(signature, token, timestamp, nonce, "")
}

// VerifyMsg reports whether signature is the msg_signature of token,
// timestamp, nonce and encrypt, under the rules of [Verify]. With an empty
// encrypt it reports false: a push without ciphertext has no msg_signature,
// and the plain signature must not pass for one.
func VerifyMsg(signature, token, timestamp, nonce, encrypt string) bool {
	return encrypt != "" && verify(signature, token, timestamp, nonce, encrypt)
}

func verify(signature, token, timestamp, nonce, encrypt string) bool {
	want, ok := parseSignature(signature)
	if !ok || token == "" {
		return false
	}
	sum := digest(token, timestamp, nonce, encrypt)
	return subtle.ConstantTimeCompare(sum[:], want[:]) == 1
}

// parseSignature reads the one accepted form. The signature of a request is
// the attacker's to choose, so this part need not be constant in time.
func parseSignature(s string) (sum [sha1.Size]byte, ok bool) {
	if len(s) != 2*sha1.Size {
		return sum, false
	}
	for i := range sum {
		hi, lo := hexDigit[s[2*i]], hexDigit[s[2*i+1]]
		if hi|lo > 15 {
			return sum, false
		}
		sum[i] = hi<<4 | lo
	}
	return sum, true
}

// hexDigit maps lower-case hexadecimal digits to their values, all else to 255.
var hexDigit = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// digest hashes the strings, sorted bytewise and joined. An empty encrypt
// leaves three: the empty string adds nothing wherever it is sorted.
// R-SIG-HASH R-SIG-MSG
//
// It is generic because a reply is signed while its Encrypt stands in a byte
// slice, and a push is verified while it is a string.
func digest[T string | []byte](token, timestamp, nonce string, encrypt T) [sha1.Size]byte {
	a, b, c := token, timestamp, nonce
	if b < a {
		a, b = b, a
	}
	if c < b {
		b, c = c, b
		if b < a {
			a, b = b, a
		}
	}
	n := len(a) + len(b) + len(c)
	if len(encrypt) == 0 && n <= smallSum {
		var buf [smallSum]byte
		n := copy(buf[:], a)
		n += copy(buf[n:], b)
		n += copy(buf[n:], c)
		return sha1.Sum(buf[:n])
	}

	// before is how many of the three sort before encrypt.
	before := 3
	switch {
	case !sortsBefore(a, encrypt):
		before = 0
	case !sortsBefore(b, encrypt):
		before = 1
	case !sortsBefore(c, encrypt):
		before = 2
	}
	sorted := [3]string{a, b, c}
	return longDigest(sorted[:before], encrypt, sorted[before:])
}

// smallSum is room for the plain signature: a token of 32, a timestamp of 10
// and a nonce of 64 at most. It lies on the stack, which is cheap at this size only.
const smallSum = 128

// sortsBefore reports s < e, as bytes.
func sortsBefore[T string | []byte](s string, e T) bool {
	for i := range min(len(s), len(e)) {
		if s[i] != e[i] {
			return s[i] < e[i]
		}
	}
	return len(s) < len(e)
}

// longDigest hashes by way of a borrowed buffer, which holds a typical Encrypt
// of 400 to 800 characters whole; what is longer goes in chunks.
func longDigest[T string | []byte](head []string, mid T, tail []string) (sum [sha1.Size]byte) {
	h := hashers.Get().(*hasher)
	h.sha1.Reset()
	n := 0
	for _, s := range head {
		n = write(h, n, s)
	}
	n = write(h, n, mid)
	for _, s := range tail {
		n = write(h, n, s)
	}
	h.sha1.Write(h.buf[:n])
	copy(sum[:], h.sha1.Sum(h.sum[:0]))
	clear(h.buf[:]) // it has held the token
	hashers.Put(h)
	return sum
}

// A hasher lends its buffer, because what is written to an interface is moved to the heap.
type hasher struct {
	sha1 hash.Hash
	sum  [sha1.Size]byte
	buf  [2048]byte
}

var hashers = sync.Pool{New: func() any { return &hasher{sha1: sha1.New()} }}

// write appends s to the n bytes that wait in the buffer, hashes the buffer
// whenever it is full, and returns how many bytes wait then.
func write[T string | []byte](h *hasher, n int, s T) int {
	for {
		m := copy(h.buf[n:], s)
		n, s = n+m, s[m:]
		if len(s) == 0 {
			return n
		}
		h.sha1.Write(h.buf[:])
		n = 0
	}
}
