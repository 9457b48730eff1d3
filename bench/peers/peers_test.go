package peers

import (
	"testing"

	"github.com/echostr/echostr/simulator"
)

// TestEcho shows that each bot is put together as it should be: what is found missing in a
// library is then the library's.
func TestEcho(t *testing.T) {
	a := Account{AppID: "wxb11529c136998cb6", Token: "zPeersTokenOfThirtyTwoCharacters", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", OriginalID: "gh_ec4057000001"}
	for _, peer := range All {
		for _, mode := range []simulator.Mode{simulator.Plain, simulator.Compatible, simulator.Safe} {
			t.Run(peer.Name+" "+string(mode), func(t *testing.T) {
				h, err := peer.Handler(a)
				if err != nil {
					t.Fatal(err)
				}
				w, err := simulator.New(simulator.Config{
					Account:   simulator.Account{URL: "http://example.test/", Token: a.Token, Mode: mode, AppID: a.AppID, EncodingAESKey: a.EncodingAESKey, OriginalID: a.OriginalID},
					Transport: simulator.Direct(h),
				})
				if err != nil {
					t.Fatal(err)
				}
				if c, err := w.Verify(t.Context()); err != nil || !c.OK() {
					t.Errorf("%v %v", c, err)
				}
				r, err := w.Send(t.Context(), simulator.Text("你好"))
				if err != nil {
					t.Fatal(err)
				}
				// PowerWeChat writes CreateTime as a date in quotation marks; the protocol has a number.
				if v := r.Verdict; v.Problem != peer.problem || peer.problem == "" && v.Reply.Content != "你好" {
					t.Errorf("%v\n%s", r, r.Pushes[0].Body)
				}
			})
		}
	}
}
