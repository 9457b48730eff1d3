package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	echo := func(format string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.ReplaceAll(format, "ECHO", r.FormValue("echostr")))
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, r.FormValue("echostr"))
		}
	}
	for _, tt := range []struct {
		name    string
		h       http.HandlerFunc
		problem string
		why     string
	}{
		{"good", echo("ECHO"), "", "echostr"},
		{"line end", echo("ECHO\n"), "echostr", "white space"},
		{"quotes", echo(`"ECHO"`), "echostr", "quotation"},
		{"quotes and line end", echo("\"ECHO\"\n"), "echostr", "quotation"},
		{"BOM", echo("\ufeffECHO"), "echostr", "BOM"},
		{"page", echo("<html>ECHO</html>"), "echostr", "around"},
		{"empty", echo(""), "echostr", "empty"},
		{"other", echo("success"), "echostr", "not the echostr"},
		{"403", status(403), "status", "令牌"},
		{"404", status(404), "status", "URL"},
		{"301", status(301), "status", "redirect"},
		{"500", status(500), "status", "200"},
		{"201", status(201), "status", "200"},
		{"slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout", "5s"},
		{"broken", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "reset", "before"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				listener := serve(t, func(w http.ResponseWriter, r *http.Request) {
					q := r.URL.Query()
					if r.Method != "GET" || len(q) != 4 || q.Get("signature") != sign(safeAccount.Token, q.Get("timestamp"), q.Get("nonce")) ||
						len(q.Get("echostr")) != 19 || strings.Trim(q.Get("echostr"), "0123456789") != "" {
						t.Errorf("%s %v", r.Method, q)
					}
					tt.h(w, r)
				})
				// The check is in clear, in the safe mode, too.
				c, err := newWeChat(t, Config{Account: safeAccount, DialContext: listener.DialContext}).Verify(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if c.Problem != tt.problem || !strings.Contains(c.Why, tt.why) || c.OK() != (tt.problem == "") {
					t.Errorf("%q: %v", c.Problem, c)
				}
			})
		})
	}

	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		virtual(t, func(t *testing.T) {
			listener := serve(t, nil)
			listener.Close()
			c, err := newWeChat(t, Config{DialContext: listener.DialContext}).Verify(t.Context())
			if err != nil || c.Problem != "refused" {
				t.Errorf("%v, %v", c, err)
			}
		})
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		virtual(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := newWeChat(t, Config{Transport: Direct(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))}).Verify(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || c.OK() {
				t.Errorf("%v, %v", c, err)
			}
		})
	})
}
