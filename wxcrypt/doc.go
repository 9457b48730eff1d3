// Package wxcrypt is the cryptography between WeChat and the server of an
// Official Account: the signatures of a push, and the AES envelope of the
// compatible and safe modes, in both directions.
//
// # Signatures
//
// Every push carries signature, the SHA-1 of token, timestamp and nonce,
// sorted as bytes and joined; with encrypt_type=aes it carries msg_signature
// too, over the same three and the text of the element Encrypt. [Verify] and
// [VerifyMsg] check them, [Signature] and [MsgSignature] make them.
//
// The strings are joined without a delimiter, so one signature fits many ways
// of cutting the same bytes, and a token that sorts first can be extended by
// whoever has seen one push. Check that timestamp is ten digits and nonce 1 to
// 64 letters and digits before you verify: this package checks no formats.
// The plain signature does not cover the body, either.
//
// # The envelope
//
// A [Cipher] opens the text of Encrypt and seals replies. The order that keeps
// an attacker from learning anything is: signature, msg_signature over the
// text exactly as received, and only then [Cipher.Open], which has one error
// for everything, [ErrEnvelope].
//
// # Rotation
//
// A token or a key that was changed in WeChat's console is still used by
// pushes on their way and by their retries. A [Keyring] holds the present
// secrets and the ones before them, says which token verified and which key
// opened, and answers with the same two. A server should use a Keyring even
// while it has one secret only:
//
//	ring, err := wxcrypt.NewKeyring("wxb11529c136998cb6",
//		wxcrypt.Secret{Token: token, EncodingAESKey: key},
//		wxcrypt.Secret{Token: oldToken, EncodingAESKey: oldKey, Until: changed.Add(24 * time.Hour)},
//	)
//	...
//	now := time.Now()
//	if _, ok := ring.Verify(now, q.Get("signature"), q.Get("timestamp"), q.Get("nonce")); !ok {
//		return errForbidden
//	}
//	token, ok := ring.VerifyMsg(now, q.Get("msg_signature"), q.Get("timestamp"), q.Get("nonce"), encrypt)
//	if !ok {
//		return errForbidden
//	}
//	push, key, err := ring.Open(now, nil, encrypt)
//	if err != nil {
//		return errForbidden
//	}
//	...
//	body := ring.AppendEnvelope(nil, reply, token, key, now)
//
// "success" and the empty body, which mean "no reply", are never sealed: the
// user of a server that seals them sees the fault notice.
//
// All of it is safe for concurrent use. Nothing here prints or returns a
// secret: keys are never quoted in errors, and the types print as "***".
package wxcrypt
