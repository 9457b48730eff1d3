package bots

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr"
)

// Demo returns the sample with text commands that show what a server has to
// cope with:
//
//	慢 N     answers after N seconds, up to 600
//	错误     returns an error
//	崩溃     panics
//	长 N     answers with a text of N characters, up to 100,000
//	图文     answers with one news article
//	帮助     lists these commands
//
// Whatever else is said to it, it answers as the sample does.
func Demo() *echostr.Router {
	r := echostr.NewRouter()
	echostr.On(r, slow, echostr.Regexp(slowCommand.String())).Late(maxSlow)
	echostr.On(r, func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		return nil, errors.New("the demo was asked for an error")
	}, echostr.Exact("错误"))
	echostr.On(r, func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		panic("the demo was asked to panic")
	}, echostr.Exact("崩溃"))
	echostr.On(r, long, echostr.Regexp(longCommand.String()))
	echostr.On(r, func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.News(echostr.Article{
			Title:       "Echostr",
			Description: "微信公众号消息服务器：一条消息只处理一次，超过五秒也能回复。",
			PicURL:      "https://opengraph.githubassets.com/1/echostr/echostr",
			URL:         "https://github.com/echostr/echostr",
		}), nil
	}, echostr.Exact("图文"))
	echostr.On(r, func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text(help), nil
	}, echostr.Exact("帮助"))
	sample(r)
	return r
}

const help = `慢 8：等 8 秒再回复
错误：处理时出错
崩溃：处理时崩溃
长 3000：回复 3000 个字
图文：回复一条图文消息
其他文字：原样返回`

// Blanks may be wide ones, which a Chinese keyboard makes, and may be left out.
var (
	slowCommand = regexp.MustCompile(`^[\s　]*慢[\s　]*([0-9]{1,3}(?:\.[0-9]{1,3})?)[\s　]*$`)
	longCommand = regexp.MustCompile(`^[\s　]*长[\s　]*([0-9]{1,6})[\s　]*$`)
)

const (
	maxSlow = 10 * time.Minute
	maxLong = 100_000
)

func slow(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
	number := argument(slowCommand, m)
	seconds, err := strconv.ParseFloat(number, 64)
	wait := time.Duration(seconds * float64(time.Second))
	if err != nil || wait > maxSlow {
		return echostr.Text("最多 600 秒"), nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		// The longest wait ends a moment before the handler's own time does.
		wait = min(wait, time.Until(deadline)-50*time.Millisecond)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return echostr.Text("等了 " + number + " 秒"), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for %s s was interrupted: %w", number, context.Cause(ctx))
	}
}

const countingCharacters = "一二三四五六七八九十"

func long(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
	n, err := strconv.Atoi(argument(longCommand, m))
	if err != nil || n > maxLong {
		return echostr.Text("最多 100000 个字"), nil
	}
	if n == 0 {
		return nil, nil // an empty text would be a fault notice: R-REPLY-EMPTY
	}
	round := []rune(countingCharacters)
	return echostr.Text(strings.Repeat(countingCharacters, n/len(round)) + string(round[:n%len(round)])), nil
}

// argument returns the number in a command. The route's condition has matched.
func argument(command *regexp.Regexp, m *echostr.TextMessage) string {
	if found := command.FindStringSubmatch(m.Content); found != nil {
		return found[1]
	}
	return ""
}
