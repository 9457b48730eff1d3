package wxcrypt

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

// AppendEnvelope seals msg, the XML of a passive reply (被动回复), and appends
// the encrypted reply to dst:
//
//	<xml><Encrypt><![CDATA[…]]></Encrypt><MsgSignature><![CDATA[…]]></MsgSignature><TimeStamp>…</TimeStamp><Nonce><![CDATA[…]]></Nonce></xml>
//
// TimeStamp is now, Nonce is fresh, and MsgSignature is made with token. The
// names are spelled as WeChat reads them: with "Timestamp" the user sees the
// fault notice. dst and msg must not overlap. R-ENV-REPLY
func (c *Cipher) AppendEnvelope(dst, msg []byte, token string, now time.Time) []byte {
	var fresh [randomLen + 8]byte
	rand.Read(fresh[:]) // never fails
	var random [randomLen]byte
	copy(random[:], fresh[:])

	// WeChat's own nonces are decimal numbers.
	var timestamp, nonce [20]byte
	return c.appendEnvelope(dst, msg, random, token,
		string(strconv.AppendInt(timestamp[:0], now.Unix(), 10)),
		string(strconv.AppendUint(nonce[:0], binary.BigEndian.Uint64(fresh[randomLen:]), 10)))
}

// appendEnvelope trusts timestamp and nonce to be digits.
func (c *Cipher) appendEnvelope(dst, msg []byte, random [randomLen]byte, token, timestamp, nonce string) []byte {
	dst = append(dst, "<xml><Encrypt><![CDATA["...)
	start := len(dst)
	dst = c.sealWith(dst, msg, random)
	sum := digest(token, timestamp, nonce, dst[start:])
	dst = append(dst, "]]></Encrypt><MsgSignature><![CDATA["...)
	dst = hex.AppendEncode(dst, sum[:])
	dst = append(dst, "]]></MsgSignature><TimeStamp>"...)
	dst = append(dst, timestamp...)
	dst = append(dst, "</TimeStamp><Nonce><![CDATA["...)
	dst = append(dst, nonce...)
	return append(dst, "]]></Nonce></xml>"...)
}
