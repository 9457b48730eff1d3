package simulator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This file does what package wxcrypt does, a second time and plainly, so that
// a mistake in one cannot cancel out in the other. Its errors say what is
// wrong, which is the use of a simulator and would be a hole in a server.

// sign is the signature of some strings. R-SIG-HASH R-SIG-MSG
func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// decodeKey reads an EncodingAESKey. R-KEY-DECODE
func decodeKey(text string) ([]byte, error) {
	if len(text) != 43 {
		return nil, fmt.Errorf("it has %d characters where 43 are needed", len(text))
	}
	key, err := base64.StdEncoding.DecodeString(text + "=") // spare bits may be set
	if err != nil || len(key) != 32 {
		return nil, errors.New("it has a character that is not base64")
	}
	return key, nil
}

// seal makes the text of Encrypt. R-ENV-LAYOUT
func seal(key, msg []byte, appID string) string {
	plain := make([]byte, 16, 16+4+len(msg)+len(appID)+32)
	rand.Read(plain) // never fails
	return sealPlain(key, plain, msg, appID)
}

func sealPlain(key, random, msg []byte, appID string) string {
	plain := binary.BigEndian.AppendUint32(random, uint32(len(msg)))
	plain = append(plain, msg...)
	plain = append(plain, appID...)
	for pad, i := 32-len(plain)%32, 0; i < pad; i++ {
		plain = append(plain, byte(pad))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key was checked
	}
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// open reads the text of Encrypt, trimmed. R-ENV-TEXT R-ENV-PAD R-ENV-APPID
func open(key []byte, text, appID string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("there is a line end in the base64")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("it is not standard base64 with padding")
	}
	if len(data)%16 != 0 || len(data) < 32 {
		return nil, fmt.Errorf("it has %d bytes, which are not whole blocks", len(data))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, key[:16]).CryptBlocks(data, data)
	pad := int(data[len(data)-1])
	if pad < 1 || pad > 32 {
		return nil, errors.New("the padding is wrong, so it was probably sealed with another EncodingAESKey; the padding fills blocks of 32 bytes")
	}
	for _, b := range data[len(data)-pad:] {
		if int(b) != pad {
			return nil, errors.New("the padding is wrong, so it was probably sealed with another EncodingAESKey")
		}
	}
	data = data[:len(data)-pad]
	if len(data) < 20 {
		return nil, errors.New("there is nothing but padding in it")
	}
	n := uint64(binary.BigEndian.Uint32(data[16:20]))
	if n > uint64(len(data)-20) {
		return nil, errors.New("the length field is larger than the message; it counts bytes, big-endian")
	}
	if got := string(data[20+n:]); got != appID {
		return nil, errors.New("what follows the message is not the AppID")
	}
	return data[20 : 20+n], nil
}
