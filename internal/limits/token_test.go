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

func TestTokenForm(t *testing.T) {
	t.Parallel()
	for token, good := range map[string]bool{
		"": false, "ab": false, "abc": true, "zJ4Yk2mQx8Vb6Nw0Rt5Lp3Hs7Dc9Fg1K": true, "zJ4Yk2mQx8Vb6Nw0Rt5Lp3Hs7Dc9Fg1Kx": false,
		"a b": false, "ab_c": false, "令牌令牌": false, "abc\n": false,
	} {
		if TokenForm(token) != good {
			t.Errorf("TokenForm(%q) = %v", token, !good)
		}
	}
}
