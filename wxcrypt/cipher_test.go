package wxcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const (
	testKey   = "HnYhR6LUkNcWhBJAYLj6ouAP6VDRw9DTwIpuNC8K6ag"
	otherKey  = "cYKczsJyMDYxV5WHHFxufDGmdFmPWQwOlQri73N0wyv"
	testAppID = "wxb11529c136998cb6"
)

func rawKey(key string) []byte {
	raw, err := base64.RawStdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	return raw
}

var envelopeText = regexp.MustCompile(`^[A-Za-z0-9+/]+={0,2}$`)

// slowOpen is the reference: protocol order, plain loops, every step its own error.
// It returns the whole decrypted text too.
func slowOpen(key []byte, appID, encrypt string) (msg, plain []byte, err error) {
	if !envelopeText.MatchString(encrypt) || strings.HasSuffix(encrypt, "\n") || len(encrypt)%4 != 0 {
		return nil, nil, errors.New("text")
	}
	data, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil {
		return nil, nil, err
	}
	if base64.StdEncoding.EncodeToString(data) != encrypt {
		return nil, nil, errors.New("not canonical")
	}
	if len(data)%16 != 0 || len(data) < 32 {
		return nil, nil, errors.New("blocks")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	before := key[:16]
	for i := 0; i < len(data); i += 16 { // CBC by hand
		out := make([]byte, 16)
		block.Decrypt(out, data[i:i+16])
		for j := range out {
			out[j] ^= before[j]
		}
		before = data[i : i+16]
		plain = append(plain, out...)
	}
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > 32 {
		return nil, nil, errors.New("padding")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, nil, errors.New("padding")
		}
	}
	rest := plain[:len(plain)-pad]
	if len(rest) < 20 {
		return nil, nil, errors.New("short")
	}
	n := uint64(binary.BigEndian.Uint32(rest[16:20]))
	if n > uint64(len(rest)-20) {
		return nil, nil, errors.New("length")
	}
	if string(rest[20+n:]) != appID {
		return nil, nil, errors.New("appid")
	}
	return rest[20 : 20+n], plain, nil
}

// encryptRaw encrypts any plaintext of whole blocks.
func encryptRaw(key, plain []byte) string {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(out, plain)
	return base64.StdEncoding.EncodeToString(out)
}

func TestNewCipher(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"spaces around":       " \t" + testKey + "\r\n",
		"spare bits not zero": testKey[:42] + "j",
	} {
		c, err := NewCipher(key, testAppID)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := newCipher(t, testKey, testAppID).Open(nil, string(c.Seal(nil, []byte("hello")))); err != nil || string(got) != "hello" {
			t.Errorf("%s: not the same key: %q, %v", name, got, err)
		}
	}
	for name, key := range map[string]string{
		"empty": "", "42": testKey[1:], "44": testKey + "A", "44 with =": testKey + "=",
		"-":              "-" + testKey[1:],
		"_":              "_" + testKey[1:],
		"=":              testKey[:42] + "=",
		"blank inside":   testKey[:20] + " " + testKey[21:],
		"line end":       testKey[:20] + "\n" + testKey[21:],
		"two line ends":  testKey[:20] + "\r\n" + testKey[22:],
		"four line ends": testKey[:20] + "\r\n\r\n" + testKey[24:],
	} {
		_, err := NewCipher(key, testAppID)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if len(key) > 8 && strings.Contains(err.Error(), strings.TrimSpace(key)[:8]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
	if _, err := NewCipher(testKey, ""); err == nil {
		t.Error("an empty AppID is accepted")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	ring, err := NewKeyring(testAppID, Secret{Token: "canaryToken", EncodingAESKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{newCipher(t, testKey, testAppID), ring, Secret{Token: "canaryToken", EncodingAESKey: testKey}} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	for _, secret := range []string{"canaryToken", testKey, string(rawKey(testKey)[:4]), fmt.Sprint(rawKey(testKey)[:4])[1:8]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed in:\n%s", secret, out.String())
		}
	}
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	c, other, otherApp := newCipher(t, testKey, testAppID), newCipher(t, otherKey, testAppID), newCipher(t, testKey, "wxb11529c136998cb7")
	pads := map[int]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int{65534, 65535}
	for n := range 64 {
		sizes = append(sizes, n)
	}
	for range 20 {
		sizes = append(sizes, rng.IntN(65536))
	}
	for _, n := range sizes {
		msg := make([]byte, n)
		for i := range msg {
			msg[i] = byte(rng.Uint32())
		}
		text := c.Seal([]byte("head"), msg)
		if string(text[:4]) != "head" {
			t.Fatal("Seal does not append")
		}
		enc := string(text[4:])
		got, plain, err := slowOpen(rawKey(testKey), testAppID, enc)
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d: the reference does not open it: %v", n, err)
		}
		if len(plain)%32 != 0 {
			t.Fatalf("%d: %d bytes are not whole blocks of 32", n, len(plain))
		}
		pads[int(plain[len(plain)-1])] = true
		for _, dst := range [][]byte{nil, []byte("head"), make([]byte, 0, len(plain)+1000)} {
			got, err := c.Open(dst, enc)
			if err != nil || !bytes.Equal(got[:len(dst)], dst) || !bytes.Equal(got[len(dst):], msg) {
				t.Fatalf("%d: Open: %v", n, err)
			}
		}
		for name, wrong := range map[string]*Cipher{"other key": other, "other AppID": otherApp} {
			if got, err := wrong.Open([]byte("head"), enc); err != ErrEnvelope || string(got) != "head" {
				t.Fatalf("%d, %s: %q, %v", n, name, got, err)
			}
		}
	}
	if len(pads) != 32 {
		t.Errorf("only %d paddings were met", len(pads))
	}
	if first := string(c.Seal(nil, nil)); first == string(c.Seal(nil, nil)) {
		t.Error("the random bytes are not random")
	}
}

// Ciphertext need not be a multiple of 32, and the padding may then be any of 1 to 32 that fits.
func TestOpenOddBlocks(t *testing.T) {
	t.Parallel()
	c := newCipher(t, testKey, testAppID)
	accepted := 0
	for size := 48; size <= 112; size += 16 {
		for pad := 0; pad <= 40; pad++ {
			n := size - headLen - len(testAppID) - pad
			if n < 0 {
				continue
			}
			plain := make([]byte, headLen, size)
			binary.BigEndian.PutUint32(plain[16:], uint32(n))
			plain = append(plain, strings.Repeat("m", n)+testAppID...)
			plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
			got, err := c.Open(nil, encryptRaw(rawKey(testKey), plain))
			if want := pad >= 1 && pad <= 32; (err == nil) != want {
				t.Errorf("size %d, padding %d: %v", size, pad, err)
			} else if want {
				accepted++
				if string(got) != strings.Repeat("m", n) {
					t.Errorf("size %d, padding %d: %q", size, pad, got)
				}
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d were accepted", accepted)
	}
}

// TestS7BitFlips: threat S7. The text is flipped and signed again by somebody
// who has the token, so Open is reached.
func TestS7BitFlips(t *testing.T) {
	t.Parallel()
	const flips = 10_000
	v := vector(t, "own-text")
	c := newCipher(t, v.EncodingAESKey, v.AppID)
	data, err := base64.StdEncoding.DecodeString(v.Encrypted)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	accepted, refused := 0, 0
	try := func(enc string) {
		sig := MsgSignature(v.Token, v.Timestamp, v.Nonce, enc)
		if enc != "" && !VerifyMsg(sig, v.Token, v.Timestamp, v.Nonce, enc) {
			t.Fatal("the attacker's signature does not verify")
		}
		// CBC lets a flipped bit garble its own block and flip one bit of the
		// next: blocks 0 (random) and 1 (length) are the head; from block 2 on
		// some flips hit message bytes only. The reference knows which.
		want, _, slowErr := slowOpen(rawKey(v.EncodingAESKey), v.AppID, enc)
		got, err := c.Open(nil, enc)
		if slowErr != nil {
			refused++
			if err != ErrEnvelope || got != nil { // identical, not only errors.Is
				t.Fatalf("Open = %q, %v, the reference says %v", got, err, slowErr)
			}
			return
		}
		accepted++
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Open = %q, %v, want %q", got, err, want)
		}
	}
	for i := range flips {
		if i%2 == 0 { // of the ciphertext
			flipped := bytes.Clone(data)
			bit := rng.IntN(8 * len(flipped))
			flipped[bit/8] ^= 1 << (bit % 8)
			try(base64.StdEncoding.EncodeToString(flipped))
		} else { // of the text itself
			flipped := []byte(v.Encrypted)
			bit := rng.IntN(8 * len(flipped))
			flipped[bit/8] ^= 1 << (bit % 8)
			try(string(flipped))
		}
	}
	t.Logf("%d refused, %d accepted, as the reference does", refused, accepted)
	if refused < flips/10 || accepted < flips/10 {
		t.Error("the flips do not reach both sides")
	}
}

func TestOpenConcurrently(t *testing.T) {
	t.Parallel()
	c := newCipher(t, testKey, testAppID)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				msg := fmt.Sprint(g, strings.Repeat("x", i))
				got, err := c.Open(nil, string(c.Seal(nil, []byte(msg))))
				if err != nil || string(got) != msg {
					t.Errorf("Open = %q, %v, want %q", got, err, msg)
				}
			}
		})
	}
	wg.Wait()
}

func TestOpenLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	msg := "the secret message"
	enc := string(newCipher(t, testKey, testAppID).Seal(nil, []byte(msg)))
	dst := make([]byte, 0, 1024)
	if _, err := newCipher(t, testKey, "wx0000000000000000").Open(dst, enc); err != ErrEnvelope {
		t.Fatal(err)
	}
	if bytes.Contains(dst[:cap(dst)], []byte(msg)) {
		t.Error("the decrypted message of another account stands in the caller's buffer")
	}
}

func TestOpenAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool allocates with the race detector")
	}
	v := vector(t, "own-text")
	c := newCipher(t, v.EncodingAESKey, v.AppID)
	buf := make([]byte, 0, 4096)
	msg := []byte(v.Plaintext)
	if n := testing.AllocsPerRun(100, func() { c.Open(buf, v.Encrypted) }); n != 0 {
		t.Errorf("Open into a buffer: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.Seal(buf, msg) }); n != 0 {
		t.Errorf("Seal into a buffer: %v allocations", n)
	}
	// neg-length-max-uint32 and its like claim up to 4 GiB.
	big := vector(t, "neg-length-1GiB")
	if n := testing.AllocsPerRun(100, func() { c.Open(nil, big.Encrypted) }); n > 1 {
		t.Errorf("Open of a false length: %v allocations", n)
	}
}

func TestOpenAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	c := newCipher(t, testKey, testAppID)
	rapid.Check(t, func(t *rapid.T) {
		// Plaintexts that are nearly right.
		msg := rapid.StringN(0, 40, -1).Draw(t, "msg")
		n := uint32(len(msg)) + rapid.SampledFrom([]uint32{0, 0, 0, 1, ^uint32(0), 1 << 31, ^uint32(19)}).Draw(t, "length off by")
		appID := rapid.SampledFrom([]string{testAppID, testAppID, testAppID, "", testAppID + "a", testAppID[1:]}).Draw(t, "AppID")
		plain := binary.BigEndian.AppendUint32(make([]byte, 16), n)
		plain = append(plain, msg+appID...)
		pad := 16 - len(plain)%16 + 16*rapid.IntRange(0, 2).Draw(t, "extra blocks")
		value := pad + rapid.SampledFrom([]int{0, 0, 0, 1, -1, 16}).Draw(t, "padding off by")
		plain = append(plain, bytes.Repeat([]byte{byte(value)}, pad)...)
		if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
			plain[len(plain)-rapid.IntRange(1, pad).Draw(t, "at")] ^= 1
		}
		enc := encryptRaw(rawKey(testKey), plain)
		want, _, slowErr := slowOpen(rawKey(testKey), testAppID, enc)
		got, err := c.Open(nil, enc)
		if (err == nil) != (slowErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("Open = %q, %v; reference: %q, %v", got, err, want, slowErr)
		}
	})
}

// FuzzEnvelope opens any text. Open never panics, agrees with the reference,
// and what it accepts seals to the same text again if its padding is the one that sealing makes.
func FuzzEnvelope(f *testing.F) {
	for _, v := range cryptoVectors(f) {
		if len(v.Encrypted) < 1000 {
			f.Add(v.Encrypted, []byte(v.Plaintext))
		}
	}
	f.Add("====", []byte("\n"))
	f.Add(strings.Repeat("A", 43)+"\n", []byte("]]>"))
	c, key := newCipher(f, testKey, testAppID), rawKey(testKey)
	f.Fuzz(func(t *testing.T, enc string, raw []byte) {
		check := func(enc string) {
			want, plain, slowErr := slowOpen(key, testAppID, enc)
			got, err := c.Open(nil, enc)
			if (err == nil) != (slowErr == nil) || !bytes.Equal(got, want) {
				t.Fatalf("Open(%q) = %q, %v; reference: %q, %v", enc, got, err, want, slowErr)
			}
			if err != nil {
				if err != ErrEnvelope {
					t.Fatalf("another error: %v", err)
				}
				return
			}
			again := string(c.sealWith(nil, got, [randomLen]byte(plain)))
			if len(plain)%padBlock == 0 && again != enc {
				t.Fatalf("sealed again:\n%s\nwas:\n%s", again, enc)
			}
		}
		check(enc)
		// The fuzzer cannot encrypt: do it for it, whole blocks as they are and
		// any bytes as a message.
		check(encryptRaw(key, raw[:len(raw)/16*16]))
		check(string(c.Seal(nil, raw)))
	})
}

func BenchmarkEnvelope(b *testing.B) {
	v := vector(b, "own-text")
	c := newCipher(b, v.EncodingAESKey, v.AppID)
	msg := []byte(v.Plaintext)
	buf := make([]byte, 0, 4096)
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Open(buf, v.Encrypted); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Seal(buf, msg)
		}
	})
}
