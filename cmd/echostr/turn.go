package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store"
)

type turnCommand struct {
	Ls   turnLsCommand   `cmd:"" aliases:"list" help:"List messages and what became of them, youngest first."`
	Show turnShowCommand `cmd:"" help:"Show one message with its pushes and its answer."`

	target
}

const turnHelp = `The server is asked if it runs. If none does, its database is read, and that is said on the standard error.

Exit codes: 0 done, 1 failed, for example because there is no such message or account, or nothing to ask, 2 wrong command line, 78 wrong configuration, or a database that cannot be used.`

func (c *turnLsCommand) Help() string { return turnHelp }

func (c *turnShowCommand) Help() string { return turnHelp }

type turnLsCommand struct {
	Account  string   `placeholder:"NAME" help:"Of this account only."`
	User     string   `placeholder:"OPENID" help:"Of this user only."`
	State    []string `placeholder:"STATE" help:"running, answered, silent, failed, unparseable or erased; several with commas."`
	Delivery []string `placeholder:"WAY" help:"What became of the answer: none, offered, written, late, sending, sent, ticket, fetched, assumed or undeliverable; several with commas."`
	Since    string   `placeholder:"TIME" help:"Received at this time or later: an age such as 90s, 10m, 2h or 3d, or a time such as 18:00, 2026-03-01 or 2026-03-01T18:00."`
	Until    string   `placeholder:"TIME" help:"Received before this time."`
	Limit    int      `short:"n" default:"20" placeholder:"N" help:"At most so many (${default})."`
	JSON     bool     `name:"json" help:"Print JSON."`
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
	var err error
	if f.Since, err = moment("--since", c.Since, time.Now()); err != nil {
		return err
	}
	if f.Until, err = moment("--until", c.Until, time.Now()); err != nil {
		return err
	}
	for _, name := range c.State {
		var state store.State
		if err := state.UnmarshalText([]byte(name)); err != nil {
			return usage("there is no state %q; use running, answered, silent, failed, unparseable or erased", name)
		}
		f.States = append(f.States, state)
	}
	for _, name := range c.Delivery {
		delivery, err := server.ParseDelivery(name)
		if err != nil {
			return usageError{err}
		}
		f.Deliveries = append(f.Deliveries, delivery)
	}
	turns, err := parent.Turn.list(ctx, term, f)
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
	t := newTable("RECEIVED", "ACCOUNT", "TYPE", "STATE", "DELIVERY", "PUSHES", "TOOK", "USER", "KEY", "REASON")
	for i := range turns {
		turn := &turns[i]
		took := "-"
		if !turn.FinishedAt.IsZero() {
			took = elapsed(turn.FinishedAt.Sub(turn.ReceivedAt))
		}
		state, reason := turn.State.String(), turn.Reason
		if turn.Interrupted {
			state, reason = state+" (interrupted)", interrupted
		}
		t.add(turn.ReceivedAt.Local().Format("01-02 15:04:05"), turn.Account, kindOf(turn), state, deliveryOf(turn),
			pushesOf(turn), took, dash(oneLine(turn.OpenID, 32)), turn.Key[:min(len(turn.Key), shownKey)], oneLine(reason, 60))
	}
	t.write(term.out)
	return nil
}

// interrupted is what is said of a message that the store has as running and nobody runs.
const interrupted = "its process died; the next one takes it over"

const shownKey = 16 // digits of a key in a list: the second and 4 bytes more

// source answers questions about turns: a running server, or a database.
type source interface {
	Turns(ctx context.Context, f server.TurnFilter) ([]server.Turn, error)
	Turn(ctx context.Context, key string) (*server.Turn, error)
}

// list asks for the turns that f selects. If there are none, the account that f names must be configured.
func (c *turnCommand) list(ctx context.Context, term *terminal, f server.TurnFilter) (turns []server.Turn, err error) {
	err = c.look(ctx, term, func(s source) (err error) {
		turns, err = s.Turns(ctx, f)
		return err
	}, func(cfg *config.Config) error {
		if len(turns) > 0 || f.Account == "" {
			return nil
		}
		return server.UnknownAccount(cfg, f.Account)
	})
	return turns, err
}

// look asks the first server that runs, or else its database, after which it checks the answer
// against the configuration, as a server does.
func (c *turnCommand) look(ctx context.Context, term *terminal, question func(source) error, check func(*config.Config) error) error {
	places, err := c.places(term)
	if err != nil {
		return err
	}
	return c.ask(places, func(client *server.Client) error { return question(client) }, func(p place) error {
		fmt.Fprintf(term.err, "no server answers; reading %s\n", p.database())
		db, err := server.OpenArchive(ctx, p.cfg)
		if err != nil {
			return err
		}
		if err := errors.Join(question(db), db.Close()); err != nil {
			return err
		}
		return check(p.cfg)
	})
}

// moment reads a time that a user has written: an age, or a time of this
// place. Nothing, and an age of nothing, is the zero time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var age config.Duration
	if err := age.UnmarshalText([]byte(text)); err == nil && age >= 0 {
		if age == 0 {
			return time.Time{}, nil
		}
		return now.Add(-time.Duration(age)), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, at.Hour(), at.Minute(), at.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, usage("%s %q is no time; write it like 90s, 10m, 2h or 3d, or like 18:00 or 2026-03-01T18:00", flag, text)
}

// Run shows one turn.
func (c *turnShowCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	return c.show(ctx, term, &parent.Turn)
}

// show shows a turn of the server that t names.
func (c *turnShowCommand) show(ctx context.Context, term *terminal, t *turnCommand) error {
	if len(c.Key) < server.MinKey {
		return usage("%q is too short for a key; copy it from `echostr turn ls`", c.Key)
	}
	var turn *server.Turn
	err := t.look(ctx, term, func(s source) (err error) {
		turn, err = s.Turn(ctx, c.Key)
		return err
	}, func(*config.Config) error { return nil })
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, turn)
	}
	show(term.out, turn)
	return nil
}

func show(w io.Writer, turn *server.Turn) {
	t := newTable()
	t.add("key", turn.Key)
	t.add("account", turn.Account)
	t.add("type", kindOf(turn))
	t.add("user (OpenID)", dash(tty.Printable(turn.OpenID)))
	t.add("received", turn.ReceivedAt.Local().Format("2006-01-02 15:04:05.000"))
	if !turn.FinishedAt.IsZero() {
		t.add("finished", turn.FinishedAt.Local().Format("2006-01-02 15:04:05.000")+", after "+elapsed(turn.FinishedAt.Sub(turn.ReceivedAt)))
	}
	if turn.Interrupted {
		t.add("state", turn.State.String()+" (interrupted: "+interrupted+" if it has the account: starts it again, or gives it up)")
	} else {
		t.add("state", turn.State.String())
	}
	if turn.Reason != "" {
		t.add("reason", oneLine(turn.Reason, 200))
	}
	t.add("starts", fmt.Sprint(turn.Attempt))
	t.add("delivery", wayOf(turn))
	if turn.Pages > 1 {
		t.add("pages read", pagesRead(turn))
	}
	if turn.Tries > 0 {
		t.add("tries in vain", fmt.Sprintf("%d, of %d of which nobody knows what has become; the next one %s", turn.Tries, turn.Unknown, until(turn.Due, time.Now())))
	}
	for _, p := range turn.Pushes {
		after := ""
		if d := p.At.Sub(turn.ReceivedAt); d >= time.Millisecond {
			after = "  after " + short(d)
		}
		t.add(fmt.Sprintf("push %d", p.Number), p.At.Local().Format("15:04:05.000")+"  "+p.Got+after)
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
		fmt.Fprintf(w, "\nmessage (消息)\n%s\n", strings.TrimRight(tty.Printable(body), "\n"))
	}
	if turn.Placeholder != "" {
		fmt.Fprintf(w, "\nplaceholder (占位回复)\n%s\n", strings.TrimRight(tty.Printable(turn.Placeholder), "\n"))
	}
	if turn.Reply != "" {
		fmt.Fprintf(w, "\nreply (被动回复)\n%s\n", strings.TrimRight(tty.Printable(turn.Reply), "\n"))
	}
}

// wayOf says which way the reply has taken.
func wayOf(turn *server.Turn) string {
	switch turn.Delivery {
	case store.Undelivered.String():
		if turn.State == store.Answered && !turn.Due.IsZero() {
			return "none: waits for WeChat's next push, and takes the next way if none has come " + until(turn.Due, time.Now())
		}
	case store.Offered.String():
		return fmt.Sprintf("offered to push %d, which may not have got it", turn.OfferedTo)
	case store.Written.String():
		return fmt.Sprintf("written to push %d", turn.OfferedTo)
	case store.Late.String():
		if turn.State == store.Running {
			return "late: success was said before there was an answer, so no push gets it; the API (客服消息) will bring it"
		}
		return "late: waits to be sent by the API (客服消息)"
	case store.Sending.String():
		return "being sent by the API (客服消息)"
	case store.Sent.String():
		return fmt.Sprintf("sent by the API (客服消息), in %s", messages(turn.Sent))
	case store.Ticket.String():
		return "ticket: kept for the user to fetch with the code " + turn.Code + ", until " + turn.Due.Local().Format("01-02 15:04")
	case store.Fetched.String():
		return "fetched by the user, or put ahead of a later answer"
	case store.Undeliverable.String():
		return "undeliverable: no way is left"
	case store.Assumed.String():
		return "taken as delivered, since nobody knows whether it arrived"
	}
	return turn.Delivery
}

// deliveryOf is wayOf in a list.
func deliveryOf(turn *server.Turn) string {
	switch {
	case turn.OfferedTo > 0:
		return fmt.Sprintf("%s (push %d)", turn.Delivery, turn.OfferedTo)
	case turn.State != store.Answered && turn.Delivery == store.Undelivered.String():
		return "-" // there is no reply
	}
	return turn.Delivery
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
