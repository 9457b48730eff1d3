// Echostr is the message server for WeChat Official Accounts (微信公众号).
//
// Exit codes:
//
//	0   all is well
//	1   it failed; of push: the user would see the fault notice, or the answer is wrong;
//	    of decode: the push or reply must be refused; of replay: an answer is different;
//	    of check: something failed; of load: a message was lost or an answer was wrong
//	2   the command line is wrong
//	70  serve: the process cannot go on and should be restarted
//	78  the configuration is wrong, or the database cannot be used
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		for first := time.Now(); ; {
			<-signals
			// Programs such as timeout send the same signal twice, to the process and to
			// its group. Only one that comes later was meant.
			if time.Since(first) > sameSignal {
				fmt.Fprintln(os.Stderr, "echostr: ended at once by a second signal")
				os.Exit(1)
			}
		}
	}()
	term := &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ()}
	os.Exit(term.report(run(ctx, os.Args[1:], term)))
}

// sameSignal is how long after the first signal a second one is taken for the same.
const sameSignal = 300 * time.Millisecond

// terminal is what a command reads from and writes to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      []string
}

// command is the whole command line.
type command struct {
	Dev      devCommand      `cmd:"" help:"Start a server with a development account and the demo bot. Needs no configuration."`
	Push     pushCommand     `cmd:"" help:"Send a message to a server as WeChat does, and say what the user would see."`
	Simulate simulateCommand `cmd:"" help:"Open a phone to talk with to any server, in any language: WeChat on this machine."`
	Check    checkCommand    `cmd:"" help:"Hold any server against WeChat's protocol, and say what is wrong and what to do."`
	Load     loadCommand     `cmd:"" help:"Send many messages each second to any server by WeChat's rules, and say what came of them."`
	Replay   replayCommand   `cmd:"" help:"Send recorded messages again, and compare the answers."`
	Serve    serveCommand    `cmd:"" help:"Start the server with the accounts of a configuration file."`
	Decode   decodeCommand   `cmd:"" help:"Print a captured push or reply as JSON, verified and opened if it is encrypted."`
	Account  accountCommand  `cmd:"" help:"Make the configuration of a new account."`
	Turn     turnCommand     `cmd:"" help:"Look at the messages of a server, or of its database."`
	Outbox   outboxCommand   `cmd:"" help:"Look at answers that have not reached their users yet: on their way by the API, or kept to be fetched."`
	Refusals refusalsCommand `cmd:"" help:"List what a running server has refused, and what to do: why WeChat says Token 验证失败."`
	Erase    eraseCommand    `cmd:"" help:"Erase what a user has sent."`
	Backup   backupCommand   `cmd:"" help:"Copy the database, while the server runs or not."`
	Restore  restoreCommand  `cmd:"" help:"Make a database of a backup."`
	Config   configCommand   `cmd:"" help:"Check a configuration file."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
	Help     helpCommand     `cmd:"" help:"Show what a command can do: echostr help push."`
}

const description = `The message server for WeChat Official Accounts (微信公众号).

Try it: start "echostr dev", and open the address that it prints. In a second terminal "echostr push text 你好" does without a browser.`

// run does what args say.
func run(ctx context.Context, args []string, term *terminal) (err error) {
	var cli command
	parser, err := kong.New(&cli,
		kong.Name("echostr"),
		kong.Description(description),
		kong.Writers(term.out, term.err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term, &cli),
		kong.Vars{"default_config": defaultConfig},
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "The server:"},
			{Key: "message", Title: "The message:"},
			{Key: "rules", Title: "WeChat's rules:"},
			{Key: "simulator", Title: "The simulator:"},
			{Key: "load", Title: "The load:"},
			{Key: "checks", Title: "The checks:"},
			{Key: "report", Title: "The report:"},
			{Key: "envelope", Title: "The envelope (加密消息):"},
		}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoExpandSubcommands: true}),
		kong.Exit(func(code int) { panic(helped(code)) }), // after --help
	)
	if err != nil {
		return err
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case helped:
			err = nil
		default:
			panic(v)
		}
	}()
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	chosen, err := parser.Parse(args)
	if err != nil {
		at := "echostr"
		if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
			at = strings.TrimSpace(aliases.ReplaceAllString(parse.Context.Selected().FullPath(), ""))
		}
		return usageError{fmt.Errorf("%w; `%s --help` shows what is possible", err, at)}
	}
	return chosen.Run()
}

// aliases are what a path of kong has in brackets.
var aliases = regexp.MustCompile(` \([^)]*\)`)

type helped int

// helpCommand stands in the list of commands; run makes --help of it.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

// usageError is an error of the command line.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errShown is a failure of which everything has been said.
var errShown = errors.New("failed")

// Exit codes beside 0.
const (
	exitFailed = 1
	exitUsage  = 2
	exitFatal  = 70 // EX_SOFTWARE
	exitConfig = 78 // EX_CONFIG
)

// report prints err and returns the exit code.
func (t *terminal) report(err error) int {
	if err == nil {
		return 0
	}
	if wrong, ok := errors.AsType[config.Errors](err); ok {
		for _, e := range wrong {
			fmt.Fprintln(t.err, e)
		}
		return exitConfig
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintf(t.err, "echostr: %s\n", tty.Printable(err.Error()))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	switch {
	case errors.Is(err, server.ErrConfig), errors.Is(err, sqlite.ErrUnusable), errors.Is(err, postgres.ErrUnusable):
		return exitConfig
	case errors.Is(err, server.ErrFatal):
		return exitFatal
	}
	return exitFailed
}
