package chaos

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAPI has the API do all that it can do wrong.
func TestAPI(t *testing.T) {
	t.Parallel()
	const user, text = "oUser1", "answer text/a 1 2 3"
	tests := []struct {
		name       string
		token      string // defaults to that of the first account
		faults     *faults
		want       string // what the answer begins with; empty: there is none
		sent, lost bool
	}{
		{"well", "", nil, `{"errcode":0,`, true, false},
		{"slow", "", &faults{slow: 1}, `{"errcode":0,`, true, false},
		{"a token of nobody", "nonsense", nil, `{"errcode":40001,`, false, false},
		{"busy", "", &faults{busy: 1}, `{"errcode":-1,`, false, false},
		{"down", "", &faults{outage: 1}, `{"errcode":-1,`, false, false},
		{"the user has to write first", "", &faults{refuse: 1}, `{"errcode":45015,`, false, false},
		{"the answer is lost", "", &faults{lost: 1}, "", true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			path := filepath.Join(t.TempDir(), "api.jsonl")
			a, err := newAPI(path, 1, &s)
			if err != nil {
				t.Fatal(err)
			}
			a.sick.Store(test.faults)
			token := test.token
			if token == "" {
				token = post(t, a.base+"/cgi-bin/stable_token", `{"appid":"`+accounts[0].appID+`","secret":"`+appSecret+`"}`)
				token = strings.TrimSuffix(strings.TrimPrefix(token, `{"access_token":"`), `","expires_in":7200}`)
			}
			got := post(t, a.base+"/cgi-bin/message/custom/send?access_token="+token, `{"touser":"`+user+`","msgtype":"text","text":{"content":"`+text+`"}}`)
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("answered %q, want %q", got, test.want)
			}
			calls := a.ledger()
			if len(calls) != 1 {
				t.Fatalf("there are %d calls", len(calls))
			}
			if c := calls[0]; c.User != user || c.Text != text || c.Sent != test.sent || c.Lost != test.lost || c.Answered.IsZero() != test.lost || (c.Account == accounts[0].name) != (test.token == "") {
				t.Errorf("the call is %+v", c)
			}
			if s.has("text/a") != test.sent {
				t.Errorf("the user has read it: %v", !test.sent)
			}
			if err := a.close(); err != nil {
				t.Error(err)
			}
			if b, err := os.ReadFile(path); err != nil || bytes.Count(b, []byte("\n")) != 1 || !bytes.Contains(b, []byte(text)) {
				t.Errorf("the file has %q, %v", b, err)
			}
		})
	}
	if got := post(t, mustAPI(t).base+"/cgi-bin/stable_token", `{"appid":"x","secret":"wrong"}`); !strings.Contains(got, "40125") {
		t.Errorf("a wrong secret is answered with %q", got)
	}
}

func mustAPI(t *testing.T) *api {
	t.Helper()
	a, err := newAPI(filepath.Join(t.TempDir(), "api.jsonl"), 1, new(seen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.close() })
	return a
}

// post returns the body of the answer, and nothing if there was none.
func post(t *testing.T, url, body string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Error(err)
	}
	return b.String()
}

// TestSeen has users remember what they have read.
func TestSeen(t *testing.T) {
	t.Parallel()
	var s seen
	s.reads("u", "")
	s.reads("u", `wait for <a href="weixin://bizmsgmenu?msgmenucontent=get AB&msgmenuid=12">it</a>`)
	s.reads("u", "you asked “echo/1.1”:\nanswer text/1.1 1 2 3\n\n----\n\nanswer text/1.2 1 2 3")
	for id, want := range map[string]bool{"text/1.1": true, "text/1.2": true, "text/1.3": false} {
		if s.has(id) != want {
			t.Errorf("%s: %v", id, !want)
		}
	}
	if l := s.links("u"); len(l) != 1 || l[0] != (link{"get AB", "12"}) {
		t.Errorf("the links are %v", l)
	}
	if l := s.links("v"); l != nil {
		t.Errorf("another user has %v", l)
	}
}

// TestHandlersNext aims at late handlers of the present process only.
func TestHandlersNext(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(s float64) time.Time { return now.Add(time.Duration(s * float64(time.Second))) }
	var h handlers
	h.list = []span{
		{at(-9), at(-1)},   // over
		{at(-9), at(1)},    // of the process before
		{at(-3), at(1.2)},  // in time for a push
		{at(-4), at(1.4)},  // one
		{at(-4), at(1.5)},  // and the last one
		{at(-4), at(20.5)}, // too late
	}
	if end := h.next(at(-5), at(2)); !end.Equal(at(1.5)) {
		t.Errorf("it ends in %v", end.Sub(now))
	}
	if end := h.next(at(-1), at(2)); !end.IsZero() {
		t.Errorf("one of the process before ends in %v", end.Sub(now))
	}
	if h.begin(time.Second); len(h.list) != 6 {
		t.Errorf("%d are known, and one of them is over", len(h.list))
	}
}

// TestOpen counts what will still take a way by itself.
func TestOpen(t *testing.T) {
	t.Parallel()
	due := noon
	for name, test := range map[string]struct {
		rows []Row
		want int
	}{
		"nothing":                         {nil, 0},
		"running":                         {[]Row{{State: "running"}}, 1},
		"answered, and no way has it":     {[]Row{{State: "answered", Delivery: "none"}}, 1},
		"failed, without a fallback text": {[]Row{{State: "failed", Delivery: "none"}}, 0},
		"offered":                         {[]Row{{State: "answered", Delivery: "offered"}}, 1},
		"to be sent":                      {[]Row{{State: "answered", Delivery: "late", Due: due}}, 1},
		"failed after success was said":   {[]Row{{State: "failed", Delivery: "late"}}, 0},
		"being sent":                      {[]Row{{State: "answered", Delivery: "sending", Due: due}}, 1},
		"sent":                            {[]Row{{State: "answered", Delivery: "sent"}}, 0},
		"a ticket":                        {[]Row{{State: "answered", Delivery: "ticket", Due: due}}, 0},
		"fetched":                         {[]Row{{State: "answered", Delivery: "fetched", Due: due, TakenBy: "b"}, {Key: "b", State: "answered", Delivery: "written"}}, 0},
		"fetched by one that has failed":  {[]Row{{State: "answered", Delivery: "fetched", Due: due, TakenBy: "b"}, {Key: "b", State: "failed"}}, 1},
	} {
		if got := open(test.rows); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// TestAPIDown has the API be down in each way, and well again.
func TestAPIDown(t *testing.T) {
	t.Parallel()
	for _, way := range []string{outRefused, outGateway, outHang} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			a, err := newAPI(filepath.Join(t.TempDir(), "api.jsonl"), 1, new(seen))
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			ask := func(d time.Duration) (int, error) {
				client := http.Client{Timeout: d, Transport: &http.Transport{DisableKeepAlives: true}}
				resp, err := client.Post(a.base+"/cgi-bin/stable_token", "application/json", strings.NewReader("{}"))
				if err != nil {
					return 0, err
				}
				resp.Body.Close()
				return resp.StatusCode, nil
			}
			if err := a.fail(way); err != nil {
				t.Fatal(err)
			}
			status, err := ask(300 * time.Millisecond)
			if want := map[string]int{outGateway: http.StatusBadGateway}[way]; status != want || (err == nil) != (want != 0) {
				t.Errorf("down: status %d, %v", status, err)
			}
			if err := a.recover(); err != nil {
				t.Fatal(err)
			}
			if status, err := ask(10 * time.Second); status != http.StatusOK {
				t.Errorf("well again: status %d, %v", status, err)
			}
		})
	}
}
