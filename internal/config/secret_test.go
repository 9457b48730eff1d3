package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"
)

const canary = "CANARY7secret0123456789abcdefXYZ"

func TestS28SecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := NewSecret(canary)
	type foreign struct{ hidden Secret } // fmt does not call methods behind it
	values := []any{
		s, &s,
		[]Secret{s},
		map[string]Secret{"k": s},
		foreign{s},
		&foreign{s},
		[]foreign{{s}},
		Account{Token: s},
		&Config{Accounts: []Account{{AppSecret: s, EncodingAESKey: s, AI: AI{APIKey: s}}}},
	}
	outputs := make(map[string]string)
	for i, v := range values {
		for _, verb := range "vsqxXdtTpbcoUeEfFgGw" {
			for _, flag := range []string{"", "+", "#", " ", "-60", ".3", "#+"} {
				format := "%" + flag + string(verb)
				outputs[fmt.Sprintf("value %d, %s", i, format)] = fmt.Sprintf(format, v)
			}
		}
		outputs[fmt.Sprintf("value %d, Sprintln", i)] = fmt.Sprintln(v)
		for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal} {
			out, err := marshal(v)
			if err != nil {
				t.Errorf("%s of value %d: %v", name, i, err)
			}
			outputs[fmt.Sprintf("value %d, %s", i, name)] = string(out)
		}
		var buf bytes.Buffer
		slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "v", v)
		outputs[fmt.Sprintf("value %d, slog", i)] = buf.String()
	}
	x, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	outputs["xml"] = string(x)
	hex := fmt.Sprintf("%x", canary)
	for name, out := range outputs {
		if strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), hex) || strings.Contains(out, canary[:3]) {
			t.Errorf("%s: %s", name, out)
		}
	}
	for _, name := range []string{"value 0, %v", "value 0, %s", "value 0, %x", "value 1, %+v", "value 0, %#v"} {
		if outputs[name] != "***" {
			t.Errorf("%s printed %q, want ***", name, outputs[name])
		}
	}
	for _, name := range []string{"value 0, json", "value 0, yaml", "value 0, slog", "value 7, json", "value 8, yaml"} {
		if !strings.Contains(outputs[name], "***") {
			t.Errorf("%s printed %q, want *** in it", name, outputs[name])
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	if s := NewSecret(canary); s.Reveal() != canary || s.IsZero() || !s.Equal(NewSecret(canary)) || s.Equal(NewSecret("x")) || s.Equal(Secret{}) {
		t.Error("a secret is not what it was made of")
	}
	if (Secret{}).Reveal() != "" || !NewSecret("").IsZero() || !NewSecret("").Equal(Secret{}) {
		t.Error("the zero secret is not empty")
	}
}

// TestS28ErrorsShowNoSecrets damages a file in ways that people damage files, and
// looks for its secrets in what is said about it.
func TestS28ErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	valid := strings.Split(strings.TrimSuffix(strings.Replace(minimal, "token: "+goodToken, `token: `+canary+`
    app_secret: "CANARY7s"
    encoding_aes_key: CANARY7ghijklmnopqrstuvwxyz0123456789ABCDEF
    previous_token: 'CANARY7xyz'
    previous_encoding_aes_key: >-
      CANARY7ghijklmnopqrstuvwxyz0123456789ABCDEG
    previous_until: 2026-03-01T13:00:00Z
    ai:
      base_url: https://CANARY7.example.com/v1
      model: m
      api_key: CANARY7-key
      system_prompt: CANARY7 be brief`, 1), "\n"), "\n")
	valid[len(valid)-2], valid[len(valid)-1] = "    mode: safe", "    bot: ai"
	if _, err := loadText(strings.Join(valid, "\n"), nil, nil); err != nil {
		t.Fatalf("the undamaged file is refused: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := append([]string(nil), valid...)
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			switch rapid.IntRange(0, 8).Draw(t, "damage") {
			case 0:
				lines[i] = " " + lines[i]
			case 1:
				lines[i] = strings.TrimPrefix(lines[i], " ")
			case 2:
				lines[i] = strings.Replace(lines[i], ": ", rapid.SampledFrom([]string{":", " ", ": : ", ": !", ": *", ": &", ": |", ": {", ": [", ": \"", ": @", ": %"}).Draw(t, "instead of the colon"), 1)
			case 3:
				lines[i] += rapid.SampledFrom([]string{":", ": x", "'", "\"", "}", "]", " # x", "\\", "\t", "\x00", "\xff"}).Draw(t, "behind")
			case 4:
				_, value, _ := strings.Cut(lines[i], ": ")
				lines[i] = "    " + value
			case 5:
				_, value, _ := strings.Cut(lines[i], ": ")
				lines[i] = "    " + value + ": x"
			case 6:
				j := rapid.IntRange(0, len(lines)-1).Draw(t, "with line")
				lines[i], lines[j] = lines[j], lines[i]
			case 7:
				at := rapid.IntRange(0, len(lines[i])).Draw(t, "cut at")
				lines[i] = lines[i][:at]
			case 8: // the value of one key goes to another
				keyPart, _, _ := strings.Cut(lines[i], ": ")
				_, value, _ := strings.Cut(lines[rapid.IntRange(0, len(lines)-1).Draw(t, "from")], ": ")
				lines[i] = keyPart + ": " + value
			}
		}
		text := strings.Join(lines, "\n")
		c, err := loadText(text, nil, nil)
		if err != nil && strings.Contains(err.Error(), "CANARY") {
			t.Fatalf("%v\nabout\n%s", err, text)
		}
		if c != nil && strings.Contains(c.Warnings.Error(), "CANARY") {
			t.Fatalf("%v\nabout\n%s", c.Warnings, text)
		}
	})
}
