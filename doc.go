// Package echostr receives the messages of a WeChat Official Account
// (微信公众号) and answers them.
//
// WeChat pushes every message and event of an account to a URL as XML and shows
// the user what that URL answers within five seconds. This package has the
// messages and replies as Go values, their encoding, and a [Router] from
// messages to handlers. It does no I/O. Package callback is the
// [net/http.Handler] that WeChat talks to: it checks the signature, runs the
// handler once however often WeChat repeats itself, and answers in time.
//
// # A bot
//
//	r := echostr.NewRouter()
//
//	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
//		return echostr.Text("北京：晴"), nil
//	}, echostr.Prefix("天气"))
//
//	echostr.On(r, func(ctx context.Context, e echostr.SceneEvent) (echostr.Reply, error) {
//		return echostr.Text("场景值:" + e.Scene()), nil
//	}, echostr.Scene())
//
//	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
//		return echostr.Text("you said " + m.Content), nil
//	})
//
// # Which handler runs
//
// The first route that matches, in the order of registration: put the special
// before the general. A route matches if the message has its type and meets all
// its conditions.
//
//	a handler of          gets                                    but not
//	*TextMessage          every text message                      the text recognised in a voice message
//	*SubscribeEvent       every new follower, scene or not        a follower who scans: that is *ScanEvent
//	SceneEvent            subscribe and SCAN; with [Scene],       CLICK, although it has an EventKey too
//	                      only those that carry a scene
//	*UnknownEvent         events that have no Go type             any event that has one
//	Message               everything
//
//	condition             is met by                               but not by
//	Exact("帮助")         "帮助", " 帮助\n"                       "帮助!", "我要帮助"
//	Exact("help")         "help"                                  "Help"
//	Prefix("天气")        "天气", "天气北京", " 天气 北京"        "北京天气"
//	Regexp(`^\d{6}$`)     "123456"                                "123456 " (nothing is trimmed)
//	EventKey("V1001")     CLICK with the key V1001, and every     "v1001"; subscribe with qrscene_V1001
//	                      other event with it, such as SCAN
//	Scene("123")          SCAN of 123, subscribe with             scene 1234; subscribe without a scene
//	                      qrscene_123
//	Event("holo_shake")   "holo_shake", "HOLO_SHAKE"              an ordinary message
//	Event(), Scene()      any event; any event with a scene       an ordinary message
//
// [Exact], [Prefix] and [Regexp] look at what the user said: the Content of a
// text message and the Recognition of a voice message, never at an EventKey.
// Conditions side by side must all be met; [Any] is met by one of several, and
// [When] by whatever a function says.
//
// A message that no route matches goes to [Router.NotFound]; without that it
// gets no answer. What this package does not know is no error: it arrives as
// [*UnknownMessage] or [*UnknownEvent], with all that was sent in [Header.Raw].
//
// A mistake in the wiring (a condition that the type can never meet, Use after On,
// an expression that does not compile) panics when it is registered.
//
// # Answers
//
// A handler returns one [Reply], or nil for no answer. A reply is a value
// without addresses: it can only go to the user who asked. [Validate] says
// whether WeChat would show it: the server asks it before it sends anything,
// since WeChat tells the user that the account is out of order when a reply is
// wrong. A text may be longer than a message: the server parts it.
//
// While it works, a handler can do more, as far as the account has a way for it:
//
//	Say        sends the user something now, as a message of its own
//	Typing     shows 对方正在输入…
//	Draft      tells how far the text of the reply has come, to be read if time runs out
//	Session    remembers values and the conversation, for each user
//
// # Time
//
// The context of a handler ends with the handler's own time (60 s unless the
// account or [Route.Late] says otherwise), not with WeChat's five seconds.
// [PassiveDeadline] is the end of the present passive window; an answer after
// that goes out by the next way that is open to the account: a later push, the
// customer-service API (客服消息), or the user fetches it. The same message
// is never handled twice at the same time, and handled again only if the
// process died while it ran; [TurnFrom] has a key to make that harmless.
//
// # Tests
//
// A handler is a function and a message is a value, so a test is a function call:
//
//	reply, err := r.Handle(ctx, &echostr.TextMessage{Content: "天气 北京"})
//
// [WithTurn] gives ctx a turn of the test's own. [Decode] makes a message from
// a push that was kept in a file, and [Validate] tells whether the reply would
// arrive.
package echostr
