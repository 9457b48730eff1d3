// Package fakeai is a chat endpoint for tests: it speaks OpenAI's protocol over net/http, and answers
// as the test has scripted it.
//
//	endpoint := fakeai.New(
//		fakeai.Status(http.StatusTooManyRequests, "rate_limit_exceeded", "Retry-After", "2"),
//		fakeai.Stream(fakeai.Text("你"), fakeai.Wait(time.Second), fakeai.Text("好"), fakeai.Finish("stop"), fakeai.Done()),
//	)
//
// It sleeps by package time and nothing else, so it fits into a bubble of testing/synctest.
package fakeai

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is an http.Handler that gives its answers in turn, one for each request. A request that is
// none of a chat is refused with 400 and takes no answer; one beyond the last answer gets 418, which
// nobody should try again. It is safe for concurrent use.
type Server struct {
	mu       sync.Mutex
	answers  []Answer
	requests []Request
}

// New returns a server with these answers.
func New(answers ...Answer) *Server { return &Server{answers: answers} }

// Request is what a client has asked.
type Request struct {
	At                  time.Time `json:"-"`
	Authorization       string    `json:"-"` // the header
	Model               string    `json:"model"`
	Messages            []Message `json:"messages"`
	Stream              bool      `json:"stream"`
	MaxTokens           int       `json:"max_tokens"`
	MaxCompletionTokens int       `json:"max_completion_tokens"`
}

// Message is one message of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Answer writes the response to one request.
type Answer func(w http.ResponseWriter, r *http.Request)

// Requests returns those that were answered so far, in the order in which they came.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, problem := read(r)
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	answer := Status(http.StatusTeapot, "no_answer_is_left")
	if n := len(s.requests); n < len(s.answers) {
		answer = s.answers[n]
	}
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	answer(w, r)
}

// read returns the request, or what is wrong with it.
func read(r *http.Request) (q Request, problem string) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return q, "the method is not POST"
	case !strings.HasSuffix(r.URL.Path, "/chat/completions"):
		return q, "the path does not end in /chat/completions"
	case kind != "application/json":
		return q, "the body is not JSON"
	}
	// To its end, since net/http does not see a client give up before.
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		return q, err.Error()
	}
	switch {
	case q.Model == "":
		return q, "there is no model"
	case len(q.Messages) == 0:
		return q, "there are no messages"
	}
	for i, m := range q.Messages {
		if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) || m.Content == "" || m.Role == "system" && i > 0 {
			return q, fmt.Sprintf("message %d is none that an endpoint takes", i)
		}
	}
	if last := q.Messages[len(q.Messages)-1]; last.Role != "user" {
		return q, "the last message is not the user's"
	}
	q.At, q.Authorization = time.Now(), r.Header.Get("Authorization")
	return q, ""
}

// Status answers with an error of that status and code, with names and values of headers. The
// message of the error quotes the Authorization header, as real ones may.
func Status(status int, code string, headers ...string) Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		writeJSON(w, status, map[string]any{"error": map[string]any{
			"message": fmt.Sprintf("this was not accepted: %s", r.Header.Get("Authorization")),
			"type":    "error of " + r.Header.Get("Authorization"),
			"code":    code,
		}})
	}
}

// JSON answers in one piece, as endpoints do that do not stream.
func JSON(content, finish string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"object":  "chat.completion",
			"choices": []any{map[string]any{"index": 0, "message": Message{"assistant", content}, "finish_reason": finish}},
		})
	}
}

// Page answers with a web page, as a wrong address does.
func Page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<!doctype html><title>Welcome</title>")
}

// Hang never answers; it ends when the client gives up.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Cut closes the connection without an answer.
func Cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// Step is a part of a streamed answer.
type Step func(w http.ResponseWriter, r *http.Request)

// Stream answers with the steps as server-sent events. Each is on its way before the next begins. After
// the last the response ends; that alone does not tell the client that the answer is complete.
func Stream(steps ...Step) Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, step := range steps {
			step(w, r)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
	}
}

// Words is the usual answer: the parts one by one, with the pause before each, and a proper end.
func Words(pause time.Duration, parts ...string) Answer {
	var steps []Step
	for _, part := range parts {
		steps = append(steps, Wait(pause), Text(part))
	}
	return Stream(append(steps, Finish("stop"), Done())...)
}

// Text is a part of the answer's text.
func Text(part string) Step { return chunk(map[string]any{"content": part}, nil) }

// Reasoning is a part of what the model thinks, in the field reasoning_content.
func Reasoning(part string) Step { return chunk(map[string]any{"reasoning_content": part}, nil) }

// Finish is the last part, with the reason why the model stops.
func Finish(reason string) Step { return chunk(map[string]any{}, reason) }

func chunk(delta map[string]any, finish any) Step {
	line, err := json.Marshal(map[string]any{
		"object":  "chat.completion.chunk",
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
	})
	if err != nil {
		panic(err)
	}
	return Raw("data: " + string(line) + "\n\n")
}

// Done is the line that ends a stream.
func Done() Step { return Raw("data: [DONE]\n\n") }

// Comment is a line that keeps the connection alive.
func Comment() Step { return Raw(": keep-alive\n\n") }

// Raw is any bytes at all.
func Raw(text string) Step {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// Wait passes time, or less if the client gives up.
func Wait(d time.Duration) Step {
	return func(_ http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Break closes the connection in the middle of the answer.
func Break() Step { return Step(Cut) }
