package bots_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/fakeai"
	"github.com/echostr/echostr/internal/pipenet"
)

// canary is a key that must not be found anywhere.
const canary = "sk-CanaryThatMustNotBeSeen0123456789"

// secretQuestion is content that must not be found in a log.
const secretQuestion = "我的秘密是七号保险柜"

// aiWorld is a bot and its endpoint, joined in memory. Make it in a bubble.
type aiWorld struct {
	endpoint *fakeai.Server
	bot      *echostr.Router
	log      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newAIWorld(t *testing.T, cfg bots.AIConfig, answers ...fakeai.Answer) *aiWorld {
	t.Helper()
	w := &aiWorld{endpoint: fakeai.New(answers...), log: new(lockedBuffer)}
	listener := pipenet.Listen()
	srv := &http.Server{Handler: w.endpoint, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go srv.Serve(listener)
	transport := &http.Transport{DialContext: listener.DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	cfg.BaseURL, cfg.Model, cfg.APIKey = "http://ai.test/v1", "test-model", config.NewSecret(canary)
	cfg.HTTPClient = &http.Client{Transport: transport}
	cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.bot = bots.AI(cfg)
	return w
}

// aiTurn is a turn with all that the bot asks for.
type aiTurn struct {
	memory *echostr.Memory
	broken error         // of the store
	later  time.Duration // that the clock of the server is fast

	mu     sync.Mutex
	drafts []string
}

func (*aiTurn) Key() string                        { return strings.Repeat("ab", 32) }
func (*aiTurn) ID() string                         { return strings.Repeat("cd", 20) }
func (*aiTurn) Attempt() int                       { return 1 }
func (*aiTurn) Account() string                    { return "shop" }
func (f *aiTurn) ReceivedAt() time.Time            { return time.Now().Add(f.later) }
func (*aiTurn) PassiveDeadline() (time.Time, bool) { return time.Time{}, false }

func (f *aiTurn) Session(context.Context) (*echostr.Memory, error) { return f.memory, f.broken }

func (f *aiTurn) Draft(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drafts = append(f.drafts, text)
}

// say has the bot answer a message as the server does: with the time of its route, and with what was
// said remembered.
func (w *aiWorld) say(t *testing.T, turn *aiTurn, m echostr.Message) string {
	t.Helper()
	turn.drafts = nil
	ctx := echostr.WithTurn(t.Context(), turn)
	route := w.bot.Match(m)
	if budget := route.Budget(); budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, budget)
		defer cancel()
	}
	reply, err := route.Handle(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the time of the route was over before the answer")
	}
	if reply == nil {
		return ""
	}
	got := reply.(echostr.TextReply).Content
	for _, draft := range turn.drafts {
		if !strings.HasPrefix(got, draft) {
			t.Errorf("the draft %q does not begin %q", draft, got)
		}
	}
	if question, ok := m.(*echostr.TextMessage); ok && turn.memory != nil {
		turn.memory.Add(echostr.Exchange{Question: question.Content, Answer: got, At: time.Now()})
	}
	return got
}

// ask says one text, out of any conversation.
func (w *aiWorld) ask(t *testing.T, content string) string {
	t.Helper()
	return w.say(t, &aiTurn{memory: new(echostr.Memory)}, text(content))
}

func fullJSON(content string) fakeai.Answer { return fakeai.JSON(content, "stop") }

const (
	unavailable = "抱歉，AI 服务暂时不可用，请稍后再试。"
	busy        = "抱歉，现在提问的人太多了，请稍后再试。"
	late        = "抱歉，这个问题花的时间太长，没能答完，请换个问法再试。"
	nothing     = "抱歉，没有得到回答，请换个问法再试。"
	refused     = "抱歉，这个问题我无法回答。"
	brokenOff   = "\n\n（回答到这里中断了。）"
	tooLong     = "\n\n（回答太长，到这里为止。）"
)

// TestAIAnswers goes through what an endpoint can do. The bot has two minutes.
func TestAIAnswers(t *testing.T) {
	t.Parallel()
	hello := fakeai.Words(0, "你", "好")
	status := func(code int, headers ...string) fakeai.Answer { return fakeai.Status(code, "some_code", headers...) }
	many := func(n int, a fakeai.Answer) (list []fakeai.Answer) {
		for range n {
			list = append(list, a)
		}
		return list
	}
	tests := []struct {
		name    string
		answers []fakeai.Answer
		want    string
		least   time.Duration // that it takes
		most    time.Duration
		asked   int    // requests; 0: more than 5
		log     string // a part of it; empty: nothing is logged
	}{
		{"a stream", []fakeai.Answer{hello}, "你好", 0, 0, 1, ""},
		{"slowly", []fakeai.Answer{fakeai.Words(20*time.Second, "一", "二", "三")}, "一二三", time.Minute, time.Minute, 1, ""},
		{"comments and waiting", []fakeai.Answer{fakeai.Stream(
			fakeai.Comment(), fakeai.Wait(20*time.Second), fakeai.Comment(), fakeai.Text("你好"), fakeai.Comment(), fakeai.Finish("stop"), fakeai.Done(),
		)}, "你好", 20 * time.Second, 20 * time.Second, 1, ""},
		{"more comments than the client's own limit", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw(strings.Repeat(": keep-alive\n\n", 400)), fakeai.Text("你好"), fakeai.Finish("stop"), fakeai.Done(),
		)}, "你好", 0, 0, 1, ""},
		{"other lines and no blank", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw("event: message\nid: 1\nretry: 10\ndata:{\"choices\":[{\"delta\":{\"content\":\"你好\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata:[DONE]\r\n\r\n"),
		)}, "你好", 0, 0, 1, ""},
		{"chunks without choices", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw("data: {\"choices\":[]}\n\n"), fakeai.Text("你好"), fakeai.Finish("stop"), fakeai.Raw("data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\n"), fakeai.Done(),
		)}, "你好", 0, 0, 1, ""},
		{"a reason to stop and no end of the stream", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"), fakeai.Finish("stop"))}, "你好", 0, 0, 1, ""},
		{"an end of the stream and no reason to stop", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"), fakeai.Done())}, "你好", 0, 0, 1, ""},
		{"a last line that does not end", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw(`data: {"choices":[{"delta":{"content":"你好"},"finish_reason":"stop"}]}`),
		)}, "你好", 0, 0, 1, ""},
		{"in one piece", []fakeai.Answer{fullJSON("你好")}, "你好", 0, 0, 1, ""},
		{"white space around", []fakeai.Answer{fakeai.Words(0, "\n ", "你", " \n", "好", "\n\n")}, "你 \n好", 0, 0, 1, ""},
		{"markup and quotes", []fakeai.Answer{fakeai.Words(0, `<a href="https://x.cn">x</a> & "y"`, ` ]]> 😀`)}, `<a href="https://x.cn">x</a> & "y" ]]> 😀`, 0, 0, 1, ""},

		{"too many, and when to come again", append(many(2, status(429, "Retry-After", "20")), hello), "你好", 40 * time.Second, 40 * time.Second, 3, "status 429"},
		{"too many, until a date", []fakeai.Answer{
			func(w http.ResponseWriter, r *http.Request) {
				status(429, "Retry-After", time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))(w, r)
			}, hello,
		}, "你好", 29 * time.Second, 30 * time.Second, 2, "level=WARN"},
		{"too many, and not in time again", []fakeai.Answer{status(429, "Retry-After", "3600"), hello}, busy, 0, 0, 1, "raise the limit"},
		{"too many for ever", many(60, status(429)), busy, 100 * time.Second, 2 * time.Minute, 0, "raise the limit"},
		{"an error of the server", append(many(3, status(500)), hello), "你好", 1750 * time.Millisecond, 3500 * time.Millisecond, 4, "status 500 (some_code)"},
		{"down for ever", many(60, status(503)), unavailable, 100 * time.Second, 2 * time.Minute, 0, "level=ERROR"},
		{"the connection breaks before the answer", []fakeai.Answer{fakeai.Cut, fakeai.Cut, hello}, "你好", 750 * time.Millisecond, 1500 * time.Millisecond, 3, "level=WARN"},
		{"the connection breaks before the first token", []fakeai.Answer{fakeai.Stream(fakeai.Comment(), fakeai.Break()), hello}, "你好", 250 * time.Millisecond, 500 * time.Millisecond, 2, "level=WARN"},
		{"a stream that ends before the first token", []fakeai.Answer{fakeai.Stream(), hello}, "你好", 250 * time.Millisecond, 500 * time.Millisecond, 2, "level=WARN"},
		{"a stream that is none", []fakeai.Answer{fakeai.Stream(fakeai.Raw("data: {{{\n\n")), hello}, "你好", 250 * time.Millisecond, 500 * time.Millisecond, 2, "no chat completion"},
		{"an error in place of tokens", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw(`data: {"error":{"message":"` + secretQuestion + canary + `","type":"server_error","code":"overloaded"}}` + "\n\n"),
		), hello}, "你好", 250 * time.Millisecond, 500 * time.Millisecond, 2, "(overloaded)"},
		{"an error in place of tokens that lasts", []fakeai.Answer{fakeai.Stream(
			fakeai.Raw(`data: {"error":{"message":"` + canary + `","code":401}}` + "\n\n"),
		), hello}, unavailable, 0, 0, 1, "ai.api_key"},
		{"an error as the reason to stop", []fakeai.Answer{fakeai.Stream(fakeai.Text("你"), fakeai.Finish("error"), fakeai.Done())}, "你" + brokenOff, 0, 0, 1, "broke off"},

		{"it breaks off", []fakeai.Answer{fakeai.Stream(fakeai.Text("你"), fakeai.Wait(time.Second), fakeai.Text("好 "), fakeai.Break()), hello}, "你好" + brokenOff, time.Second, time.Second, 1, "broke off"},
		{"it ends before the model", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"))}, "你好" + brokenOff, 0, 0, 1, "broke off"},
		{"it hangs after some text", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"), fakeai.Wait(time.Hour))}, "你好" + brokenOff, 2 * time.Minute, 2 * time.Minute, 1, "broke off"},
		{"the model comes to its limit", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"), fakeai.Finish("length"), fakeai.Done())}, "你好" + tooLong, 0, 0, 1, ""},
		{"the filter steps in", []fakeai.Answer{fakeai.Stream(fakeai.Text("你好"), fakeai.Finish("content_filter"), fakeai.Done())}, "你好" + brokenOff, 0, 0, 1, ""},

		{"a wrong key", []fakeai.Answer{fakeai.Status(401, canary), hello}, unavailable, 0, 0, 1, "ai.api_key"},
		{"a key without rights", []fakeai.Answer{status(403)}, unavailable, 0, 0, 1, "ai.api_key"},
		{"no such model", []fakeai.Answer{fakeai.Status(404, "model_not_found")}, unavailable, 0, 0, 1, "ai.model"},
		{"a request that is not taken", []fakeai.Answer{status(400)}, unavailable, 0, 0, 1, "ai.max_tokens"},
		{"no credit", []fakeai.Answer{status(402)}, unavailable, 0, 0, 1, "credit"},
		{"no quota", []fakeai.Answer{fakeai.Status(429, "insufficient_quota")}, unavailable, 0, 0, 1, "credit"},
		{"a question that is filtered", []fakeai.Answer{fakeai.Status(400, "content_filter")}, refused, 0, 0, 1, "level=INFO"},
		{"an answer that is filtered", []fakeai.Answer{fakeai.Stream(fakeai.Finish("content_filter"), fakeai.Done())}, refused, 0, 0, 1, "level=INFO"},
		{"a web page", []fakeai.Answer{fakeai.Page}, unavailable, 0, 0, 1, "ai.base_url"},
		{"somewhere else", []fakeai.Answer{status(302, "Location", "http://elsewhere.test/")}, unavailable, 0, 0, 1, "ai.base_url"},
		{"an error in one piece with success", []fakeai.Answer{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"error":{"message":"%s","code":"insufficient_quota"}}`, canary)
		}}, unavailable, 0, 0, 1, "credit"},

		{"it hangs", []fakeai.Answer{fakeai.Hang}, late, 2 * time.Minute, 2 * time.Minute, 1, "ai.timeout"},
		{"nothing", []fakeai.Answer{fakeai.Stream(fakeai.Finish("stop"), fakeai.Done())}, nothing, 0, 0, 1, "nothing to show"},
		{"white space only", []fakeai.Answer{fakeai.Words(0, "\n", " ")}, nothing, 0, 0, 1, "nothing to show"},
		{"what XML cannot carry only", []fakeai.Answer{fakeai.Words(0, "\x00\x01")}, nothing, 0, 0, 1, "nothing to show"},
		{"nothing within the limit", []fakeai.Answer{fakeai.Stream(fakeai.Reasoning("嗯"), fakeai.Finish("length"), fakeai.Done())}, nothing, 0, 0, 1, "raise ai.max_tokens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newAIWorld(t, bots.AIConfig{Timeout: 2 * time.Minute, SystemPrompt: "简短"}, tt.answers...)
				start := time.Now()
				got := w.ask(t, secretQuestion)
				took := time.Since(start)
				if got != tt.want {
					t.Errorf("it answers %q, want %q", got, tt.want)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("it took %v, want %v to %v", took, tt.least, tt.most)
				}
				asked := w.endpoint.Requests()
				if tt.asked > 0 && len(asked) != tt.asked || tt.asked == 0 && (len(asked) <= 5 || len(asked) > 30) {
					t.Errorf("the endpoint was asked %d times, want %d", len(asked), tt.asked)
				}
				for _, r := range asked {
					if r.Authorization != "Bearer "+canary || r.Model != "test-model" || !r.Stream || r.Messages[len(r.Messages)-1].Content != secretQuestion {
						t.Errorf("it asks %+v", r)
					}
				}
				log := w.log.String()
				if tt.log == "" && log != "" || !strings.Contains(log, tt.log) {
					t.Errorf("the log does not have %q:\n%s", tt.log, log)
				}
				if errors := strings.Count(log, "level=ERROR"); errors > 1 || strings.Count(log, "level=WARN") > 2 {
					t.Errorf("the log is long:\n%s", log)
				}
				for _, secret := range []string{canary, secretQuestion, "你好", "简短"} {
					if strings.Contains(log, secret) {
						t.Errorf("the log has %q:\n%s", secret, log)
					}
				}
			})
		})
	}
}

// TestAIThinking: what a model thinks is neither drafted nor returned.
func TestAIThinking(t *testing.T) {
	t.Parallel()
	words := func(parts ...string) fakeai.Answer { return fakeai.Words(0, parts...) }
	reasoned := fakeai.Stream(fakeai.Reasoning("想一想"), fakeai.Reasoning("再想"), fakeai.Text("好"), fakeai.Text("的"), fakeai.Finish("stop"), fakeai.Done())
	tests := []struct {
		name    string
		keep    bool
		answers []fakeai.Answer // to one question each
		want    []string
		drafts  [][]string // nil: not compared
	}{
		{"a field of its own", false, []fakeai.Answer{reasoned}, []string{"好的"}, [][]string{{"好", "好的"}}},
		{"a field of its own is never shown", true, []fakeai.Answer{reasoned}, []string{"好的"}, nil},
		{"a block", false, []fakeai.Answer{words("<thi", "nk>想", "一想</thi", "nk>\n\n好", "的")}, []string{"好的"}, [][]string{{"好", "好的"}}},
		{"a block that is kept", true, []fakeai.Answer{words("<think>想", "</think>好的")}, []string{"<think>想</think>好的"}, nil},
		{"a block in one piece", false, []fakeai.Answer{fullJSON("<think>想</think>好的")}, []string{"好的"}, nil},
		{"several blocks", false, []fakeai.Answer{words("<think>想</think>好<thinking>再", "想</thinking>的")}, []string{"好的"}, nil},
		{"a tag that is spoken of", false, []fakeai.Answer{words("用 `", "</think>", "` 结束")}, []string{"用 `</think>` 结束"}, nil},
		{"a table", false, []fakeai.Answer{words("a</th>", "<b>")}, []string{"a</th><b>"}, nil},
		{"a block that does not end", false, []fakeai.Answer{fakeai.Stream(fakeai.Text("<think>想"), fakeai.Finish("length"), fakeai.Done())}, []string{nothing}, [][]string{nil}},
		{
			// The first time its thoughts are drafted, and taken back; from then on it is known.
			"a model that begins inside a block", false,
			[]fakeai.Answer{words("想", "一想</th", "ink>", "好", "的"), words("再想", "</think>", "行"), words("<think>又", "想</think>对")},
			[]string{"好的", "行", "对"},
			[][]string{{"想", "想一想", "", "好", "好的"}, {"行"}, {"对"}},
		},
		{
			"and then does not", false,
			[]fakeai.Answer{words("想</think>好的"), words("没", "想"), words("也", "没")},
			[]string{"好的", "没想", "也没"},
			[][]string{{"好的"}, nil, {"也", "也没"}},
		},
		{
			"and then breaks off while it thinks", false,
			[]fakeai.Answer{words("想</think>好的"), fakeai.Stream(fakeai.Text("再想"), fakeai.Break()), words("再想</think>行"), words("想</think>对")},
			[]string{"好的", "行", "对"},
			[][]string{{"好的"}, {"行"}, {"对"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newAIWorld(t, bots.AIConfig{KeepThinking: tt.keep}, tt.answers...)
				for i, want := range tt.want {
					turn := new(aiTurn)
					reply, err := w.bot.Handle(echostr.WithTurn(t.Context(), withMemory(turn)), text("?"))
					if reply != echostr.Text(want) || err != nil {
						t.Errorf("answer %d: %q, %v, want %q", i, reply, err, want)
					}
					if tt.drafts != nil {
						if diff := cmp.Diff(tt.drafts[i], turn.drafts); diff != "" {
							t.Errorf("answer %d is drafted (-want +got):\n%s", i, diff)
						}
					}
				}
			})
		})
	}
}

func withMemory(turn *aiTurn) *aiTurn {
	turn.memory = new(echostr.Memory)
	return turn
}

// TestAIConversation: the model is reminded of what was said, and of nothing else.
func TestAIConversation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reply := func(text string) fakeai.Answer { return fakeai.Words(0, text) }
		w := newAIWorld(t, bots.AIConfig{SystemPrompt: "简短", MemoryTurns: 3, MemoryLife: time.Hour},
			reply("一"), fakeai.Status(401, ""), fakeai.Stream(fakeai.Text("三"), fakeai.Break()), reply("<think>想</think>四"),
			reply("五"), reply("六"), reply("七"), reply("八"), reply("九"))
		turn := &aiTurn{memory: new(echostr.Memory)}
		say := func(content string) {
			t.Helper()
			w.say(t, turn, text(content))
		}
		say("问一")
		say("问二") // is not answered
		say("问三") // breaks off
		w.say(t, turn, &echostr.ImageMessage{})
		say("问四")
		say("问五")
		say("问六") // 问一 is too many
		time.Sleep(time.Hour + time.Second)
		say("问七") // all is too long ago
		if got := w.say(t, turn, text(" 清空 ")); got != "好的，之前的对话已清空。" {
			t.Errorf("清空 is answered %q", got)
		}
		say("问八")
		if got := w.say(t, turn, &echostr.VoiceMessage{Recognition: "Clear."}); got != "好的，之前的对话已清空。" {
			t.Errorf("clear, said, is answered %q", got)
		}
		w.say(t, turn, &echostr.VoiceMessage{Recognition: "问九"})

		want := [][]string{
			{"问一"},
			{"问一", "一", "问二"},
			{"问一", "一", "问三"},
			{"问一", "一", "问三", "三", "问四"},
			{"问一", "一", "问三", "三", "问四", "四", "问五"},
			{"问三", "三", "问四", "四", "问五", "五", "问六"},
			{"问七"},
			{"问八"},
			{"问九"},
		}
		var got [][]string
		for _, r := range w.endpoint.Requests() {
			var contents []string
			for i, m := range r.Messages {
				if role := []string{"user", "assistant"}; i > 0 && m.Role != role[(i-1)%2] || i == 0 && m != (fakeai.Message{Role: "system", Content: "简短"}) {
					t.Errorf("message %d is %+v", i, m)
				}
				if i > 0 {
					contents = append(contents, m.Content)
				}
			}
			got = append(got, contents)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the model reads (-want +got):\n%s", diff)
		}
	})
}

// TestAIMemoryLimits: the past is bounded, may be too long for a model, and may be unreadable.
func TestAIMemoryLimits(t *testing.T) {
	t.Parallel()
	remembered := func(n, size int) *echostr.Memory {
		memory := new(echostr.Memory)
		for i := range n {
			memory.Add(echostr.Exchange{Question: fmt.Sprint("问", i), Answer: strings.Repeat("a", size), At: time.Now()})
		}
		return memory
	}
	tests := []struct {
		name     string
		cfg      bots.AIConfig
		turn     func() *aiTurn
		answers  []fakeai.Answer
		messages []int // of each request
		log      string
	}{
		{"by default ten turns", bots.AIConfig{}, func() *aiTurn { return &aiTurn{memory: remembered(20, 10)} }, nil, []int{21}, ""},
		{"none", bots.AIConfig{MemoryTurns: -1}, func() *aiTurn { return &aiTurn{memory: remembered(20, 10)} }, nil, []int{1}, ""},
		{"too long ago by the clock of the server", bots.AIConfig{}, func() *aiTurn { return &aiTurn{memory: remembered(2, 10), later: 25 * time.Hour} }, nil, []int{1}, ""},
		{"32 KiB", bots.AIConfig{MemoryTurns: 50}, func() *aiTurn { return &aiTurn{memory: remembered(20, 8000)} }, nil, []int{9}, ""},
		{
			"too long for the model",
			bots.AIConfig{},
			func() *aiTurn { return &aiTurn{memory: remembered(2, 10)} },
			[]fakeai.Answer{fakeai.Status(400, "context_length_exceeded")},
			[]int{5, 1},
			"ai.memory_turns",
		},
		{"a store that fails", bots.AIConfig{}, func() *aiTurn { return &aiTurn{broken: errors.New("the disk is full")} }, nil, []int{1}, "the disk is full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newAIWorld(t, tt.cfg, append(tt.answers, fullJSON("好"))...)
				if got := w.say(t, tt.turn(), text("问")); got != "好" {
					t.Errorf("it answers %q", got)
				}
				var got []int
				for _, r := range w.endpoint.Requests() {
					got = append(got, len(r.Messages))
				}
				if diff := cmp.Diff(tt.messages, got); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
				if log := w.log.String(); !strings.Contains(log, tt.log) || tt.log == "" && log != "" {
					t.Errorf("the log does not have %q:\n%s", tt.log, log)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newAIWorld(t, bots.AIConfig{})
		if got := w.say(t, &aiTurn{broken: errors.New("the disk is full")}, text("清空")); got != "抱歉，现在没能清空，请稍后再试。" {
			t.Errorf("清空 is answered %q", got)
		}
	})
}

// TestAIOthers: what is no question needs no model.
func TestAIOthers(t *testing.T) {
	t.Parallel()
	const reads = "我只能看懂文字，请把问题用文字发给我。"
	const forgets = "好的，之前的对话已清空。"
	tests := []struct {
		name string
		m    echostr.Message
		want string
	}{
		{"picture", &echostr.ImageMessage{}, reads},
		{"voice", &echostr.VoiceMessage{}, reads},
		{"file", &echostr.FileMessage{}, reads},
		{"unknown", message(t, "unknown-type"), reads},
		{"empty text", text(" \n"), reads},
		{"sticker", text("【收到不支持的消息类型，暂无法显示】"), reads},
		{"follower", &echostr.SubscribeEvent{}, "欢迎"},
		{"follower of a scene", message(t, "event-subscribe-qrscene"), "欢迎"},
		{"leaves", &echostr.UnsubscribeEvent{}, ""},
		{"scan", &echostr.ScanEvent{}, ""},
		{"click", &echostr.ClickEvent{}, ""},
		{"unknown event", message(t, "event-unknown"), ""},
		{"清空", text("清空"), forgets},
		{"清空 with a full stop", text("　清空。"), forgets},
		{"Clear", text("Clear"), forgets},
		{"RESET", text("RESET "), forgets},
		{"reset, said", &echostr.VoiceMessage{Recognition: "reset."}, forgets},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bot := bots.AI(bots.AIConfig{BaseURL: "http://127.0.0.1:1", Model: "m", Greeting: "欢迎"})
			if got := answer(t, bot, tt.m); got != tt.want {
				t.Errorf("it answers %q, want %q", got, tt.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newAIWorld(t, bots.AIConfig{}, fullJSON("缓存用 redis clear"))
		if got := w.ask(t, "怎么 clear 缓存"); got != "缓存用 redis clear" {
			t.Errorf("a question with the word is answered %q", got)
		}
	})
	if got := answer(t, bots.AI(bots.AIConfig{BaseURL: "http://127.0.0.1:1", Model: "m"}), &echostr.SubscribeEvent{}); !strings.Contains(got, "清空") || !strings.Contains(got, "AI") {
		t.Errorf("a follower is greeted with %q", got)
	}
}

// TestAITime: the answer comes before the handler's time ends, and an end from outside is no answer.
func TestAITime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ timeout, budget time.Duration }{
		{0, 5*time.Minute + 5*time.Second}, {time.Minute, 65 * time.Second}, {10 * time.Minute, 10 * time.Minute},
	} {
		bot := bots.AI(bots.AIConfig{BaseURL: "http://127.0.0.1:1", Model: "m", Timeout: tt.timeout})
		for _, m := range []echostr.Message{text("问"), &echostr.VoiceMessage{}} {
			if got := bot.Match(m).Budget(); got != tt.budget {
				t.Errorf("a timeout of %v gives a %T %v, want %v", tt.timeout, m, got, tt.budget)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		// As much as a route can have.
		w := newAIWorld(t, bots.AIConfig{Timeout: 10 * time.Minute}, fakeai.Hang)
		if got := w.ask(t, "问"); got != late {
			t.Errorf("at the end of its time it answers %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newAIWorld(t, bots.AIConfig{}, fakeai.Stream(fakeai.Text("你"), fakeai.Wait(time.Hour)))
		stopped := errors.New("the server stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		reply, err := w.bot.Handle(ctx, text(secretQuestion))
		if reply != nil || !errors.Is(err, stopped) || strings.Contains(err.Error(), secretQuestion) {
			t.Errorf("an interrupted attempt gives %v, %v", reply, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// While it waits for the next attempt.
		w := newAIWorld(t, bots.AIConfig{}, fakeai.Status(503, "", "Retry-After", "60"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := w.bot.Handle(ctx, text("问")); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("an interrupted wait gives %v after %v", err, time.Since(start))
		}
	})
}

// TestAILong: answers are long, but not endless, and are drafted all along.
func TestAILong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		part := strings.Repeat("长", 1000)
		var steps []fakeai.Step
		for range 100 {
			steps = append(steps, fakeai.Text(part))
		}
		w := newAIWorld(t, bots.AIConfig{}, fakeai.Stream(append(steps, fakeai.Finish("stop"), fakeai.Done())...))
		turn := &aiTurn{memory: new(echostr.Memory)}
		got := w.say(t, turn, text("问"))
		if want := strings.Repeat(part, 22) + tooLong; got != want {
			t.Errorf("the answer has %d bytes, want %d", len(got), len(want))
		}
		if len(turn.drafts) != 22 {
			t.Errorf("there were %d drafts", len(turn.drafts))
		}
	})
}

// TestAILimitOfTokens: newer models of OpenAI have another name for it.
func TestAILimitOfTokens(t *testing.T) {
	t.Parallel()
	for model, want := range map[string][2]int{"deepseek-chat": {700, 0}, "gpt-4o": {700, 0}, "gpt-5-mini": {0, 700}} {
		endpoint := fakeai.New(fullJSON("好"))
		bot := bots.AI(bots.AIConfig{
			BaseURL: "http://ai.test/v1/chat/completions", Model: model, MaxTokens: 700,
			HTTPClient: &http.Client{Transport: direct{endpoint}},
		})
		if got := answer(t, bot, text("问")); got != "好" {
			t.Errorf("%s answers %q", model, got)
		}
		for _, r := range endpoint.Requests() {
			if got := [2]int{r.MaxTokens, r.MaxCompletionTokens}; got != want || r.Authorization != "" {
				t.Errorf("%s is asked for %v tokens with the authorization %q, want %v", model, got, r.Authorization, want)
			}
		}
	}
}

// TestAIWiring: what cannot work is found before the first message, without a word of the key.
func TestAIWiring(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field  string
		modify func(*bots.AIConfig)
	}{
		{"BaseURL", func(c *bots.AIConfig) { c.BaseURL = "" }},
		{"BaseURL", func(c *bots.AIConfig) { c.BaseURL = "api.deepseek.com/v1" }},
		{"BaseURL", func(c *bots.AIConfig) { c.BaseURL = "ftp://api.deepseek.com/v1" }},
		{"BaseURL", func(c *bots.AIConfig) { c.BaseURL = "https://" + canary + "@api.deepseek.com/v1" }},
		{"BaseURL", func(c *bots.AIConfig) { c.BaseURL = "https://api.deepseek.com/v1?key=" + canary }},
		{"Model", func(c *bots.AIConfig) { c.Model = " " }},
		{"APIKey", func(c *bots.AIConfig) { c.APIKey = config.NewSecret(canary + "\n") }},
		{"Timeout", func(c *bots.AIConfig) { c.Timeout = 11 * time.Minute }},
		{"Timeout", func(c *bots.AIConfig) { c.Timeout = -1 }},
		{"MemoryLife", func(c *bots.AIConfig) { c.MemoryLife = -1 }},
		{"MaxTokens", func(c *bots.AIConfig) { c.MaxTokens = -1 }},
	}
	for i, tt := range tests {
		cfg := bots.AIConfig{BaseURL: "https://api.deepseek.com/v1", Model: "deepseek-chat"}
		tt.modify(&cfg)
		said := func() (said string) {
			defer func() { said = fmt.Sprint(recover()) }()
			bots.AI(cfg)
			return ""
		}()
		if !strings.Contains(said, tt.field) || strings.Contains(said, canary) {
			t.Errorf("%d: AI panics with %q", i, said)
		}
	}
	secret := bots.AIConfig{APIKey: config.NewSecret(canary)}
	if printed := fmt.Sprintf("%v %+v %#v", secret, &secret, secret); strings.Contains(printed, canary) {
		t.Errorf("the configuration prints its key: %s", printed)
	}
}

// direct calls a handler without a connection, for answers that do not stream.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}
