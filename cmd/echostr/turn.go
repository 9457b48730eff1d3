package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store"
)

type turnCommand struct {
	Ls   turnLsCommand   `cmd:"" aliases:"list" help:"List messages and what became of them, youngest first."`
	Show turnShowCommand `cmd:"" help:"Show one message with its pushes and its answer."`

	Config    string `short:"c" placeholder:"FILE" help:"The configuration of the running server (${default_config}, else the running echostr dev)."`
	Admin     string `placeholder:"HOST:PORT" help:"Its admin listener, instead."`
	TokenFile string `placeholder:"FILE" help:"The token file, with --admin."`
}

type turnLsCommand struct {
	Account string   `placeholder:"NAME" help:"Of this account only."`
	User    string   `placeholder:"OPENID" help:"Of this user only."`
	State   []string `placeholder:"STATE" help:"running, answered, silent, failed, unparseable or erased; several with commas."`
	Since   string   `placeholder:"10m" help:"Not older than this: 90s, 10m, 2h or 3d."`
	Limit   int      `short:"n" default:"20" placeholder:"N" help:"At most so many (${default})."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

type turnShowCommand struct {
	Key  string `arg:"" help:"The key, or its beginning, as turn ls shows it."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run lists turns.
func (c *turnLsCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	f := server.TurnFilter{Account: c.Account, User: c.User, Limit: c.Limit}
	if c.Limit < 1 || c.Limit > 1000 {
		return usage("--limit lies between 1 and 1000")
	}
	if c.Since != "" {
		var since config.Duration
		if err := since.UnmarshalText([]byte(c.Since)); err != nil || since < 0 {
			return usage("--since %q is no length of time; write it like 90s, 10m, 2h or 3d", c.Since)
		}
		if since > 0 {
			f.Since = time.Now().Add(-time.Duration(since))
		}
	}
	for _, name := range c.State {
		var state store.State
		if err := state.UnmarshalText([]byte(name)); err != nil {
			return usage("there is no state %q; use running, answered, silent, failed, unparseable or erased", name)
		}
		f.States = append(f.States, state)
	}
	var turns []server.Turn
	err := parent.Turn.ask(term, func(client *server.Client) (err error) {
		turns, err = client.Turns(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, server.TurnList{Turns: turns})
	}
	if len(turns) == 0 {
		fmt.Fprintln(term.out, "no messages (没有消息)")
		return nil
	}
	t := newTable("RECEIVED", "ACCOUNT", "TYPE", "STATE", "PUSHES", "TOOK", "USER", "KEY", "REASON")
	for i := range turns {
		turn := &turns[i]
		took := "-"
		if !turn.FinishedAt.IsZero() {
			took = elapsed(turn.FinishedAt.Sub(turn.ReceivedAt))
		}
		t.add(turn.ReceivedAt.Local().Format("01-02 15:04:05"), turn.Account, kindOf(turn), turn.State.String(),
			pushesOf(turn), took, dash(oneLine(turn.OpenID, 32)), turn.Key[:min(len(turn.Key), shownKey)], oneLine(turn.Reason, 60))
	}
	t.write(term.out)
	return nil
}

// shownKey is how much of a key a list shows: the second and 4 bytes more.
const shownKey = 16

// Run shows one turn.
func (c *turnShowCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	var turn *server.Turn
	err := parent.Turn.ask(term, func(client *server.Client) error {
		key, err := c.find(ctx, client)
		if err != nil {
			return err
		}
		turn, err = client.Turn(ctx, key)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, turn)
	}
	show(term.out, turn)
	return nil
}

// find completes the beginning of a key.
func (c *turnShowCommand) find(ctx context.Context, client *server.Client) (string, error) {
	if len(c.Key) == 2*len(store.Key{}) {
		return c.Key, nil
	}
	if len(c.Key) < 8 {
		return "", usage("%q is too short for a key; copy it from `echostr turn ls`", c.Key)
	}
	turns, err := client.Turns(ctx, server.TurnFilter{Limit: 1000})
	if err != nil {
		return "", err
	}
	var found []string
	for i := range turns {
		if strings.HasPrefix(turns[i].Key, strings.ToLower(c.Key)) {
			found = append(found, turns[i].Key)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no turn has a key that begins with %q; `echostr turn ls` lists those that are there", c.Key)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d turns have a key that begins with %q; give more of it, like %s", len(found), c.Key, found[0])
}

func show(w io.Writer, turn *server.Turn) {
	t := newTable()
	t.add("key", turn.Key)
	t.add("account", turn.Account)
	t.add("type", kindOf(turn))
	t.add("user (OpenID)", dash(printable(turn.OpenID)))
	t.add("received", turn.ReceivedAt.Local().Format("2006-01-02 15:04:05.000"))
	if !turn.FinishedAt.IsZero() {
		t.add("finished", turn.FinishedAt.Local().Format("2006-01-02 15:04:05.000")+", after "+elapsed(turn.FinishedAt.Sub(turn.ReceivedAt)))
	}
	t.add("state", turn.State.String())
	if turn.Reason != "" {
		t.add("reason", oneLine(turn.Reason, 200))
	}
	t.add("starts", fmt.Sprint(turn.Attempt))
	t.add("delivery", turn.Delivery)
	for _, p := range turn.Pushes {
		t.add(fmt.Sprintf("push %d", p.Number), p.At.Local().Format("15:04:05.000")+"  "+p.Got)
	}
	if more := turn.Seen - len(turn.Pushes); more > 0 {
		t.add("more pushes", fmt.Sprint(more))
	}
	t.write(w)
	body := turn.Body
	if body == "" && len(turn.RawBody) > 0 {
		body = string(turn.RawBody)
	}
	if body != "" {
		fmt.Fprintf(w, "\nmessage (消息)\n%s\n", strings.TrimRight(printable(body), "\n"))
	}
	if turn.Reply != "" {
		fmt.Fprintf(w, "\nreply (被动回复)\n%s\n", strings.TrimRight(printable(turn.Reply), "\n"))
	}
}

func kindOf(turn *server.Turn) string {
	switch {
	case turn.MsgType == "":
		return "-"
	case turn.Event != "":
		return oneLine(turn.MsgType+" "+turn.Event, 40)
	}
	return oneLine(turn.MsgType, 40)
}

// pushesOf is the number of pushes and what they got: "2 cut, reply".
func pushesOf(turn *server.Turn) string {
	got := make([]string, len(turn.Pushes))
	for i, p := range turn.Pushes {
		got[i] = p.Got
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", turn.Seen, strings.Join(got, ", ")))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// elapsed is how long something took.
func elapsed(d time.Duration) string {
	if d < time.Millisecond {
		return "<1ms"
	}
	return short(d)
}

// short is a duration as people write it: 12ms, 8.01s, 10m.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
