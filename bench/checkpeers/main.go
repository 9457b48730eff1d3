// Command checkpeers runs the conformance checks of `echostr check` against an echo bot on
// each of the libraries in package peers, and prints what failed as Markdown, with the
// request of each failure: docs/peers/failures.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/echostr/echostr/bench/peers"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

var account = peers.Account{
	AppID: "wxb11529c136998cb6", Token: "zPeersTokenOfThirtyTwoCharacters", OriginalID: "gh_ec4057000001",
	EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
}

var modes = []simulator.Mode{simulator.Plain, simulator.Compatible, simulator.Safe}

func main() {
	log.SetOutput(io.Discard) // the libraries' own
	var reports []report
	for _, peer := range peers.All {
		for _, mode := range modes {
			r, err := check(peer, mode)
			if err != nil {
				fmt.Fprintf(os.Stderr, "checkpeers: %s: %v\n", peer.Name, err)
				os.Exit(1)
			}
			fmt.Fprintf(os.Stderr, "%s, %s: %d passed, %d failed, %d advice\n", peer.Name, mode, r.Count(conformance.Pass), r.Count(conformance.Fail), r.Count(conformance.Advice))
			reports = append(reports, report{peer, mode, r})
		}
	}
	print(reports)
}

type report struct {
	peer peers.Peer
	mode simulator.Mode
	*conformance.Report
}

// check runs the checks against a server on a port of its own, as anybody would.
func check(peer peers.Peer, mode simulator.Mode) (*conformance.Report, error) {
	handler, err := peer.Handler(account)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	defer server.Close()
	return conformance.Run(context.Background(), conformance.Config{Account: simulator.Account{
		URL: "http://" + l.Addr().String() + "/", Token: account.Token, Mode: mode,
		AppID: account.AppID, EncodingAESKey: account.EncodingAESKey, OriginalID: account.OriginalID,
	}})
}

// print writes the table, then each failure with its bytes. Failures that are alike are one.
func print(reports []report) {
	w := os.Stdout
	fmt.Fprint(w, "# What failed, with the bytes\n\n本页由 `go run ./checkpeers` 生成；结论见[与其他库比较](../peers.zh-CN.md)。\n\nThis page is the output of `go run ./checkpeers` in bench/; what is to be made of it is in [side by side](../peers.md).\n\n")
	fmt.Fprint(w, "| library | version | mode | pass | fail | advice | skipped |\n|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		fmt.Fprintf(w, "| %s | %s | %s | %d | %d | %d | %d |\n", r.peer.Name, version(r.peer.Name), r.mode,
			r.Count(conformance.Pass), r.Count(conformance.Fail), r.Count(conformance.Advice), r.Count(conformance.Skipped))
	}
	for _, peer := range peers.All {
		fmt.Fprintf(w, "\n## %s\n", peer.Name)
		var all []*failure
		for _, r := range reports {
			if r.peer.Name != peer.Name {
				continue
			}
			if !r.Stopped.IsZero() {
				fmt.Fprintf(w, "\nMode %s: %s\n", r.mode, r.Stopped.EN)
			}
			for i := range r.Results {
				if r.Results[i].Outcome == conformance.Fail {
					all = add(all, r.mode, &r.Results[i])
				}
			}
		}
		if len(all) == 0 {
			fmt.Fprintln(w, "\nNothing failed.")
		}
		for _, f := range all {
			fmt.Fprintf(w, "\n### %s\n\n%s. Rule %s. Modes: %s.\n\nSeen: %s\n",
				f.Check.ID(), f.Check.Title.EN, f.Rule, strings.Join(f.modes, ", "), sentence(f.Why.EN))
			if len(f.alike) > 0 {
				fmt.Fprintf(w, "\nThe same with %s.\n", strings.Join(f.alike, ", "))
			}
			if n := len(f.Exchanges); n > 0 {
				show(w, &f.Exchanges[n-1])
			}
		}
	}
}

// failure is one or several results that are alike.
type failure struct {
	*conformance.Result
	modes, alike []string
}

// numbers are times and the like, in which failures that are alike differ.
var numbers = regexp.MustCompile(`[0-9]+`)

func add(all []*failure, mode simulator.Mode, r *conformance.Result) []*failure {
	for _, f := range all {
		if f.Rule != r.Rule || numbers.ReplaceAllString(f.Why.EN, "0") != numbers.ReplaceAllString(r.Why.EN, "0") {
			continue
		}
		if !slices.Contains(f.modes, string(mode)) {
			f.modes = append(f.modes, string(mode))
		}
		if id := r.Check.ID(); id != f.Check.ID() && !slices.Contains(f.alike, id) {
			f.alike = append(f.alike, id)
		}
		return all
	}
	return append(all, &failure{Result: r, modes: []string{string(mode)}})
}

// mostShown is how many bytes of a body are shown.
const mostShown = 1200

// show prints a request and what came back.
func show(w *os.File, p *conformance.Exchange) {
	target := p.Request.URL
	if _, rest, ok := strings.Cut(target, "://"); ok {
		_, target, _ = strings.Cut(rest, "/")
	}
	fmt.Fprintf(w, "\n````http\n%s /%s HTTP/1.1\n", p.Request.Method, cut(target))
	if len(p.Request.Body) > 0 {
		fmt.Fprintf(w, "\n%s\n", cut(string(p.Request.Body)))
	}
	fmt.Fprint(w, "````\n\n````http\n")
	if p.Outcome == simulator.Answered {
		fmt.Fprintf(w, "HTTP/1.1 %d\n\n%s\n", p.Status, cut(string(p.Body)))
	} else {
		fmt.Fprintf(w, "%v\n", p.Outcome)
	}
	fmt.Fprint(w, "````\n")
}

// cut shortens a body, and shows bytes that a page cannot have as what they are.
func cut(s string) string {
	more := ""
	if len(s) > mostShown {
		s, more = s[:mostShown], fmt.Sprintf("… (%d bytes in all)", len(s))
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + more
}

func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// version is that of a module in go.mod.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return "?"
}
