// Package simulator is WeChat's side of the wire: it pushes messages to the
// server of an Official Account as WeChat does, with its time-outs and
// retries, reads the answers as WeChat reads them, and says what the user
// would see and why. It talks HTTP only, so the server may be written in any
// language. It is what `echostr push` runs and what this project tests itself with.
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
//	stopped       the context of the caller ended first
//
// # Time and tests
//
// All waiting goes through package time, so everything works in a bubble of
// testing/synctest. Real sockets do not: give Config a DialContext that makes
// connections in memory, or [Direct] as its Transport.
package simulator
