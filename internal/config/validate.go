package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/internal/limits"
)

// Validate checks everything that [Load] checks about the values, at the
// moment now. It returns nil or [Errors]. What Load returned passes again.
func (c *Config) Validate(now time.Time) error {
	if errs := c.problems(now); len(errs) > 0 {
		return errs
	}
	return nil
}

var (
	namePattern       = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	appIDPattern      = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
	originalIDPattern = regexp.MustCompile(`^gh_[0-9a-f]{12}$`)
	keyPattern        = regexp.MustCompile(`^[0-9A-Za-z+/]{43}$`)
)

// PlaceholderAppID is what `echostr account new` writes when it is not told the AppID.
const PlaceholderAppID = "wx0000000000000000"

// PlaceholderAppSecret is what it writes for a verified account.
const PlaceholderAppSecret = "00000000000000000000000000000000"

const (
	maxRotation     = 24 * time.Hour
	maxFallback     = 2048 // R-REPLY-TEXT
	maxPlaceholder  = 1200 // the link becomes longer than {link}
	maxFetchWord    = 60
	newAccount      = "`echostr account new NAME`"
	developmentOnly = "is the one of the development account, which everybody knows; replace it by the output of " + newAccount + " and paste the same into WeChat's console"
)

// checker collects what is wrong.
type checker struct {
	c    *Config
	errs Errors
}

func (k *checker) bad(path, format string, args ...any) {
	k.errs = k.errs.merge(Errors{{place: k.c.whereIs(path), Path: path, Text: fmt.Sprintf(format, args...)}})
}

// span reports a value outside of its bounds.
func span[T Duration | Size | Count](k *checker, path string, v, lo, hi T, loText, hiText string) {
	if v < lo || v > hi {
		k.bad(path, "must lie between %s and %s; choose a value in between, or leave the key out for the default", loText, hiText)
	}
}

func (c *Config) problems(now time.Time) Errors {
	k := &checker{c: c}
	k.address("listen", c.Listen)
	k.address("admin", c.Admin)
	if sameAddress(c.Listen, c.Admin) {
		k.bad("admin", "is the same address as listen; give each a port of its own")
	}
	k.store("store", c.Store)
	span(k, "retention.bodies", c.Retention.Bodies, Duration(time.Hour), Duration(3660*24*time.Hour), "1h", "3660d")
	span(k, "limits.max_waiting", c.Limits.MaxWaiting, 1, maxCount, "1", "1000000")
	span(k, "limits.max_running", c.Limits.MaxRunning, 1, maxCount, "1", "1000000")
	span(k, "limits.max_user_messages", c.Limits.MaxUserMessages, 0, maxCount, "0", "1000000")
	k.apiBaseURL()
	if len(c.Accounts) == 0 {
		k.bad("accounts", "no account is given; paste the output of %s here", newAccount)
	}
	for i := range c.Accounts {
		k.account(i, now)
	}
	return k.errs
}

func (k *checker) address(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		k.bad(path, "is not an address; write host:port, like 127.0.0.1:8080, or :8080 for all interfaces")
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		k.bad(path, "has a port that is not a number from 0 to 65535; write host:port, like 127.0.0.1:8080")
	}
}

// sameAddress reports whether two listeners would fight for one port.
func sameAddress(a, b string) bool {
	ha, pa, errA := net.SplitHostPort(a)
	hb, pb, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || pa != pb || pa == "0" {
		return false
	}
	return ha == hb || everywhere(ha) || everywhere(hb)
}

func everywhere(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

func (k *checker) account(i int, now time.Time) {
	a := &k.c.Accounts[i]
	path := func(key string) string { return accountPath(i, key) }

	switch {
	case a.Name == "":
		k.bad(path("name"), "is missing; write a short name, which becomes the end of the URL /wx/{name}")
	case !namePattern.MatchString(a.Name):
		k.bad(path("name"), "must begin with a lower-case letter or a digit and have at most 64 of a-z, 0-9, _ and -; choose a shorter or plainer name")
	}
	switch {
	case a.AppID == "":
		k.bad(path("app_id"), "is missing; copy 开发者ID(AppID) from WeChat's console")
	case !appIDPattern.MatchString(a.AppID):
		k.bad(path("app_id"), "must be wx and 16 hexadecimal digits in lower case; copy 开发者ID(AppID) from WeChat's console (the 原始ID that begins with gh_ is original_id)")
	}
	for j := range i {
		if b := &k.c.Accounts[j]; a.Name != "" && a.Name == b.Name {
			k.bad(path("name"), "is also the name of accounts[%d]; give each account its own", j)
		}
		if b := &k.c.Accounts[j]; a.AppID != "" && a.AppID == b.AppID {
			k.bad(path("app_id"), "is also that of accounts[%d]; an account can stand here only once", j)
		}
	}
	if a.OriginalID != "" && !originalIDPattern.MatchString(a.OriginalID) {
		k.bad(path("original_id"), "must be gh_ and 12 hexadecimal digits; copy 原始ID from WeChat's console, or leave the key out")
	}
	if a.Store != "" {
		k.store(path("store"), a.Store)
	}
	switch a.Mode {
	case Plain, Compatible, Safe:
	case "":
		k.bad(path("mode"), "is missing and has no default; %s", modeHelp)
	default:
		k.bad(path("mode"), "is not one of the known words; %s", modeHelp)
	}
	k.credentials(i, now)
	span(k, path("handler_timeout"), a.HandlerTimeout, Duration(time.Millisecond), Duration(10*time.Minute), "1ms", "10m")
	span(k, path("freshness"), a.Freshness, Duration(30*time.Second), Duration(10*time.Minute), "30s", "10m")
	span(k, path("body_limit"), a.BodyLimit, 4<<10, 4<<20, "4KiB", "4MiB")
	k.text(path("fallback"), a.Fallback, maxFallback)
	k.late(i)
	k.ai(i)
}

// text checks what users read or write.
func (k *checker) text(path, text string, most int) {
	switch {
	case len(text) > most:
		k.bad(path, "is longer than %d bytes; a Chinese character has three, so shorten it", most)
	case text != "" && strings.TrimSpace(text) == "":
		k.bad(path, "consists of blanks, which WeChat does not show; write a text, or leave the key out")
	case !utf8.ValidString(text):
		k.bad(path, "is not UTF-8; save the file as UTF-8")
	}
}

// late checks what is about late answers.
func (k *checker) late(i int) {
	a := &k.c.Accounts[i]
	path := func(key string) string { return accountPath(i, key) }

	byAPI := a.Late == LateAPI || a.Late == LateHold || a.Late == "" && a.Verified
	switch {
	case byAPI && !a.Verified:
		k.bad(path("late"), "needs the customer-service API (客服消息), which only verified accounts (微信认证) have; set verified: true if this one is, else write late: ticket")
	case byAPI && a.AppSecret.IsZero():
		k.bad(path("app_secret"), "is missing, and without it no late answer can go out by the customer-service API (客服消息); copy 开发者密码(AppSecret) from WeChat's console into app_secret or the file of app_secret_file, or set late: ticket")
	}
	k.text(path("placeholder"), a.Placeholder, maxPlaceholder)
	if a.Placeholder != "" && !strings.Contains(a.Placeholder, "{link}") {
		k.bad(path("placeholder"), "does not say {link}, which becomes the link that fetches the answer; write it where the link is to stand, or leave the key out")
	}
	k.text(path("fetch_word"), a.FetchWord, maxFetchWord)
	if strings.TrimSpace(a.FetchWord) != a.FetchWord || strings.ContainsAny(a.FetchWord, "\r\n") {
		k.bad(path("fetch_word"), "has blanks around it or a line break in it, so nobody will hit it; write one plain word")
	}
	span(k, path("ticket_life"), a.TicketLife, Duration(time.Minute), Duration(168*time.Hour), "1m", "168h")
	span(k, path("hold_budget"), a.HoldBudget, 1, maxCount, "1", "1000000")
}

func (k *checker) apiBaseURL() {
	const help = "write https:// and a host, like https://api.weixin.qq.com, or leave the key out"
	switch host, secure, ok := baseURL(k.c.APIBaseURL); {
	case k.c.APIBaseURL == "":
	case !ok:
		k.bad("api_base_url", "is not the URL of a host; %s", help)
	case !secure && !loopback(host):
		k.bad("api_base_url", "begins with http://, and the AppSecret must not travel unencrypted; begin it with https:// (http:// is for a simulator on this machine, at 127.0.0.1)")
	}
}

// baseURL takes a URL apart to which paths are appended. ok is false if it is none, or has more than
// scheme, host and path.
func baseURL(text string) (host string, secure, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", false, false
	}
	return u.Hostname(), u.Scheme == "https", u.Scheme == "https" || u.Scheme == "http"
}

// credentials checks tokens and keys, the present ones and the previous ones.
func (k *checker) credentials(i int, now time.Time) {
	a := &k.c.Accounts[i]
	path := func(key string) string { return accountPath(i, key) }

	for p := range k.c.secrets(i) {
		_, one := k.c.at[p]
		if _, two := k.c.at[p+fileSuffix]; one && two {
			k.bad(p+fileSuffix, "is given beside %s; keep one of the two", p[strings.LastIndex(p, ".")+1:])
		}
	}
	if a.Token.IsZero() {
		k.bad(k.secretPath(i, "token"), "is missing; make a strong one with %s and paste the same into WeChat's console", newAccount)
	} else {
		k.token(k.secretPath(i, "token"), a.Token, a.AllowWeakToken)
	}
	if !a.PreviousToken.IsZero() {
		k.token(k.secretPath(i, "previous_token"), a.PreviousToken, true) // it is on its way out
		if a.PreviousToken.Equal(a.Token) {
			k.bad(k.secretPath(i, "previous_token"), "is the same as token; remove it, or write the one that was valid before")
		}
	}
	if a.Mode != Plain {
		if a.EncodingAESKey.IsZero() && a.Mode != "" {
			k.bad(k.secretPath(i, "encoding_aes_key"), "is missing, and the modes compatible and safe need it; copy 消息加解密密钥(EncodingAESKey) from WeChat's console")
		}
		k.aesKey(k.secretPath(i, "encoding_aes_key"), a.EncodingAESKey)
		k.aesKey(k.secretPath(i, "previous_encoding_aes_key"), a.PreviousEncodingAESKey)
		if !a.PreviousEncodingAESKey.IsZero() && a.PreviousEncodingAESKey.Equal(a.EncodingAESKey) {
			k.bad(k.secretPath(i, "previous_encoding_aes_key"), "is the same as encoding_aes_key; remove it, or write the one that was valid before")
		}
	}
	switch {
	case a.PreviousToken.IsZero() && a.PreviousEncodingAESKey.IsZero():
		if !a.PreviousUntil.IsZero() {
			k.bad(path("previous_until"), "ends the validity of a token or key that is not given; add previous_token or previous_encoding_aes_key, or remove it")
		}
	case a.PreviousUntil.IsZero(): // R-KEY-ROTATE
		k.bad(path("previous_until"), "is missing; write the moment, at most 24 hours from now, when the previous token and key end, like %s", now.Add(maxRotation).UTC().Format("2006-01-02T15:04:05Z"))
	case a.PreviousUntil.After(now.Add(maxRotation)):
		k.bad(path("previous_until"), "lies more than 24 hours ahead, and an old token or key must not live longer; write an earlier moment")
	}
}

func (k *checker) token(path string, token Secret, allowWeak bool) {
	t := token.Reveal()
	switch {
	case t == DevelopmentToken && !k.c.development: // S30
		k.bad(path, developmentOnly)
	case !limits.TokenForm(t):
		k.bad(path, "must have 3 to 32 characters of A-Z, a-z and 0-9, as WeChat's console demands; make a strong one with %s", newAccount)
	case allowWeak:
	default:
		if why := limits.WeakToken(t); why != "" {
			k.bad(path, "%s; make a strong one with %s and paste the same into WeChat's console, or set allow_weak_token: true if it cannot be changed", why, newAccount)
		}
	}
}

func (k *checker) aesKey(path string, key Secret) {
	t := key.Reveal()
	if key.IsZero() {
		return
	}
	if t == DevelopmentEncodingAESKey && !k.c.development { // S30
		k.bad(path, developmentOnly)
		return
	}
	// Not Strict: the last character of most real keys has spare bits (R-KEY-DECODE).
	raw, err := base64.StdEncoding.DecodeString(t + "=")
	if !keyPattern.MatchString(t) || err != nil || len(raw) != 32 {
		k.bad(path, "must be the 43 letters and digits of 消息加解密密钥(EncodingAESKey); copy them from WeChat's console, or make a key with %s", newAccount)
	}
}

// secretPath is the path under which a secret was given: that of its file, if so.
func (k *checker) secretPath(i int, key string) string {
	path := accountPath(i, key)
	if _, ok := k.c.at[path+fileSuffix]; ok {
		return path + fileSuffix
	}
	return path
}

// doubts returns what is probably not meant.
func (c *Config) doubts(now time.Time) Errors {
	k := &checker{c: c}
	if host, _, err := net.SplitHostPort(c.Admin); err == nil && !loopback(host) {
		k.bad("admin", "is not a loopback address, so others can read the metrics; use 127.0.0.1 unless a firewall stands before it")
	}
	if host, _, err := net.SplitHostPort(c.Admin); err == nil && !loopback(host) && c.ServeToken {
		k.bad("serve_token", "hands access tokens out without encryption, and admin is not a loopback address; use 127.0.0.1 unless that network is your own")
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		k.aiDoubts(i)
		if a.AppSecret.Reveal() == PlaceholderAppSecret {
			k.bad(k.secretPath(i, "app_secret"), "is the placeholder that %s writes; copy 开发者密码(AppSecret) from WeChat's console, or no late answer goes out", newAccount)
		}
		if a.AppID == PlaceholderAppID {
			k.bad(accountPath(i, "app_id"), "is the placeholder that %s writes; copy 开发者ID(AppID) from WeChat's console, or encrypted messages do not open", newAccount)
		}
		if a.Bot == "" {
			k.bad(accountPath(i, "bot"), "no bot is named, so every message is answered with nothing; write sample, demo or ai")
		}
		if !a.PreviousUntil.IsZero() && !a.PreviousUntil.After(now) {
			k.bad(accountPath(i, "previous_until"), "has passed, so the previous token and key are refused; remove them")
		}
		for j := range i {
			b := &c.Accounts[j]
			if a.Token.Equal(b.Token) {
				k.bad(k.secretPath(i, "token"), "is also that of accounts[%d], so who knows one can forge pushes to the other; give each account its own", j)
			}
			if a.Mode != Plain && !a.EncodingAESKey.IsZero() && a.EncodingAESKey.Equal(b.EncodingAESKey) {
				k.bad(k.secretPath(i, "encoding_aes_key"), "is also that of accounts[%d], so who knows one can read the other; give each account its own", j)
			}
		}
	}
	return k.errs
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
