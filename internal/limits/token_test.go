package limits

import "testing"

func TestWeakToken(t *testing.T) {
	t.Parallel()
	for token, weak := range map[string]bool{
		"weixin": true, "WeiXin": true, "1234567890123456": true, "zShort123456789": true, "": true,
		"zLongEnoughToken": false, "zJ4Yk2mQx8Vb6Nw0Rt5Lp3Hs7Dc9Fg1K": false,
	} {
		if why := WeakToken(token); (why != "") != weak {
			t.Errorf("WeakToken(%q) = %q", token, why)
		}
	}
}
