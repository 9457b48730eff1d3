package main

import (
	"context"
	"fmt"
	"time"

	"github.com/echostr/echostr/server"
)

type eraseCommand struct {
	OpenID  string `arg:"" name:"openid" help:"The user's OpenID, as turn ls shows it."`
	Account string `placeholder:"NAME" help:"Only what was sent to this account. An OpenID belongs to one account anyway."`
	JSON    bool   `name:"json" help:"Print JSON."`

	target
}

func (c *eraseCommand) Help() string {
	return `Removes what a user has sent and was answered: messages, answers, the OpenID. A handler that runs for this user meanwhile answers nobody. The salted keys of the messages and when they came stay until their retention ends, so that a captured push cannot be played back. Backups are not touched.

What users send is erased by itself when they unsubscribe (on_unsubscribe: erase). The running server does it; if none runs, its database is opened.

Exit codes: 0 done, also if nothing is stored of this user, 1 failed, for example because there is no such account; then some may be left, and it can be run again; 2 wrong command line, 78 wrong configuration, or a database that cannot be used.`
}

func (c *eraseCommand) Run(ctx context.Context, term *terminal) error {
	places, err := c.places(term)
	if err != nil {
		return err
	}
	if !places[0].guessed {
		places = places[:1] // nobody guesses what is to be erased
	}
	var done server.Erasure
	gone := "From the database file it is gone within a minute, or an hour if the file is large."
	if c.Admin == "" && places[0].cfg != nil && places[0].cfg.Postgres() != "" {
		gone = "No query finds it in the database any more; its place in the files of the server is used again after the next vacuum, a minute from now as a rule."
	}
	err = c.ask(places, func(client *server.Client) (err error) {
		done, err = client.Erase(ctx, c.Account, c.OpenID)
		return err
	}, func(p place) (err error) {
		if p.guessed {
			return fmt.Errorf("%w: start `echostr dev` to erase in its database, or name the configuration of the server with -c FILE", server.ErrNotRunning)
		}
		fmt.Fprintf(term.err, "no server answers; opening %s\n", p.database())
		gone = "It is gone from the database file, too."
		done, err = server.EraseOffline(ctx, p.cfg, c.Account, c.OpenID)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, done)
	}
	switch {
	case done.Turns == 0 && c.Account != "":
		fmt.Fprintf(term.out, "Nothing is stored of this user in the account %s (该账号没有这个用户的数据).\n", c.Account)
		return nil
	case done.Turns == 0:
		fmt.Fprintln(term.out, "Nothing is stored of this user (没有这个用户的数据).")
		return nil
	}
	fmt.Fprintf(term.out, "%s erased (已删除).\n", messages(done.Turns))
	stay := "their retention ends"
	if c.Admin == "" && places[0].cfg != nil {
		stay = "they are " + days(max(time.Duration(places[0].cfg.Retention.Bodies), 7*24*time.Hour)) + " old"
	}
	fmt.Fprintf(term.out, "%s\nTheir salted keys and times stay until %s; backups made before have everything.\n", gone, stay)
	return nil
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return short(d)
}
