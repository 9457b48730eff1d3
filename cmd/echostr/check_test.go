package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator/conformance"
)

// checkIn runs echostr check with an environment, in this process.
func checkIn(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	term := &terminal{in: strings.NewReader(""), out: &out, err: &errs, env: env}
	code := term.report(run(t.Context(), append([]string{"check"}, args...), term))
	return result{code, out.String(), errs.String()}
}

func TestCheck(t *testing.T) {
	url := startDev(t)
	got := checkIn(t, nil, url, "--skip=hostile/slow-end,time", "--timeout=30s")
	if got.code != 0 || got.err != "" || !strings.Contains(got.out, "all is well: nothing failed") || strings.Contains(got.out, "\x1b") {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}
	if got.out != checkIn(t, nil, url, "--skip=hostile/slow-end,time", "--timeout=30s", "--lang=en", "--strict").out {
		t.Error("the second run printed something else")
	}

	// Without a URL it is the running dev.
	got = checkIn(t, []string{"LANG=C", "LC_ALL=zh_CN.UTF-8"}, "--only=messages,time", "-v", "--timeout=30s")
	if got.code != 0 || !strings.Contains(got.out, "没有失败的检查") || !strings.Contains(got.out, "shortvideo") || strings.Contains(got.out, "forged") {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}
	// LC_ALL comes before LANG.
	if got = checkIn(t, []string{"LANG=zh_CN.UTF-8", "LC_ALL=C"}, url, "--only=time", "--timeout=30s"); !strings.Contains(got.out, "nothing failed") {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}

	junit := write(t, "report.xml", strings.Repeat("the report of an earlier run\n", 1000))
	got = checkIn(t, nil, url, "--only=methods", "--json", "--junit", junit)
	var report struct {
		OK      bool
		Counts  map[string]int
		Results []struct{ Group, Outcome string }
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != 0 || !report.OK || report.Counts["pass"] != 6 || len(report.Results) != 6 {
		t.Errorf("%v, %d %s\n%s", err, got.code, got.err, got.out)
	}
	var suites struct {
		Tests int `xml:"tests,attr"`
	}
	if err := xml.Unmarshal([]byte(read(t, junit)), &suites); err != nil || suites.Tests != 6 {
		t.Errorf("%v\n%s", err, read(t, junit))
	}

	// Newcomers' mistakes are one sentence each.
	for _, test := range []struct{ args, want string }{
		{url + "x", "check the path"},
		{url + " --token abcdef0123456789", "--token"},
		{url + " --mode safe", "the token (令牌) is right, but the push of a text was refused with status 403; make --mode"},
		{"http://127.0.0.1:1/wx --token T0ken", "start the server, or check the URL"},
	} {
		got := checkIn(t, nil, strings.Fields(test.args)...)
		if got.code != exitFailed || !strings.Contains(got.out, "stopped: ") || !strings.Contains(got.out, test.want) || strings.Contains(got.out, "skipped") {
			t.Errorf("%s: %d %s\n%s", test.args, got.code, got.err, got.out)
		}
	}
}

// TestCheckBroken: a server that does not look at signatures.
func TestCheckBroken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if io.WriteString(w, r.URL.Query().Get("echostr")); r.Method == "POST" {
			io.WriteString(w, "success")
		}
	}))
	t.Cleanup(server.Close)
	got := checkIn(t, nil, server.URL, "--token=T0ken", "--timeout=30s", "--only=address,forged/wrong-signature")
	for _, want := range []string{"FAIL  address/wrong-signature", "R-URL-VERIFY (docs/protocol.md)", "advice  forged/wrong-signature", "checks failed", "← 200 OK"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not there", want)
		}
	}
	if got.code != exitFailed || got.err != "" || strings.Contains(got.out, "T0ken") || t.Failed() {
		t.Errorf("%d %s\n%s", got.code, got.err, got.out)
	}
	// Advice alone fails only if that is wanted.
	args := []string{server.URL, "--token=T0ken", "--only=forged/wrong-signature"}
	if got := checkIn(t, nil, args...); got.code != 0 {
		t.Errorf("advice: %d\n%s", got.code, got.out)
	}
	if got := checkIn(t, nil, append(args, "--strict")...); got.code != exitFailed || !strings.Contains(got.out, "1 check came to advice, and --strict counts that") {
		t.Errorf("advice with --strict: %d\n%s", got.code, got.out)
	}
}

func TestCheckUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"--mode=secret", "plain, compatible or safe"},
		{"--lang=fr", "en or zh"},
		{"--timeout=1ms", "between 100ms and 1m"},
		{"--only=nothing http://127.0.0.1:1/ --token=T0ken", "`echostr check --list`"},
		{"--only=forged/stale --skip=forged http://127.0.0.1:1/ --token=T0ken", "no check is left"},
		{"http://127.0.0.1:1/", "the token (令牌) of the server is missing"},
		{"http://127.0.0.1:1/ --token=T0ken --junit=" + t.TempDir() + "/none/report.xml", "--junit"},
		{"http://example.com/wx --token=T0ken", "--allow-remote"},
		{"127.0.0.1:8000/wx --token=T0ken", "is not an address like"},
		{"http://127.0.0.1:1/ --token=T0ken --mode=safe", "AppID"},
	} {
		if got := checkIn(t, nil, strings.Fields(test.args)...); got.code != exitUsage || !strings.Contains(got.err, test.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v", test.args, got)
		}
	}
	got := checkIn(t, nil, "--list", "--lang=zh")
	if n := strings.Count(got.out, "\n"); got.code != 0 || n != len(conformance.Checks()) || !strings.Contains(got.out, "R-URL-VERIFY") || !strings.Contains(got.out, "签名错误的 GET 得不到 echostr") {
		t.Errorf("%d, %d lines\n%s", got.code, n, got.out)
	}
}

// TestE2ECheck: the binary checks the binary, over real sockets, in all modes.
func TestE2ECheck(t *testing.T) {
	t.Parallel()
	config := write(t, "echostr.yaml", "store: memory\n"+modesYAML(", bot: demo"))
	server := launch(t, nil, binary(t, "echostr"), "serve", "-c", config)
	base := server.waitFor(t, `(http://127\.0\.0\.1:\d+)/wx/plain`)
	for _, a := range modes {
		t.Run(a.URL, func(t *testing.T) {
			t.Parallel()
			env := []string{"WECHAT_TOKEN=" + a.Token, "WECHAT_ENCODING_AES_KEY=" + a.EncodingAESKey, "WECHAT_APP_ID=" + a.AppID, "LANG=zh_CN.UTF-8", "LC_ALL="}
			check := launch(t, env, binary(t, "echostr"), "check", base+"/wx/"+a.URL, "--mode", string(a.Mode), "--strict", "--skip=time", "--timeout=30s")
			if code := check.wait(t); code != 0 || !strings.Contains(check.String(), "全部通过") {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
