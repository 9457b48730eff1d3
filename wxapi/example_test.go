package wxapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/wxapi"
)

// refusing is a WeChat that takes no more messages for a user.
type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := `{"access_token":"TOKEN","expires_in":7200}`
	if strings.HasSuffix(r.URL.Path, "/custom/send") {
		answer = `{"errcode":45047,"errmsg":"out of response count limit rid: 65f1a2b3-0123abcd-89abcdef"}`
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func ExampleClient_Send() {
	api, err := wxapi.New(wxapi.Config{
		AppID:     "wx0123456789abcdef",
		AppSecret: wxapi.NewSecret("…"),
		Transport: refusing{}, // leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = api.Send(context.Background(), "oUser", echostr.Text("做好了"), nil)
	if e, ok := errors.AsType[*wxapi.Error](err); ok && e.UserMustAct() {
		fmt.Println("kept for later:", e)
	}
	// Output:
	// kept for later: wxapi: /cgi-bin/message/custom/send was refused with 45047, as many messages were sent as the user's last action allows (客服接口下行条数超过上限); keep the answer until the user writes again [out of response count limit; rid 65f1a2b3-0123abcd-89abcdef]
}
