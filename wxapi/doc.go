// Package wxapi is a client of WeChat's HTTP API for Official Accounts (公众号): access tokens,
// customer-service messages (客服消息), QR codes, menus, users, media, and every other call by
// [Client.Call].
//
//	api, err := wxapi.New(wxapi.Config{AppID: appID, AppSecret: wxapi.NewSecret(secret)})
//	...
//	err = api.Send(ctx, openID, echostr.Text("你好"), nil)
//	if e, ok := errors.AsType[*wxapi.Error](err); ok && e.UserMustAct() {
//		// nothing more can be sent until this user writes again
//	}
//
// # Tokens
//
// The client fetches its access_token when it is needed and renews it in the background before
// it ends. However many calls wait, one request fetches it. A call that is refused because of
// its token is made exactly once more, with a new one. Use one Client per account; several
// machines share one token through [Config.Tokens]. R-API-FLIGHT R-API-AHEAD R-API-REPEAT
//
// # What has become of a call
//
// [OutcomeOf] tells whether WeChat has carried out a call, has refused it, has not got it, or
// whether that cannot be known, since the answer was lost. The client never makes a call of
// unknown outcome a second time. R-API-OUTCOME
//
// What nobody but the owner of the account can put right, such as a wrong AppSecret or an
// address that is not in the whitelist, makes the client answer with the same error for ten
// minutes without asking WeChat. R-API-PROBE
//
// # Secrets
//
// AppSecret and access_token are in no error, no log line and no String of this package. They
// go to [Config.BaseURL] only, redirects are not followed, and answers are bounded. R-API-SECRET
package wxapi
