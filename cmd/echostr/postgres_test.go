package main

import (
	"strings"
	"testing"
)

// Commands that look into a database which several nodes share say so, and never its password.
func TestPostgresStore(t *testing.T) {
	t.Parallel()
	account := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	file := write(t, "echostr.yaml", "admin: 127.0.0.1:1\nstore: postgres://echostr:CANARY@127.0.0.1:1/wx?sslmode=disable\n"+account)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"config", "check", file}, exitFailed, "unavailable"},
		{[]string{"turn", "ls", "-c", file}, exitFailed, "reading postgres://echostr@127.0.0.1:1/wx"},
		{[]string{"outbox", "ls", "-c", file}, exitFailed, "reading postgres://echostr@127.0.0.1:1/wx"},
		{[]string{"erase", "-c", file, "oUser"}, exitConfig, "--admin"},
		{[]string{"backup", "-c", file, "backup.db"}, exitConfig, "pg_dump"},
		{[]string{"restore", "-c", file, "backup.db"}, exitConfig, "pg_restore"},
	} {
		got := execute(t, "", test.args...)
		if got.code != test.code || !strings.Contains(got.err, test.want) || got.out != "" || strings.Contains(got.err, "CANARY") {
			t.Errorf("%q: %+v; want code %d and %q", test.args, got, test.code, test.want)
		}
	}
}
