package main

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/fakeai"
	"github.com/echostr/echostr/simulator"
)

const testToken = "zAIExampleTestToken0000000000000"

// TestConversation: the second question is asked with the first one and its answer, and an endpoint
// that fails leaves the user with the fallback.
func TestConversation(t *testing.T) {
	t.Parallel()
	endpoint := fakeai.New(
		fakeai.Words(0, "<think>谁？</think>", "**苏轼**", "，号东坡。"),
		fakeai.Words(0, "1037 年。"),
		fakeai.Status(500, "server_error"),
		fakeai.Words(0, "你好。"),
	)
	ai := httptest.NewServer(endpoint)
	t.Cleanup(ai.Close)
	bot, err := newBot(testToken, ai.URL+"/v1", "key", "test-model")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(bot)
	t.Cleanup(func() {
		srv.Close()
		if err := bot.Shutdown(context.Background()); err != nil {
			t.Log(err)
		}
	})
	wechat, err := simulator.New(simulator.Config{Account: simulator.Account{
		URL: srv.URL + "/wx/ai", Token: testToken, Mode: simulator.Plain,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range []struct{ question, answer string }{
		{"东坡是谁？", "苏轼，号东坡。"},
		{"哪年生？", "1037 年。"},
		{"哪年卒？", "抱歉，现在答不上来，请稍后再试。"},
		{"清空", "好的，之前的对话已清空。"},
		{"你好", "你好。"},
	} {
		report, err := wechat.Send(t.Context(), simulator.Text(turn.question))
		if err != nil {
			t.Fatal(err)
		}
		if v := report.Verdict; v.Reply == nil || v.Reply.Content != turn.answer {
			t.Errorf("%s: want %q, got:\n%v", turn.question, turn.answer, report)
		}
	}
	var asked [][]string
	for _, r := range endpoint.Requests() {
		var contents []string
		for _, m := range r.Messages[1:] {
			contents = append(contents, m.Content)
		}
		asked = append(asked, contents)
	}
	first, second := []string{"东坡是谁？"}, []string{"东坡是谁？", "苏轼，号东坡。", "哪年生？"}
	third := append(second[:3:3], "1037 年。", "哪年卒？")
	if diff := cmp.Diff([][]string{first, second, third, {"清空", "好的，之前的对话已清空。", "你好"}}, asked); diff != "" {
		t.Errorf("the model was asked (-want +got):\n%s", diff)
	}
}

// TestConfiguration: without a token everybody could write to the bot, and without a model nobody answers.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, env := range [][3]string{{"", "https://ai.test", "m"}, {testToken, "", "m"}, {testToken, "https://ai.test", ""}} {
		if _, err := newBot(env[0], env[1], "", env[2]); err == nil {
			t.Errorf("a bot has started with %q", env)
		}
	}
}
