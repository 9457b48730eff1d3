package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate that has signed itself, or one from a CA
// that nobody knows.
func certificate(t *testing.T, host string, notAfter time.Time, self bool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{host},
		NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter,
	}
	issuer := leaf
	if !self {
		issuer = &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "nobody's CA"}}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	tomorrow := time.Now().Add(24 * time.Hour)
	const chain = "complete chain (fullchain) of a certificate from a public CA for the host name localhost"
	for _, tt := range []struct {
		name   string
		config *tls.Config // nil: plain HTTP
		why    []string
	}{
		{"signed by itself", &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost", tomorrow, true)}}, []string{"signed by itself", chain}},
		{"unknown CA", &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost", tomorrow, false)}}, []string{"unknown CA", "intermediate", chain}},
		{"expired", &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost", time.Date(2020, 2, 3, 0, 0, 0, 0, time.UTC), true)}}, []string{"has expired", "2020-02-03", chain}},
		{"wrong host", &tls.Config{Certificates: []tls.Certificate{certificate(t, "example.org", tomorrow, true)}}, []string{"is not for localhost, but for example.org", chain}},
		{"alert", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }}, []string{"no TLS connection", chain}},
		{"no TLS", nil, []string{"does not speak TLS", "http:// or https://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(http.NotFoundHandler())
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			if tt.config != nil {
				srv.Listener = tls.NewListener(srv.Listener, tt.config)
			}
			srv.Start()
			t.Cleanup(srv.Close)
			_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
			a := plainAccount
			a.URL = "https://localhost:" + port + "/wx/a"
			w := newWeChat(t, Config{Account: a})
			r, err := w.Send(t.Context(), Text("你好"))
			if err != nil || r.Verdict.Problem != "tls" || r.Verdict.Sees != SeesFault || r.Pushes[2].Outcome != BadTLS || !strings.Contains(r.Verdict.Why, "all 3 pushes failed: tls, tls, tls; ") {
				t.Errorf("%v, %v", r, err)
			}
			c, err := w.Verify(t.Context())
			if err != nil || c.Problem != "tls" || c.OK() {
				t.Errorf("%v, %v", c, err)
			}
			for _, want := range tt.why {
				if !strings.Contains(r.Verdict.Why, want) || !strings.Contains(c.Why, want) {
					t.Errorf("%v\n%v\nwant %q", r, c, want)
				}
			}
			for _, p := range append(r.Pushes, c.Push) {
				if strings.Contains(p.String(), "signature") {
					t.Errorf("the query is in %v", p)
				}
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	const otherwise = "even when something went wrong"
	for status, want := range map[int]string{
		301: "redirect", 401: "`echostr refusals`", 403: "`echostr refusals`", 404: "/wx/{name}", 405: "takes no POST", 501: "takes no POST",
		502: "proxy_read_timeout", 503: "proxy_read_timeout", 504: "proxy_read_timeout", 500: otherwise, 201: otherwise, 413: otherwise,
	} {
		r := send(t, Config{}, Text("你好"), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		v := r.Verdict
		if v.Problem != "status" || !strings.Contains(v.Why, want) || want != otherwise && strings.Contains(v.Why, otherwise) {
			t.Errorf("%d: %v, want %q", status, v, want)
		}
	}
}
