package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	tests := []struct {
		n     int
		names string
		want  string // empty: an error
	}{
		{1, "", "listen"},
		{1, "listen", "listen"},
		{1, "admin", "admin"},
		{1, "echostr.socket", "listen"},
		{2, "listen:admin", "listen admin"},
		{2, "admin:listen", "admin listen"},
		{2, "", "listen admin"},
		{2, "echostr.socket:echostr.socket", "listen admin"},
		{2, "x:listen", "admin listen"},
		{2, "admin", "admin listen"},
		{1, "x:listen", "listen"}, // more names than sockets
		{2, "listen:listen", ""},
		{3, "", ""},
	}
	for _, tt := range tests {
		got, err := assign(tt.n, tt.names)
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" || (err != nil) != (tt.want == "") {
			t.Errorf("%d %q: %v\n%s", tt.n, tt.names, err, diff)
		}
		if err != nil && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "FileDescriptorName=")) {
			t.Errorf("%d %q: %v", tt.n, tt.names, err)
		}
	}
}

// What is meant for another process is left alone. With real sockets it is
// tested in cmd/echostr. Not parallel: it sets variables.
func TestInheritsNothing(t *testing.T) {
	for name, value := range map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "listen"} {
		t.Setenv(name, value)
	}
	var o Options
	if err := o.Inherit(); err != nil || o.Listener != nil || o.Inherited || os.Getenv("LISTEN_FDS") != "1" {
		t.Errorf("%+v, %v", o, err)
	}
}

func contextThatHasEnded() (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.Background(), time.Unix(0, 0))
}
