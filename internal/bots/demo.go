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
//	想 N     thinks for N seconds, up to 600, and tells how far it has come meanwhile
//	长 N     answers with a text of N characters, up to 100,000
//	图文     answers with one news article
//	记 文字  remembers the text for a day; 记 alone says it
//	错误     returns an error
//	崩溃     panics
//	帮助     lists these commands
//
// Whatever else is said to it, it answers as the sample does.
func Demo() *echostr.Router {
	r := echostr.NewRouter()
	echostr.On(r, slow, echostr.Regexp(slowCommand.String())).Late(maxSlow)
	echostr.On(r, think, echostr.Regexp(thinkCommand.String())).Late(maxSlow)
	echostr.On(r, remember, echostr.Regexp(rememberCommand.String()))
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
慢 40：等 40 秒，三次推送都等不到
想 20：想 20 秒，边想边写
长 3000：回复 3000 个字
图文：回复一条图文消息
记 文字：记住这段文字
记：说出记住的文字
错误：处理时出错
崩溃：处理时崩溃
其他文字：原样返回`

// Blanks may be wide ones, which a Chinese keyboard makes, and may be left out.
var (
	slowCommand     = regexp.MustCompile(`^[\s　]*慢[\s　]*([0-9]{1,3}(?:\.[0-9]{1,3})?)[\s　]*$`)
	thinkCommand    = regexp.MustCompile(`^[\s　]*想[\s　]*([0-9]{1,3})[\s　]*$`)
	longCommand     = regexp.MustCompile(`^[\s　]*长[\s　]*([0-9]{1,6})[\s　]*$`)
	rememberCommand = regexp.MustCompile(`(?s)^[\s　]*记(?:[\s　]+(.*))?$`) // the blank is needed: 记得 is no command
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
		return tooSlow, nil
	}
	if err := sleep(ctx, wait); err != nil {
		return nil, err
	}
	return echostr.Text("等了 " + number + " 秒"), nil
}

var tooSlow = echostr.Text("最多 600 秒")

// sleep waits for d, or until a moment before the handler's own time ends, which the longest
// wait would outlive.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)-50*time.Millisecond)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting was interrupted: %w", context.Cause(ctx))
	}
}

// think writes a line each second, as a model does that is asked for something long. Whoever
// would wait for long reads that it has begun, where the account may say so.
func think(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
	begin := time.Now()
	seconds, err := strconv.Atoi(argument(thinkCommand, m))
	if err != nil || seconds > int(maxSlow/time.Second) {
		return tooSlow, nil
	}
	if seconds > patience {
		// ErrNoWay where the account may not, or WeChat does not take it: the answer comes all the same.
		_ = echostr.Say(ctx, echostr.Text("让我想想，大约要 "+strconv.Itoa(seconds)+" 秒。"))
		_ = echostr.Typing(ctx)
	}
	var text strings.Builder
	for i := range seconds {
		if err := sleep(ctx, time.Until(begin.Add(time.Duration(i+1)*time.Second))); err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "第 %d 秒：想到了第 %[1]d 点。\n", i+1)
		echostr.Draft(ctx, text.String())
	}
	return echostr.Text(text.String() + "想好了。"), nil
}

// patience is how many seconds a user waits without a word.
const patience = 5

// remember keeps a text in the user's session, or says the one that is there.
func remember(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
	session, err := echostr.Session(ctx)
	if err != nil {
		return nil, err
	}
	const name = "demo.remembered"
	if text := strings.TrimSpace(argument(rememberCommand, m)); text != "" {
		if err := session.Set(name, text, 24*time.Hour); err != nil {
			return nil, err
		}
		return echostr.Text("记住了，发“记”就说给你听"), nil
	}
	var text string
	if found, err := session.Get(name, &text); err != nil || !found {
		return echostr.Text("还没有记住什么，发“记 文字”试试"), err
	}
	return echostr.Text("你让我记住：" + text), nil
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

// argument returns what stands behind a command, empty if nothing does. The route's condition has matched.
func argument(command *regexp.Regexp, m *echostr.TextMessage) string {
	if found := command.FindStringSubmatch(m.Content); found != nil {
		return found[1]
	}
	return ""
}
