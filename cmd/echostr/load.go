package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/load"
	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

type loadCommand struct {
	URL string `arg:"" optional:"" help:"The server. Defaults to the running echostr dev."`

	serverFlags
	Nodes     []string `placeholder:"HOST:PORT" help:"The nodes of a server that has several: each push goes to the next one, as through a load balancer, and the URL names the path only." group:"server"`
	Listen    string   `placeholder:"HOST:PORT" help:"Serve WeChat's API here, for a server that is configured to call it (api_base_url), and count the answers by it." group:"server"`
	AppSecret string   `placeholder:"SECRET" env:"WECHAT_APP_SECRET" help:"开发者密码, for --listen." group:"server"`

	Rate     float64       `short:"r" default:"50" placeholder:"N" help:"Messages each second (${default}), however slow the server is." group:"load"`
	Duration time.Duration `short:"d" default:"10s" placeholder:"TIME" help:"How long messages are sent for (${default})." group:"load"`
	Count    *int          `short:"n" placeholder:"N" help:"How many messages are sent, instead." group:"load"`
	Users    int           `default:"1000" placeholder:"N" help:"How many users take turns (${default}). More are made when all of them have written within the last second or wait for an answer." group:"load"`
	Mix      string        `default:"text=80,slow=2,image=5,click=8,subscribe=5" placeholder:"KIND=N,..." help:"The share of each kind (${default})." group:"load"`
	Text     string        `default:"你好" placeholder:"TEXT" help:"What a text says (${default})." group:"load"`
	SlowText string        `default:"慢 8" placeholder:"TEXT" help:"What a slow question says: a text on which the server works for more than 5 s (${default}, which the demo bot knows)." group:"load"`
	Seed     uint64        `default:"1" placeholder:"N" help:"Decides the order of the kinds (${default})." group:"load"`
	Wait     time.Duration `default:"15s" placeholder:"TIME" help:"With --listen, how long an answer by the API is waited for (${default})." group:"load"`

	Pushes           int           `default:"3" placeholder:"N" help:"How often WeChat pushes in all: 3 or 4; 1 to 5 are taken (${default})." group:"rules"`
	Fresh            bool          `help:"Sign every retry anew." group:"rules"`
	WaitAfterFailure bool          `help:"Retry what failed at once only when its 5 s have passed." group:"rules"`
	Timeout          time.Duration `default:"5s" placeholder:"5s" help:"When a push is cut." group:"rules"`

	Quiet bool `short:"q" help:"Show no progress. It is shown on a terminal only." group:"report"`
	JSON  bool `name:"json" help:"Print JSON: one object." group:"report"`
}

func (c *loadCommand) Help() string {
	return `Kinds: ` + strings.Join(load.Kinds(), ", ") + `.

Messages begin when they are due, whatever became of those before, and latencies count from then: a server that stands still for a second meets all messages of that second. The server must accept its address first (接入验证), so it must know the token. Ctrl-C ends early, and the ledger is printed all the same.

The handler of the server is run for real, with users that do not exist, and may call what costs money. Do not use this on a server that real users talk to.

Exit codes: 0 no message was lost, every answer was valid and none came twice, 1 otherwise, or the load could not begin, 2 wrong command line.

Examples:

  echostr load
  echostr load --rate 300 --duration 20s
  echostr load http://127.0.0.1:8000/wechat --token TOKEN --mix text=1 --count 1000
  echostr load -c echostr.yaml --mix text=9,slow=1 --listen 127.0.0.1:8090
  echostr load -c echostr.yaml --nodes 127.0.0.1:8080,127.0.0.1:8082 --json`
}

// Bounds of what is taken for meant.
const (
	maxRate     = 100_000
	maxMessages = 1_000_000_000
	maxLoaders  = 10_000_000 // users
)

func (c *loadCommand) Run(ctx context.Context, term *terminal) error {
	settings, err := c.configure(term)
	if err != nil {
		return err
	}
	l, err := load.New(settings)
	if err != nil {
		return usageError{withoutPackage(err)}
	}
	account := settings.Official.Account
	if c.Listen != "" {
		stop, err := c.serve(l)
		if err != nil {
			return err
		}
		defer stop()
	}
	// Whoever cannot pass this has no server here, or not the right to try it.
	check, err := l.Official().Verify(ctx)
	if err != nil {
		return err
	}
	if !check.OK() {
		return fmt.Errorf("no message was sent, since the server at %s has not accepted its address (接入验证): %s; `echostr check` says more", addressOf(account.URL), check.Why)
	}
	if !c.JSON {
		to := addressOf(account.URL)
		if len(c.Nodes) > 0 {
			to += " by way of " + strings.Join(c.Nodes, ", ")
		}
		fmt.Fprintf(term.out, "%s messages at %s/s to %s (%s), %s, seed %d%s\n\n", thousands(settings.Messages), number(c.Rate), to, modeName(string(account.Mode)), settings.Mix, c.Seed, c.rules())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	progress(term.err, !c.Quiet && isTerminal(term.err), l, done)
	ledger := l.Ledger()
	if c.JSON {
		err = printJSON(term.out, loadJSON{
			ledger.OK(), addressOf(account.URL), string(account.Mode), c.Rate, settings.Mix.String(), c.Seed,
			loadRules{c.Pushes, c.Fresh, c.WaitAfterFailure}, ledger,
		})
	} else {
		var out bytes.Buffer
		c.print(&out, ledger)
		_, err = out.WriteTo(term.out) // a full disk is told
	}
	if err == nil && !ledger.OK() {
		err = errShown
	}
	return err
}

// loadJSON is the ledger for machines. docs/load.md has its keys.
type loadJSON struct {
	OK    bool      `json:"ok"`
	URL   string    `json:"url"`
	Mode  string    `json:"mode"`
	Rate  float64   `json:"rate"`
	Mix   string    `json:"mix"`
	Seed  uint64    `json:"seed"`
	Rules loadRules `json:"rules"`
	*load.Ledger
}

// loadRules are the flags of the same names.
type loadRules struct {
	Pushes           int  `json:"pushes"`
	Fresh            bool `json:"fresh"`
	WaitAfterFailure bool `json:"wait_after_failure"`
}

// rules are the flags for WeChat's rules that are not as they are by default.
func (c *loadCommand) rules() (list string) {
	if c.Pushes != 3 {
		list += fmt.Sprintf(", --pushes %d", c.Pushes)
	}
	if c.Fresh {
		list += ", --fresh"
	}
	if c.WaitAfterFailure {
		list += ", --wait-after-failure"
	}
	return list
}

// configure makes the settings of the flags.
func (c *loadCommand) configure(term *terminal) (settings load.Config, err error) {
	switch {
	case !(c.Rate > 0 && c.Rate <= maxRate):
		return settings, usage("--rate lies above 0 and is at most %d", maxRate)
	case c.Count != nil && *c.Count < 1 || c.Duration <= 0:
		return settings, usage("--count and --duration lie above 0: there is no load without messages")
	case c.Users < 1 || c.Users > maxLoaders:
		return settings, usage("--users lies between 1 and %d", maxLoaders)
	case c.Text == "" || c.SlowText == "":
		return settings, usage("--text and --slow-text say something; nobody can send an empty text")
	case c.Wait < 0:
		return settings, usage("--wait is not negative")
	case c.Listen != "" && !onLoopback(c.Listen):
		return settings, usage("%s can be reached from outside, and whoever reaches the API there gets an access token; use 127.0.0.1", c.Listen)
	}
	if err := checkPushes(c.Pushes); err != nil {
		return settings, err
	}
	if err := checkTimeout(c.Timeout); err != nil {
		return settings, err
	}
	mix, err := load.ParseMix(c.Mix)
	if err != nil {
		return settings, usage("--mix: %w", err)
	}
	messages := max(1, math.Round(c.Rate*c.Duration.Seconds()))
	if c.Count != nil {
		messages = float64(*c.Count)
	}
	if messages > maxMessages {
		return settings, usage("these are more than %d messages; make --rate, --duration or --count less", maxMessages)
	}
	account, dial, err := c.reach(term, c.URL)
	for _, node := range c.Nodes {
		if err == nil {
			_, err = mayReach(term.err, "http://"+node, c.AllowRemote)
		}
	}
	if err != nil {
		return settings, err
	}
	account.Nodes = c.Nodes
	if _, err := simulator.New(simulator.Config{Account: account}); err != nil { // before an AppID is made up
		return settings, usageError{withoutPackage(err)}
	}
	secret, err := c.secret(term, mix)
	if err != nil {
		return settings, err
	}
	if dial != nil {
		dial = dialHereFromAnywhere
	}
	return load.Config{
		// All that the API can do, for whoever is allowed less does not call it.
		Official: simulator.OfficialConfig{Account: account, Kind: simulator.Service, Verified: true, AppSecret: secret},
		Rules: simulator.Rules{
			Timeout: c.Timeout, Pushes: c.Pushes, FreshRetries: c.Fresh, WaitAfterFailure: c.WaitAfterFailure,
		},
		DialContext: dial,
		Rate:        c.Rate, Messages: int(messages), Users: c.Users, Mix: mix, Text: c.Text, SlowText: c.SlowText, Seed: c.Seed,
		API: c.Listen != "", Wait: c.Wait,
	}, nil
}

// secret is the AppSecret with which the server fetches tokens. On the way it warns of answers that would go to WeChat itself.
func (c *loadCommand) secret(term *terminal, mix load.Mix) (string, error) {
	secret := c.AppSecret
	if c.Config != "" {
		a, _, err := configured(c.Config, c.serverFlags.Account, term.env)
		if err != nil {
			return "", err
		}
		cfg, err := config.Load(c.Config, term.env)
		if err != nil {
			return "", err
		}
		secret = a.AppSecret.Reveal()
		base, err := url.Parse(cfg.APIBaseURL)
		if slow := slices.ContainsFunc(mix, func(s load.Share) bool { return s.Kind == load.Slow }); a.Verified && slow && (err != nil || !simulator.IsLocalHost(base.Host)) {
			fmt.Fprintln(term.err, "warning: answers to slow questions go to WeChat's own API, for users that do not exist; let the server have api_base_url: http://127.0.0.1:8090 and add --listen 127.0.0.1:8090, or leave slow out of --mix (慢问题的回答会发往真实的微信接口)")
		}
	}
	if c.Listen != "" && (secret == "" || c.AppID == "" && c.Config == "") {
		return "", usage("--listen needs the AppID and the AppSecret (开发者密码) with which the server calls the API; give them with --app-id and --app-secret, or with -c")
	}
	return secret, nil
}

// dialHereFromAnywhere is dialHere from many addresses.
func dialHereFromAnywhere(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	load.FromLoopback(&d, address)
	return dialHereBy(ctx, &d, network, address)
}

// serve begins to serve WeChat's API. It must be where the server looks for it, so no other port is taken.
func (c *loadCommand) serve(l *load.Load) (stop func(), err error) {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("nothing can listen at %s: %w; stop what uses it, perhaps an echostr dev or simulate, or choose another port there and in the server's api_base_url", c.Listen, err)
	}
	server := &http.Server{Handler: l.API(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }() // until stop
	return func() { server.Close() }, nil
}

// progress shows each second how far it is, until done.
func progress(w io.Writer, on bool, l *load.Load, done <-chan struct{}) {
	if !on {
		<-done
		return
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	defer fmt.Fprint(w, "\r\x1b[K")
	begin := time.Now()
	for {
		select {
		case <-done:
			return
		case <-every.C:
		}
		n := l.Ledger()
		p99 := "-"
		if n.FirstAnswer.Count > 0 {
			p99 = seconds(n.FirstAnswer.P99)
		}
		text := fmt.Sprintf("%d s: %s sent, %s open, %s lost, %s invalid, p99 %s", int(time.Since(begin).Seconds()),
			thousands(n.Messages), thousands(n.Open()), thousands(n.Lost), thousands(n.Invalid), p99)
		if n.StartedLate > 0 {
			text += fmt.Sprintf(", %s began late", thousands(n.StartedLate))
		}
		fmt.Fprintf(w, "\r\x1b[K%s", text)
	}
}

// print writes the ledger for people.
func (c *loadCommand) print(w io.Writer, l *load.Ledger) {
	t := newTable()
	row := func(name string, n int, about string) { t.add(name, right(thousands(n), 9), about) }
	about := fmt.Sprintf("in %s, of %s users", seconds(l.Seconds), thousands(l.Users))
	if l.Messages > 1 && l.Seconds > 0 { // from the first to the last
		about += fmt.Sprintf(", %s/s", number(math.Round(10*float64(l.Messages-1)/l.Seconds)/10))
	}
	row("Messages (消息)", l.Messages, about)
	row("  replied (被动回复)", l.Replied, byPush(l.RepliedByPush))
	about = byPush(l.AcknowledgedByPush)
	if l.Empty > 0 {
		about += fmt.Sprintf("; %s with an empty body", thousands(l.Empty))
	}
	row("  acknowledged (success)", l.Acknowledged, about)
	row("  invalid answer (无效回复)", l.Invalid, "")
	row("  lost (丢失)", l.Lost, "")
	if l.Stopped > 0 {
		row("  stopped (中止)", l.Stopped, "were under way when the run was ended; so were pushes, which are not counted")
	}
	row("Pushes (推送)", l.Pushes, outcomes(l.Outcomes))
	row("  retries (重试)", l.Retries, "")
	row("Fault notices (故障提示)", l.FaultNotices, "「"+simulator.FaultNotice+"」")
	if l.API == nil {
		t.add("Answers by the API (客服消息)", right("-", 9), "cannot be seen, nor can duplicates: see --listen")
	} else {
		about := fmt.Sprintf("%s messages sent", thousands(l.API.Sent))
		switch {
		case l.API.Refused > 0:
			about += fmt.Sprintf(", %s refused", thousands(l.API.Refused))
		case l.API.Sent == 0 && l.Acknowledged > 0:
			about = "the server has not called http://" + c.Listen + "; is that its api_base_url?"
		}
		row("Answers by the API (客服消息)", l.Later, about)
		row("Duplicates (重复)", l.Duplicates, "")
	}
	t.write(w)

	fmt.Fprintln(w)
	t = newTable("FROM WHEN IT WAS DUE TO", right("COUNT", 9), "    P50", "    P90", "    P99", "  P99.9", "    MAX")
	latency := func(name string, l load.Latency) {
		if l.Count > 0 {
			t.add(name, right(thousands(int(l.Count)), 9), spent(l.P50), spent(l.P90), spent(l.P99), spent(l.P999), spent(l.Max))
		}
	}
	latency("the first good answer", l.FirstAnswer)
	for i, push := range l.Push {
		latency(fmt.Sprintf("the end of push %d", i+1), push)
	}
	if l.API != nil {
		latency("the answer by the API", l.API.Latency)
	}
	latency("the start of push 1", l.Start)
	t.write(w)

	fmt.Fprintln(w)
	header := []string{"KIND", " MESSAGES", "  REPLIED", "ACKNOWLEDGED", "  INVALID", "     LOST"}
	if l.API != nil {
		header = append(header, "   BY API", "DUPLICATES")
	}
	t = newTable(append(header, "    P50", "    P99", "    MAX")...)
	for _, k := range l.Kinds {
		cells := []string{k.Kind, right(thousands(k.Messages), 9), right(thousands(k.Replied), 9), right(thousands(k.Acknowledged), 12), right(thousands(k.Invalid), 9), right(thousands(k.Lost), 9)}
		if l.API != nil {
			cells = append(cells, right(thousands(k.Later), 9), right(thousands(k.Duplicates), 10))
		}
		p50, p99, most := right("-", 7), right("-", 7), right("-", 7)
		if k.FirstAnswer.Count > 0 {
			p50, p99, most = spent(k.FirstAnswer.P50), spent(k.FirstAnswer.P99), spent(k.FirstAnswer.Max)
		}
		t.add(append(cells, p50, p99, most)...)
	}
	t.write(w)

	fmt.Fprintln(w)
	c.conclude(w, l)
}

// conclude says in sentences what the numbers mean.
func (c *loadCommand) conclude(w io.Writer, l *load.Ledger) {
	if !l.Complete {
		fmt.Fprintln(w, "It was ended early (提前结束).")
	}
	if l.StartedLate > 0 {
		fmt.Fprintf(w, "The load itself fell behind: %s of %s messages began more than 50 ms after they were due. Part of the latencies, and of what was cut, may not be the server's: give this machine less to do, or lower --rate (压测端自己跟不上).\n", thousands(l.StartedLate), thousands(l.Messages))
	}
	if l.OwnFailures > 0 {
		fmt.Fprintf(w, "Of the pushes %s failed for want of ports or files on this side, and not by the server: raise `ulimit -n`, or lower --rate (本机端口或文件数用尽).\n", thousands(l.OwnFailures))
	}
	if n := l.Acknowledged - l.Later; l.API != nil && n > 0 {
		fmt.Fprintf(w, "Of the acknowledged messages %s got no answer by the API, which is right if they need none; see the table for their kinds (已确认但没有回答).\n", thousands(n))
	}
	names := make([]string, 0, len(l.Problems))
	for name := range l.Problems {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if n := l.Problems[b].Count - l.Problems[a].Count; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		p := l.Problems[name]
		fmt.Fprintf(w, "%s ×%s, such as: %s\n", name, thousands(p.Count), oneLine(p.Why, 300))
	}
	well := "all is well: no message was lost, and every answer was valid (没有丢失，没有无效回复)"
	if l.API != nil {
		well = "all is well: no message was lost, every answer was valid, and none came twice (没有丢失，没有无效或重复的回复)"
	}
	switch {
	case l.Failed():
		fmt.Fprintln(w, "nothing can be said of the server: this side has failed (本机出了问题，无法下结论)")
	case l.Bad():
		fmt.Fprintf(w, "not well: lost messages: %s, invalid answers: %s, ", thousands(l.Lost), thousands(l.Invalid))
		if l.API == nil {
			fmt.Fprintln(w, "duplicates: unknown (有消息丢失，或回复无效)")
		} else {
			fmt.Fprintf(w, "duplicates: %s, refused by the API: %s (有消息丢失，或回复无效、重复、被接口拒绝)\n", thousands(l.Duplicates), thousands(l.API.Refused))
		}
	case l.Replied+l.Acknowledged == 0:
		fmt.Fprintln(w, "nothing can be said of the server: no message had come to its end (还没有结果)")
	case l.Unanswered():
		fmt.Fprintln(w, "not well: no user got an answer (没有用户得到回答)")
	case l.OK():
		fmt.Fprintln(w, well)
	default:
		fmt.Fprintln(w, "as far as it went, "+well)
	}
}

// byPush says with which push messages ended.
func byPush(list []int) string {
	var parts []string
	for i, n := range list {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("push %d: %s", i+1, thousands(n)))
		}
	}
	return strings.Join(parts, ", ")
}

// outcomes says how pushes ended.
func outcomes(o load.Outcomes) string {
	var parts []string
	for _, p := range []struct {
		name string
		n    int
	}{{"status 200", o.OK}, {"another status", o.Status}, {"cut", o.Cut}, {"refused", o.Refused}, {"reset", o.Reset}, {"tls", o.TLS}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %s", p.name, thousands(p.n)))
		}
	}
	return strings.Join(parts, ", ")
}

// spent is a duration in a column of a table.
func spent(s float64) string { return right(seconds(s), 7) }

// seconds is a duration with as many digits as mean something.
func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", s*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", s*1e3)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.0f s", s)
}

// thousands is n with a comma between thousands.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func right(s string, width int) string { return strings.Repeat(" ", max(0, width-tty.Width(s))) + s }
