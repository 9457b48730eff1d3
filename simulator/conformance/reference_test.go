package conformance_test

import (
	"crypto/sha1"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// cdata is text in a reply.
type cdata struct {
	Text string `xml:",cdata"`
}

// reference is a server that sends texts back, as short as a right one can be.
func reference(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	parts := []string{token, q.Get("timestamp"), q.Get("nonce")}
	slices.Sort(parts)
	if fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(parts, "")))) != q.Get("signature") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, q.Get("echostr"))
		return
	case http.MethodPost:
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var push struct{ ToUserName, FromUserName, MsgType, Content string }
	err := xml.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&push)
	if err != nil || strings.TrimSpace(push.MsgType) != "text" || push.Content == "" {
		io.WriteString(w, "success")
		return
	}
	xml.NewEncoder(w).Encode(struct {
		XMLName                                    xml.Name `xml:"xml"`
		ToUserName, FromUserName, MsgType, Content cdata
		CreateTime                                 int64
	}{
		ToUserName: cdata{strings.TrimSpace(push.FromUserName)}, FromUserName: cdata{strings.TrimSpace(push.ToUserName)},
		MsgType: cdata{"text"}, Content: cdata{push.Content}, CreateTime: time.Now().Unix(),
	})
}

// TestReference: a server that is right and does nothing beyond fails nothing.
func TestReference(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("reference_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "func reference")
	code, _, _ = strings.Cut(code, "\n}\n")
	if n := strings.Count(code, "\n"); n > 40 {
		t.Errorf("it has %d lines", n)
	}
	bubble(t, func(t *testing.T) {
		config := configIn(simulator.Plain)
		config.SlowText = ""
		report := check(t, &http.Server{Handler: http.HandlerFunc(reference)}, config)
		wantNothingWrong(t, report, false)
		for _, r := range report.Results {
			if r.Outcome.String() == "advice" {
				t.Logf("advice %s: %s", r.Check.ID(), r.Why.EN)
			}
		}
	})
}
