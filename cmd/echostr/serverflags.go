package main

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
)

// serverFlags say which server is pushed to, beside its URL, in `echostr check` and `echostr load`.
type serverFlags struct {
	Token          string `placeholder:"TOKEN" env:"WECHAT_TOKEN" help:"令牌. The token of echostr dev is known." group:"server"`
	Mode           string `placeholder:"MODE" help:"plain, compatible or safe. Defaults to that of the running echostr dev, else plain." group:"server"`
	EncodingAESKey string `name:"encoding-aes-key" placeholder:"KEY" env:"WECHAT_ENCODING_AES_KEY" help:"消息加解密密钥, for compatible and safe." group:"server"`
	AppID          string `name:"app-id" placeholder:"ID" env:"WECHAT_APP_ID" help:"开发者ID, for compatible and safe." group:"server"`
	OriginalID     string `placeholder:"ID" help:"原始ID, the account in messages." group:"server"`
	Config         string `short:"c" placeholder:"FILE" help:"Take all of these from a configuration." group:"server"`
	Account        string `placeholder:"NAME" help:"The account in it, if it has several." group:"server"`
	AllowRemote    bool   `help:"Let the server be on another machine. Not a server that real users talk to." group:"server"`
}

// reach returns the account that the flags name, and what the connections to its server must be made with.
func (f *serverFlags) reach(term *terminal, address string) (simulator.Account, dialFunc, error) {
	if !slices.Contains([]string{"", "plain", "compatible", "safe"}, f.Mode) {
		return simulator.Account{}, nil, usage("--mode is plain, compatible or safe, and not %q", f.Mode)
	}
	target := pushCommand{
		URL: address, Token: f.Token, Mode: f.Mode, EncodingAESKey: f.EncodingAESKey, AppID: f.AppID,
		OriginalID: f.OriginalID, Config: f.Config, Account: f.Account,
	}
	if f.Config != "" { // which is named on the command line, and so comes before the environment
		for name, value := range map[string]*string{"WECHAT_TOKEN": &target.Token, "WECHAT_ENCODING_AES_KEY": &target.EncodingAESKey, "WECHAT_APP_ID": &target.AppID} {
			if *value == variable(term.env, name) {
				*value = ""
			}
		}
	}
	if target.Token == "" && f.Config == "" && f.Account == "" && !ofDev(address) {
		return simulator.Account{}, nil, usage("the token (令牌) of the server is missing; give it with --token or in WECHAT_TOKEN")
	}
	account, err := target.account(term)
	if err != nil {
		return account, nil, err
	}
	hintToken(term.err, account.Token)
	dial, err := mayReach(term.err, account.URL, f.AllowRemote)
	return account, dial, err
}

func checkTimeout(d time.Duration) error {
	if d < 100*time.Millisecond || d > time.Minute {
		return usage("--timeout lies between 100ms and 1m")
	}
	return nil
}

// ofDev reports whether an address is that of `echostr dev`, whose token everybody knows.
func ofDev(address string) bool {
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	known := []string{defaultURL}
	if state, ok := runningDev(); ok {
		known = append(known, state.URL)
	}
	return slices.ContainsFunc(known, func(dev string) bool { return strings.HasPrefix(dev, u.Scheme+"://"+u.Host+"/") })
}
