package wxcrypt_test

import (
	"fmt"
	"time"

	"github.com/echostr/echostr/wxcrypt"
)

func Example() {
	const (
		token     = "RMNlACHlV5ThzfRlVS4D4"
		key       = "HnYhR6LUkNcWhBJAYLj6ouAP6VDRw9DTwIpuNC8K6ag"
		appID     = "wxb11529c136998cb6"
		timestamp = "1700001001"
		nonce     = "1409735669"
	)
	// What WeChat does.
	sender, err := wxcrypt.NewCipher(key, appID)
	if err != nil {
		fmt.Println(err)
		return
	}
	encrypt := string(sender.Seal(nil, []byte("<xml>…</xml>")))
	msgSignature := wxcrypt.MsgSignature(token, timestamp, nonce, encrypt)

	// What the server does.
	ring, err := wxcrypt.NewKeyring(appID, wxcrypt.Secret{Token: token, EncodingAESKey: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Now()
	tokenIndex, ok := ring.VerifyMsg(now, msgSignature, timestamp, nonce, encrypt)
	if !ok {
		fmt.Println("answer 403")
		return
	}
	push, keyIndex, err := ring.Open(now, nil, encrypt)
	if err != nil {
		fmt.Println("answer 403")
		return
	}
	fmt.Printf("%s\n", push)
	reply := ring.AppendEnvelope(nil, []byte("<xml>…</xml>"), tokenIndex, keyIndex, now)
	fmt.Println(len(reply) > 0)
	// Output:
	// <xml>…</xml>
	// true
}
