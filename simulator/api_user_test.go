package simulator

import (
	"encoding/json"
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
}
