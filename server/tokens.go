package server

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/wxapi"
)

// sharer is a store that keeps what all nodes share and one at a time renews.
type sharer interface {
	UpdateShared(ctx context.Context, name string, update func(ctx context.Context, stored []byte) ([]byte, error)) error
}

// tokens keeps the access tokens of an account in the store, if several nodes share that: one node fetches a
// token and all use it. In the database it is encrypted with a key made of the AppSecret, which every node
// has and the database has not.
//
// The store is opened after the clients are made, so it is looked at when it is needed.
func (p *part) tokens(secret config.Secret) wxapi.TokenStore {
	if p.cfg.Postgres() == "" {
		return nil
	}
	return sharedTokens{p, secret}
}

type sharedTokens struct {
	part   *part
	secret config.Secret
}

// UpdateToken is part of wxapi.TokenStore. What cannot be decrypted, such as after a reset of the AppSecret, is no
// token.
func (t sharedTokens) UpdateToken(ctx context.Context, key wxapi.TokenKey, update func(ctx context.Context, stored wxapi.Token) (wxapi.Token, error)) error {
	st, ok := t.part.store.(sharer)
	if !ok {
		return errors.New("the store is not open yet; try again")
	}
	name := fmt.Sprintf("token %s %s", key.AppID, key.Kind)
	box, err := t.box()
	if err != nil {
		return err
	}
	return st.UpdateShared(ctx, name, func(ctx context.Context, stored []byte) ([]byte, error) {
		token, err := update(ctx, openToken(box, name, stored))
		if err != nil {
			return nil, err
		}
		return sealToken(box, name, token), nil
	})
}

// box is the cipher for the tokens of the account.
func (t sharedTokens) box() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(t.secret.Reveal()), nil, "echostr access token", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealToken encrypts a token, bound to its name: the end in Unix milliseconds, and the value.
func sealToken(box cipher.AEAD, name string, t wxapi.Token) []byte {
	plain := binary.BigEndian.AppendUint64(nil, uint64(t.Expires.UnixMilli()))
	return box.Seal(nil, nil, append(plain, t.Value.Reveal()...), []byte(name))
}

// openToken reads what sealToken has written, and returns the zero Token for anything else.
func openToken(box cipher.AEAD, name string, stored []byte) wxapi.Token {
	plain, err := box.Open(nil, nil, stored, []byte(name))
	if err != nil || len(plain) < 8 {
		return wxapi.Token{}
	}
	return wxapi.Token{Value: wxapi.NewSecret(string(plain[8:])), Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))}
}
