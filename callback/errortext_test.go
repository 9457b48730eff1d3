package callback

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// S28 begins here: an error of net/http quotes the URL, and WeChat's API wants
// the access token in it.
func TestErrorTextHasNoURL(t *testing.T) {
	t.Parallel()
	const secret = "https://api.weixin.qq.com/cgi-bin/x?access_token=CANARY&a=\"b\""
	for _, err := range []error{
		&url.Error{Op: "Post", URL: secret, Err: errors.New("connection refused")},
		fmt.Errorf("ask the model: %w", &url.Error{Op: "Get", URL: secret, Err: errors.New("timeout")}),
	} {
		text := withoutURL(err)
		if strings.Contains(text, "CANARY") || !strings.Contains(text, "(URL)") {
			t.Errorf("%q", text)
		}
	}
	if text := withoutURL(errors.New("plain")); text != "plain" {
		t.Errorf("%q", text)
	}
}
