// Package simulator is WeChat's side of the wire: it pushes messages to the
// server of an Official Account as WeChat does, with its time-outs and
// retries, reads the answers as WeChat reads them, and says what the user
// would see and why. It talks HTTP only, so the server may be written in any
// language. It is what `echostr push`, `echostr simulate` and `echostr replay` run and what
// this project tests itself with.
//
// # A tour
//
// A test of a server in Go is a [Story]: people act, and the test says what they see. What
// fails quotes the pushes and the verdict.
//
//	s := simulator.Start(t, server, nil)
//	ming := s.User("小明")
//	ming.Says("你好")
//	ming.SeesText("你好，小明")
//	ming.Clicks("V1001_TODAY")
//	ming.SeesNews("今日歌曲")
//
// Below it is a [Platform]: Official Accounts in any mode, verified or not, each with users, a
// menu, QR codes and media. What a [User] does becomes the push that WeChat would send; what
// comes of it stands in the user's chat as a [Bubble], drawn as WeChat draws it.
// [Platform.API] is WeChat's HTTP API for the server under test, and [Platform.Changes] tells
// a page what has changed. What has gone over the wire is an [Exchange]; a [Recording] of some
// can be saved and sent again with [Replay].
//
//	p := simulator.NewPlatform(simulator.PlatformConfig{})
//	account, err := p.Add(simulator.OfficialConfig{Account: simulator.Account{
//		URL: "http://127.0.0.1:8080/wx/dev", Token: token, Mode: simulator.Plain,
//	}})
//	...
//	user := account.AddUser("小明")
//	report, err := user.FollowByScene(ctx, "subway")
//	...
//	fmt.Println(report.Verdict) // reply: text: 欢迎
//
// At the bottom is [WeChat], which pushes single messages to one server:
//
//	wechat, err := simulator.New(simulator.Config{
//		Account: simulator.Account{
//			URL:   "http://127.0.0.1:8080/wx/dev",
//			Token: token,
//			Mode:  simulator.Plain,
//		},
//	})
//	...
//	report, err := wechat.Send(ctx, simulator.Text("你好"))
//	...
//	for _, push := range report.Pushes {
//		fmt.Println(push) // push 1: answered after 12 ms: 200, 143 bytes
//	}
//	fmt.Println(report.Verdict) // reply: text: 你好
//
// # Pushes
//
// A push is one POST on a connection of its own. WeChat waits five seconds,
// counted from the beginning of the connection, for a complete answer; then it
// cuts the connection and pushes the same message again, three times in all. A
// status other than 200, a refused connection and a broken answer are failures
// as well. An answer with status 200 ends the matter, whatever it says.
//
// Where nobody outside knows for sure what WeChat does, [Rules] has a switch,
// and a server should be right under both settings.
//
// # Verdicts
//
// After "success", an empty body or a good reply all is well. After anything
// else the user reads [FaultNotice]. [Verdict] has the reason in words, with
// what to do about it, and as a short name for programs:
//
//	status        the last push had a status other than 200
//	timeout       the last push was not answered in time
//	refused       the last push found no server
//	reset         the last push got a broken answer
//	tls           the last push found a certificate that is not good, or no TLS
//	too-large     more than 1 MiB
//	success       nearly "success", as with a line end behind it
//	json, html    JSON or HTML
//	bom           a byte order mark
//	not-xml       not one well-formed XML document with the root "xml"
//	repeated      an element is there twice
//	sealed        an encrypted reply in the plain mode
//	not-sealed    a reply in clear in the safe mode
//	envelope      an encrypted reply without one of its four elements
//	timestamp     an encrypted reply with Timestamp for TimeStamp
//	signature     an encrypted reply with a wrong MsgSignature
//	ciphertext    an encrypted reply that does not open
//	sealed-success  "success" or nothing, encrypted
//	swapped       ToUserName and FromUserName are those of the push
//	to, from      another ToUserName or FromUserName is wrong
//	create-time   CreateTime is not a number
//	msg-type      no MsgType or an unknown one
//	empty         a text without Content
//	too-long      a text of more than 2048 bytes
//	media         a medium without its MediaId (music: ThumbMediaId)
//	articles      too many articles, none, or a wrong ArticleCount
//	mark-fail     it was not pushed, since too many pushes before had failed (Rules.MarkFail)
//	stopped       the context of the caller ended first
//
// # Time and tests
//
// All waiting goes through package time, so everything works in a bubble of
// testing/synctest. Real sockets do not: give Config a DialContext that makes
// connections in memory, or [Direct] as its Transport, as [Start] does. The handler's and the API's
// waiting takes no time there.
package simulator
