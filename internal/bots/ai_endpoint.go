package bots

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/config"
)

const (
	maxAnswer    = 64 << 10 // bytes of text
	maxResponse  = 16 << 20 // bytes of everything around it, as JSON, with what was thought
	maxErrorBody = 64 << 10
)

// outcome is what became of one request.
type outcome struct {
	text   string              // what is shown of the answer, without white space around it
	finish openai.FinishReason // why the model stopped; with an err it did not
	err    error
}

// errBroken says that an answer ended before the model did.
var errBroken = errors.New("the endpoint ended the answer before the model did")

// ask sends one request and drafts the answer as it comes in.
func (a *ai) ask(ctx context.Context, messages []openai.ChatCompletionMessage) (got outcome) {
	plain := openai.ChatCompletionRequest{Model: a.cfg.Model, Messages: messages}
	request := plain
	//lint:ignore SA1019 most endpoints know the limit by its old name only
	request.MaxTokens = a.cfg.MaxTokens
	if openai.NewReasoningValidator().Validate(request) != nil {
		// Newer models of OpenAI's own know it by its new name only.
		request = plain
		request.MaxCompletionTokens = a.cfg.MaxTokens
	}
	// A request of its own has a client of its own, which costs nothing, so that what is around the
	// answer can be seen. The key is not entrusted to it: it would be in whatever is printed of it.
	exchange := &exchange{client: a.cfg.HTTPClient, key: a.cfg.APIKey}
	settings := openai.DefaultConfig("")
	settings.BaseURL, settings.HTTPClient = a.cfg.BaseURL, exchange
	settings.EmptyMessagesLimit = maxResponse // lines between tokens keep the connection alive: comments, for minutes
	stream, err := openai.NewClientWithConfig(settings).CreateChatCompletionStream(ctx, request)
	if err != nil {
		return outcome{err: err}
	}
	defer stream.Close()

	d := &draft{keepThinking: a.cfg.KeepThinking, held: a.beginsInside.Load()}
	drafted := ""
	for got.err == nil && len(drafted) <= maxAnswer {
		var chunk openai.ChatCompletionStreamResponse
		if chunk, got.err = stream.Recv(); got.err != nil || len(chunk.Choices) == 0 {
			continue
		}
		choice := &chunk.Choices[0]
		if choice.FinishReason != "" {
			got.finish = choice.FinishReason
		}
		d.add(choice.Delta.Content)
		if text := d.text(); text != drafted {
			echostr.Draft(ctx, text)
			drafted = text
		}
	}
	switch {
	case got.err == nil:
		got.finish = openai.FinishReasonLength // of our own choice
	case errors.Is(got.err, io.EOF) && got.finish != "error" && (got.finish != "" || exchange.done()):
		got.err = nil
	case errors.Is(got.err, io.EOF):
		got.err = errBroken
	}
	complete := got.err == nil && got.finish != openai.FinishReasonLength
	d.close(complete)
	if complete || d.tagged { // else it is not known
		a.beginsInside.Store(d.stray)
	}
	got.text = d.text()
	return got
}

// exchange is the way of one request and its answer. It sees to what the client leaves out: limits, the
// header Retry-After, endpoints that do not stream, and how the answer ends.
type exchange struct {
	client *http.Client
	key    config.Secret
	tail   []byte // the end of what was read
}

// Do sends the request. An answer without success is an *endpointError.
func (e *exchange) Do(req *http.Request) (*http.Response, error) {
	if !e.key.IsZero() {
		req.Header.Set("Authorization", "Bearer "+e.key.Reveal())
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode < 200 || resp.StatusCode > 299 || kind == "text/html" {
		defer resp.Body.Close()
		return nil, newEndpointError(resp, kind)
	}
	// The client overlooks a last line that does not end.
	body := io.MultiReader(io.LimitReader(resp.Body, maxResponse), strings.NewReader("\n"))
	if kind == "application/json" {
		if body, err = asStream(body); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, e), resp.Body}
	return resp, nil
}

// Write remembers the end of what it is given.
func (e *exchange) Write(p []byte) (int, error) {
	const enough = 64
	e.tail = append(e.tail, p[max(0, len(p)-enough):]...)
	e.tail = e.tail[max(0, len(e.tail)-enough):]
	return len(p), nil
}

// done reports whether the answer ended as a stream does: many endpoints give no other reason.
func (e *exchange) done() bool { return bytes.Contains(e.tail, []byte("[DONE]")) }

// asStream makes a stream of an answer that came in one piece. An answer that is none is left as
// it is: the client finds the error in it.
func asStream(body io.Reader) (io.Reader, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var whole openai.ChatCompletionResponse
	if err := json.Unmarshal(text, &whole); err != nil || len(whole.Choices) == 0 {
		return bytes.NewReader(text), nil
	}
	choice := whole.Choices[0]
	var chunk openai.ChatCompletionStreamResponse
	chunk.Choices = []openai.ChatCompletionStreamChoice{{
		Delta:        openai.ChatCompletionStreamChoiceDelta{Content: choice.Message.Content},
		FinishReason: choice.FinishReason,
	}}
	line, err := json.Marshal(chunk)
	if err != nil {
		return nil, err
	}
	return strings.NewReader("data: " + string(line) + "\n\ndata: [DONE]\n\n"), nil
}

// endpointError is an answer of the endpoint that is none of the model.
type endpointError struct {
	status int
	code   string        // the endpoint's own word for it, if it is one
	after  time.Duration // when to ask again at the earliest; 0 if it does not say
	page   bool          // it is a web page
}

// Error quotes nothing of what the endpoint writes, since that can be the key or the question.
func (e *endpointError) Error() string {
	text := fmt.Sprintf("the endpoint answered with status %d", e.status)
	if e.page {
		text += " and a web page"
	}
	if e.code != "" {
		text += " (" + e.code + ")"
	}
	return text
}

func newEndpointError(resp *http.Response, kind string) error {
	e := &endpointError{status: resp.StatusCode, page: kind == "text/html", after: retryAfter(resp.Header.Get("Retry-After"))}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body openai.ErrorResponse
	if err == nil && json.Unmarshal(text, &body) == nil && body.Error != nil {
		e.code = codeOf(body.Error)
	}
	return e
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(value string) time.Duration {
	var after time.Duration
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		after = time.Duration(min(seconds, 1e6) * float64(time.Second))
	} else if at, err := http.ParseTime(value); err == nil {
		after = time.Until(at)
	}
	return max(after, 0)
}

var word = regexp.MustCompile(`^[A-Za-z0-9_.]{1,40}$`)

// codeOf returns the code of an error if it is a number or a word such as model_not_found, else its type
// if that is one. Anything else could be a sentence that quotes what was sent.
func codeOf(e *openai.APIError) string {
	for _, code := range []string{fmt.Sprint(e.Code), e.Type} {
		if word.MatchString(code) {
			return code
		}
	}
	return ""
}

// What some providers call an account without credit, and a question or answer that their filter
// does not let pass, whatever the status.
var (
	codesOfCredit = []string{"insufficient_quota", "exceeded_current_quota_error", "Arrearage"}
	codesOfFilter = []string{"content_filter", "data_inspection_failed", "DataInspectionFailed"}
)

// verdict is what to do about a request without an answer.
type verdict struct {
	retry          bool
	perhapsTooLong bool          // for the model: it may be, with all that it was to be reminded of
	after          time.Duration // not before this time
	apology        string        // for the user, if it is not tried again
	level          slog.Level
	hint           string // for the operator
}

const (
	hintAddress = "check ai.base_url: it is the address in the endpoint's documentation that /chat/completions follows, often with /v1 at its end"
	hintKey     = "the endpoint does not accept the key: check ai.api_key, and that it belongs to the endpoint of ai.base_url"
	hintModel   = "check ai.model and ai.base_url: the endpoint has no such model or no such address"
	hintCredit  = "the credit or quota of the key is used up: add to it at the provider"
	hintRequest = "the endpoint does not take the request: check ai.model and ai.max_tokens"
	hintDown    = "the endpoint is down or cannot be reached from this machine: check ai.base_url and the network"
)

// judge says what to do about an outcome without text.
func judge(got outcome) verdict {
	failed := func(hint string) verdict {
		return verdict{apology: apologyUnavailable, level: slog.LevelError, hint: hint}
	}
	again := verdict{retry: true, apology: apologyUnavailable, level: slog.LevelError, hint: hintDown}
	var endpoint *endpointError
	var api *openai.APIError
	var certificate *tls.CertificateVerificationError
	status, code := 0, ""
	switch {
	case got.err == nil && got.finish == openai.FinishReasonContentFilter:
		return verdict{apology: apologyRefused, level: slog.LevelInfo, hint: "the endpoint's filter kept the answer back"}
	case got.err == nil && got.finish == openai.FinishReasonLength:
		return verdict{apology: apologyEmpty, level: slog.LevelWarn, hint: "the model came to its limit before it wrote anything to show: raise ai.max_tokens"}
	case got.err == nil:
		return verdict{apology: apologyEmpty, level: slog.LevelWarn, hint: "the model wrote nothing to show"}
	case errors.Is(got.err, openai.ErrChatCompletionInvalidModel):
		return failed(hintModel)
	case errors.As(got.err, &certificate):
		return failed("the endpoint's certificate is not valid here: check ai.base_url and this machine's clock")
	case errors.As(got.err, &endpoint):
		status, code, again.after = endpoint.status, endpoint.code, endpoint.after
	case errors.As(got.err, &api):
		// Reported in place of a token. The status was a success by then; some give one in the code.
		code = codeOf(api)
		if number, err := strconv.Atoi(code); err == nil && number >= 400 && number < 600 {
			status = number
		}
	}
	switch {
	case slices.Contains(codesOfFilter, code):
		return verdict{apology: apologyRefused, level: slog.LevelInfo, hint: "the endpoint's filter refused the question or the answer"}
	case status == http.StatusPaymentRequired, slices.Contains(codesOfCredit, code):
		return failed(hintCredit)
	case status == http.StatusTooManyRequests:
		again.apology, again.level, again.hint = apologyBusy, slog.LevelWarn, "the endpoint takes fewer requests than users send: raise the limit at the provider"
		return again
	case status == 0, status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return again
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return failed(hintKey)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return failed(hintModel)
	case status < 400: // a redirect, or a page in place of an answer
		return failed(hintAddress)
	}
	v := failed(hintRequest)
	v.perhapsTooLong = true
	return v
}

// backoff is how long to wait after an attempt, from 1: longer each time, and not the same for everybody.
func backoff(attempt int) time.Duration {
	const first, longest = 500 * time.Millisecond, 15 * time.Second
	pause := longest
	if attempt < 6 {
		pause = first << (attempt - 1)
	}
	return pause/2 + rand.N(pause/2)
}

// harmless returns what an error says without what must not be logged.
func harmless(err error, key config.Secret) string {
	var api *openai.APIError
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	var address *url.Error
	text := ""
	switch {
	case errors.As(err, &api):
		// Its message may quote the question.
		text = "the endpoint reported an error in place of an answer"
		if code := codeOf(api); code != "" {
			text += " (" + code + ")"
		}
	case errors.As(err, &syntax), errors.As(err, &mismatch):
		text = "the endpoint sent what is no chat completion"
	case errors.As(err, &address):
		text = address.Err.Error() // without the address, which is in the configuration
	default:
		text = err.Error()
	}
	if !key.IsZero() {
		text = strings.ReplaceAll(text, key.Reveal(), "***")
	}
	return text
}
