// Package conformance holds a callback server against WeChat's protocol: it
// plays WeChat, and somebody who is not WeChat, with package simulator and
// says of every check whether the server passed, and if not, which rule of
// docs/protocol.md it breaks, why, and what to do. It talks HTTP only, so the
// server may be written in any language. It is what `echostr check` runs.
//
//	report, err := conformance.Run(ctx, conformance.Config{
//		Account: simulator.Account{URL: "http://127.0.0.1:8080/wx", Token: token, Mode: simulator.Plain},
//	})
//	...
//	report.WriteText(os.Stdout, conformance.TextOptions{Language: conformance.English})
//
// # What counts
//
// A check fails only if WeChat's protocol or plain security demands what it
// asks for. Everything else is advice and leaves [Report.OK] true. What cannot
// be checked on this server is skipped, and the reason is said.
//
// # What can be seen from outside
//
// Of many pushes it can only be seen that they were answered in a form that
// WeChat reads, to the right user. If the server sends the text of a message
// back, with always the same before and behind it, what it has read can be
// compared as well; [Report.Echoes] says whether it does.
//
// Every check uses users of its own, and nothing of what is sent names a real
// one. The server takes the pushes for real, so do not run it against one whose
// handler has effects that matter.
package conformance
