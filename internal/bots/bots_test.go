package bots_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/bots"
)

func message(t *testing.T, name string) echostr.Message {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("../../testdata/vectors/messages", name+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := echostr.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func answer(t *testing.T, bot *echostr.Router, m echostr.Message) string {
	t.Helper()
	reply, err := bot.Handle(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	switch r := reply.(type) {
	case nil:
		return ""
	case echostr.TextReply:
		if r.Content == "" {
			t.Error("an empty text instead of no reply")
		}
		return r.Content
	}
	t.Fatalf("the reply is a %T", reply)
	return ""
}

// TestSample holds both bots to the seed programs, vector by vector.
func TestSample(t *testing.T) {
	t.Parallel()
	tests := []struct{ vector, want string }{
		{"seed-text-doc", "this is a test"},
		{"seed-text-hello", "你好"},
		{"seed-text-unparse", "你好"},
		{"seed-text-unparse-pretty", "你好"},
		{"seed-subscribe", "感谢您的关注!"},
		{"seed-subscribe-qrscene", "感谢您的关注!场景值:123123"},
		{"seed-SCAN", "您扫描的场景值为:SCENE_VALUE"},
		{"seed-LOCATION", ""},
		{"seed-CLICK", ""},
		{"seed-VIEW", ""},
		{"text-emoji", "早😀👨‍👩‍👧🇨🇳[微笑]/::)"},
		{"text-looks-like-xml", "<xml><MsgType>event</MsgType></xml> a<b && c>d"},
		{"voice", "未识别"},
		{"voice-recognition", "腾讯微信团队"},
		{"voice-recognition-empty", "未识别"},
		{"text-empty", ""},
		{"image", "I love you, itcast!"},
		{"file", "I love you, itcast!"},
		{"unknown-type", "I love you, itcast!"},
		{"event-subscribe-qrscene", "感谢您的关注!场景值:chan=weibo&id=7"},
		{"event-SCAN", "您扫描的场景值为:4294967295"},
		{"event-subscribe", "感谢您的关注!"},
		{"event-subscribe-trade", "感谢您的关注!"},
		{"event-unsubscribe", ""},
		{"event-LOCATION", ""},
		{"event-CLICK", ""},
		{"event-unknown", ""},
	}
	for _, tt := range tests {
		t.Run(tt.vector, func(t *testing.T) {
			t.Parallel()
			for name, bot := range map[string]*echostr.Router{"sample": bots.Sample(), "demo": bots.Demo()} {
				if got := answer(t, bot, message(t, tt.vector)); got != tt.want {
					t.Errorf("%s answers %q, want %q", name, got, tt.want)
				}
			}
		})
	}
}

func text(content string) *echostr.TextMessage { return &echostr.TextMessage{Content: content} }

func TestEventNamesInAnyCase(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Scan": "您扫描的场景值为:7", "SUBSCRIBE": "感谢您的关注!", "Click": ""} {
		m, err := echostr.Decode([]byte("<xml><MsgType>Event</MsgType><Event>" + name + "</Event><EventKey>7</EventKey></xml>"))
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(t, bots.Sample(), m); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestDemoTexts(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"长 12": "一二三四五六七八九十一二", "长3": "一二三", "长　3": "一二三", "长 0": "", "长 999999": "最多 100000 个字",
		"慢 601": "最多 600 秒", "慢 0": "等了 0 秒",
		// Not commands, so echoed as they are:
		"想 601": "最多 600 秒", "想 0": "想好了。",
		"记": "还没有记住什么，发“记 文字”试试", "记得": "记得", "记 ": "还没有记住什么，发“记 文字”试试",
		"慢": "慢", "慢 x": "慢 x", "慢 8 秒": "慢 8 秒", "错误!": "错误!", " 你好 ": " 你好 ",
	} {
		if got := answer(t, bots.Demo(), text(content)); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
	if got := answer(t, bots.Demo(), text("长 700")); utf8.RuneCountInString(got) != 700 {
		t.Errorf("长 700 gives %d characters", utf8.RuneCountInString(got))
	}
	for _, command := range []string{"慢 8", "想 20", "长 3000", "图文", "记 ", "错误", "崩溃"} {
		if got := answer(t, bots.Demo(), text("帮助")); !strings.Contains(got, command) {
			t.Errorf("帮助 does not list %s: %q", command, got)
		}
	}
	if _, err := bots.Demo().Handle(t.Context(), text("错误")); err == nil {
		t.Error("错误 is no error")
	}
	reply, err := bots.Demo().Handle(t.Context(), text("图文"))
	if news, ok := reply.(echostr.NewsReply); !ok || len(news.Articles) != 1 || echostr.Validate(reply, text("图文")) != nil {
		t.Errorf("图文: %v, %v", reply, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("崩溃 does not panic")
		}
	}()
	_, _ = bots.Demo().Handle(t.Context(), text("崩溃"))
}

func TestSlow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		content string
		limit   time.Duration // of the handler
		takes   time.Duration
		want    string
	}{
		{"慢 8", time.Minute, 8 * time.Second, "等了 8 秒"},
		{"慢4.6", time.Minute, 4600 * time.Millisecond, "等了 4.6 秒"},
		{"慢　600", 10 * time.Minute, 10*time.Minute - 50*time.Millisecond, "等了 600 秒"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
			defer cancel()
			start := time.Now()
			reply, err := bots.Demo().Handle(ctx, text(tt.content))
			if reply != echostr.Text(tt.want) || err != nil || time.Since(start) != tt.takes {
				t.Errorf("%s: %v, %v after %v", tt.content, reply, err, time.Since(start))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := bots.Demo().Handle(ctx, text("慢 30")); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("it does not heed its context: %v after %v", err, time.Since(start))
		}
	})
	for _, command := range []string{"慢 8", "想 8"} {
		if got := bots.Demo().Match(text(command)).Budget(); got != 10*time.Minute {
			t.Errorf("the route of %s has %v", command, got)
		}
	}
}

// fakeTurn notes what a handler does before its reply, and when.
type fakeTurn struct {
	echostr.Turn
	begin   time.Time
	did     []string
	noWay   bool
	session *echostr.Memory
}

func (f *fakeTurn) note(what string) {
	f.did = append(f.did, fmt.Sprintf("%v %s", time.Since(f.begin), what))
}

func (f *fakeTurn) Say(_ context.Context, r echostr.Reply) error {
	f.note("say " + r.(echostr.TextReply).Content)
	return f.may()
}

func (f *fakeTurn) Typing(context.Context) error {
	f.note("typing")
	return f.may()
}

func (f *fakeTurn) may() error {
	if f.noWay {
		return echostr.ErrNoWay
	}
	return nil
}

func (f *fakeTurn) Draft(text string) { f.note("draft " + text) }

func (f *fakeTurn) Session(context.Context) (*echostr.Memory, error) {
	if f.session == nil {
		return nil, errors.New("the store is down")
	}
	return f.session, nil
}

// TestThink: a long answer says that it has begun, and how far it is each second, and an account
// without the API gets the same answer.
func TestThink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		content string
		noWay   bool
		want    []string // the first things done
		drafts  int
	}{
		{"想 2", false, []string{"1s draft 第 1 秒：想到了第 1 点。\n", "2s draft 第 1 秒：想到了第 1 点。\n第 2 秒：想到了第 2 点。\n"}, 2},
		{"想20", false, []string{"0s say 让我想想，大约要 20 秒。", "0s typing", "1s draft 第 1 秒：想到了第 1 点。\n"}, 20},
		{"想 20", true, []string{"0s say 让我想想，大约要 20 秒。", "0s typing", "1s draft 第 1 秒：想到了第 1 点。\n"}, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeTurn{begin: time.Now(), noWay: tt.noWay}
			reply, err := bots.Demo().Handle(echostr.WithTurn(t.Context(), f), text(tt.content))
			got, _ := reply.(echostr.TextReply)
			if err != nil || time.Since(f.begin) != time.Duration(tt.drafts)*time.Second || strings.Count(got.Content, "\n") != tt.drafts {
				t.Errorf("%s: %q, %v after %v", tt.content, got.Content, err, time.Since(f.begin))
			}
			if !slices.Equal(f.did[:min(len(tt.want), len(f.did))], tt.want) {
				t.Errorf("%s: it did %q", tt.content, f.did)
			}
			_, last, _ := strings.Cut(f.did[len(f.did)-1], " draft ")
			if !strings.HasPrefix(got.Content, last) || len(last) == 0 {
				t.Errorf("%s: the answer %q does not begin with the last draft %q", tt.content, got.Content, last)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		if _, err := bots.Demo().Handle(ctx, text("想 30")); !errors.Is(err, context.Canceled) {
			t.Errorf("it does not heed its context: %v", err)
		}
	})
}

func TestRemember(t *testing.T) {
	t.Parallel()
	f := &fakeTurn{session: new(echostr.Memory)}
	for _, step := range []struct{ content, want string }{
		{"记", "还没有记住什么，发“记 文字”试试"},
		{"记 周五交报告\n要打印", "记住了，发“记”就说给你听"},
		{"记", "你让我记住：周五交报告\n要打印"},
		{"记　改到周一 ", "记住了，发“记”就说给你听"},
		{" 记", "你让我记住：改到周一"},
	} {
		reply, err := bots.Demo().Handle(echostr.WithTurn(t.Context(), f), text(step.content))
		if err != nil || reply != echostr.Text(step.want) {
			t.Errorf("%q: %v, %v; want %q", step.content, reply, err, step.want)
		}
	}
	f.session = nil
	if _, err := bots.Demo().Handle(echostr.WithTurn(t.Context(), f), text("记")); err == nil {
		t.Error("a store that is down is not told")
	}
}
