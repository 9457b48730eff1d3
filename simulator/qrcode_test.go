package simulator

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestQRCode(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	create := func(body string) answered { return a.call("/cgi-bin/qrcode/create", body) }
	temporary := create(`{"expire_seconds":60,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":123}}}`).str("ticket")
	permanent := create(`{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"店 1"}}}`).str("ticket")
	if again := create(`{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"店 1"}}}`).str("ticket"); again != permanent {
		t.Error("the same permanent scene is another code")
	}
	if got := create(`{"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":"4294967295"}}}`).object()["expire_seconds"]; got != 30.0 {
		t.Errorf("by default a code lives for %v s", got)
	}
	for _, ticket := range []string{temporary, permanent} {
		got := a.get("/cgi-bin/showqrcode?ticket=" + url.QueryEscape(ticket))
		if got.Code != 200 || got.Header().Get("Content-Type") != "image/png" || sniff(got.Body.Bytes()) != "png" {
			t.Errorf("showqrcode: %d %v", got.Code, got.Header())
		}
	}
	if got := a.get("/cgi-bin/showqrcode?ticket=x"); got.Code != 404 {
		t.Errorf("a bad ticket: %d", got.Code)
	}

	// What user/info says about who came by a code.
	for ticket, want := range map[string]string{temporary: `"qr_scene":123,"qr_scene_str":""`, permanent: `"qr_scene":0,"qr_scene_str":"店 1"`} {
		u := a.o.AddUser("")
		if _, err := u.FollowByScene(t.Context(), ticket); err != nil {
			t.Fatal(err)
		}
		if got := a.call("/cgi-bin/user/info?openid="+u.OpenID(), "").Body.String(); !strings.Contains(got, want) || !strings.Contains(got, `"ADD_SCENE_QR_CODE"`) {
			t.Errorf("user/info: %s, want %s", got, want)
		}
	}
	a.now = a.now.Add(time.Minute)
	if got := a.get("/cgi-bin/showqrcode?ticket=" + url.QueryEscape(temporary)); got.Code != 404 {
		t.Errorf("an expired ticket: %d", got.Code)
	}

	a.p.api.maxQRCodes = 2
	numbers := func(kind string, id int) int {
		return create(fmt.Sprintf(`{"expire_seconds":60,"action_name":"%s","action_info":{"scene":{"scene_id":%d}}}`, kind, id)).code()
	}
	a.want("the second permanent code", numbers("QR_LIMIT_SCENE", 2), 0)
	a.want("the third permanent code", numbers("QR_LIMIT_SCENE", 3), 45029)
	a.want("a temporary code in place of those that have ended", numbers("QR_SCENE", 4), 0)
	a.want("the second temporary code", numbers("QR_SCENE", 5), 0)
	a.want("the third temporary code", numbers("QR_SCENE", 6), 45029)
}

// TestQRCodeOfScan: a code that is made when somebody scans it is a permanent one like others.
func TestQRCodeOfScan(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	if _, err := a.user.Scan(t.Context(), "柜台"); err != nil {
		t.Fatal(err)
	}
	made := a.o.QRCodes()[0].Ticket
	create := func(name, scene string) answered {
		return a.call("/cgi-bin/qrcode/create", fmt.Sprintf(`{"expire_seconds":60,"action_name":"%s","action_info":{"scene":{"scene_str":"%s"}}}`, name, scene))
	}
	if got := create("QR_LIMIT_STR_SCENE", "柜台").str("ticket"); got != made || len(a.o.QRCodes()) != 1 {
		t.Errorf("qrcode/create makes a second code for the scene")
	}
	if got := a.o.AddQRCode("柜台"); got.Ticket != made {
		t.Errorf("AddQRCode makes a second code for the scene")
	}
	a.p.api.maxQRCodes = 1
	a.want("a temporary code beside a permanent one", create("QR_STR_SCENE", "x").code(), 0)
	a.want("a second permanent code", create("QR_LIMIT_STR_SCENE", "y").code(), 45029)
	if got := a.o.AddQRCode("y"); got.Ticket == "" || len(a.o.QRCodes()) != 3 {
		t.Errorf("AddQRCode asks for limits: %+v", got)
	}
}
