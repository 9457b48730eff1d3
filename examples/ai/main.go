// AI is a bot of your own that has a model answer, by any endpoint that speaks OpenAI's protocol. It
// shows what a handler that takes its time needs: it says how far it is (Draft), it knows what was said
// before (Session), and it has minutes instead of seconds (Late).
//
//	export WECHAT_TOKEN=...   # 令牌(Token) in WeChat's console, 16 characters or more
//	export AI_BASE_URL=https://api.deepseek.com/v1 AI_MODEL=deepseek-chat AI_API_KEY=...
//	go run ./examples/ai
//
// The built-in bot `ai` does more: it tries again, keeps what a model thinks to itself, and
// bounds what it remembers. See docs/ai.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

// model answers texts.
type model struct {
	client *openai.Client
	name   string
}

func (m model) answer(ctx context.Context, text *echostr.TextMessage) (echostr.Reply, error) {
	memory, err := echostr.Session(ctx)
	if err != nil {
		return nil, err
	}
	if text.Content == "清空" {
		memory.Forget()
		return echostr.Text("好的，之前的对话已清空。"), nil
	}
	messages := []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleSystem, Content: "你在微信公众号里回答问题。用纯文本，尽量简短。"}}
	for _, turn := range memory.Turns(10) {
		messages = append(messages,
			openai.ChatCompletionMessage{Role: openai.ChatMessageRoleUser, Content: turn.Question},
			openai.ChatCompletionMessage{Role: openai.ChatMessageRoleAssistant, Content: turn.Answer})
	}
	messages = append(messages, openai.ChatCompletionMessage{Role: openai.ChatMessageRoleUser, Content: text.Content})

	stream, err := m.client.CreateChatCompletionStream(ctx, openai.ChatCompletionRequest{Model: m.name, Messages: messages})
	if err != nil {
		return nil, harmless(err)
	}
	defer stream.Close()
	var answer strings.Builder
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, harmless(err)
		}
		if len(chunk.Choices) > 0 {
			answer.WriteString(chunk.Choices[0].Delta.Content)
			echostr.Draft(ctx, answer.String())
		}
	}
	return echostr.Text(answer.String()), nil
}

// harmless makes an error fit to be logged: what an endpoint writes may quote the question or the key.
func harmless(err error) error {
	var api *openai.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("the model's endpoint answered with status %d: check AI_BASE_URL, AI_MODEL and AI_API_KEY", api.HTTPStatusCode)
	}
	var request *openai.RequestError
	if errors.As(err, &request) {
		return fmt.Errorf("the model's endpoint answered with status %d: check AI_BASE_URL", request.HTTPStatusCode)
	}
	return err
}

func newBot(token, baseURL, apiKey, name string) (*callback.Server, error) {
	if baseURL == "" || name == "" {
		return nil, errors.New("no model is named: set AI_BASE_URL and AI_MODEL")
	}
	settings := openai.DefaultConfig(apiKey)
	settings.BaseURL = baseURL
	r := echostr.NewRouter()
	echostr.On(r, model{openai.NewClientWithConfig(settings), name}.answer).Late(5 * time.Minute)
	return callback.New(callback.Config{Handler: r, Accounts: []callback.Account{{
		Name: "ai", Token: token, Mode: callback.Plain,
		Markdown: true, RemoveThinking: true,
		Fallback: "抱歉，现在答不上来，请稍后再试。",
	}}})
}

func main() {
	bot, err := newBot(os.Getenv("WECHAT_TOKEN"), os.Getenv("AI_BASE_URL"), os.Getenv("AI_API_KEY"), os.Getenv("AI_MODEL"))
	if err == nil {
		err = http.ListenAndServe("127.0.0.1:8080", bot) // WeChat's pushes: /wx/ai
	}
	log.Fatal(err)
}
