// Package peers has one echo bot, written with each of the libraries that Echostr is
// compared with, the way their own documentation shows it: a text comes back, and
// whatever else a user does is accepted without a reply.
package peers

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ArtisanCloud/PowerLibs/v3/http/helper"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/contract"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/messages"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/server/handlers/models"
	"github.com/chanxuehong/wechat/mp/core"
	"github.com/chanxuehong/wechat/mp/message/callback/request"
	"github.com/chanxuehong/wechat/mp/message/callback/response"
	"github.com/fastwego/offiaccount"
	"github.com/fastwego/offiaccount/type/type_message"
	"github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/sirupsen/logrus"
)

// Account is what every library is configured with.
type Account struct {
	AppID, Token, EncodingAESKey, OriginalID string
}

// Peer is a library.
type Peer struct {
	Name    string // of the module
	Handler func(Account) (http.Handler, error)

	problem string // what the simulator finds wrong with every reply
}

// All are the libraries.
var All = []Peer{
	{"github.com/silenceper/wechat/v2", silenceper, ""},
	{"github.com/chanxuehong/wechat", chanxuehong, ""},
	{"github.com/ArtisanCloud/PowerWeChat/v3", powerWeChat, "create-time"},
	{"github.com/fastwego/offiaccount", fastwego, ""},
}

func silenceper(a Account) (http.Handler, error) {
	logrus.SetOutput(io.Discard)
	account := wechat.NewWechat().GetOfficialAccount(&config.Config{
		AppID: a.AppID, Token: a.Token, EncodingAESKey: a.EncodingAESKey, Cache: cache.NewMemory(),
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server := account.GetServer(r, w)
		server.SetMessageHandler(func(m *message.MixMessage) *message.Reply {
			if m.MsgType != message.MsgTypeText {
				return nil
			}
			return &message.Reply{MsgType: message.MsgTypeText, MsgData: message.NewText(m.Content)}
		})
		// Its example prints an error and returns.
		if err := server.Serve(); err != nil {
			return
		}
		_ = server.Send()
	}), nil
}

func chanxuehong(a Account) (http.Handler, error) {
	mux := core.NewServeMux()
	mux.MsgHandleFunc(request.MsgTypeText, func(ctx *core.Context) {
		m := request.GetText(ctx.MixedMsg)
		reply := response.NewText(m.FromUserName, m.ToUserName, m.CreateTime, m.Content)
		if ctx.AESKey == nil {
			_ = ctx.RawResponse(reply)
		} else {
			_ = ctx.AESResponse(reply, 0, "", nil)
		}
	})
	server := core.NewServer(a.OriginalID, a.AppID, a.Token, a.EncodingAESKey, mux, core.ErrorHandlerFunc(func(http.ResponseWriter, *http.Request, error) {}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.ServeHTTP(w, r, nil) }), nil
}

func powerWeChat(a Account) (http.Handler, error) {
	app, err := officialAccount.NewOfficialAccount(&officialAccount.UserConfig{
		AppID: a.AppID, Secret: "secret", Token: a.Token, AESKey: a.EncodingAESKey,
		Log: officialAccount.Log{Level: "error", File: "/dev/null", Error: "/dev/null"},
	})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer *http.Response
		var err error
		if r.Method == http.MethodGet {
			answer, err = app.Server.VerifyURL(r)
		} else {
			answer, err = app.Server.Notify(r, func(event contract.EventInterface) any {
				if event.GetMsgType() != "text" {
					return kernel.SUCCESS_EMPTY_RESPONSE
				}
				var m models.MessageText
				if err := event.ReadMessage(&m); err != nil {
					return kernel.SUCCESS_EMPTY_RESPONSE
				}
				return messages.NewText(m.Content)
			})
		}
		if err == nil {
			err = helper.HttpResponseSend(answer, w)
		}
		if err != nil { // its example panics, of which its framework makes a 500
			w.WriteHeader(http.StatusInternalServerError)
		}
	}), nil
}

func fastwego(a Account) (http.Handler, error) {
	app := offiaccount.New(offiaccount.Config{Appid: a.AppID, Token: a.Token, EncodingAESKey: a.EncodingAESKey})
	app.Logger = nil // or every message and every reply is printed
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			app.Server.EchoStr(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		// Its example prints an error and goes on. That checks no signature: nothing in the library does, but for EchoStr.
		m, _ := app.Server.ParseXML(body)
		var reply any
		if m, ok := m.(type_message.MessageText); ok {
			reply = type_message.ReplyMessageText{
				ReplyMessage: type_message.ReplyMessage{
					ToUserName:   type_message.CDATA(m.FromUserName),
					FromUserName: type_message.CDATA(m.ToUserName),
					CreateTime:   strconv.FormatInt(time.Now().Unix(), 10),
					MsgType:      type_message.ReplyMsgTypeText,
				},
				Content: type_message.CDATA(m.Content),
			}
		}
		_ = app.Server.Response(w, r, reply)
	}), nil
}
