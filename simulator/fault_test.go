package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	set := func(texts ...string) {
		t.Helper()
		var faults []Fault
		for _, text := range texts {
			f, err := ParseFault(text)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseFault(f.String()); err != nil || again != f {
				t.Errorf("%q is written as %q", text, f)
			}
			faults = append(faults, f)
		}
		if err := a.p.SetFaults(faults...); err != nil {
			t.Fatal(err)
		}
	}
	text := `"msgtype":"text","text":{"content":"x"}`
	a.says("窗口")
	set("custom/send=45015*2", "custom/send=-1*1", "token=40001")
	for i, want := range []int{45015, 45015, -1, 0} {
		a.want(fmt.Sprint("call ", i), a.send(text), want)
	}
	a.want("the token call", a.get("/cgi-bin/token").code(), 40001)
	a.want("stable_token is another", a.do("POST", "/cgi-bin/stable_token", "", "{").code(), 47001)
	if got := a.p.Faults(); len(got) != 1 || got[0].String() != "token=40001" {
		t.Errorf("left are %v", got)
	}
	for _, code := range []int{-1, 40001, 42001, 45009, 45015, 45047, 48001} {
		set(fmt.Sprintf("*=%d*1", code))
		got := a.call("/cgi-bin/getcallbackip", "")
		if got.code() != code || !strings.HasPrefix(got.str("errmsg"), errcodes[code]+" rid: ") {
			t.Errorf("fault %d: %s", code, got.Body)
		}
	}
	set("custom=html*1")
	if got := a.call("/cgi-bin/message/custom/send", "{}"); got.Code != 502 || !strings.HasPrefix(got.Body.String(), "<html>") {
		t.Errorf("html: %d %s", got.Code, got.Body)
	}

	// The effect happens and the answer is lost.
	set("custom/send=lose*1")
	client := &http.Client{Transport: Direct(a.api)}
	before := len(a.user.Chat())
	body := `{"touser":"` + a.user.OpenID() + `",` + text + `}`
	if resp, err := client.Post("https://api.weixin.qq.com"+a.withToken("/cgi-bin/message/custom/send"), "", strings.NewReader(body)); err == nil {
		t.Errorf("the answer came with status %d", resp.StatusCode)
	}
	if got := len(a.user.Chat()); got != before+1 {
		t.Errorf("the message is there %d times", got-before)
	}
	calls := a.p.APICalls()
	if last := calls[len(calls)-1]; last.Status != 0 || last.Fault != "custom/send=lose*1" || last.AppID != a.o.AppID() {
		t.Errorf("the call is kept as %+v", last)
	}

	for _, bad := range []string{"", "x", "x=", "=1", "x=0", "x=abc", "x=1*0", "x=1*a", "x=-3s", "x=1+y"} {
		if f, err := ParseFault(bad); err == nil {
			t.Errorf("%q is the fault %v", bad, f)
		}
	}
	if err := a.p.SetFaults(Fault{Path: "x"}); err == nil {
		t.Error("a fault that does nothing is taken")
	}
	var faults []Fault
	if err := json.Unmarshal([]byte(`["custom/send=2s+lose*1"]`), &faults); err != nil || faults[0] != (Fault{Path: "custom/send", Latency: 2 * time.Second, LoseResponse: true, Times: 1}) {
		t.Errorf("JSON: %+v, %v", faults, err)
	}
}

func TestFaultLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t, Service, true)
		if err := a.p.SetFaults(Fault{Path: "*", Latency: 7 * time.Second}); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: Direct(a.api)}
		begin := time.Now()
		if _, err := client.Get("http://localhost" + a.withToken("/cgi-bin/getcallbackip")); err != nil || time.Since(begin) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		client.Timeout = 3 * time.Second
		begin = time.Now()
		if _, err := client.Get("http://localhost" + a.withToken("/cgi-bin/getcallbackip")); err == nil || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
