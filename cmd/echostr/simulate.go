package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

type simulateCommand struct {
	Callback       string   `placeholder:"URL" help:"The server under test (服务器地址)." group:"server"`
	Nodes          []string `placeholder:"HOST:PORT" help:"The nodes of a server that has several: each push goes to the next one, as through a load balancer, and the callback names the path only." group:"server"`
	Token          string   `placeholder:"TOKEN" env:"WECHAT_TOKEN" help:"令牌." group:"server"`
	Mode           string   `enum:"plain,compatible,safe" default:"plain" placeholder:"MODE" help:"plain, compatible or safe (${default})." group:"server"`
	EncodingAESKey string   `name:"encoding-aes-key" placeholder:"KEY" env:"WECHAT_ENCODING_AES_KEY" help:"消息加解密密钥, for compatible and safe." group:"server"`
	AppID          string   `name:"app-id" placeholder:"ID" env:"WECHAT_APP_ID" help:"开发者ID, for compatible and safe, and for the API." group:"server"`
	AppSecret      string   `placeholder:"SECRET" env:"WECHAT_APP_SECRET" help:"开发者密码, for the API; made up if none is given." group:"server"`
	OriginalID     string   `placeholder:"ID" help:"原始ID, the account in messages." group:"server"`
	Kind           string   `enum:"service,subscription" default:"service" placeholder:"KIND" help:"service (服务号) or subscription (订阅号) (${default})." group:"server"`
	Verified       bool     `default:"true" negatable:"" help:"Whether the account is verified (已认证), on which depends what the API allows (${default})." group:"server"`
	Recognition    bool     `help:"Voice messages carry what was said (语音识别)." group:"server"`
	Config         string   `short:"c" placeholder:"FILE" help:"Take all of these from the configuration of an echostr serve: a verified account is a service account, and one that is not a subscription account." group:"server"`
	Account        string   `placeholder:"NAME" help:"The account in it, if it has several." group:"server"`
	AllowRemote    bool     `help:"Let the server be on another machine." group:"server"`

	Listen string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where the page and WeChat's API are (${default}). The next free port is taken when it is busy." group:"simulator"`
	worldFlags
}

func (c *simulateCommand) Help() string {
	return `Opens a page with a phone to talk to your server with, in whatever language it is written, and with the wire beside it. WeChat's API is at the same address: give it to your program in place of https://api.weixin.qq.com.

The address is checked at the start (接入验证). The simulator runs on when that fails, so that the server can be started later.

Examples:

  echostr simulate --callback http://127.0.0.1:8000/wechat --token TOKEN
  echostr simulate --callback http://127.0.0.1:8000/wechat --token TOKEN --kind subscription --no-verified
  echostr simulate -c echostr.yaml
  echostr simulate -c echostr.yaml --nodes 127.0.0.1:8080,127.0.0.1:8082
  echostr simulate --callback http://127.0.0.1:8000/wechat --token TOKEN --fault 'custom/send=45015*2'`
}

func (c *simulateCommand) Run(ctx context.Context, term *terminal) error {
	if err := c.configure(term); err != nil {
		return err
	}
	switch {
	case c.Callback == "":
		return usage("say which server to push to, like `echostr simulate --callback http://127.0.0.1:8000/wechat --token TOKEN`; to try it without one of your own, start `echostr dev`")
	case c.Token == "":
		return usage("the token (令牌) of the server is missing; give it with --token or in WECHAT_TOKEN")
	case !onLoopback(c.Listen):
		return usage("%s can be reached from outside, and whoever reaches the simulator can send anything to the server; use 127.0.0.1", c.Listen)
	}
	dial, err := mayReach(term.err, c.Callback, c.AllowRemote)
	for _, node := range c.Nodes {
		if err == nil {
			_, err = mayReach(term.err, "http://"+node, c.AllowRemote)
		}
	}
	if err != nil {
		return err
	}
	hintToken(term.err, c.Token)
	w, err := c.open(term, c.Listen, dial)
	if err != nil {
		return err
	}
	official, err := w.add(simulator.OfficialConfig{
		Account: simulator.Account{
			URL: c.Callback, Nodes: c.Nodes, Token: c.Token, Mode: simulator.Mode(c.Mode),
			AppID: c.AppID, EncodingAESKey: c.EncodingAESKey, OriginalID: c.OriginalID,
		},
		Kind: simulator.Kind(c.Kind), Verified: c.Verified, AppSecret: c.AppSecret, Recognition: c.Recognition,
	}, c.Users)
	if err != nil {
		w.discard()
		return err
	}
	w.serve(ctx)
	c.welcome(term, w, official.Config())
	check, err := official.Verify(ctx)
	if err == nil {
		fmt.Fprintln(term.out, aboutCheck(check))
		if check.Problem == "refused" {
			go c.untilRunning(ctx, term.out, official)
		}
	}
	<-ctx.Done()
	return w.close()
}

// configure takes from the configuration, if one is named, what the flags do not say.
func (c *simulateCommand) configure(term *terminal) error {
	if c.Config == "" && c.Account != "" {
		return usage("--account names an account of a configuration; give that with -c FILE")
	}
	if c.Config == "" {
		return nil
	}
	account, a, err := configured(c.Config, c.Account, term.env)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		flag *string
		text string
	}{{&c.Callback, a.URL}, {&c.Token, a.Token}, {&c.EncodingAESKey, a.EncodingAESKey}, {&c.AppID, a.AppID}, {&c.OriginalID, a.OriginalID}, {&c.AppSecret, account.AppSecret.Reveal()}} {
		if *p.flag == "" {
			*p.flag = p.text
		}
	}
	c.Mode, c.Verified, c.Kind = string(a.Mode), account.Verified, string(simulator.Subscription)
	if c.Verified {
		c.Kind = string(simulator.Service)
	}
	return nil
}

func (c *simulateCommand) welcome(term *terminal, w *world, config simulator.OfficialConfig) {
	out := term.out
	fmt.Fprintf(out, "\n  %s   ← open this (在浏览器中打开)\n\n", w.URL)
	facts := newTable()
	facts.add("  Server (服务器地址)", addressOf(c.Callback))
	if len(c.Nodes) > 0 {
		facts.add("  Nodes (节点)", tty.Printable(strings.Join(c.Nodes, ", "))+"   in turn (轮流)")
	}
	facts.add("  Mode (消息加解密方式)", modeName(c.Mode))
	facts.add("  Account (公众号)", kindName(config))
	facts.add("  API (接口地址)", w.URL+"   in place of https://api.weixin.qq.com")
	facts.add("  AppID (开发者ID)", config.Account.AppID)
	if c.AppSecret == "" {
		facts.add("  AppSecret (开发者密码)", config.AppSecret)
	}
	facts.write(out)
	fmt.Fprintf(out, "\nCtrl-C stops.\n\n")
}

// untilRunning checks the address again until something listens there.
func (c *simulateCommand) untilRunning(ctx context.Context, out io.Writer, o *simulator.Official) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if check, err := o.Verify(ctx); err == nil && check.Problem != "refused" {
			fmt.Fprintln(out, "The server runs now.", aboutCheck(check))
			return
		}
	}
}

// aboutCheck is a sentence about the check of an address, with what to do.
func aboutCheck(check *simulator.URLCheck) string {
	if check.OK() {
		return "The server has accepted the address (接入验证成功)."
	}
	text := "Token 验证失败: " + check.Why
	if check.Problem == "echostr" {
		text += "; often it is a message about a wrong signature, because the server has another token (令牌)"
	}
	return tty.Printable(text) + ".\nThe simulator goes on (模拟器继续运行); the page can check again."
}

// kindName is the kind of an account in words.
func kindName(c simulator.OfficialConfig) string {
	kind, verified := "subscription (订阅号)", "not verified (未认证)"
	if c.Kind == simulator.Service {
		kind = "service (服务号)"
	}
	if c.Verified {
		verified = "verified (已认证)"
	}
	return kind + ", " + verified
}
