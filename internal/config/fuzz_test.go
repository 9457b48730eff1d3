package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig reads any file under any environment. What is accepted must pass
// Validate as it stands; what is refused must say why on one line each.
func FuzzConfig(f *testing.F) {
	f.Add(minimal, "ECHOSTR_LISTEN=:1\nECHOSTR_ACCOUNTS_0_TOKEN_FILE=token")
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "==== file\n")
		file, _, _ := strings.Cut(rest, "==== want\n")
		f.Add(file, "ECHOSTR_ACCOUNTS_1_NAME=two")
	}
	f.Fuzz(func(t *testing.T, file, env string) {
		c, err := loadText(file, strings.Split(env, "\n"), secretFiles)
		if err != nil {
			if c != nil {
				t.Error("both a configuration and an error")
			}
			for _, e := range err.(Errors) {
				if e.Text == "" || strings.ContainsAny(e.Error(), "\n\r\t\x00") {
					t.Errorf("not one line: %q", e.Error())
				}
			}
			return
		}
		if err := c.Validate(now); err != nil {
			t.Errorf("accepted by Load and refused by Validate: %v", err)
		}
		for _, a := range c.Accounts {
			if a.Token.IsZero() || a.Mode == "" || a.HandlerTimeout <= 0 || a.Freshness <= 0 || a.BodyLimit <= 0 || a.TicketLife <= 0 || a.HoldBudget <= 0 || (a.Bot == BotAI) == (a.AI == AI{}) {
				t.Errorf("accepted: %+v", a)
			}
		}
	})
}
