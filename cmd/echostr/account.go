package main

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
)

type accountCommand struct {
	New accountNewCommand `cmd:"" help:"Make a strong token and key, print the YAML for the configuration and what to paste into WeChat's console."`
}

type accountNewCommand struct {
	Name     string `arg:"" help:"The account's name in the URL: small letters, digits, - and _."`
	AppID    string `name:"app-id" placeholder:"ID" help:"开发者ID(AppID) from WeChat's console."`
	Mode     string `enum:"plain,compatible,safe" default:"safe" placeholder:"MODE" help:"plain, compatible or safe (${default})."`
	Bot      string `enum:"sample,demo,ai,none" default:"sample" placeholder:"BOT" help:"The built-in bot that answers: sample, demo, ai or none (${default})."`
	Verified bool   `help:"The account is verified (微信认证) and has the customer-service API (客服消息)."`
}

var (
	accountName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	accountAppID = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
)

func (c *accountNewCommand) Run(term *terminal) error {
	if !accountName.MatchString(c.Name) {
		return usage("the name %q cannot stand in a URL; use small letters, digits, - and _, at most 64", c.Name)
	}
	if c.AppID != "" && !accountAppID.MatchString(c.AppID) {
		return usage("the AppID (开发者ID) must be wx and 16 hexadecimal digits in lower case; copy it from WeChat's console")
	}
	token, key := newToken(), newKey()
	appID := c.AppID
	if appID == "" {
		appID = config.PlaceholderAppID + "      # 改成 开发者ID(AppID)：put yours here"
	}
	// The YAML alone goes to the standard output, so that it can be redirected.
	fmt.Fprintf(term.out, `accounts:
  - name: %s
    app_id: %s
    token: %s
    encoding_aes_key: %s
    mode: %s
    verified: %v
`, c.Name, appID, token, key, c.Mode, c.Verified)
	if c.Verified {
		fmt.Fprintf(term.out, "    app_secret: %s      # 改成 开发者密码(AppSecret)：put yours here\n", config.PlaceholderAppSecret)
	}
	if c.Bot != "none" {
		fmt.Fprintf(term.out, "    bot: %s\n", c.Bot)
	}
	if c.Bot == string(config.BotAI) {
		fmt.Fprint(term.out, `    ai:
      base_url: https://api.deepseek.com/v1      # 改成所用服务的地址：the endpoint, like that of OpenAI
      model: deepseek-chat
      api_key_file: ai.key      # 把 API key 写进这个文件，权限 0600：put the key into this file
`)
	}

	w := term.err
	fmt.Fprintf(w, "\n1. Put this into echostr.yaml (other accounts go under the same accounts:), and start: echostr serve\n")
	fmt.Fprintf(w, "2. In WeChat's console (公众平台 → 设置与开发 → 开发接口管理 → 基本配置 → 服务器配置) paste:\n\n")
	facts := newTable()
	facts.add("     服务器地址(URL)", "https://你的域名"+callback.PathPrefix+c.Name)
	facts.add("     令牌(Token)", token)
	facts.add("     消息加解密密钥(EncodingAESKey)", key)
	facts.add("     消息加解密方式", modeName(c.Mode))
	facts.add("     数据格式", "XML")
	facts.write(w)
	if c.AppID == "" {
		fmt.Fprintf(w, "\n   and copy 开发者ID(AppID) from there into app_id.\n")
	}
	if c.Verified {
		fmt.Fprintf(w, "\n   and copy 开发者密码(AppSecret) from there into app_secret: late answers go out by the customer-service API (客服消息), which needs it. Put this server's address into IP白名单 there.\n")
	}
	fmt.Fprintf(w, "\n3. Save there while the server runs: WeChat checks the URL at once (提交), then switch it on (启用).\n")
	return nil
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newToken returns 32 letters and digits, as many as WeChat takes. It begins
// with z: a token that sorts behind timestamp and nonce cannot be extended.
func newToken() string { return "z" + random(31, alphanumeric) }

// newKey returns 43 letters and digits. The last one has no spare bits, so that
// strict base64 reads the key too: R-KEY-DECODE.
func newKey() string { return random(42, alphanumeric) + random(1, "AEIMQUYcgkosw048") }

func random(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b[i] = alphabet[at.Int64()]
	}
	return string(b)
}
