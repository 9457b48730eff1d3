package wxcrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ErrEnvelope is the one error of [Cipher.Open], whatever was wrong with the
// text: its base64, its length, the padding, the length field or the AppID.
// One value, so that nothing can be learnt by trying. R-ENV-ERROR
var ErrEnvelope = errors.New("wxcrypt: the envelope does not open with this EncodingAESKey and AppID; compare both with WeChat's console (消息加解密密钥, AppID)")

// The envelope before encryption: 16 random bytes, the length of the message
// (big-endian), the message, the AppID, and padding up to a multiple of 32.
// R-ENV-LAYOUT
const (
	randomLen = 16
	headLen   = randomLen + 4
	padBlock  = 32
	keyLen    = 32
)

// A Cipher opens and seals the envelopes of one account with one
// EncodingAESKey. It is safe for concurrent use. The zero value is not
// usable; use [NewCipher].
type Cipher struct {
	appID string
	block cipher.Block
	iv    [aes.BlockSize]byte

	// CBC modes carry state, so each is lent to one call; making one copies
	// the whole key schedule.
	open, seal sync.Pool
}

// NewCipher makes a Cipher of the EncodingAESKey (消息加解密密钥), 43 characters
// as the console shows them, and of the receiver's id that stands inside the
// envelope: the account's AppID, or the component's AppID where a third-party
// platform (第三方平台) receives for the account.
//
// White space around the key is dropped. The last two bits of its last
// character mean nothing and may be set. R-KEY-DECODE
func NewCipher(encodingAESKey, appID string) (*Cipher, error) {
	text := strings.TrimSpace(encodingAESKey)
	if len(text) != 43 {
		return nil, fmt.Errorf("wxcrypt: EncodingAESKey (消息加解密密钥) has %d characters where 43 are needed; copy it again from WeChat's console", len(text))
	}
	// The decoder would skip line ends inside the key.
	key, err := base64.StdEncoding.DecodeString(text + "=")
	if err != nil || len(key) != keyLen || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("wxcrypt: EncodingAESKey (消息加解密密钥) has a character that is not base64; copy it again from WeChat's console")
	}
	if appID == "" {
		return nil, errors.New("wxcrypt: the AppID is empty, and without it a message for another account could not be told from one for this; copy it from WeChat's console")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("wxcrypt: make the AES cipher: %w", err)
	}
	c := &Cipher{appID: appID, block: block}
	copy(c.iv[:], key)
	c.open.New = func() any { return cipher.NewCBCDecrypter(c.block, c.iv[:]) }
	c.seal.New = func() any { return cipher.NewCBCEncrypter(c.block, c.iv[:]) }
	return c, nil
}

// String hides the key from logs.
func (c *Cipher) String() string { return "wxcrypt.Cipher(***)" }

// GoString hides the key from logs.
func (c *Cipher) GoString() string { return c.String() }

// crypt runs src through a CBC mode of the pool, from the fixed IV.
func (c *Cipher) crypt(pool *sync.Pool, buf []byte) {
	mode := pool.Get().(cipher.BlockMode)
	again, ok := mode.(interface{ SetIV([]byte) })
	if ok {
		again.SetIV(c.iv[:])
	}
	mode.CryptBlocks(buf, buf)
	if ok {
		pool.Put(mode)
	}
}

// Open decrypts encrypt, the text of the element Encrypt without white space
// around it, and appends the message inside to dst. Verify the msg_signature first.
//
// The text must be canonical base64 without line ends of whole AES blocks, at
// least two. The padding, of 1 to 32 bytes, is checked in constant time,
// and so is the AppID. The length field is compared and never used to allocate.
//
// The error is always [ErrEnvelope]; dst is then returned as it was, and
// nothing of the decrypted bytes is left behind its end. R-ENV-TEXT R-ENV-PAD
// R-ENV-APPID
func (c *Cipher) Open(dst []byte, encrypt string) ([]byte, error) {
	// Go's decoder skips line ends; all else it refuses is what R-ENV-TEXT refuses.
	if len(encrypt)%4 != 0 || strings.IndexByte(encrypt, '\n') >= 0 || strings.IndexByte(encrypt, '\r') >= 0 {
		return dst, ErrEnvelope
	}
	start := len(dst)
	grown := slices.Grow(dst, base64.StdEncoding.DecodedLen(len(encrypt)))
	n, err := strict.Decode(grown[start:cap(grown)], []byte(encrypt))
	buf := grown[start : start+n]
	// All of these lengths are the sender's to see.
	if err != nil || n%aes.BlockSize != 0 || n < 2*aes.BlockSize || n < headLen+len(c.appID)+1 {
		return dst, ErrEnvelope
	}
	c.crypt(&c.open, buf)
	size, ok := c.check(buf)
	if !ok {
		clear(buf)
		return dst, ErrEnvelope
	}
	copy(buf, buf[headLen:headLen+size])
	clear(buf[size:])
	return grown[:start+size], nil
}

// strict refuses a last character with spare bits set, so that a ciphertext has one text only.
var strict = base64.StdEncoding.Strict()

// check returns the length of the message in the decrypted buf. It looks at
// everything before it decides, and takes the same time for every content of
// the same length. buf is longer than the head and the AppID.
func (c *Cipher) check(buf []byte) (size int, ok bool) {
	last := len(buf) - 1
	pad := int(buf[last])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, padBlock)
	pad = subtle.ConstantTimeSelect(good, pad, 0)
	for i := range padBlock {
		outside := subtle.ConstantTimeLessOrEq(pad, i)
		good &= outside | subtle.ConstantTimeByteEq(buf[last-i], byte(pad))
	}

	// Counted from the end, the AppID stands where it must whatever the length field says.
	at := len(buf) - pad - len(c.appID)
	good &= subtle.ConstantTimeLessOrEq(headLen, at)
	at = subtle.ConstantTimeSelect(subtle.ConstantTimeLessOrEq(0, at), at, 0)
	good &= subtle.ConstantTimeCompare(buf[at:at+len(c.appID)], []byte(c.appID))

	var want [4]byte
	binary.BigEndian.PutUint32(want[:], uint32(at-headLen))
	good &= subtle.ConstantTimeCompare(buf[randomLen:headLen], want[:])
	return at - headLen, good == 1
}

// Seal encrypts msg with 16 fresh random bytes and appends the text for the
// element Encrypt to dst. dst and msg must not overlap. Never seal "success"
// or an empty body. R-ENV-LAYOUT
func (c *Cipher) Seal(dst, msg []byte) []byte {
	var random [randomLen]byte
	rand.Read(random[:]) // never fails
	return c.sealWith(dst, msg, random)
}

func (c *Cipher) sealWith(dst, msg []byte, random [randomLen]byte) []byte {
	used := headLen + len(msg) + len(c.appID)
	pad := padBlock - used%padBlock
	total := used + pad
	size := base64.StdEncoding.EncodedLen(total)
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	out := dst[start:]

	// The plaintext is laid out and encrypted at the end of its own base64.
	plain := out[size-total:]
	copy(plain, random[:])
	binary.BigEndian.PutUint32(plain[randomLen:], uint32(len(msg)))
	n := headLen + copy(plain[headLen:], msg)
	n += copy(plain[n:], c.appID)
	for i := range pad {
		plain[n+i] = byte(pad)
	}
	c.crypt(&c.seal, plain)

	// The text grows towards what is not yet encoded and reaches it at the
	// very end; the copy keeps one chunk out of its way.
	var chunk [768]byte
	for len(plain) > 0 {
		n := copy(chunk[:], plain)
		base64.StdEncoding.Encode(out, chunk[:n])
		plain = plain[n:]
		out = out[base64.StdEncoding.EncodedLen(n):]
	}
	return dst
}
