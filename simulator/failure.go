package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// What the failure of a request means, and what to do about it.

// isTLS reports whether err is about TLS: a certificate, an alert, or a server
// that does not speak it.
func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // alerts, as package tls names them
	}
	return speaksNoTLS(err) || strings.Contains(err.Error(), "tls: ") // some errors have no type
}

func speaksNoTLS(err error) bool {
	_, garbage := errors.AsType[tls.RecordHeaderError](err)
	return garbage || errors.Is(err, http.ErrSchemeMismatch)
}

// aboutTLS is a sentence about an error of TLS.
func (w *WeChat) aboutTLS(err error) string {
	host := w.account.URL
	if u, err := url.Parse(host); err == nil {
		host = u.Hostname()
	}
	if speaksNoTLS(err) {
		return "the server does not speak TLS at this port; check the port, and whether the URL begins with http:// or https://"
	}
	var fault string
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		fault = "is not for " + host + certifiedNames(e.Certificate)
	} else if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired && e.Cert != nil {
		fault = fmt.Sprintf("has expired or is not valid yet: it is good from %s to %s", e.Cert.NotBefore.Format("2006-01-02"), e.Cert.NotAfter.Format("2006-01-02"))
	} else if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok && e.Cert != nil && string(e.Cert.RawIssuer) == string(e.Cert.RawSubject) {
		fault = "is signed by itself"
	} else if ok {
		fault = "comes from an unknown CA, or the server leaves out an intermediate certificate"
	} else if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		fault = "is not good (" + e.Err.Error() + ")"
	} else {
		return "no TLS connection could be made (" + err.Error() + "); offer TLS 1.2 with " + chainFor(host)
	}
	return "the certificate " + fault + "; WeChat wants " + chainFor(host)
}

func chainFor(host string) string {
	return "the complete chain (fullchain) of a certificate from a public CA for the host name " + host
}

func certifiedNames(c *x509.Certificate) string {
	if c == nil || len(c.DNSNames) == 0 {
		return ""
	}
	return ", but for " + strings.Join(c.DNSNames[:min(len(c.DNSNames), 3)], ", ")
}

// aboutStatus is what to do about a status other than 200. It returns
// otherwise if the status alone does not tell.
func aboutStatus(status int, method, otherwise string) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "the server refused it, because token (令牌), mode (消息加解密方式), key or clock differ; the reason is in its log, or, if it is Echostr, in `echostr refusals`"
	case status == http.StatusNotFound:
		return "nothing answers at this path; check the URL, which ends in /wx/{name} if the server is Echostr"
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return "what answers at this path takes no " + method + ", so it is not a message server; check the URL"
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return "a proxy in front found no server or gave up on it; check that the server runs, and that the proxy's time-out (proxy_read_timeout) is above 10 s"
	case status >= 300 && status < 400:
		return "this is a redirect, which WeChat does not follow; give the final URL"
	}
	return otherwise
}
