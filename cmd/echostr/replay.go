package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

type replayCommand struct {
	File string `arg:"" help:"The recording, or - for the standard input."`

	Callback       string `placeholder:"URL" help:"The server. Defaults to the running echostr dev." group:"server"`
	Token          string `placeholder:"TOKEN" env:"WECHAT_TOKEN" help:"令牌. Defaults to that of echostr dev." group:"server"`
	Mode           string `placeholder:"MODE" help:"plain, compatible or safe. Defaults to that of the running echostr dev, else plain." group:"server"`
	EncodingAESKey string `name:"encoding-aes-key" placeholder:"KEY" env:"WECHAT_ENCODING_AES_KEY" help:"消息加解密密钥, for compatible and safe." group:"server"`
	AppID          string `name:"app-id" placeholder:"ID" env:"WECHAT_APP_ID" help:"开发者ID, for compatible and safe." group:"server"`
	OriginalID     string `placeholder:"ID" help:"原始ID; otherwise that of the recording stays." group:"server"`
	AllowRemote    bool   `help:"Let the server be on another machine." group:"server"`

	Exact  bool `help:"Send the same bytes with their old signatures, MsgIds and times. Needs no token." group:"message"`
	Pushes int  `default:"3" placeholder:"N" help:"How often WeChat pushes in all: 3 or 4; 1 to 5 are taken (${default})." group:"rules"`
	JSON   bool `name:"json" help:"Print JSON." group:"rules"`
}

func (c *replayCommand) Help() string {
	return `A recording is saved on the page of the simulator, or by --record of simulate and dev; it has the messages of the page, and not those of echostr push. Its messages are sent one after the other, as new ones with a MsgId, a CreateTime and signatures of now, and the answers are compared: what the user would see, and every part of the reply but its CreateTime.

Exit codes: 0 all answers are the same, 1 an answer is different, 2 wrong command line or no recording.

Examples:

  echostr replay messages.json
  echostr replay messages.json --callback http://127.0.0.1:8000/wechat --token TOKEN`
}

func (c *replayCommand) Run(ctx context.Context, term *terminal) error {
	if err := checkPushes(c.Pushes); err != nil {
		return err
	}
	recording, err := c.read(term)
	if err != nil {
		return err
	}
	account, err := c.account()
	if err != nil {
		return err
	}
	hintToken(term.err, account.Token)
	dial, err := mayReach(term.err, account.URL, c.AllowRemote)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(term.out, "%d messages → %s (%s)\n\n", len(recording.Exchanges), addressOf(account.URL), modeName(string(account.Mode)))
	}
	all, err := simulator.Replay(ctx, recording, simulator.ReplayConfig{
		Account: account, Exact: c.Exact, Rules: simulator.Rules{Pushes: c.Pushes}, DialContext: dial,
	})
	if err != nil && len(all) == 0 {
		if ctx.Err() == nil {
			return usageError{withoutPackage(err)}
		}
		return err
	}
	different := c.print(term, all)
	switch {
	case err != nil:
		return fmt.Errorf("it was stopped after %d messages: %w", len(all), withoutPackage(err))
	case different > 0:
		return errShown
	}
	return nil
}

func (c *replayCommand) read(term *terminal) (*simulator.Recording, error) {
	in := term.in
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, usage("the recording cannot be read: %w; save one on the page of `echostr dev`, or with --record", err)
		}
		defer file.Close()
		in = file
	}
	recording, err := simulator.ReadRecording(in)
	if err != nil {
		return nil, usageError{withoutPackage(err)}
	}
	if len(recording.Exchanges) == 0 {
		return nil, usage("there is no message in the recording; send some on the page first, and save it again")
	}
	return recording, nil
}

// account says whom to send to: what the flags say, otherwise the development account.
func (c *replayCommand) account() (simulator.Account, error) {
	a := simulator.Account{URL: c.Callback, Mode: defaultMode}
	if c.Callback == "" {
		a = devAccount(true)
		a.OriginalID = "" // that of the recording stays
	}
	override(&a.Token, c.Token)
	override((*string)(&a.Mode), c.Mode)
	override(&a.EncodingAESKey, c.EncodingAESKey)
	override(&a.AppID, c.AppID)
	override(&a.OriginalID, c.OriginalID)
	if a.Token == "" && !c.Exact {
		return a, usage("the token (令牌) of the server is missing; give it with --token or in WECHAT_TOKEN, or send the same bytes with --exact")
	}
	return a, nil
}

// replayedJSON is one line of the table in JSON.
type replayedJSON struct {
	Summary     string   `json:"summary"`
	OpenID      string   `json:"openid"`
	Pushes      int      `json:"pushes"`
	Before      string   `json:"before"` // nothing, reply or fault notice
	Now         string   `json:"now"`
	Same        bool     `json:"same"`
	Differences []string `json:"differences,omitempty"`
	Why         string   `json:"why,omitempty"` // what is wrong with the answer
}

// print returns how many answers are different.
func (c *replayCommand) print(term *terminal, all []simulator.Replayed) (different int) {
	rows := make([]replayedJSON, len(all))
	for i, r := range all {
		v := r.Report.Verdict
		rows[i] = replayedJSON{
			Summary: r.Recorded.Summary, OpenID: r.Recorded.OpenID, Pushes: len(r.Report.Pushes),
			Before: r.Recorded.Sees, Now: v.Sees.String(), Same: len(r.Differences) == 0, Differences: r.Differences,
		}
		if !v.OK() {
			rows[i].Why = v.Why
		}
		if !rows[i].Same {
			different++
		}
	}
	if c.JSON {
		_ = printJSON(term.out, rows)
		return different
	}
	table := newTable("", "message", "pushes", "before", "now", "")
	for i, row := range rows {
		same := "same (一致)"
		if !row.Same {
			same = "different (不同)"
		}
		table.add(strconv.Itoa(i+1), oneLine(row.Summary, 40), strconv.Itoa(row.Pushes), oneLine(row.Before, 20), row.Now, same)
	}
	table.write(term.out)
	for i, row := range rows {
		if row.Same {
			continue
		}
		fmt.Fprintf(term.out, "\n%d  %s\n", i+1, oneLine(row.Summary, 100))
		for _, d := range row.Differences {
			fmt.Fprintf(term.out, "   %s\n", strings.ReplaceAll(tty.Printable(d), "\n", "\n   "))
		}
		if row.Why != "" {
			fmt.Fprintf(term.out, "   %s\n", tty.Printable(row.Why))
		}
	}
	fmt.Fprintf(term.out, "\n%d the same (一致), %d different (不同)\n", len(all)-different, different)
	return different
}
