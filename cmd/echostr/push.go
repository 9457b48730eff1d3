package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
)

const (
	defaultURL  = "http://127.0.0.1:8080" + callback.PathPrefix + config.DevelopmentName
	defaultMode = "plain"
)

type pushCommand struct {
	Kind string   `arg:"" optional:"" help:"What is sent, as below, or an XML file."`
	Args []string `arg:"" optional:"" help:"What the kind needs."`

	URL            string `placeholder:"URL" help:"The server. Defaults to the running echostr dev." group:"server"`
	Token          string `placeholder:"TOKEN" help:"令牌. Defaults to that of echostr dev." group:"server"`
	Mode           string `placeholder:"MODE" help:"plain, compatible or safe. Defaults to that of the running echostr dev, else plain." group:"server"`
	EncodingAESKey string `name:"encoding-aes-key" placeholder:"KEY" help:"消息加解密密钥, for compatible and safe." group:"server"`
	AppID          string `name:"app-id" placeholder:"ID" help:"开发者ID, for compatible and safe." group:"server"`
	OriginalID     string `placeholder:"ID" help:"原始ID, the account in messages." group:"server"`
	Config         string `short:"c" placeholder:"FILE" help:"Take all of these from a configuration." group:"server"`
	Account        string `placeholder:"NAME" help:"The account in it, if it has several." group:"server"`

	User        string  `placeholder:"OPENID" help:"Who sends." group:"message"`
	Scene       string  `placeholder:"S" help:"subscribe: the scene of the QR code." group:"message"`
	Recognition *string `placeholder:"TEXT" help:"voice: what was recognised; may be empty." group:"message"`
	MenuID      string  `placeholder:"ID" help:"text: the id of the entry that was tapped (bizmsgmenuid)." group:"message"`
	Keep        bool    `help:"FILE: keep its MsgId and CreateTime, byte for byte." group:"message"`

	Once             bool          `help:"Push once, without retries." group:"rules"`
	Pushes           int           `default:"3" placeholder:"N" help:"How often WeChat pushes in all: 3 or 4; 1 to 5 are taken (${default})." group:"rules"`
	Repeat           int           `placeholder:"N" help:"Send the same message N more times after its answer, as duplicates." group:"rules"`
	Fresh            bool          `help:"Sign every retry anew." group:"rules"`
	WaitAfterFailure bool          `help:"Retry what failed at once only when its 5 s have passed." group:"rules"`
	LoseFirst        int           `placeholder:"N" help:"Let the first N pushes never arrive." group:"rules"`
	Timeout          time.Duration `default:"5s" placeholder:"5s" help:"When a push is cut." group:"rules"`
	Check            bool          `help:"Send no message, but the check that WeChat makes when the URL is saved (接入验证)." group:"rules"`
	JSON             bool          `name:"json" help:"Print JSON: one object for the message, and one for each duplicate." group:"rules"`
}

func (c *pushCommand) Help() string {
	var b strings.Builder
	b.WriteString("Kinds:\n\n")
	for _, k := range kinds {
		b.WriteString(fmt.Sprintf("  %-42s %s\n", strings.TrimSpace(k.name+" "+k.args), k.about))
	}
	b.WriteString("  " + fmt.Sprintf("%-42s %s\n", "FILE.xml or -", "a captured push, sent as a new message"))
	b.WriteString(`
A push that is not answered in 5 s is cut, and the same message pushed again, 3 times in all. Every message gets a new MsgId and CreateTime.

Exit codes: 0 the answer is good (a reply or success), 1 the user would see the fault notice or the answer is wrong, 2 wrong command line.

Examples:

  echostr push text 你好
  echostr push text "慢 8"
  echostr push subscribe --scene 123123
  echostr push --url https://example.com/wx/shop -c echostr.yaml text 你好
  echostr push --check --url https://example.com/wx --token TOKEN`)
	return b.String()
}

func (c *pushCommand) Run(ctx context.Context, term *terminal) error {
	if c.Kind == "" && !c.Check {
		return usage("say what to send, like `echostr push text 你好`; `echostr push --help` lists the kinds")
	}
	if c.Kind != "" && c.Check {
		return usage("--check sends no message; leave %q out", c.Kind)
	}
	if err := checkPushes(c.Pushes); err != nil {
		return err
	}
	if c.Repeat < 0 || c.Timeout < time.Millisecond {
		return usage("--repeat is not negative, and --timeout is at least 1ms")
	}
	if !slices.Contains([]string{"", "plain", "compatible", "safe"}, c.Mode) {
		return usage("--mode is plain, compatible or safe, and not %q", c.Mode)
	}
	account, err := c.account(term)
	if err != nil {
		return err
	}
	hintToken(term.err, account.Token)
	p := &pushPrinter{w: term.out, quiet: c.JSON, timeout: c.Timeout}
	wechat, err := simulator.New(simulator.Config{
		Account: account,
		User:    c.User,
		Rules: simulator.Rules{
			Timeout: c.Timeout, Pushes: c.pushes(), FreshRetries: c.Fresh,
			WaitAfterFailure: c.WaitAfterFailure, LoseFirst: c.LoseFirst,
		},
		PushStarted: p.started,
		PushEnded:   p.ended,
	})
	if err != nil {
		return usageError{withoutPackage(err)}
	}
	if c.Check {
		return c.check(ctx, term, wechat, account)
	}
	m, err := c.message(term)
	if err != nil {
		return withoutPackage(err)
	}
	if c.User != "" {
		m.FromUserName = c.User
	}
	if c.OriginalID != "" {
		m.ToUserName = c.OriginalID
	}
	p.target(c.describe(), account)
	report, err := wechat.Send(ctx, m)
	if err := p.report(report, err); err != nil {
		return err
	}
	if hint := c.hint(report.Verdict.OK(), report.Pushes[len(report.Pushes)-1]); hint != "" {
		p.printf("hint: %s\n", hint)
	}
	if said := c.notReady(ctx, term, report); said != "" {
		p.printf("hint: the server keeps pushes open while it cannot store them: %s\n", said)
	}
	failed := !report.Verdict.OK()
	for i := range c.Repeat {
		p.duplicate(i+1, c.Repeat)
		again, err := wechat.Repeat(ctx, report)
		if err := p.report(again, err); err != nil {
			return err
		}
		p.compare(report, again)
		failed = failed || !again.Verdict.OK()
	}
	if failed {
		return errShown
	}
	return nil
}

func (c *pushCommand) pushes() int {
	if c.Once {
		return 1
	}
	return c.Pushes
}

// hint reminds of the configuration of this folder when the development
// account was pushed to and is not there.
func (c *pushCommand) hint(ok bool, last simulator.Push) string {
	if ok || c.Config != "" || c.Token != "" || !defaultConfigExists() {
		return ""
	}
	if _, running := readState(); running && last.Status != 403 && last.Status != 404 {
		return ""
	}
	return "this was sent to the development account (开发账号); to push to the account in this folder's " + defaultConfig + ", add -c " + defaultConfig
}

// notReady is what the echostr serve that the configuration names says of itself, or what keeps its database from being
// reached, when it has left all pushes open: that is what it does while it cannot store them, and what the verdict says is
// for a server that is slow.
func (c *pushCommand) notReady(ctx context.Context, term *terminal, report *simulator.Report) string {
	cut := func(p simulator.Push) bool { return p.Outcome == simulator.Cut && !p.Lost }
	if c.Config == "" || report.Verdict.OK() || !slices.ContainsFunc(report.Pushes, cut) {
		return ""
	}
	cfg, err := config.Load(c.Config, term.env)
	if err != nil {
		return ""
	}
	if ready, said := askReady(ctx, reachable(cfg.Admin)); said != "" {
		if ready {
			return ""
		}
		return said
	}
	if cfg.Postgres() != "" { // the node that was pushed to may have another address for the operator
		if err := server.CheckStore(cfg); err != nil {
			return err.Error()
		}
	}
	return ""
}

// askReady asks a server whether it can accept pushes. It says nothing if there is no server.
func askReady(ctx context.Context, admin string) (ready bool, said string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return false, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return false, ""
	}
	return resp.StatusCode == http.StatusOK, oneLine(strings.TrimSpace(string(text)), 400)
}

// describe is the message in the words of the command line.
func (c *pushCommand) describe() string {
	what := c.Kind
	if len(c.Args) > 0 {
		what += " " + strings.Join(c.Args, " ")
	}
	if c.Scene != "" {
		what += " (scene " + c.Scene + ")"
	}
	return oneLine(what, 60)
}

// account says whom to push to: what the flags say, then the configuration,
// then the development account.
func (c *pushCommand) account(term *terminal) (simulator.Account, error) {
	var a simulator.Account
	switch {
	case c.Config != "":
		var err error
		if _, a, err = configured(c.Config, c.Account, term.env); err != nil {
			return a, err
		}
	case c.Account != "":
		return a, usage("--account names an account of a configuration; give that with -c FILE")
	case c.Token == "" || c.Token == config.DevelopmentToken:
		a = devAccount(c.URL == "")
	default:
		a = simulator.Account{URL: defaultURL, Mode: defaultMode}
	}
	override(&a.URL, c.URL)
	override(&a.Token, c.Token)
	override((*string)(&a.Mode), c.Mode)
	override(&a.EncodingAESKey, c.EncodingAESKey)
	override(&a.AppID, c.AppID)
	override(&a.OriginalID, c.OriginalID)
	return a, nil
}

// devAccount is the account of echostr dev; where one is running, if that is asked for.
func devAccount(running bool) simulator.Account {
	a := simulator.Account{
		URL: defaultURL, Token: config.DevelopmentToken, Mode: defaultMode,
		AppID: config.DevelopmentAppID, EncodingAESKey: config.DevelopmentEncodingAESKey, OriginalID: config.DevelopmentOriginalID,
	}
	if running {
		if state, ok := runningDev(); ok {
			a.URL, a.Mode = state.URL, simulator.Mode(state.Mode)
		}
	}
	return a
}

func override(p *string, v string) {
	if v != "" {
		*p = v
	}
}

// configured returns an account of a configuration file, by its name if there are several.
func configured(file, name string, env []string) (*config.Account, simulator.Account, error) {
	cfg, err := config.Load(file, env)
	if err != nil {
		return nil, simulator.Account{}, err
	}
	var names []string
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		names = append(names, a.Name)
		if a.Name != name && (name != "" || len(cfg.Accounts) > 1) {
			continue
		}
		return a, simulator.Account{
			URL:   "http://" + reachable(cfg.Listen) + callback.PathPrefix + a.Name,
			Token: a.Token.Reveal(), Mode: simulator.Mode(a.Mode),
			AppID: a.AppID, EncodingAESKey: a.EncodingAESKey.Reveal(), OriginalID: a.OriginalID,
		}, nil
	}
	if name != "" {
		return nil, simulator.Account{}, usage("there is no account %s in %s; it has %s", name, file, strings.Join(names, ", "))
	}
	return nil, simulator.Account{}, usage("say which account with --account; %s has %s", file, strings.Join(names, ", "))
}

// reachable is where a listener on all addresses is reached from here.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

func (c *pushCommand) check(ctx context.Context, term *terminal, wechat *simulator.WeChat, a simulator.Account) error {
	result, err := wechat.Verify(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err := printJSON(term.out, checkJSON{OK: result.OK(), Problem: result.Problem, Why: result.Why, Push: newPushJSON(result.Push, result.Push.Start)})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(term.out, "check of the URL (接入验证): %s\n%s\n", addressOf(a.URL), tty.Printable(result.String()))
		if hint := c.hint(result.OK(), result.Push); hint != "" {
			fmt.Fprintf(term.out, "hint: %s\n", hint)
		}
	}
	if !result.OK() {
		return errShown
	}
	return nil
}

// withoutPackage drops the name of the package from the sentence.
func withoutPackage(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "simulator: "); ok {
		if _, isUsage := errors.AsType[usageError](err); isUsage {
			return usageError{errors.New(text)}
		}
		return errors.New(text)
	}
	return err
}

type checkJSON struct {
	OK      bool     `json:"ok"`
	Problem string   `json:"problem,omitempty"`
	Why     string   `json:"why"`
	Push    pushJSON `json:"push"`
}

func printJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
