package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// random is a configuration that is valid, with about half of its keys given.
func random(rng *rand.Rand) *Config {
	some := func(set func()) {
		if rng.IntN(2) == 0 {
			set()
		}
	}
	word := func(letters string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	const small, hex = "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"
	alnum := small + strings.ToUpper(small) + "0123456789"
	span := func(lo, hi time.Duration) Duration {
		return Duration(lo + time.Duration(rng.Int64N(int64(hi-lo)+1)))
	}
	count := func() Count { return Count(1 + rng.IntN(maxCount)) }
	token := func() Secret { return NewSecret("z" + word(alnum, 31)) }
	aes := func() Secret { return NewSecret(word(alnum+"+/", 42) + "A") }
	text := func() string { // what YAML, and whoever reads it, may stumble over
		parts := []string{"你好", ": ", " #", "'", "\"", "\\", "{link}", "\n", "- ", "&a", "*", "!", "%", "@", "true", "0123", "😀", "{{x}}", "\t."}
		var b strings.Builder
		for range 1 + rng.IntN(8) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		return "x" + b.String() + "x"
	}
	store := func() Store {
		return []Store{"memory:", "sqlite:./a b.db", "sqlite:/var/lib/echostr/" + Store(word(small, 5)) + ".db", "postgres://user:p%40ss@host:5432/" + Store(word(small, 5))}[rng.IntN(4)]
	}
	c := &Config{Listen: fmt.Sprint("127.0.0.1:", 1024+rng.IntN(10_000)), Admin: fmt.Sprint("[::1]:", 20_000+rng.IntN(10_000))}
	some(func() { c.AdminTokenFile = text() })
	some(func() { c.Store = store() })
	some(func() { c.AllowNetworkFileSystem = true })
	some(func() { c.Log.Level = []LogLevel{"debug", "info", "warn", "error"}[rng.IntN(4)] })
	some(func() { c.Log.Format = []LogFormat{LogText, LogJSON}[rng.IntN(2)] })
	for range rng.IntN(3) {
		address := netip.AddrFrom4([4]byte{10, byte(rng.IntN(256)), byte(rng.IntN(256))})
		c.TrustedProxies = append(c.TrustedProxies, Prefix{netip.PrefixFrom(address, 24)})
	}
	some(func() { c.Retention.Bodies = span(time.Hour, 3660*24*time.Hour) })
	some(func() { c.Limits.MaxWaiting = count() })
	some(func() { c.Limits.MaxRunning = count() })
	some(func() { c.Limits.MaxUserMessages = count() })
	some(func() { c.OnUnsubscribe = []OnUnsubscribe{Erase, Keep}[rng.IntN(2)] })
	some(func() { c.APIBaseURL = "https://" + word(small, 5) + ".example.com/x" })
	some(func() { c.ServeToken = true })
	for i := range 1 + rng.IntN(3) {
		a := Account{Name: fmt.Sprint(word(small, 1+rng.IntN(20)), "-", i), AppID: "wx" + word(hex, 16), Token: token(), Mode: []Mode{Plain, Compatible, Safe}[rng.IntN(3)]}
		some(func() { a.Store = store() })
		some(func() { a.AppSecret = NewSecret(word(hex, 32)) })
		if some(func() { a.EncodingAESKey = aes() }); a.Mode != Plain {
			a.EncodingAESKey = aes()
		}
		if !a.AppSecret.IsZero() {
			a.Verified = true
			some(func() { a.Late = []Late{LateAPI, LateHold, LateTicket}[rng.IntN(3)] })
		}
		some(func() { a.OnUnknown = Resend })
		some(func() { a.Placeholder = text() + "{link}" })
		some(func() { a.FetchWord = word(small, 5) })
		some(func() { a.TicketLife = span(time.Minute, 168*time.Hour) })
		some(func() { a.HoldBudget = count() })
		some(func() { a.Overlap = OverlapParallel })
		some(func() { a.Markdown = true })
		some(func() { a.RemoveThinking = true })
		some(func() { a.TokenKind = []TokenKind{StableToken, PlainToken}[rng.IntN(2)] })
		some(func() {
			a.Bot = BotAI
			a.Markdown, a.RemoveThinking = true, true // its defaults
			a.AI = AI{BaseURL: "https://" + word(small, 5) + ".example.com/v1", Model: text(), SystemPrompt: text(), MemoryTurns: Count(1 + rng.IntN(50)), Timeout: span(time.Second, 10*time.Minute)}
			some(func() { a.AI.APIKey = NewSecret("sk-" + word(alnum, 40)) })
			some(func() { a.AI.MemoryLife = span(time.Minute, 30*24*time.Hour) })
			some(func() { a.AI.MaxTokens = count() })
		})
		some(func() { a.OriginalID = "gh_" + word(hex, 12) })
		some(func() {
			a.PreviousToken, a.PreviousUntil = token(), now.Add(time.Duration(rng.IntN(24*3600))*time.Second)
			some(func() { a.PreviousEncodingAESKey = aes() })
		})
		some(func() { a.HandlerTimeout = span(time.Millisecond, 10*time.Minute) })
		some(func() { a.Freshness = span(30*time.Second, 10*time.Minute) })
		some(func() { a.BodyLimit = Size(4<<10 + rng.IntN(4<<20-4<<10+1)) })
		some(func() { a.AllowWeakToken = true })
		some(func() { a.Once = true })
		some(func() { a.BindSignature = true })
		some(func() { a.Fallback = text() })
		c.Accounts = append(c.Accounts, a)
	}
	return c
}

// given is one key of a configuration that is not at its zero, with its value as it is written.
type given struct {
	keys []string // of the sections, and of the key
	text string
}

// keysGiven returns the keys of a struct, in a random order, those of a section together.
func keysGiven(rng *rand.Rand, v reflect.Value) (list []given) {
	byName, names := keysOf(v.Type())
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		k := byName[name]
		switch f := v.Field(k.index); value := f.Interface().(type) {
		case []Account:
		case []Prefix:
			var texts []string
			for _, p := range value {
				texts = append(texts, p.String())
			}
			if len(texts) > 0 {
				list = append(list, given{[]string{name}, strings.Join(texts, ",")})
			}
		case Secret:
			if !k.file && !value.IsZero() {
				list = append(list, given{[]string{name}, value.Reveal()})
			}
		case Store: // which hides its password when it is printed
			if value != "" {
				list = append(list, given{[]string{name}, string(value)})
			}
		case time.Time:
			if !value.IsZero() {
				list = append(list, given{[]string{name}, value.Format(time.RFC3339)})
			}
		default:
			switch {
			case isSection(f.Type()):
				for _, g := range keysGiven(rng, f) {
					list = append(list, given{append([]string{name}, g.keys...), g.text})
				}
			case !f.IsZero():
				list = append(list, given{[]string{name}, fmt.Sprint(value)})
			}
		}
	}
	return list
}

// quoted is a text as YAML has it between quotation marks.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}

// yamlOf writes keys as lines that are indented so far.
func yamlOf(list []given, indent string) (lines []string) {
	section := ""
	for _, g := range list {
		under := indent
		if len(g.keys) == 2 {
			if g.keys[0] != section {
				lines = append(lines, indent+g.keys[0]+":")
			}
			under += "  "
		}
		section = g.keys[0]
		value := quoted(g.text)
		switch {
		case g.text == "true":
			value = g.text
		case g.keys[0] == "trusted_proxies":
			value = "[" + g.text + "]"
		}
		lines = append(lines, under+g.keys[len(g.keys)-1]+": "+value)
	}
	return lines
}

// written is a configuration as a file, and as variables of the environment.
func written(rng *rand.Rand, c *Config) (lines, env []string) {
	variable := func(prefix string, list []given) {
		for _, g := range list {
			env = append(env, prefix+strings.ToUpper(strings.Join(g.keys, "_"))+"="+g.text)
		}
	}
	list := keysGiven(rng, reflect.ValueOf(c).Elem())
	lines = yamlOf(list, "")
	variable(envPrefix, list)
	lines = append(lines, "accounts:")
	for i := range c.Accounts {
		list := keysGiven(rng, reflect.ValueOf(&c.Accounts[i]).Elem())
		lines = append(lines, "  -")
		lines = append(lines, yamlOf(list, "    ")...)
		variable(fmt.Sprintf("%sACCOUNTS_%d_", envPrefix, i), list)
	}
	return lines, env
}

// Whatever valid configuration is written down, as a file or as variables, is the one that is read.
func TestAnyConfigurationIsReadAsWritten(t *testing.T) {
	t.Parallel()
	same := []cmp.Option{
		cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreFields(Config{}, "Warnings"), cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b Secret) bool { return a.Equal(b) }), cmp.Comparer(func(a, b Prefix) bool { return a == b }),
	}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 20))
		want := random(rng)
		lines, env := written(rng, want)
		want.fillDefaults()
		file := strings.Join(lines, "\n") + "\n"
		for how, load := range map[string]func() (*Config, error){
			"file":      func() (*Config, error) { return loadText(file, nil, nil) },
			"variables": func() (*Config, error) { return loadText("", env, nil) },
		} {
			got, err := load()
			if err != nil {
				t.Fatalf("seed %d, by %s: %v\n%s", seed, how, err, file)
			}
			if diff := cmp.Diff(want, got, same...); diff != "" {
				t.Fatalf("seed %d, by %s (-want +got):\n%s\n%s", seed, how, diff, file)
			}
		}
	}
}

// A key that is not known is refused wherever it stands, and named with its line.
func TestAnyUnknownKeyIsRefused(t *testing.T) {
	t.Parallel()
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 200))
		lines, _ := written(rng, random(rng))
		var at int
		for { // a line with a key, not the one that begins an account
			if at = rng.IntN(len(lines)); strings.Contains(lines[at], ":") && !strings.Contains(lines[at], "accounts:") {
				break
			}
		}
		key, rest, _ := strings.Cut(strings.TrimLeft(lines[at], " "), ":")
		indent := lines[at][:len(lines[at])-len(key)-1-len(rest)]
		b := []byte(key)
		b[rng.IntN(len(b))] = "qjx"[rng.IntN(3)]
		unknown := string(b)
		if known := append(keyNames[Config](), append(keyNames[Account](), append(keyNames[AI](), "level", "format", "bodies", "max_waiting", "max_running", "max_user_messages")...)...); slices.Contains(known, unknown) {
			continue
		}
		if rest == "" || rng.IntN(2) == 0 {
			lines[at] = indent + unknown + ":" + rest // instead of the right one
		} else {
			lines = slices.Insert(lines, at, indent+unknown+": x")
		}
		c, err := loadText(strings.Join(lines, "\n")+"\n", nil, nil)
		if err == nil || c != nil || !strings.Contains(err.Error(), fmt.Sprintf(":%d:", at+1)) || !strings.Contains(err.Error(), "not known") {
			t.Fatalf("seed %d: %s in line %d: %v\n%s", seed, unknown, at+1, err, strings.Join(lines, "\n"))
		}
	}
}

func keyNames[T any]() []string {
	_, names := keysOf(reflect.TypeFor[T]())
	return names
}
