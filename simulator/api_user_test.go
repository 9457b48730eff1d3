package simulator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFollowers(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	want := []string{a.user.OpenID()}
	for range 6 {
		want = append(want, a.o.AddFollower("").OpenID())
		a.o.AddUser("") // does not follow
	}
	a.p.api.pageSize = 3
	var got []string
	for next, pages := "", 0; ; pages++ {
		if pages > 4 {
			t.Fatal("user/get does not end")
		}
		page := a.call("/cgi-bin/user/get?next_openid="+next, "")
		var v struct {
			Total, Count int
			Data         *struct{ OpenID []string }
			Next         string `json:"next_openid"`
		}
		if err := json.Unmarshal(page.Body.Bytes(), &v); err != nil || v.Total != 7 || (v.Data == nil) != (v.Count == 0) {
			t.Fatalf("%s, %v", page.Body, err)
		}
		if next = v.Next; next == "" {
			break
		}
		got = append(got, v.Data.OpenID...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// Whoever has stopped following still says where the list goes on.
	if _, err := a.o.User(want[2]).Unfollow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var v struct {
		Total int
		Data  struct{ OpenID []string }
	}
	page := a.call("/cgi-bin/user/get?next_openid="+want[2], "")
	if err := json.Unmarshal(page.Body.Bytes(), &v); err != nil || v.Total != 6 {
		t.Errorf("%s, %v", page.Body, err)
	}
	if diff := cmp.Diff(want[3:6], v.Data.OpenID); diff != "" {
		t.Error(diff)
	}
}

// TestSceneOfFollower: who came by a scene_str in digits did not come by the scene_id.
func TestSceneOfFollower(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	u := a.o.AddUser("")
	if _, err := u.FollowByScene(t.Context(), "123"); err != nil {
		t.Fatal(err)
	}
	number := a.call("/cgi-bin/qrcode/create", `{"action_name":"QR_LIMIT_SCENE","action_info":{"scene":{"scene_id":123}}}`).str("ticket")
	if got := a.call("/cgi-bin/user/info?openid="+u.OpenID(), "").Body.String(); !strings.Contains(got, `"qr_scene":0,"qr_scene_str":"123"`) || u.Profile().QRNumber {
		t.Error(got)
	}
	u = a.o.AddUser("")
	if _, err := u.FollowByScene(t.Context(), number); err != nil {
		t.Fatal(err)
	}
	if got := a.call("/cgi-bin/user/info?openid="+u.OpenID(), "").Body.String(); !strings.Contains(got, `"qr_scene":123,"qr_scene_str":""`) || !u.Profile().QRNumber {
		t.Error(got)
	}
}
