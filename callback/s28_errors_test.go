package callback

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Threat S28: an error of net/http quotes the URL, and WeChat's API wants the access token in it. What handlers
// make of such an error is still an error with a token in it.
func TestS28ErrorText(t *testing.T) {
	t.Parallel()
	const secret = "https://api.weixin.qq.com/cgi-bin/x?access_token=CANARY&a=\"b\""
	lost := &url.Error{Op: "Post", URL: secret, Err: errors.New("connection refused")}
	other := &url.Error{Op: "Get", URL: "https://api.weixin.qq.com/cgi-bin/token?appid=wx1&secret=CANARY", Err: errors.New("timeout")}
	for name, err := range map[string]error{
		"as it is":         lost,
		"wrapped":          fmt.Errorf("ask the model: %w", &url.Error{Op: "Get", URL: secret, Err: errors.New("timeout")}),
		"formatted":        fmt.Errorf("send: %v", lost),
		"a text":           errors.New(lost.Error()),
		"joined":           errors.Join(lost, other),
		"two wrapped":      fmt.Errorf("%w, and before %w", other, lost),
		"nested":           &url.Error{Op: "Get", URL: "https://example.com/", Err: lost},
		"secret":           other,
		"escaped":          errors.New("GET /x?access%5Ftoken=1&ACCESS_TOKEN=CANARY"),
		"first in a query": errors.New("?secret=CANARY"),
		"JSON":             errors.New(`unexpected answer {"access_token":"CANARY","expires_in":7200}`),
		"quoted JSON":      fmt.Errorf("body %q", `{"appid": "wx1", "secret": "CANARY"}`),
		"named":            errors.New("access_token: CANARY"),
	} {
		if text := withoutSecrets(err); strings.Contains(text, "CANARY") {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, err := range []error{lost, fmt.Errorf("ask the model: %w", lost)} {
		if text := withoutSecrets(err); !strings.Contains(text, "(URL)") || !strings.HasSuffix(text, "connection refused") {
			t.Errorf("nothing is left to find the mistake by: %q", text)
		}
	}
	if text := withoutSecrets(errors.New("plain")); text != "plain" {
		t.Errorf("%q", text)
	}
}
