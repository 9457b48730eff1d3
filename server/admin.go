package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// admin is the handler of the operator's listener. S19
func (s *Server) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		switch some, all := s.ready(r.Context()); {
		case some != nil:
			answerText(w, http.StatusServiceUnavailable, some.Error())
		case all != nil:
			answerText(w, http.StatusOK, "ready, but not for all accounts: "+all.Error())
		default:
			answerText(w, http.StatusOK, "ready")
		}
	})
	mux.Handle("GET /metrics", s.metrics())
	api := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.authorized(h)) }
	api("GET /api/v1/turns", s.listTurns)
	api("GET /api/v1/turns/{key}", s.showTurn)
	api("POST /api/v1/outbox/{key}/retry", s.resendTurn)
	api("POST /api/v1/outbox/{key}/drop", s.dropTurn)
	api("POST /api/v1/erase", s.erase)
	api("GET /api/v1/stats", s.showStats)
	api("GET /api/v1/refusals", s.listRefusals)
	api("GET /api/v1/token/{account}", s.giveToken)
	return s.sameHost(http.NewCrossOriginProtection().Handler(mux))
}

// sameHost refuses requests for another host: a page whose name was rebound to
// this address would be one.
func (s *Server) sameHost(next http.Handler) http.Handler {
	configured, _, _ := net.SplitHostPort(s.cfg.Admin)
	bound, err := netip.ParseAddr(configured)
	everywhere := configured == "" || err == nil && bound.IsUnspecified()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		switch _, notIP := netip.ParseAddr(host); {
		case host == "localhost", host == "127.0.0.1", host == "::1", host == configured && host != "":
		case everywhere && notIP == nil: // a name can be rebound, an address cannot
		default:
			answerText(w, http.StatusForbidden, "this listener answers to localhost and to the configured admin address only")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// authorized lets through who has the token.
func (s *Server) authorized(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answerError(w, http.StatusUnauthorized, "send the token of the token file as Authorization: Bearer")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone, then
}

func answerError(w http.ResponseWriter, status int, text string) {
	answerJSON(w, status, apiError{text})
}

type apiError struct {
	Error string `json:"error"`
}
