package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSimulateHints: what is possible and hardly meant is said, and an empty recording is no file.
func TestSimulateHints(t *testing.T) {
	t.Parallel()
	server := newEchoServer(t)
	file := filepath.Join(t.TempDir(), "recording.json")
	p := launch(t, nil, binary(t, "echostr"), "simulate", "--callback", server.URL+"/wechat", "--token=not-a-token", "--listen=127.0.0.1:0",
		"--fault=custmo/send=45015", "--fault=custom/send=45015", "--record", file)
	p.waitFor(t, `(Token 验证失败)`)
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"--fault custmo/send=45015 (没有匹配的接口); did you mean custom/send?\n", "3 to 32 letters and digits", file + " was not written"} {
		if strings.Count(p.String(), want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, p)
		}
	}
	if strings.Count(p.String(), "--fault") != 1 || strings.Contains(p.String(), "not-a-token") {
		t.Errorf("too much is said:\n%s", p)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}

func TestNearCalls(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"custmo/send": "did you mean custom/send?", "/tokn/": "did you mean token?", "menu/crate": "did you mean menu/create?",
		"message/custom/snd": "did you mean message/custom/send?", "template/send": "such as custom/send or token",
	} {
		if got := nearCalls(path); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
