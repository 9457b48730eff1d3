package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/echostr/echostr/wxcrypt"
)

// skeleton is the least that a callback server does, without a codec, a store or
// any rule: it checks the signature, finds the message by a hash, runs a handler in a
// goroutine with a deadline, and waits for it, the timer or WeChat's hanging
// up. What a server costs beyond it is what it is good for.
type skeleton struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]chan []byte
}

func newSkeleton() *skeleton { return &skeleton{seen: make(map[[sha256.Size]byte]chan []byte)} }

func (s *skeleton) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wxcrypt.Verify(q.Get("signature"), token, q.Get("timestamp"), q.Get("nonce")) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	key := sha256.Sum256(body)
	s.mu.Lock()
	done := s.seen[key]
	if done == nil {
		done = make(chan []byte, 1)
		s.seen[key] = done
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
		go func() {
			defer cancel()
			if bytes.Contains(body, []byte(waitText)) {
				<-ctx.Done()
			}
			done <- []byte("success")
		}()
	}
	s.mu.Unlock()
	timer := time.NewTimer(4500 * time.Millisecond)
	defer timer.Stop()
	for {
		select {
		case answer := <-done:
			w.Write(answer)
			return
		case <-timer.C: // held until WeChat hangs up
		case <-r.Context().Done():
			return
		}
	}
}
