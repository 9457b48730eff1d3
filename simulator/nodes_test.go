package simulator

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A server of several nodes is pushed to in turn, as through a load balancer: the same requests, and a retry never comes
// to the node that has failed.
func TestNodes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got, hosts []string
	var nodes []string
	for _, name := range []string{"a", "b", "c"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			got, hosts = append(got, name), append(hosts, r.Host)
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(r.URL.Query().Get("echostr")))
			} else if r.URL.Query().Get("own") != "1" || len(got)%2 == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			} else {
				_, _ = w.Write([]byte("success"))
			}
		}))
		defer s.Close()
		nodes = append(nodes, strings.TrimPrefix(s.URL, "http://"))
	}
	account := Account{URL: "http://wx.example/wx/demo?own=1", Nodes: nodes, Token: "t", Mode: Plain}
	w, err := New(Config{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	var reported []string
	for range 3 {
		report, err := w.Send(t.Context(), Text("你好"))
		if err != nil || len(report.Pushes) != 2 {
			t.Fatalf("%v, %v", report, err)
		}
		for _, p := range report.Pushes {
			reported = append(reported, string(rune('a'+slices.Index(nodes, p.Node))))
			if !strings.HasPrefix(p.Request.URL, account.URL+"&signature=") {
				t.Errorf("the request is to %s", p.Request.URL)
			}
		}
	}
	if want := "abbcca"; strings.Join(got, "") != want || strings.Join(reported, "") != want {
		t.Errorf("pushed to %v, reported %v, want %s", got, reported, want)
	}
	for _, host := range hosts {
		if host != "wx.example" {
			t.Errorf("the host is %s", host)
		}
	}
	got, reported = nil, nil
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	w.account.Nodes = []string{nodes[0], l.Addr().String()} // one is down
	for range 2 {
		report, err := w.Send(t.Context(), Text("你好"))
		if err != nil || !report.Verdict.OK() {
			t.Errorf("%v, %v", report, err)
		}
	}
	if want := "aaaa"; strings.Join(got, "") != want {
		t.Errorf("pushed to %v, want %s", got, want)
	}
	w.account.Nodes = []string{l.Addr().String(), l.Addr().String()}
	if report, err := w.Send(t.Context(), Text("你好")); err != nil || report.Verdict.Problem != "refused" {
		t.Errorf("%v, %v", report, err)
	}
	w.account.Nodes = nodes
	if check, err := w.Verify(t.Context()); err != nil || !check.OK() {
		t.Errorf("%v, %v", check, err)
	}
	for _, node := range []string{"127.0.0.1", "http://127.0.0.1:80/", "127.0.0.1:"} {
		account.Nodes = []string{node}
		if _, err := New(Config{Account: account}); err == nil || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("%q: %v", node, err)
		}
	}
}

// The nodes stay with their URL, and go with it.
func TestConfigureNodes(t *testing.T) {
	t.Parallel()
	o, err := NewPlatform(PlatformConfig{}).Add(OfficialConfig{Account: Account{URL: "http://a.example/", Nodes: []string{"a:1", "b:1"}, Token: "t", Mode: Plain}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		given Account
		want  string
	}{
		{Account{Token: "u"}, "a:1 b:1"},
		{Account{URL: "http://a.example/"}, "a:1 b:1"},
		{Account{URL: "http://a.example/", Nodes: []string{"c:1"}}, "c:1"},
		{Account{URL: "http://b.example/"}, ""},
	} {
		if err := o.Configure(OfficialConfig{Account: tt.given}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(o.Config().Account.Nodes, " "); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.given, got, tt.want)
		}
	}
}
