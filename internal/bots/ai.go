package bots

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/longtext"
)

// AIConfig says which model answers, and how. BaseURL and Model must be given.
type AIConfig struct {
	// BaseURL is the address of a chat endpoint that speaks OpenAI's protocol, without
	// /chat/completions, such as https://api.deepseek.com/v1.
	BaseURL string
	// Model is the name that the endpoint knows it by.
	Model string
	// APIKey may be empty, as for a model on one's own machine.
	APIKey config.Secret
	// SystemPrompt is what the model is told before every conversation. Empty: nothing.
	SystemPrompt string
	// Greeting is what a new follower reads. Defaults to one in Chinese.
	Greeting string
	// MemoryTurns is how many questions and their answers the model is reminded of. Defaults to 10;
	// below zero it is none. However many, they have at most 32 KiB.
	MemoryTurns int
	// MemoryLife is how long ago those may be. Defaults to 24 h.
	MemoryLife time.Duration
	// MaxTokens is how long an answer may become, in the model's own unit. Zero leaves it to the endpoint.
	MaxTokens int
	// Timeout is how long an answer may take, with all that is tried again. Defaults to 5 min;
	// at most 10 min.
	Timeout time.Duration
	// KeepThinking shows what a model writes in <think>…</think>. What it puts into a field of its
	// own (reasoning_content) is never shown.
	KeepThinking bool
	// HTTPClient defaults to one that waits for as long as Timeout allows. It follows no redirect.
	HTTPClient *http.Client
	// Logger defaults to slog.Default. No key and no content is logged.
	Logger *slog.Logger
}

const (
	defaultMemoryTurns = 10
	defaultMemoryLife  = 24 * time.Hour
	defaultAITimeout   = 5 * time.Minute
	maxAITimeout       = 10 * time.Minute
	maxHistory         = 32 << 10 // bytes of all questions and answers of the past
)

// What users read. The apologies are recognised when a conversation is remembered, see history.
const (
	defaultGreeting = "你好，我是 AI 助手，直接发文字提问就可以。发送“清空”可以重新开始对话。回答由 AI 生成，请注意核实。"
	forgotten       = "好的，之前的对话已清空。"
	notForgotten    = "抱歉，现在没能清空，请稍后再试。"
	textOnly        = "我只能看懂文字，请把问题用文字发给我。"

	apologyUnavailable = "抱歉，AI 服务暂时不可用，请稍后再试。"
	apologyBusy        = "抱歉，现在提问的人太多了，请稍后再试。"
	apologyLate        = "抱歉，这个问题花的时间太长，没能答完，请换个问法再试。"
	apologyEmpty       = "抱歉，没有得到回答，请换个问法再试。"
	apologyRefused     = "抱歉，这个问题我无法回答。"

	noteBroken = "\n\n（回答到这里中断了。）"
	noteLong   = "\n\n（回答太长，到这里为止。）"
)

var (
	apologies = []string{
		forgotten, notForgotten, apologyUnavailable, apologyBusy, apologyLate, apologyEmpty, apologyRefused,
	}
	notes = []string{noteBroken, noteLong}
)

// forgetCommand may end in a full stop, as speech recognition ends in one.
const forgetCommand = `(?i)^[\s　]*(?:清空|clear|reset)[\s　。.]*$`

// unsupported is how texts begin that WeChat writes in place of what a text cannot show: stickers, red packets.
const unsupported = "【收到不支持的消息类型"

// AI returns a bot that has a model answer texts, and voices whose words WeChat has recognised. The
// model is reminded of the conversation (see [echostr.Session]); 清空, clear and reset make it forget. A
// new follower is greeted, other events get no answer, and other messages are told that it reads texts.
//
// The answer is drafted as it is written ([echostr.Draft]); every draft begins what is returned. Answers
// are as long as the model makes them, up to 64 KiB.
//
// When an endpoint is busy, broken or cannot be reached, it is asked again for as long as there is time,
// unless the user may have seen part of an answer: that is returned with a note that it broke off. What
// cannot succeed is logged for the operator, and the user gets an apology instead of an answer.
//
// It panics if cfg cannot work, with a sentence that names the field.
func AI(cfg AIConfig) *echostr.Router {
	a := newAI(cfg)
	r := echostr.NewRouter()
	echostr.On[echostr.Message](r, a.forget, echostr.Regexp(forgetCommand))
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return a.answer(ctx, m.Content)
	}).Late(a.budget())
	echostr.On(r, func(ctx context.Context, m *echostr.VoiceMessage) (echostr.Reply, error) {
		return a.answer(ctx, m.Recognition)
	}).Late(a.budget())
	echostr.On(r, func(context.Context, *echostr.SubscribeEvent) (echostr.Reply, error) {
		return echostr.Text(a.cfg.Greeting), nil
	})
	echostr.On(r, func(context.Context, echostr.Message) (echostr.Reply, error) {
		return nil, nil
	}, echostr.Event())
	echostr.On(r, func(context.Context, echostr.Message) (echostr.Reply, error) {
		return echostr.Text(textOnly), nil
	})
	return r
}

type ai struct {
	cfg AIConfig
	// beginsInside says that the last answer began inside a think block, without the tag that begins
	// one: some servers put that into the prompt. The next answer is taken to do so, too.
	beginsInside atomic.Bool
}

func newAI(cfg AIConfig) *ai {
	// People paste the address of the request as often as that of the endpoint.
	cfg.BaseURL = strings.TrimSuffix(strings.TrimRight(cfg.BaseURL, "/"), "/chat/completions")
	u, err := url.Parse(cfg.BaseURL)
	key := cfg.APIKey.Reveal()
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "":
		panic("bots: AI: BaseURL is not the address of an endpoint; give one such as https://api.deepseek.com/v1")
	case strings.TrimSpace(cfg.Model) == "":
		panic("bots: AI: Model is empty; give the name that the endpoint knows the model by")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		panic("bots: AI: APIKey has characters that no key has; copy it again, without blanks and line ends")
	case cfg.Timeout < 0 || cfg.Timeout > maxAITimeout:
		panic(fmt.Sprintf("bots: AI: a Timeout of %v is out of range; use up to %v", cfg.Timeout, maxAITimeout))
	case cfg.MemoryLife < 0 || cfg.MaxTokens < 0:
		panic("bots: AI: MemoryLife or MaxTokens is below zero; leave it out for the default")
	}
	if cfg.Greeting == "" {
		cfg.Greeting = defaultGreeting
	}
	if cfg.MemoryTurns == 0 {
		cfg.MemoryTurns = defaultMemoryTurns
	}
	if cfg.MemoryLife == 0 {
		cfg.MemoryLife = defaultMemoryLife
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultAITimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	client := new(http.Client)
	if cfg.HTTPClient != nil {
		*client = *cfg.HTTPClient
	} else {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 32 // all requests go to one host, and with the default of 2 most would connect anew
		client.Transport = transport
	}
	// A redirect would make the POST a GET, and is a sign of a wrong address.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.HTTPClient = client
	return &ai{cfg: cfg}
}

// budget is the time of the routes: a little more than Timeout, so that there is time to say that it is over.
func (a *ai) budget() time.Duration { return min(a.cfg.Timeout+5*time.Second, maxAITimeout) }

// timeLeft is how long an answer may take: the handler has to return before its own time ends, since
// what it returns after that is not sent.
func (a *ai) timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return a.cfg.Timeout
	}
	left := time.Until(deadline)
	return min(a.cfg.Timeout, left-min(time.Second, left/10))
}

// forget is for 清空 and its kin.
func (a *ai) forget(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
	memory, err := echostr.Session(ctx)
	if err != nil {
		a.log(ctx, slog.LevelWarn, "the conversation cannot be forgotten now", err, "")
		return echostr.Text(notForgotten), nil
	}
	memory.Forget()
	return echostr.Text(forgotten), nil
}

// answer asks the model until there is something to say.
func (a *ai) answer(ctx context.Context, question string) (echostr.Reply, error) {
	question = strings.TrimSpace(question)
	if question == "" || strings.HasPrefix(question, unsupported) {
		return echostr.Text(textOnly), nil
	}
	limited, cancel := context.WithTimeout(ctx, a.timeLeft(ctx))
	defer cancel()
	deadline, _ := limited.Deadline()
	history := a.history(ctx)
	for attempt := 1; ; attempt++ {
		got := a.ask(limited, a.messages(history, question))
		if ctx.Err() != nil {
			// Nobody would get an answer now; an attempt elsewhere may begin anew.
			return nil, fmt.Errorf("asking the model was interrupted: %w", context.Cause(ctx))
		}
		if got.text != "" {
			return echostr.Text(got.text + a.note(ctx, got)), nil
		}
		v := judge(got)
		if limited.Err() != nil && v.retry {
			v = verdict{apology: apologyLate, level: slog.LevelWarn, hint: "raise ai.timeout, or use a model that is faster"}
		}
		if v.perhapsTooLong && len(history) > 0 {
			a.log(ctx, slog.LevelWarn, "the model was asked again without the conversation", got.err, "if this happens often, lower ai.memory_turns")
			history = nil
			continue
		}
		pause := max(v.after, backoff(attempt))
		if !v.retry || pause >= time.Until(deadline) {
			a.log(ctx, v.level, "there is no answer of the model", got.err, v.hint)
			return echostr.Text(v.apology), nil
		}
		level := slog.LevelDebug
		if attempt == 1 { // one line, however often it is tried
			level = slog.LevelWarn
		}
		a.log(ctx, level, "the model is asked again", got.err, "")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
		}
	}
}

// note says that the text is not the whole answer, if so.
func (a *ai) note(ctx context.Context, got outcome) string {
	switch {
	case got.err != nil:
		a.log(ctx, slog.LevelWarn, "an answer of the model broke off", got.err, "")
		return noteBroken
	case got.finish == openai.FinishReasonLength:
		return noteLong
	case got.finish == openai.FinishReasonContentFilter:
		return noteBroken
	}
	return ""
}

// history returns the turns that the model is reminded of, the oldest first.
func (a *ai) history(ctx context.Context) []echostr.Exchange {
	if a.cfg.MemoryTurns < 0 {
		return nil
	}
	memory, err := echostr.Session(ctx)
	if err != nil {
		// An answer without memory is better than none.
		a.log(ctx, slog.LevelWarn, "the conversation cannot be remembered now", err, "")
		return nil
	}
	now := time.Now()
	if turn, ok := echostr.TurnFrom(ctx); ok {
		now = turn.ReceivedAt() // by the same clock as the turns of the past
	}
	var turns []echostr.Exchange
	size := 0
	for _, x := range slices.Backward(memory.Turns(math.MaxInt)) {
		if len(turns) == a.cfg.MemoryTurns || now.Sub(x.At) > a.cfg.MemoryLife {
			break
		}
		if slices.Contains(apologies, x.Answer) {
			continue // a model that reads them begins to apologise itself
		}
		for _, note := range notes {
			x.Answer = strings.TrimSuffix(x.Answer, note)
		}
		x.Answer = longtext.WithoutThinking(x.Answer)
		if x.Question == "" || x.Answer == "" {
			continue
		}
		if size += len(x.Question) + len(x.Answer); size > maxHistory {
			break
		}
		turns = append(turns, x)
	}
	slices.Reverse(turns)
	return turns
}

// messages is what the model is given to read.
func (a *ai) messages(history []echostr.Exchange, question string) []openai.ChatCompletionMessage {
	var list []openai.ChatCompletionMessage
	add := func(role, content string) {
		list = append(list, openai.ChatCompletionMessage{Role: role, Content: content})
	}
	if a.cfg.SystemPrompt != "" {
		add(openai.ChatMessageRoleSystem, a.cfg.SystemPrompt)
	}
	for _, x := range history {
		add(openai.ChatMessageRoleUser, x.Question)
		add(openai.ChatMessageRoleAssistant, x.Answer)
	}
	add(openai.ChatMessageRoleUser, question)
	return list
}

// log writes one line, without anything that could be a secret or content.
func (a *ai) log(ctx context.Context, level slog.Level, text string, err error, hint string) {
	var attrs []slog.Attr
	if turn, ok := echostr.TurnFrom(ctx); ok {
		attrs = append(attrs, slog.String("account", turn.Account()), slog.String("turn", turn.ID()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", harmless(err, a.cfg.APIKey)))
	}
	if hint != "" {
		attrs = append(attrs, slog.String("hint", hint))
	}
	a.cfg.Logger.LogAttrs(ctx, level, text, attrs...)
}
