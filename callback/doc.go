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
// account. One with the customer-service API (Verified) is answered `success`,
// and the answer is stored as late. One without it has the push
// held open until WeChat cuts it after five seconds and pushes the message again: the
// next push joins the handler that is running, and gets its answer. That makes
// 14.5 s. The last push is answered `success` at 4.5 s. Later pushes of a
// message get the stored answer again, for a minute. The whole table, and what is
// promised when processes die and stores fail, is in docs/reliability.md.
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
// answered, then http.Server.Shutdown, then [Server.Shutdown].
package callback
