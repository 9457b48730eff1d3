package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// record plays something to a server and returns the file.
func record(t *testing.T, acc Account, h http.HandlerFunc) (*Recording, []byte) {
	t.Helper()
	acc.URL = "http://user:urlPassword9@wx.example/wx/dev?tenant=urlSecret9"
	p := NewPlatform(PlatformConfig{Transport: Direct(h)})
	o, err := p.Add(OfficialConfig{Account: acc, AppSecret: "canaryAppSecret9"})
	if err != nil {
		t.Fatal(err)
	}
	u := o.AddFollower("小明")
	for _, do := range []func() error{
		func() error { return only(u.Say(t.Context(), "你好 ]]> &")) },
		func() error { return only(u.Scan(t.Context(), "门店")) },
		func() error { return only(u.Say(t.Context(), "安静")) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := p.Record().Write(&file); err != nil {
		t.Fatal(err)
	}
	recording, err := ReadRecording(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if one := p.Record(2); len(one.Exchanges) != 1 || one.Exchanges[0].Summary != "event SCAN: 门店" {
		t.Errorf("Record(2): %+v", one)
	}
	return recording, file.Bytes()
}

// answers is a server that answers everything but 安静, with words of its own.
func answers(t *testing.T, acc Account, words string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := receive(r)
		if strings.Contains(openPush(t, acc, p), "安静") {
			io.WriteString(w, "success")
			return
		}
		w.Header().Set("Set-Cookie", "session=canaryCookie9")
		io.WriteString(w, textReply(t, acc, p, words))
	}
}

func TestRecording(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			acc := account(mode)
			recording, file := record(t, acc, answers(t, acc, "好"))
			for _, secret := range []string{acc.Token, acc.EncodingAESKey, "canary", "urlPassword9", "urlSecret9"} {
				if bytes.Contains(file, []byte(secret)) {
					t.Errorf("the secret %q is in the file", secret)
				}
			}
			for _, want := range []string{`"summary": "text: 你好 ]]> &"`, `"query": "signature=`, "安静"} {
				if !bytes.Contains(file, []byte(want)) {
					t.Errorf("no %s in\n%s", want, file)
				}
			}
			if n := len(recording.Exchanges); n != 3 || recording.Exchanges[0].Pushes[0].Outcome != "answered" || recording.Exchanges[0].Sees != "reply" {
				t.Fatalf("%d exchanges: %+v", n, recording)
			}

			replay := func(c ReplayConfig, h http.HandlerFunc) []Replayed {
				t.Helper()
				c.Transport = Direct(h)
				called := 0
				c.Replayed = func(Replayed) { called++ }
				all, err := Replay(t.Context(), recording, c)
				if err != nil || len(all) != 3 || called != 3 {
					t.Fatalf("%d replayed, %d told, %v", len(all), called, err)
				}
				return all
			}
			same := func(what string, all []Replayed) {
				t.Helper()
				for _, r := range all {
					if len(r.Differences) > 0 || !strings.HasPrefix(r.String(), "same: ") {
						t.Errorf("%s: %v", what, r)
					}
				}
			}
			// As new messages, to another address with another token.
			moved := acc
			moved.URL, moved.Token = "https://other.example/x?y=z", "anotherToken12345"
			all := replay(ReplayConfig{Account: moved}, answers(t, moved, "好"))
			same("anew", all)
			if r := all[0].Report; r.Message.MsgID == 0 || strings.Contains(string(recording.Exchanges[0].Document), fmt.Sprint(r.Message.MsgID)) {
				t.Errorf("the message is not a new one: %s", r.Document)
			}
			// The same bytes, with the keys and without.
			var got []string
			exact := func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = append(got, r.URL.RawQuery+" "+string(body))
				r.Body = io.NopCloser(bytes.NewReader(body))
				answers(t, acc, "好")(w, r)
			}
			same("the same bytes", replay(ReplayConfig{Account: acc, Exact: true}, exact))
			same("the same bytes, blind", replay(ReplayConfig{Account: Account{URL: acc.URL}, Exact: true}, exact))
			for i, g := range got {
				if e := recording.Exchanges[i%3].Pushes[0]; g != e.Query+" "+string(e.Body) {
					t.Errorf("%d: other bytes: %s", i, g)
				}
			}
			// Another answer.
			want := []string{`Content was "好", and is now "不好"`}
			all = replay(ReplayConfig{Account: acc}, answers(t, acc, "不好"))
			if diff := cmp.Diff([][]string{want, want, nil}, [][]string{all[0].Differences, all[1].Differences, all[2].Differences}); diff != "" {
				t.Error(diff)
			}
			if s := all[0].String(); !strings.HasPrefix(s, "different: text: 你好") || !strings.Contains(s, want[0]) {
				t.Error(s)
			}
			all = replay(ReplayConfig{Account: acc}, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) })
			if d := all[2].Differences; len(d) == 0 || d[0] != "the status was 200, and is now 403" {
				t.Error(d)
			}
			all = replay(ReplayConfig{Account: acc}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			if d := all[2].Differences; len(d) != 1 || d[0] != "the last push was answered, and is now reset" {
				t.Error(d)
			}
		})
	}
}

// TestReplayStops ends the context between two messages.
func TestReplayStops(t *testing.T) {
	t.Parallel()
	recording, _ := record(t, plainAccount, answers(t, plainAccount, "好"))
	ctx, cancel := context.WithCancel(t.Context())
	all, err := Replay(ctx, recording, ReplayConfig{
		Account: plainAccount, Transport: Direct(answers(t, plainAccount, "好")),
		Replayed: func(Replayed) { cancel() },
	})
	if len(all) != 1 || err == nil {
		t.Errorf("%d replayed, %v", len(all), err)
	}
	if _, err := Replay(t.Context(), recording, ReplayConfig{}); err == nil {
		t.Error("there was no account")
	}
}

// TestRecordingOfAnything records what is no text, and messages that were never pushed.
func TestRecordingOfAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{Rules: Rules{MarkFail: 1, Pushes: 1}}, OfficialConfig{})
	w.answer = func(rw http.ResponseWriter, p push) { rw.WriteHeader(500); rw.Write([]byte("\xff\x00<")) }
	u := w.official.AddFollower("")
	raw, err := Raw([]byte("\xfe not XML"), RawOptions{Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{raw, Text("hi")} {
		if _, err := u.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	r := w.Record()
	var file bytes.Buffer
	if err := r.Write(&file); err != nil {
		t.Fatal(err)
	}
	back, err := ReadRecording(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
		t.Error(diff)
	}
	all, err := Replay(t.Context(), back, ReplayConfig{Account: plainAccount, Rules: Rules{Pushes: 1}, Transport: Direct(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		w.Write([]byte("\xff\x00>"))
	}))})
	if err != nil || len(all) != 1 || len(all[0].Differences) != 1 || !strings.Contains(all[0].Differences[0], "the answer was") {
		t.Errorf("%v %v", all, err)
	}
}

func TestBadRecordings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                               "is empty",
		" \n":                            "is empty",
		"hello":                          "is not a recording: invalid character",
		`{"version":1`:                   "is not a recording: unexpected end",
		"[]":                             "is not a recording",
		"{}":                             "no version",
		`{"version":1}`:                  "no exchanges",
		`{"version":2,"exchanges":[]}`:   "has version 2, and this program knows up to 1",
		`{"version":1,"exchanges":{}}`:   "is damaged",
		`{"version":1,"exchanges":[{}]}`: "exchange 1 has no document",
		`{"version":1,"exchanges":[{"document":{"base64":"!"}}]}`: "is damaged",
	} {
		_, err := ReadRecording(strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q in it", in, err, want)
		}
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add(`{"version":1,"exchanges":[{"document":"<xml></xml>","pushes":[{"body":{"base64":"AA=="}}]}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ReadRecording(strings.NewReader(in))
		if err != nil {
			return
		}
		var file bytes.Buffer
		if err := r.Write(&file); err != nil {
			return // a time that JSON cannot say
		}
		again, err := ReadRecording(&file)
		if err != nil {
			t.Fatalf("%v in %s", err, file.Bytes())
		}
		a, _ := json.Marshal(r)
		b, _ := json.Marshal(again)
		if !bytes.Equal(a, b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}
