// Package callback is the http.Handler that WeChat talks to: it verifies every
// push, starts the handler once per message however often WeChat pushes it,
// and answers in time.
//
//	r := echostr.NewRouter()
//	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
//		return echostr.Text("you said " + m.Content), nil
//	})
//	wx, err := callback.New(callback.Config{
//		Handler: r,
//		Accounts: []callback.Account{{
//			Name: "demo", AppID: appID, Token: token, EncodingAESKey: key, Mode: callback.Safe,
//		}},
//	})
//	...
//	err = http.ListenAndServe("127.0.0.1:8080", wx) // WeChat's URL: /wx/demo
//
// # What a push gets
//
// The answer, if the handler is done within 4.5 s. If it is not, it depends on the
// account's Late:
//
//	LateAPI     `success` at 4.5 s; the answer is sent by the account's API
//	LateHold    held open until WeChat cuts it after five seconds and pushes the message
//	            again: the next push joins the handler that is running, and gets its
//	            answer. The last one is answered `success` at 4.5 s, which makes 14.5 s
//	            in all; then as LateAPI
//	LateTicket  held likewise; the last push is answered with the Placeholder, and the
//	            user fetches the answer: by a tap on the link in it, by the FetchWord, or
//	            ahead of the answer to the next message
//
// What a handler has told with echostr.Draft takes the place of `success`, or stands ahead of
// the link. Later pushes of a message get the same again, for a minute. The whole table, and
// what is promised when processes die and stores fail, is in docs/reliability.md.
//
// # Late answers
//
// An answer belongs to one way at a time, which is noted in the store before it is
// used: so two ways never carry it, and a process that dies loses none. What the API is to send is in
// the store until WeChat has taken it, in order for each user, and is tried again with growing
// pauses; what it refuses, or what its windows are closed for, is kept for the user like a
// ticket. A message of which nobody knows whether it was sent is sent once more, or not, if DropUnknown
// says so. A text that is longer than a message goes out in parts or pages. With a store
// in memory all of this ends with the process.
//
// Messages that fetch an answer start no handler. [Server.Resend] and [Server.Drop] are for
// operators.
//
// Whatever a handler does, be it to panic, hang or return what cannot be sent, the
// user does not read WeChat's fault notice because of it.
//
// # The http.Server around it
//
// WriteTimeout must be zero or above 10 s, and there must be no
// http.TimeoutHandler: held pushes live six seconds. Set ReadHeaderTimeout (3 s
// is right); the time for bodies is limited here. Behind a proxy, see
// docs/connect.md. Package server has all of this, with a configuration file, metrics and an
// API for operators.
//
// # Stopping
//
// Call Settle while requests still come in, so that messages on their way are
// answered, then http.Server.Shutdown, then [Server.Shutdown]. Late answers that are not sent
// by then stay in the store, for the process that comes next.
package callback
