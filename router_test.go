package echostr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
)

func textMessage(content string) *echostr.TextMessage {
	return &echostr.TextMessage{Content: content}
}

func unknownEvent(name string) *echostr.UnknownEvent {
	e := &echostr.UnknownEvent{}
	e.Event = name
	return e
}

// decode makes a message from the elements that follow the common ones.
func decode(tb testing.TB, msgType, elements string) echostr.Message {
	tb.Helper()
	m, err := echostr.Decode([]byte("<xml><ToUserName>gh_8c001c7d976e</ToUserName><FromUserName>o1</FromUserName>" +
		"<CreateTime>1700000000</CreateTime><MsgType>" + msgType + "</MsgType>" + elements + "</xml>"))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func event(tb testing.TB, name, key string) echostr.Message {
	tb.Helper()
	return decode(tb, "event", "<Event>"+name+"</Event><EventKey><![CDATA["+key+"]]></EventKey>")
}

// answer is a handler that names itself.
func answer[T echostr.Message](name string) func(context.Context, T) (echostr.Reply, error) {
	return func(context.Context, T) (echostr.Reply, error) { return echostr.Text(name), nil }
}

// taken is the name of the answer to m, or "" for none.
func taken(tb testing.TB, h echostr.Handler, m echostr.Message) string {
	tb.Helper()
	r, err := h.Handle(context.Background(), m)
	if err != nil {
		tb.Fatal(err)
	}
	t, _ := r.(echostr.TextReply)
	return t.Content
}

func TestConditions(t *testing.T) {
	t.Parallel()
	voice := func(recognition string) echostr.Message { return &echostr.VoiceMessage{Recognition: recognition} }
	tests := []struct {
		name      string
		condition echostr.Condition
		yes, no   []echostr.Message
	}{
		{
			"Exact", echostr.Exact("help", "帮助"),
			[]echostr.Message{textMessage("help"), textMessage(" 帮助\r\n"), textMessage("\u3000帮助"), voice("帮助")},
			[]echostr.Message{textMessage("Help"), textMessage("帮助!"), textMessage("我要帮助"), textMessage(""), voice(""), voice("帮助。"), event(t, "CLICK", "help"), &echostr.ImageMessage{}},
		},
		{
			"Prefix", echostr.Prefix("天气", "w "),
			[]echostr.Message{textMessage("天气"), textMessage("天气北京"), textMessage(" \n天气 北京"), textMessage("w x"), voice("天气。")},
			[]echostr.Message{textMessage("北京天气"), textMessage("w"), textMessage("W x"), textMessage(""), voice(""), event(t, "CLICK", "天气")},
		},
		{
			"Regexp", echostr.Regexp(`^\d{6}$`),
			[]echostr.Message{textMessage("123456"), voice("123456")},
			[]echostr.Message{textMessage("123456 "), textMessage("1234567"), voice(""), event(t, "CLICK", "123456")},
		},
		{
			"Regexp that matches nothing said", echostr.Regexp(`^$`),
			[]echostr.Message{textMessage("")},
			[]echostr.Message{voice("")}, // not recognised is not a word
		},
		{
			"EventKey", echostr.EventKey("V1001", "https://example.com/?a=1&b=2"),
			[]echostr.Message{event(t, "CLICK", "V1001"), event(t, "VIEW", "https://example.com/?a=1&b=2"), event(t, "scancode_push", "V1001"), event(t, "SCAN", "V1001")},
			[]echostr.Message{event(t, "CLICK", "v1001"), event(t, "CLICK", " V1001"), event(t, "CLICK", ""), event(t, "subscribe", "qrscene_V1001"), textMessage("V1001")},
		},
		{
			"EventKeyPrefix", echostr.EventKeyPrefix("menu."),
			[]echostr.Message{event(t, "CLICK", "menu.1"), event(t, "CLICK", "menu.")},
			[]echostr.Message{event(t, "CLICK", "menu"), event(t, "CLICK", "Menu.1"), textMessage("menu.1")},
		},
		{
			"Scene of any value", echostr.Scene(),
			[]echostr.Message{event(t, "SCAN", "123"), event(t, "scan", "x"), event(t, "subscribe", "qrscene_123")},
			[]echostr.Message{event(t, "subscribe", ""), event(t, "subscribe", "qrscene_"), event(t, "subscribe", "last_trade_no_4006"), event(t, "CLICK", "123"), event(t, "unsubscribe", ""), textMessage("123")},
		},
		{
			"Scene", echostr.Scene("123", "shop_1"),
			[]echostr.Message{event(t, "SCAN", "123"), event(t, "subscribe", "qrscene_123"), event(t, "subscribe", "qrscene_shop_1")},
			[]echostr.Message{event(t, "SCAN", "1234"), event(t, "SCAN", "qrscene_123"), event(t, "subscribe", "123"), event(t, "subscribe", "qrscene_Shop_1")},
		},
		{
			"Event", echostr.Event("holo_shake", "click"),
			[]echostr.Message{unknownEvent("holo_shake"), unknownEvent("HOLO_SHAKE"), event(t, "holo_Shake", ""), event(t, "CLICK", "x")},
			[]echostr.Message{unknownEvent("holo"), event(t, "VIEW", "x"), textMessage("holo_shake")},
		},
		{
			"Event of any name", echostr.Event(),
			[]echostr.Message{unknownEvent(""), event(t, "CLICK", "x"), event(t, "holo", "")},
			[]echostr.Message{textMessage("event"), decode(t, "hologram", "<Event>x</Event>")},
		},
		{
			"When", echostr.When(func(m *echostr.TextMessage) bool { return len(m.Content) > 3 }),
			[]echostr.Message{textMessage("long")},
			[]echostr.Message{textMessage("abc"), voice("long")},
		},
		{
			"When of an interface", echostr.When(func(m echostr.Message) bool { return m.Head().FromUserName == "o1" }),
			[]echostr.Message{event(t, "CLICK", "x")},
			[]echostr.Message{textMessage("x")},
		},
		{
			"Any", echostr.Any(echostr.Exact("menu"), echostr.EventKey("menu"), echostr.Scene()),
			[]echostr.Message{textMessage("menu"), event(t, "CLICK", "menu"), event(t, "SCAN", "9")},
			[]echostr.Message{textMessage("men"), event(t, "CLICK", "other"), event(t, "subscribe", "")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := echostr.NewRouter()
			route := echostr.On(r, answer[echostr.Message]("yes"), tt.condition)
			for _, m := range tt.yes {
				if r.Match(m) != route {
					t.Errorf("no match: %T %+v", m, m)
				}
			}
			for _, m := range tt.no {
				if r.Match(m) != nil {
					t.Errorf("match: %T %+v", m, m)
				}
			}
		})
	}
}

func TestRouterTakesFirstMatch(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	echostr.On(r, answer[*echostr.TextMessage]("both"), echostr.Prefix("a"), echostr.Regexp("z$"))
	echostr.On(r, answer[*echostr.TextMessage]("prefix"), echostr.Prefix("a"))
	echostr.On(r, answer[*echostr.TextMessage]("text"))
	echostr.On(r, answer[echostr.SceneEvent]("scene"), echostr.Scene())
	echostr.On(r, answer[*echostr.SubscribeEvent]("subscribe"))
	echostr.On(r, answer[*echostr.TextMessage]("never"))
	tests := []struct {
		m    echostr.Message
		want string
	}{
		{textMessage("abcz"), "both"},
		{textMessage("abc"), "prefix"},
		{textMessage("z"), "text"},
		{event(t, "SCAN", "1"), "scene"},
		{event(t, "subscribe", "qrscene_1"), "scene"},
		{event(t, "subscribe", ""), "subscribe"},
		{event(t, "unsubscribe", ""), ""},
		{&echostr.ImageMessage{}, ""},
		{nil, ""},
	}
	for _, tt := range tests {
		if got := taken(t, r, tt.m); got != tt.want {
			t.Errorf("%T %+v: %q, want %q", tt.m, tt.m, got, tt.want)
		}
	}
}

func TestRouterNotFound(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	r.Use(func(next echostr.Handler) echostr.Handler {
		return echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			reply, err := next.Handle(ctx, m)
			return echostr.Text("[" + reply.(echostr.TextReply).Content + "]"), err
		})
	})
	route := r.NotFound(echostr.HandlerFunc(answer[echostr.Message]("not found"))).Pure().Late(time.Minute)
	echostr.On(r, answer[*echostr.TextMessage]("text")) // the order does not matter
	if got := taken(t, r, textMessage("x")); got != "[text]" {
		t.Errorf("text: %q", got)
	}
	if got := taken(t, r, &echostr.ImageMessage{}); got != "[not found]" {
		t.Errorf("image: %q", got)
	}
	if got := r.Match(&echostr.ImageMessage{}); got != route || !got.IsPure() || got.Budget() != time.Minute {
		t.Errorf("Match = %+v", got)
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	plain := echostr.On(r, answer[*echostr.TextMessage]("x"))
	special := echostr.On(r, answer[*echostr.ImageMessage]("x")).Pure().Late(10 * time.Minute)
	if plain.IsPure() || plain.Budget() != 0 {
		t.Errorf("a plain route: pure %v, budget %v", plain.IsPure(), plain.Budget())
	}
	if !special.IsPure() || special.Budget() != 10*time.Minute {
		t.Errorf("a special route: pure %v, budget %v", special.IsPure(), special.Budget())
	}
	none := r.Match(&echostr.LinkMessage{})
	if reply, err := none.Handle(context.Background(), &echostr.LinkMessage{}); none != nil || reply != nil || err != nil || none.IsPure() || none.Budget() != 0 {
		t.Errorf("no route: %v, %v, %v", none, reply, err)
	}
}

// trace is middleware that writes down when it is passed.
func trace(log *[]string, name string) func(echostr.Handler) echostr.Handler {
	return func(next echostr.Handler) echostr.Handler {
		*log = append(*log, "build "+name)
		return echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			*log = append(*log, name)
			defer func() { *log = append(*log, "/"+name) }()
			return next.Handle(ctx, m)
		})
	}
}

func TestMiddlewareAndGroups(t *testing.T) {
	t.Parallel()
	var log []string
	r := echostr.NewRouter()
	r.Use(trace(&log, "1"), trace(&log, "2"))
	echostr.On(r, answer[*echostr.TextMessage]("first"), echostr.Prefix("admin first"))

	admin := r.Group(echostr.Prefix("admin"))
	admin.Use(trace(&log, "admin"))
	echostr.On(admin, answer[*echostr.TextMessage]("stop"), echostr.Regexp("stop$"))

	echostr.On(r, answer[*echostr.TextMessage]("between"), echostr.Regexp("between$"))

	inner := admin.Group(echostr.Regexp("(?i)inner"))
	inner.Use(trace(&log, "inner"))
	echostr.On(inner, answer[echostr.Message]("inner"))
	echostr.On(admin, answer[*echostr.TextMessage]("between again"), echostr.Regexp("between$"))

	echostr.On(r, answer[*echostr.TextMessage]("rest"))

	built := []string{
		"build 2", "build 1", "build admin", "build 2", "build 1", "build 2", "build 1",
		"build inner", "build admin", "build 2", "build 1", "build admin", "build 2", "build 1", "build 2", "build 1",
	}
	if diff := cmp.Diff(built, log); diff != "" {
		t.Errorf("middleware is built once per route, from the inside: -want +got\n%s", diff)
	}
	tests := []struct{ text, want, log string }{
		{"admin first stop", "first", "1 2 /2 /1"},
		{"admin stop", "stop", "1 2 admin /admin /2 /1"},
		{"stop", "rest", "1 2 /2 /1"},
		{"admin between", "between", "1 2 /2 /1"},
		{"admin Inner", "inner", "1 2 admin inner /inner /admin /2 /1"},
		{"inner", "rest", "1 2 /2 /1"},
		{"admin", "rest", "1 2 /2 /1"},
	}
	for _, tt := range tests {
		log = nil
		if got := taken(t, r, textMessage(tt.text)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
		if got := strings.Join(log, " "); got != tt.log {
			t.Errorf("%s: passed %s, want %s", tt.text, got, tt.log)
		}
	}
	if got, want := admin.Match(textMessage("x")), r.Match(textMessage("x")); got != want {
		t.Errorf("a group matches %v, its router %v", got, want)
	}
}

func TestMiddlewareMayAnswer(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	r.Use(func(next echostr.Handler) echostr.Handler {
		return echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			if reply, err := next.Handle(ctx, m); err == nil {
				return reply, nil
			}
			return echostr.Text("稍后再试"), nil
		})
	})
	echostr.On(r, func(context.Context, *echostr.TextMessage) (echostr.Reply, error) { return nil, errors.New("no") })
	if got := taken(t, r, textMessage("x")); got != "稍后再试" {
		t.Errorf("got %q", got)
	}
}

func TestMiddlewareThatSwapsTheMessage(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	r.Use(func(next echostr.Handler) echostr.Handler {
		return echostr.HandlerFunc(func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
			return next.Handle(ctx, &echostr.ImageMessage{})
		})
	})
	echostr.On(r, answer[*echostr.TextMessage]("x"))
	if _, err := r.Handle(context.Background(), textMessage("x")); err == nil || !strings.Contains(err.Error(), "*echostr.ImageMessage") {
		t.Errorf("error %v, want one that names the type", err)
	}
}

// foreign is a message type that no push becomes.
type foreign struct{ *echostr.TextMessage }

func TestMisusePanicsAtRegistration(t *testing.T) {
	t.Parallel()
	pass := func(next echostr.Handler) echostr.Handler { return next }
	text := answer[*echostr.TextMessage]("x")
	click := answer[*echostr.ClickEvent]("x")
	handler := echostr.HandlerFunc(answer[echostr.Message]("x"))
	serving := func() (*echostr.Router, *echostr.Route) {
		r := echostr.NewRouter()
		route := echostr.On(r, text)
		r.Match(textMessage("x"))
		return r, route
	}
	tests := []struct {
		name, want string
		do         func(r *echostr.Router)
	}{
		{"nil handler", "the handler is nil", func(r *echostr.Router) { echostr.On[*echostr.TextMessage](r, nil) }},
		{"foreign type", "no message has this type", func(r *echostr.Router) { echostr.On(r, answer[foreign]("x")) }},
		{"Use after On", "Use: there is a route", func(r *echostr.Router) { echostr.On(r, text); r.Use(pass) }},
		{"Use after Group", "Use: there is a route", func(r *echostr.Router) { r.Group(); r.Use(pass) }},
		{"Use after NotFound", "Use: there is a route", func(r *echostr.Router) { r.NotFound(handler); r.Use(pass) }},
		{"Use of a group after its On", "Use: there is a route", func(r *echostr.Router) { g := r.Group(); echostr.On(g, text); g.Use(pass) }},
		{"nil middleware", "middleware 2 is nil", func(r *echostr.Router) { r.Use(pass, nil) }},
		{"middleware that gives nil", "returned a nil handler", func(r *echostr.Router) {
			r.Use(func(echostr.Handler) echostr.Handler { return nil })
			echostr.On(r, text)
		}},
		{"nil NotFound", "NotFound: the handler is nil", func(r *echostr.Router) { r.NotFound(nil) }},
		{"two NotFound", "one already", func(r *echostr.Router) { r.NotFound(handler); r.NotFound(handler) }},
		{"NotFound of a group", "a group has none", func(r *echostr.Router) { r.Group().NotFound(handler) }},
		{"Late of nothing", "Late: 0s is out of range", func(r *echostr.Router) { echostr.On(r, text).Late(0) }},
		{"Late too long", "at most 10m0s", func(r *echostr.Router) { echostr.On(r, text).Late(10*time.Minute + 1) }},
		{"zero condition", "zero Condition", func(r *echostr.Router) { echostr.On(r, text, echostr.Condition{}) }},
		{"zero condition of a group", "zero Condition", func(r *echostr.Router) { r.Group(echostr.Condition{}) }},
		{"zero condition in Any", "zero Condition", func(*echostr.Router) { echostr.Any(echostr.Condition{}) }},
		{"Exact of nothing", "no value", func(*echostr.Router) { echostr.Exact() }},
		{"Exact of an empty word", "empty", func(*echostr.Router) { echostr.Exact("a", "") }},
		{"Exact that never matches", "white space", func(*echostr.Router) { echostr.Exact("a ") }},
		{"empty Prefix", "empty", func(*echostr.Router) { echostr.Prefix("") }},
		{"Prefix that never matches", "white space", func(*echostr.Router) { echostr.Prefix(" a") }},
		{"bad Regexp", "missing closing )", func(*echostr.Router) { echostr.Regexp("(") }},
		{"empty Regexp", "empty", func(*echostr.Router) { echostr.Regexp("") }},
		{"EventKey of nothing", "no value", func(*echostr.Router) { echostr.EventKey() }},
		{"empty EventKeyPrefix", "empty", func(*echostr.Router) { echostr.EventKeyPrefix("") }},
		{"empty Scene", "empty", func(*echostr.Router) { echostr.Scene("") }},
		{"empty Event", "empty", func(*echostr.Router) { echostr.Event("") }},
		{"part of a message", "no message has this type", func(r *echostr.Router) { echostr.On(r, answer[*echostr.EventHeader]("x")) }},
		{"nil When", "function is nil", func(*echostr.Router) { echostr.When[echostr.Message](nil) }},
		{"Any of nothing", "no condition", func(*echostr.Router) { echostr.Any() }},
		{"Prefix of an event", `*echostr.ClickEvent can never meet the condition Prefix("a")`, func(r *echostr.Router) { echostr.On(r, click, echostr.Prefix("a")) }},
		{"Prefix of scenes", "can never meet", func(r *echostr.Router) { echostr.On(r, answer[echostr.SceneEvent]("x"), echostr.Prefix("a")) }},
		{"EventKey of a text", "can never meet", func(r *echostr.Router) { echostr.On(r, text, echostr.EventKey("a")) }},
		{"Scene of a click", "can never meet", func(r *echostr.Router) { echostr.On(r, click, echostr.Scene()) }},
		{"Event of a text", "can never meet", func(r *echostr.Router) { echostr.On(r, text, echostr.Event("a")) }},
		{"When of another type", "can never meet", func(r *echostr.Router) {
			echostr.On(r, text, echostr.When(func(*echostr.ImageMessage) bool { return true }))
		}},
		{"Any of conditions that are all impossible", `Any(Scene(), Exact("a", "b"))`, func(r *echostr.Router) {
			echostr.On(r, click, echostr.Any(echostr.Scene(), echostr.Exact("a", "b")))
		}},
		{"condition of the group", "can never meet", func(r *echostr.Router) { echostr.On(r.Group(echostr.Scene()), text) }},
		{"On while serving", "On[*echostr.TextMessage]: the router is serving", func(*echostr.Router) { r, _ := serving(); echostr.On(r, text) }},
		{"Use while serving", "Use: the router is serving", func(*echostr.Router) { r, _ := serving(); r.Use(pass) }},
		{"Group while serving", "Group: the router is serving", func(*echostr.Router) { r, _ := serving(); r.Group() }},
		{"NotFound while serving", "NotFound: the router is serving", func(*echostr.Router) { r, _ := serving(); r.NotFound(handler) }},
		{"Pure while serving", "Pure: the router is serving", func(*echostr.Router) { _, route := serving(); route.Pure() }},
		{"Late while serving", "Late: the router is serving", func(*echostr.Router) { _, route := serving(); route.Late(time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				got := fmt.Sprint(recover())
				if !strings.HasPrefix(got, "echostr: ") || !strings.Contains(got, tt.want) {
					t.Errorf("panic %q, want %q in it", got, tt.want)
				}
			}()
			tt.do(echostr.NewRouter())
		})
	}
}

// What is possible must not panic.
func TestConditionsThatArePossible(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	echostr.On(r, answer[echostr.Message]("x"), echostr.Prefix("a"), echostr.EventKey("a"))
	echostr.On(r, answer[*echostr.VoiceMessage]("x"), echostr.Prefix("a"))
	echostr.On(r, answer[*echostr.TextMessage]("x"), echostr.Any(echostr.Scene(), echostr.Exact("a")))
	echostr.On(r, answer[*echostr.SubscribeEvent]("x"), echostr.Scene("a"), echostr.EventKeyPrefix("qrscene_"))
	echostr.On(r, answer[*echostr.ScanEvent]("x"), echostr.Scene("a"))
	echostr.On(r, answer[echostr.SceneEvent]("x"), echostr.EventKey("a"), echostr.Event("SCAN"))
	echostr.On(r, answer[*echostr.UnknownEvent]("x"), echostr.Event("a"))
	echostr.On(r, answer[*echostr.TextMessage]("x"), echostr.When(func(echostr.Message) bool { return true }))
	echostr.On(r, answer[echostr.Message]("x"), echostr.When(func(echostr.SceneEvent) bool { return true }))
}

// The caller's slices are not kept.
func TestConditionsCopyTheirArguments(t *testing.T) {
	t.Parallel()
	words := []string{"a"}
	r := echostr.NewRouter()
	route := echostr.On(r, answer[*echostr.TextMessage]("x"), echostr.Exact(words...))
	words[0] = "b"
	if r.Match(textMessage("a")) != route {
		t.Error("the condition changed with the caller's slice")
	}
}

func TestRouterConcurrentMatch(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	echostr.On(r, answer[*echostr.TextMessage]("a"), echostr.Regexp("^a"))
	echostr.On(r, answer[*echostr.TextMessage]("b"), echostr.Exact("b"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				for _, want := range []string{"a", "b"} {
					if got := taken(t, r, textMessage(want)); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// bigRouter has a route of every kind in front of the one for plain text.
func bigRouter() *echostr.Router {
	r := echostr.NewRouter()
	echostr.On(r, answer[echostr.SceneEvent]("x"), echostr.Scene())
	echostr.On(r, answer[*echostr.ClickEvent]("x"), echostr.EventKey("a", "b"))
	echostr.On(r, answer[*echostr.UnknownEvent]("x"), echostr.Event("a"))
	for i := range 20 {
		echostr.On(r, answer[*echostr.TextMessage]("x"), echostr.Exact(fmt.Sprint("word", i), "other"))
	}
	echostr.On(r, answer[echostr.Message]("x"), echostr.Any(echostr.Prefix("天气", "weather"), echostr.EventKeyPrefix("weather")))
	echostr.On(r, answer[*echostr.TextMessage]("x"), echostr.Regexp(`^\d{6}$`))
	echostr.On(r.Group(echostr.Prefix("admin")), answer[*echostr.TextMessage]("x"))
	echostr.On(r, answer[*echostr.TextMessage]("text"))
	return r
}

func TestRouterMatchAllocations(t *testing.T) {
	r := bigRouter()
	messages := []echostr.Message{textMessage(" 你好 "), event(t, "SCAN", "1"), event(t, "subscribe", "qrscene_1"), event(t, "CLICK", "b"), unknownEvent("A"), &echostr.ImageMessage{}}
	for _, m := range messages {
		if n := testing.AllocsPerRun(100, func() { r.Match(m) }); n > 0 {
			t.Errorf("%T: %v allocations, want 0", m, n)
		}
	}
	if !slices.ContainsFunc(messages, func(m echostr.Message) bool { return r.Match(m) == nil }) {
		t.Error("no message goes through all routes")
	}
}

func BenchmarkRouterMatch(b *testing.B) {
	r := bigRouter()
	m := textMessage(" 你好 ")
	b.ReportAllocs()
	for b.Loop() {
		r.Match(m)
	}
}
