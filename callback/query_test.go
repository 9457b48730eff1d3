package callback

import (
	"net/url"
	"testing"
)

// FuzzQuery holds parseQuery to net/url, which is slow and well known.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "signature=a&timestamp=1&nonce=2&echostr=x", "signature=a&signature=a", "nonce[]=1", "%6eonce=1", "%6eonce=1&nonce=1", "a;b", "a=%zz", "a=%", "nonce=%2", "=x", "&&&", "nonce",
		"nonce&nonce", "nonce=a+b%20c", "+nonce=1", "msg_signature=%00", "encrypt_type=aes&openid=o", "nonce=a=b=c", "x=1&x=2", "%3Bnonce=1", "nonce=%3b", "NONCE=1", "signature=ä", "nonce=%C3%28",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 8<<10 {
			t.Skip("net/http has a limit, and net/url one of its own for the number of parameters")
		}
		q, ok := parseQuery(raw)
		values, err := url.ParseQuery(raw)
		want := err == nil
		var expect query
		for _, name := range []string{"signature", "timestamp", "nonce", "echostr", "encrypt_type", "msg_signature", "openid"} {
			if len(values[name]) > 1 {
				want = false
			}
			*expect.field(name) = values.Get(name)
		}
		if ok != want {
			t.Fatalf("%q: ok %v, want %v (%v)", raw, ok, want, err)
		}
		if ok && q != expect {
			t.Fatalf("%q: %+v, want %+v", raw, q, expect)
		}
	})
}
