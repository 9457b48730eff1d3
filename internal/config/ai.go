package config

import (
	"strings"
	"time"
)

// AI is the section ai of an account: the model that its bot ai asks, by an endpoint like that of OpenAI.
type AI struct {
	// BaseURL is that of the endpoint, http or https, such as https://api.deepseek.com/v1.
	// Required.
	BaseURL string `yaml:"base_url"`
	// Model is the name of the model. Required.
	Model string `yaml:"model"`
	// APIKey is the key of the endpoint. Empty: none is sent.
	APIKey Secret `yaml:"api_key"`
	// SystemPrompt tells the model what to be. Empty: nothing.
	SystemPrompt string `yaml:"system_prompt"`
	// MemoryTurns is how many turns of the conversation the model is told, 0 to 50.
	// Defaults to 10.
	MemoryTurns Count `yaml:"memory_turns"`
	// MemoryLife is how old they may be, 1 min to 30 d. Defaults to 24h.
	MemoryLife Duration `yaml:"memory_life"`
	// MaxTokens bounds an answer, 1 to 1,000,000. 0 leaves it to the endpoint.
	MaxTokens Count `yaml:"max_tokens"`
	// Timeout is how long a whole answer may take, 1 s to 10 min. Defaults to 5m.
	Timeout Duration `yaml:"timeout"`
}

const maxSystemPrompt = 64 << 10

func (a *AI) fillDefaults(c *Config, path string) {
	setDefaultUnless(c, path+".memory_turns", &a.MemoryTurns, 10)
	setDefaultUnless(c, path+".memory_life", &a.MemoryLife, Duration(24*time.Hour))
	setDefaultUnless(c, path+".timeout", &a.Timeout, Duration(5*time.Minute))
}

// ai checks the section ai of an account.
func (k *checker) ai(i int) {
	a := &k.c.Accounts[i]
	path := func(key string) string { return accountPath(i, "ai."+key) }

	if a.Bot != BotAI {
		if _, given := k.c.at[accountPath(i, "ai")]; given || a.AI != (AI{}) {
			k.bad(accountPath(i, "ai"), "is for the bot ai only; set bot: ai, or remove the section")
		}
		return
	}
	switch _, _, ok := baseURL(a.AI.BaseURL); {
	case a.AI.BaseURL == "":
		k.bad(path("base_url"), "is missing; write the address of an endpoint like that of OpenAI, such as https://api.deepseek.com/v1")
	case !ok:
		k.bad(path("base_url"), "is not the URL of an endpoint; write http:// or https://, host and path, such as https://api.deepseek.com/v1, and the key under api_key")
	}
	if strings.TrimSpace(a.AI.Model) == "" {
		k.bad(path("model"), "is missing; write the name of a model that the endpoint has, such as deepseek-chat")
	}
	if strings.ContainsFunc(a.AI.APIKey.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		k.bad(path("api_key"), "has characters that no key has; copy it again, without blanks and line ends")
	}
	k.text(path("system_prompt"), a.AI.SystemPrompt, maxSystemPrompt)
	span(k, path("memory_turns"), a.AI.MemoryTurns, 0, 50, "0", "50")
	span(k, path("memory_life"), a.AI.MemoryLife, Duration(time.Minute), Duration(30*24*time.Hour), "1m", "30d")
	if _, given := k.c.at[path("max_tokens")]; given || a.AI.MaxTokens != 0 {
		span(k, path("max_tokens"), a.AI.MaxTokens, 1, maxCount, "1", "1000000")
	}
	span(k, path("timeout"), a.AI.Timeout, Duration(time.Second), Duration(10*time.Minute), "1s", "10m")
}

// aiDoubts returns what is probably not meant in the section ai of an account.
func (k *checker) aiDoubts(i int) {
	a := &k.c.Accounts[i].AI
	if host, secure, ok := baseURL(a.BaseURL); ok && !secure && !loopback(host) && !a.APIKey.IsZero() {
		k.bad(accountPath(i, "ai.base_url"), "begins with http://, so others on the way can read the api_key and all messages; use https:// if the endpoint has it")
	}
}
