// Package limits holds rules about an account's settings that are checked both where
// they are read and where they are used.
package limits

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// minToken is the shortest token that is not weak.
const minToken = 16

// knownTokens are those of tutorials and samples, in lower case. Everybody can
// sign with them.
var knownTokens = []string{
	"weixin", "wechat", "weixintoken", "wechattoken", "mytoken", "token", "test", "testtoken",
	"123456", "12345678", "1234567890", "1234567890123456", "0123456789abcdef", "abcdefghijklmnop",
	"token1234567890", "pamtest", "echostr", "password", "yourtoken", "helloworld",
}

// TokenForm reports whether WeChat's console takes a token of this form.
func TokenForm(token string) bool { return tokenForm.MatchString(token) }

var tokenForm = regexp.MustCompile(`^[0-9A-Za-z]{3,32}$`)

// WeakToken says why a token is too weak to keep forgers out, and "" if it is
// not. The words continue a sentence that begins with "the token". R-SIG-TOKEN
func WeakToken(token string) string {
	switch {
	case slices.Contains(knownTokens, strings.ToLower(token)):
		return "is one that everybody tries first"
	case len(token) < minToken:
		return fmt.Sprintf("has fewer than %d characters, so it can be guessed from a single captured URL", minToken)
	}
	return ""
}
