package config

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types below read themselves from text. Their errors complete the
// sentence "key: ..." and never show the text.

// Mode is how WeChat sends the pushes of an account (消息加解密方式).
type Mode string

// The modes.
const (
	Plain      Mode = "plain"      // 明文模式
	Compatible Mode = "compatible" // 兼容模式
	Safe       Mode = "safe"       // 安全模式
)

// UnmarshalText accepts the three modes.
func (m *Mode) UnmarshalText(text []byte) error {
	return oneOf(m, text, modeHelp, Plain, Compatible, Safe)
}

const modeHelp = "write plain (明文模式), compatible (兼容模式) or safe (安全模式), the same as 消息加解密方式 in WeChat's console"

// Bot is the name of a built-in bot.
type Bot string

// The built-in bots.
const (
	BotSample Bot = "sample"
	BotDemo   Bot = "demo"
	BotAI     Bot = "ai"
)

// UnmarshalText accepts the names of the built-in bots.
func (b *Bot) UnmarshalText(text []byte) error {
	return oneOf(b, text, "write sample, demo or ai", BotSample, BotDemo, BotAI)
}

// Late is the way that a late answer takes.
type Late string

// The ways of late answers.
const (
	LateAPI    Late = "api"    // the customer-service API (客服消息)
	LateHold   Late = "hold"   // WeChat's retries, then the API
	LateTicket Late = "ticket" // WeChat's retries, then a link by which the user fetches it
)

// UnmarshalText accepts the three ways.
func (v *Late) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write api, hold or ticket", LateAPI, LateHold, LateTicket)
}

// OnUnknown is what happens to a message that may have been sent.
type OnUnknown string

// What can happen to it.
const (
	Resend OnUnknown = "resend" // it is sent once more, and may arrive twice
	Drop   OnUnknown = "drop"   // it is not, and may be lost
)

// UnmarshalText accepts resend and drop.
func (v *OnUnknown) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write resend or drop", Resend, Drop)
}

// Overlap is what becomes of a handler when its user writes again.
type Overlap string

// What can become of it.
const (
	OverlapParallel Overlap = "parallel"
	OverlapQueue    Overlap = "queue"
	OverlapCancel   Overlap = "cancel"
)

// UnmarshalText accepts parallel, queue and cancel.
func (v *Overlap) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write parallel, queue or cancel", OverlapParallel, OverlapQueue, OverlapCancel)
}

// TokenKind is the way access tokens are fetched.
type TokenKind string

// The two ways: getStableAccessToken and getAccessToken.
const (
	StableToken TokenKind = "stable"
	PlainToken  TokenKind = "plain"
)

// UnmarshalText accepts stable and plain.
func (v *TokenKind) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write stable or plain", StableToken, PlainToken)
}

// LogLevel is debug, info, warn or error.
type LogLevel string

// UnmarshalText accepts the four levels.
func (v *LogLevel) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write debug, info, warn or error", "debug", "info", "warn", "error")
}

// LogFormat is the form of log lines.
type LogFormat string

// The forms of log lines.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// UnmarshalText accepts text and json.
func (v *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write text or json", LogText, LogJSON)
}

// OnUnsubscribe is what happens to the data of a user who unsubscribes.
type OnUnsubscribe string

// What can happen.
const (
	Erase OnUnsubscribe = "erase"
	Keep  OnUnsubscribe = "keep"
)

// UnmarshalText accepts erase and keep.
func (v *OnUnsubscribe) UnmarshalText(text []byte) error {
	return oneOf(v, text, "write erase or keep", Erase, Keep)
}

func oneOf[T ~string](into *T, text []byte, help string, allowed ...T) error {
	v := T(text)
	if !slices.Contains(allowed, v) {
		return errors.New("is not one of the known words; " + help)
	}
	*into = v
	return nil
}

// Duration is a time.Duration that is written like 90s, 5m, 1h30m or 30d.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads, and whole days.
func (d *Duration) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n < 0 || n > 100_000 {
			return errors.New("is not a duration; write a number with its unit, such as 90s, 5m, 720h or 30d")
		}
		*d = Duration(n) * Duration(24*time.Hour)
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("is not a duration; write a number with its unit, such as 90s, 5m, 720h or 30d")
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the form of time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the form of time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// Size is a number of bytes that is written like 262144, 256KiB or 1MiB.
type Size int64

// UnmarshalText reads a whole number, alone or with KiB, MiB or GiB.
func (s *Size) UnmarshalText(text []byte) error {
	t, unit := string(text), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(t, u.name); ok {
			t, unit = strings.TrimSuffix(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(t, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/unit) {
		return errors.New("is not a size; write a whole number of bytes, or one with its unit, such as 256KiB or 1MiB")
	}
	*s = Size(int64(n) * unit)
	return nil
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// MarshalText writes the largest unit that divides the size.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the largest unit that divides the size.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Count is a number of things.
type Count int

const maxCount = 1_000_000

// UnmarshalText reads a whole number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return errors.New("is not a whole number; write digits alone, such as 10000")
	}
	*c = Count(n)
	return nil
}

// Prefix is one entry of trusted_proxies: an address or a range of them.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads 192.0.2.7, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/32.
func (p *Prefix) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil && a.Zone() == "" {
		a = a.Unmap()
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(string(text))
	switch {
	case err != nil || v.Addr().Is4In6():
		return errors.New("is neither an address nor a range; write one like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
	case v != v.Masked():
		return errors.New("is a range whose address has bits behind the mask; write it like 192.0.2.0/24, or the address alone")
	}
	p.Prefix = v
	return nil
}
