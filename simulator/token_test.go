package simulator

import (
	"fmt"
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	stable := func(force bool) (string, int) {
		got := a.call("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":"wx0000000000000001","secret":"appsecret","force_refresh":%v}`, force)).object()
		return got["access_token"].(string), int(got["expires_in"].(float64))
	}
	plain := func() string {
		return a.get(tokenCall).str("access_token")
	}
	check := func(what, token string, want int) {
		t.Helper()
		a.want(what, a.get("/cgi-bin/getcallbackip?access_token="+token).code(), want)
	}
	begin := a.now
	first := a.token
	s1, life := stable(false)
	if life != 7200 || len(s1) < 100 {
		t.Errorf("a token of %d characters for %d s", len(s1), life)
	}
	second := plain()
	if first == second {
		t.Error("getAccessToken gives the same token twice")
	}
	check("the one before, in its grace", first, 0)
	a.now = begin.Add(tokenGrace)
	check("the one before", first, 40001)
	check("the latest", second, 0)
	check("the stable one beside it", s1, 0)
	if again, life := stable(false); again != s1 || life != 6900 {
		t.Errorf("the stable token changes, or has %d s left", life)
	}

	a.now = begin.Add(tokenLife - tokenGrace)
	if again, life := stable(false); again != s1 || life != 300 {
		t.Errorf("five minutes before its end the stable token is new: %v, and has %d s left", again != s1, life)
	}
	a.now = begin.Add(tokenLife - tokenGrace + time.Second)
	s2, life := stable(false)
	if s2 == s1 || life != 7200 {
		t.Errorf("the stable token is not renewed, and has %d s left", life)
	}
	check("the old stable one", s1, 0)
	a.now = begin.Add(tokenLife)
	check("the old stable one after its end", s1, 42001)
	check("the plain one after its end", second, 42001)

	// force_refresh
	s3, _ := stable(true)
	if s3 == s2 {
		t.Error("force_refresh gives the same token")
	}
	check("the token before force_refresh", s2, 40001)
	a.now = a.now.Add(forceEvery - time.Second)
	if again, _ := stable(true); again != s3 {
		t.Error("force_refresh works again after 29 s")
	}
	for i := 1; i < forcesPerDay; i++ {
		a.now = a.now.Add(forceEvery)
		s4, _ := stable(true)
		if s4 == s3 {
			t.Fatalf("force_refresh number %d of the day is ignored", i+1)
		}
		s3 = s4
	}
	a.now = a.now.Add(forceEvery)
	if again, _ := stable(true); again != s3 {
		t.Error("force_refresh works 21 times a day")
	}
	a.now = a.now.Add(24 * time.Hour)
	if again, _ := stable(true); again == s3 {
		t.Error("there is no token the next day")
	}

	// By the hand of a test.
	a.token = plain()
	s5, _ := stable(false)
	a.o.ExpireTokens()
	check("an expired token", a.token, 42001)
	check("an expired stable token", s5, 42001)
	a.token = plain()
	a.o.RevokeTokens()
	check("a revoked token", a.token, 40001)

	// The token of another account is that account's.
	other, err := a.p.Add(OfficialConfig{Account: Account{URL: "http://server.test/2", Token: "tokentokentoken", Mode: Plain}, AppSecret: "other"})
	if err != nil {
		t.Fatal(err)
	}
	a.token = a.get("/cgi-bin/token?grant_type=client_credential&appid=" + other.AppID() + "&secret=other").str("access_token")
	a.want("the other account is not verified", a.send(`"msgtype":"text","text":{"content":"x"}`), 48001)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	a.want("user/get", a.call("/cgi-bin/user/get", "").code(), 0)
	a.o.api.quotas["/cgi-bin/user/get"].count = 499
	a.want("the 500th", a.call("/cgi-bin/user/get", "").code(), 0)
	a.want("the 501st", a.call("/cgi-bin/user/get", "").code(), 45009)
	a.want("another call", a.call("/cgi-bin/get_current_selfmenu_info", "").code(), 0)
	for range clearsPerMonth {
		a.want("clear_quota", a.call("/cgi-bin/clear_quota", `{"appid":"wx0000000000000001"}`).code(), 0)
	}
	a.want("clear_quota once more", a.call("/cgi-bin/clear_quota", `{"appid":"wx0000000000000001"}`).code(), 48006)
	a.want("after clear_quota", a.call("/cgi-bin/user/get", "").code(), 0)
	a.o.api.quotas["/cgi-bin/token"] = &dayCount{day: a.now.Format(time.DateOnly), count: 1999}
	a.want("the 2000th token", a.get(tokenCall).code(), 0)
	a.want("too many tokens", a.get(tokenCall).code(), 45009)
	a.now = a.now.Add(12 * time.Hour) // midnight in China
	a.want("the next day", a.get(tokenCall).code(), 0)
}
