package tty_test

import (
	"testing"

	"github.com/echostr/echostr/internal/tty"
)

func TestWidth(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, "abc": 3, "你好": 4, "a，b": 4, "e\u0301": 1, "😀": 2, "…": 1, "\u200d": 0} {
		if got := tty.Width(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a\tb\n":                 "a\tb\n",
		"你好 😀 e\u0301":           "你好 😀 e\u0301",
		"\x1b[31mred":            "\ufffd[31mred",
		"\r\a\b\x7f\u009b":       "\ufffd\ufffd\ufffd\ufffd\ufffd",
		"\u202eabc\u2066\u200f ": "\ufffdabc\ufffd\ufffd ",
		"\xff\xfea":              "\ufffd\ufffda",
	} {
		if got := tty.Printable(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
