package callback_test

import (
	"strings"
	"testing"

	"github.com/echostr/echostr/callback"
)

// Threat S6: a token that can be guessed from one captured URL is refused, and so is one that everybody tries;
// `echostr account new` makes 32 random characters.
func TestS6WeakToken(t *testing.T) {
	t.Parallel()
	weak := []string{
		"", "a", "zK4mQx8V", "zK4mQx8Vb6Nw0Rt", "12345678", "weixin", "WeiXin", "wechat", "token", "123456", "1234567890123456",
		"0123456789abcdef", "0123456789ABCDEF", "abcdefghijklmnop", "helloworld",
	}
	t.Logf("hostile inputs: %d", len(weak))
	for _, token := range weak {
		a := account(callback.Safe, new(counted))
		a.Token = token
		s, err := callback.New(callback.Config{Accounts: []callback.Account{a}, Logger: quiet})
		if err == nil {
			t.Errorf("%q is accepted", token)
			s.Shutdown(t.Context())
			continue
		}
		if len(token) > 5 && strings.Contains(err.Error(), token) {
			t.Errorf("the error quotes the token: %v", err)
		}
		if !strings.Contains(err.Error(), "echostr account new") {
			t.Errorf("%q: the error does not say what to do: %v", token, err)
		}
	}
	for _, good := range []string{"zK4mQx8Vb6Nw0Rt5", testToken} {
		a := account(callback.Safe, new(counted))
		a.Token = good
		one(t, a)
	}
	a := account(callback.Safe, new(counted))
	a.Token, a.AllowWeakToken = "zK4mQx8V", true // by a word of the operator, and in no other way
	one(t, a)
}
