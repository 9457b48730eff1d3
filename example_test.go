package echostr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/echostr/echostr"
)

func Example() {
	r := echostr.NewRouter()

	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("北京：晴"), nil
	}, echostr.Prefix("天气"))

	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("you said " + m.Content), nil
	})

	// Package callback does the rest; a test does what WeChat does.
	for _, text := range []string{"天气 北京", "hello"} {
		reply, err := r.Handle(context.Background(), &echostr.TextMessage{Content: text})
		fmt.Printf("%+v %v\n", reply, err)
	}
	// Output:
	// {Content:北京：晴} <nil>
	// {Content:you said hello} <nil>
}

func ExampleRouter() {
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("text"), nil
	})
	r.NotFound(echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
		return echostr.Text(fmt.Sprintf("I cannot read a %T", m)), nil
	}))

	ctx := context.Background()
	fmt.Println(r.Handle(ctx, &echostr.TextMessage{Content: "hi"}))
	fmt.Println(r.Handle(ctx, &echostr.ImageMessage{}))
	// Output:
	// {text} <nil>
	// {I cannot read a *echostr.ImageMessage} <nil>
}

func ExampleOn() {
	say := func(answer string) func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		return func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
			return echostr.Text(answer), nil
		}
	}
	r := echostr.NewRouter()
	echostr.On(r, say("exact"), echostr.Exact("帮助", "help"))
	echostr.On(r, say("six digits"), echostr.Regexp(`^\d{6}$`))
	echostr.On(r, say("both"), echostr.Prefix("order"), echostr.Regexp(`\d$`))
	echostr.On(r, say("one of them"), echostr.Any(echostr.Prefix("order"), echostr.Prefix("订单")))
	echostr.On(r, say("long"), echostr.When(func(m *echostr.TextMessage) bool { return len(m.Content) > 20 }))

	for _, text := range []string{" help\n", "Help", "123456", "order 7", "order", "订单", "something else, and long"} {
		reply, _ := r.Handle(context.Background(), &echostr.TextMessage{Content: text})
		fmt.Printf("%q: %v\n", text, reply)
	}
	// Output:
	// " help\n": {exact}
	// "Help": <nil>
	// "123456": {six digits}
	// "order 7": {both}
	// "order": {one of them}
	// "订单": {one of them}
	// "something else, and long": {long}
}

// One route for a QR code, whether a follower scans it or a new one.
func ExampleScene() {
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, e echostr.SceneEvent) (echostr.Reply, error) {
		return echostr.Text("welcome to shop " + e.Scene()), nil
	}, echostr.Scene("7", "8"))

	for _, event := range []string{
		"<Event>SCAN</Event><EventKey>7</EventKey>",
		"<Event>subscribe</Event><EventKey>qrscene_7</EventKey>",
		"<Event>subscribe</Event><EventKey></EventKey>",
	} {
		m, err := echostr.Decode([]byte("<xml><MsgType>event</MsgType>" + event + "</xml>"))
		if err != nil {
			fmt.Println(err)
		}
		fmt.Println(r.Handle(context.Background(), m))
	}
	// Output:
	// {welcome to shop 7} <nil>
	// {welcome to shop 7} <nil>
	// <nil> <nil>
}

func ExampleRoute_Late() {
	ask := func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("42"), nil // after a minute of thinking
	}
	r := echostr.NewRouter()
	echostr.On(r, ask, echostr.Prefix("ask")).Late(3 * time.Minute)
	echostr.On(r, ask)

	for _, text := range []string{"ask me", "tell me"} {
		fmt.Println(r.Match(&echostr.TextMessage{Content: text}).Budget())
	}
	// Output:
	// 3m0s
	// 0s
}

// Middleware that answers when a handler fails.
func ExampleRouter_Use() {
	r := echostr.NewRouter()
	r.Use(func(next echostr.Handler) echostr.Handler {
		return echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			reply, err := next.Handle(ctx, m)
			if err != nil {
				return echostr.Text("请稍后再试"), nil
			}
			return reply, nil
		})
	})
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return nil, errors.New("the database is away")
	})

	fmt.Println(r.Handle(context.Background(), &echostr.TextMessage{Content: "hi"}))
	// Output:
	// {请稍后再试} <nil>
}

func ExampleRouter_Group() {
	isAdmin := echostr.When(func(m echostr.Message) bool { return m.Head().FromUserName == "admin" })
	say := func(answer string) func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
		return func(context.Context, *echostr.TextMessage) (echostr.Reply, error) {
			return echostr.Text(answer), nil
		}
	}
	r := echostr.NewRouter()
	admin := r.Group(isAdmin)
	echostr.On(admin, say("stopping"), echostr.Exact("stop"))
	echostr.On(r, say("I do not understand"))

	for _, user := range []string{"admin", "somebody"} {
		m := &echostr.TextMessage{Content: "stop"}
		m.FromUserName = user
		fmt.Println(r.Handle(context.Background(), m))
	}
	// Output:
	// {stopping} <nil>
	// {I do not understand} <nil>
}

func ExampleValidate() {
	m := &echostr.TextMessage{Content: "hi"}
	long := echostr.Text(strings.Repeat("长", 1000))

	err := echostr.Validate(long, m)
	if tooLong, ok := errors.AsType[*echostr.TooLongError](err); ok {
		cut := echostr.Text(echostr.CutText(long.Content, tooLong.Limit))
		fmt.Println(tooLong.Bytes, len(cut.Content), echostr.Validate(cut, m))
	}
	fmt.Println(echostr.Validate(echostr.Image(""), m))
	// Output:
	// 3000 2046 <nil>
	// image reply: MediaID is empty; upload the file first and give the media id that WeChat returned
}

func ExampleAppendReply() {
	doc := echostr.AppendReply(nil, echostr.Text("a < b ]]> c"), echostr.Address{
		ToUserName:   "o88wo1N-6JnISJyLg6k3Pp3SUykV",
		FromUserName: "gh_8c001c7d976e",
		CreateTime:   1700000202,
	})
	fmt.Printf("%s\n", doc)
	// Output:
	// <xml>
	// <ToUserName><![CDATA[o88wo1N-6JnISJyLg6k3Pp3SUykV]]></ToUserName>
	// <FromUserName><![CDATA[gh_8c001c7d976e]]></FromUserName>
	// <CreateTime>1700000202</CreateTime>
	// <MsgType><![CDATA[text]]></MsgType>
	// <Content><![CDATA[a < b ]]]]><![CDATA[> c]]></Content>
	// </xml>
}
