package wxcrypt

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// A Secret is a token and an EncodingAESKey that were in use together.
type Secret struct {
	// Token is the token (令牌). It may be empty in a previous secret, if only the key was changed.
	Token string
	// EncodingAESKey is the key of 43 characters (消息加解密密钥). Empty in
	// the plain mode, and in a previous secret if only the token was changed.
	EncodingAESKey string
	// Until is the first moment at which the secret is no longer valid. Zero means no end.
	Until time.Time
}

// String hides the secret from logs.
func (Secret) String() string { return "wxcrypt.Secret(***)" }

// GoString hides the secret from logs.
func (s Secret) GoString() string { return s.String() }

// A Keyring holds the secrets of one account: the present one first, then
// those before it, which WeChat may still use for pushes on their way. It is
// safe for concurrent use. The zero value verifies and opens nothing.
//
// Secrets are named by their index: 0 is the present one. How often another
// number is seen tells when the previous secret can go. R-KEY-ROTATE
type Keyring struct {
	keys []ringKey
}

type ringKey struct {
	token  string
	cipher *Cipher
	until  time.Time
}

func (k *ringKey) valid(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// NewKeyring makes a Keyring for the account with the given AppID. The first
// secret must have a token and no end. An EncodingAESKey that is not empty must be a good one.
func NewKeyring(appID string, present Secret, previous ...Secret) (*Keyring, error) {
	if present.Token == "" {
		return nil, errors.New("wxcrypt: the token (令牌) is empty, so anybody could sign; set the one of WeChat's console")
	}
	if !present.Until.IsZero() {
		return nil, errors.New("wxcrypt: the present secret has an end; give Until to the previous ones only")
	}
	r := &Keyring{keys: make([]ringKey, 0, 1+len(previous))}
	for i, s := range append([]Secret{present}, previous...) {
		k := ringKey{token: s.Token, until: s.Until}
		if s.EncodingAESKey != "" {
			var err error
			if k.cipher, err = NewCipher(s.EncodingAESKey, appID); err != nil {
				if i > 0 {
					err = fmt.Errorf("previous secret %d: %w", i, err)
				}
				return nil, err
			}
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// String hides the secrets from logs.
func (r *Keyring) String() string { return "wxcrypt.Keyring(***)" }

// GoString hides the secrets from logs.
func (r *Keyring) GoString() string { return r.String() }

// Verify is [Verify] with every token that is valid at now. It returns the
// index of the first secret whose token fits, and false if none does. The
// number of comparisons depends on the ring and on now, never on the arguments that were received.
func (r *Keyring) Verify(now time.Time, signature, timestamp, nonce string) (token int, ok bool) {
	return r.verify(now, signature, timestamp, nonce, "")
}

// VerifyMsg is [VerifyMsg] with every token that is valid at now, under the
// rules of [Keyring.Verify].
func (r *Keyring) VerifyMsg(now time.Time, signature, timestamp, nonce, encrypt string) (token int, ok bool) {
	if encrypt == "" {
		return 0, false
	}
	return r.verify(now, signature, timestamp, nonce, encrypt)
}

func (r *Keyring) verify(now time.Time, signature, timestamp, nonce, encrypt string) (int, bool) {
	want, ok := parseSignature(signature)
	if !ok {
		return 0, false
	}
	found := -1
	for i := len(r.keys) - 1; i >= 0; i-- {
		k := &r.keys[i]
		if k.token == "" || !k.valid(now) {
			continue
		}
		sum := digest(k.token, timestamp, nonce, encrypt)
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], want[:]), i, found)
	}
	return max(found, 0), found >= 0
}

// Open is [Cipher.Open] with the keys that are valid at now, the present one
// first. It returns the index of the secret whose key opened. A text that
// opens with none is tried with all. R-KEY-ROTATE
func (r *Keyring) Open(now time.Time, dst []byte, encrypt string) (msg []byte, key int, err error) {
	for i := range r.keys {
		k := &r.keys[i]
		if k.cipher == nil || !k.valid(now) {
			continue
		}
		if msg, err := k.cipher.Open(dst, encrypt); err == nil {
			return msg, i, nil
		}
	}
	return dst, 0, ErrEnvelope
}

// AppendEnvelope is [Cipher.AppendEnvelope] with the token of secret number
// token and the key of secret number key, as [Keyring.VerifyMsg] and
// [Keyring.Open] returned them: WeChat reads the answer with the secrets it
// used for the push, even if they have ended meanwhile. It panics on an index
// that no call returned.
func (r *Keyring) AppendEnvelope(dst, msg []byte, token, key int, now time.Time) []byte {
	return r.keys[key].cipher.AppendEnvelope(dst, msg, r.keys[token].token, now)
}
