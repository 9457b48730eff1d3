package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store"
)

type outboxCommand struct {
	Ls    outboxLsCommand    `cmd:"" aliases:"list" help:"List answers that have not reached their users: on their way by the API, or kept for the user."`
	Show  outboxShowCommand  `cmd:"" help:"Show one of them, as turn show does."`
	Retry outboxRetryCommand `cmd:"" help:"Send answers now, whatever became of them before."`
	Drop  outboxDropCommand  `cmd:"" help:"Give answers up that wait."`

	target
}

const outboxHelp = `An answer that no push could carry is late: the outbox sends it by the customer-service API (客服消息), or it is a ticket, kept until the user fetches it by a tap or a word.

  none, offered  waits for WeChat's next push, until DUE; then it takes the next way
  late           waits to be sent; DUE says when the next try is, TRIES how many were in vain
  sending        is being sent
  ticket         is kept for the user, until DUE
  undeliverable  no way was left; REASON says why (with --all)
  assumed        nobody knows whether it arrived, and it is not sent again (with --all)

Exit codes: 0 done, 1 failed, for example because there is no such answer, 2 wrong command line, 78 wrong configuration, or a database that cannot be used.`

func (c *outboxCommand) Help() string { return outboxHelp }

func (c *outboxLsCommand) Help() string { return outboxHelp }

type outboxLsCommand struct {
	Account string `placeholder:"NAME" help:"Of this account only."`
	User    string `placeholder:"OPENID" help:"Of this user only."`
	All     bool   `help:"Also those that were given up, undeliverable and assumed, of the last three days (or since --since)."`
	Since   string `placeholder:"TIME" help:"Received at this time or later: an age such as 10m, 2h or 3d, or a time such as 18:00."`
	Limit   int    `short:"n" default:"50" placeholder:"N" help:"At most so many (${default})."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// givenUpSince is how far back --all looks, since it looks through all turns.
const givenUpSince = "3d"

// Run lists what waits.
func (c *outboxLsCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usage("--limit lies between 1 and 1000")
	}
	f := server.TurnFilter{
		Account: c.Account, User: c.User, Limit: c.Limit, Due: !c.All,
		Deliveries: []store.Delivery{store.Late, store.Sending, store.Ticket},
	}
	if !c.All {
		f.Deliveries = append(f.Deliveries, store.Undelivered, store.Offered) // which are due: replies that wait for a push
	} else {
		f.Deliveries = append(f.Deliveries, store.Undeliverable, store.Assumed)
		if c.Since == "" {
			c.Since = givenUpSince
		}
	}
	var err error
	if f.Since, err = moment("--since", c.Since, time.Now()); err != nil {
		return err
	}
	turns, err := parent.Outbox.turns().list(ctx, term, f)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, server.TurnList{Turns: turns})
	}
	if len(turns) == 0 {
		fmt.Fprintln(term.out, "no answers are waiting (没有待发送或待领取的回答)")
		return nil
	}
	t := newTable("RECEIVED", "ACCOUNT", "DELIVERY", "DUE", "TRIES", "SENT", "PAGES", "CODE", "USER", "KEY", "REASON")
	for i := range turns {
		turn := &turns[i]
		t.add(turn.ReceivedAt.Local().Format("01-02 15:04:05"), turn.Account, waiting(turn), until(turn.Due, time.Now()),
			fmt.Sprint(turn.Tries), fmt.Sprint(turn.Sent), pagesRead(turn), dash(turn.Code), dash(oneLine(turn.OpenID, 32)),
			turn.Key[:min(len(turn.Key), shownKey)], oneLine(turn.Reason, 60))
	}
	t.write(term.out)
	return nil
}

// waiting is the delivery of a turn, and whether its answer is there at all.
func waiting(turn *server.Turn) string {
	if turn.State == store.Running {
		return turn.Delivery + " (running)"
	}
	return turn.Delivery
}

// until is how long there is to a time.
func until(at, now time.Time) string {
	switch d := at.Sub(now); {
	case at.IsZero():
		return "-"
	case d <= 0:
		return "now"
	default:
		return "in " + short(d.Round(time.Second))
	}
}

func pagesRead(turn *server.Turn) string {
	if turn.Pages == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", turn.Shown, turn.Pages)
}

type outboxRetryCommand struct {
	Keys []string `arg:"" name:"key" help:"Keys, or their beginnings, as outbox ls shows them."`
}

func (c *outboxRetryCommand) Help() string {
	return `The server must be running. An answer is sent by the API at once, after those that its user gets first; in an account without the API it is kept for the user again. WeChat decides whether it still takes it: 48 hours after the user's message, or one minute after a tap on the menu, it does not.`
}

// Run has answers sent.
func (c *outboxRetryCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	return parent.Outbox.each(ctx, term, c.Keys, (*server.Client).Resend)
}

type outboxDropCommand struct {
	Keys []string `arg:"" name:"key" help:"Keys, or their beginnings, as outbox ls shows them."`
}

func (c *outboxDropCommand) Help() string {
	return `The server must be running. What is given up stays in the database, as undeliverable, and can be sent with retry.`
}

// Run gives answers up.
func (c *outboxDropCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	return parent.Outbox.each(ctx, term, c.Keys, (*server.Client).Drop)
}

type outboxShowCommand struct{ turnShowCommand }

// Run shows one answer.
func (c *outboxShowCommand) Run(ctx context.Context, term *terminal, parent *command) error {
	return c.show(ctx, term, parent.Outbox.turns())
}

// turns is the turn command for the same server.
func (c *outboxCommand) turns() *turnCommand { return &turnCommand{target: c.target} }

// each does something with every key, with the server that runs.
func (c *outboxCommand) each(ctx context.Context, term *terminal, keys []string, do func(*server.Client, context.Context, string) (*server.Turn, error)) error {
	for _, key := range keys {
		if len(key) < server.MinKey {
			return usage("%q is too short for a key; copy it from `echostr outbox ls`", key)
		}
	}
	places, err := c.places(term)
	if err != nil {
		return err
	}
	return c.ask(places, func(client *server.Client) error {
		var failed []string
		for _, key := range keys {
			turn, err := do(client, ctx, key)
			switch {
			case err == nil:
				fmt.Fprintf(term.out, "%s  %s\n", turn.Key[:min(len(turn.Key), shownKey)], turn.Delivery)
			case len(keys) == 1:
				return err
			default:
				failed = append(failed, key+": "+err.Error())
			}
		}
		if len(failed) > 0 {
			return fmt.Errorf("%d of %d failed:\n%s", len(failed), len(keys), strings.Join(failed, "\n"))
		}
		return nil
	}, func(p place) error {
		return fmt.Errorf("%w: start it first, since it is the server that sends", server.ErrNotRunning)
	})
}
