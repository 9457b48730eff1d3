package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/server"
)

type refusalsCommand struct {
	JSON bool `name:"json" help:"Print JSON."`

	target
}

func (c *refusalsCommand) Help() string {
	return `WeChat's console says no more than Token 验证失败. This says why: one line for each account, reason and minute, the youngest first, 200 at most. FROM is where the first of them came from, which is the proxy if there is one. They are kept by the running server, in memory.

Exit codes: 0 done, 1 failed, for example because no server runs, 2 wrong command line, 78 wrong configuration.`
}

func (c *refusalsCommand) Run(ctx context.Context, term *terminal) error {
	places, err := c.places(term)
	if err != nil {
		return err
	}
	var list []callback.Refusal
	err = c.ask(places, func(client *server.Client) (err error) {
		list, err = client.Refusals(ctx)
		return err
	}, func(p place) error {
		return fmt.Errorf("%w at %s; refusals are kept by a running server only: start it, and save the URL in WeChat's console again", server.ErrNotRunning, p.admin)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, server.RefusalList{Refusals: list})
	}
	if len(list) == 0 {
		fmt.Fprintln(term.out, `The server has refused nothing since it was started (没有被拒绝的请求).
If WeChat says Token 验证失败 all the same, its request does not arrive here: check the URL, DNS, the ports 80 and 443, and the proxy (请求没有到达本机：检查 URL、域名解析、80/443 端口和代理).`)
		return nil
	}
	t := newTable("TIME", "ACCOUNT", "REASON", "TIMES", "FROM", "DETAIL")
	hints := newTable()
	var told []string
	for i := range list {
		line := &list[i]
		t.add(line.First.Local().Format("01-02 15:04:05"), dash(line.Account), line.Reason, fmt.Sprint(line.Count), dash(oneLine(line.Remote, 40)), oneLine(line.Detail, 100))
		if !slices.Contains(told, line.Reason) {
			told = append(told, line.Reason)
			hints.add(line.Reason, oneLine(line.Hint, 300))
		}
	}
	t.write(term.out)
	fmt.Fprintln(term.out, "\nWhat to do (怎么办):")
	hints.write(term.out)
	return nil
}
