package wxapi

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says whose API is called, and how. AppID and AppSecret are required.
type Config struct {
	AppID     string
	AppSecret Secret // NewSecret makes one
	// BaseURL is where the API is, without a slash at the end: a regional host of WeChat, a
	// proxy whose address is in the whitelist, or a simulator. Without TLS (http) the
	// AppSecret can be read on the way. Defaults to https://api.weixin.qq.com.
	BaseURL string
	// QRImageBaseURL is where pictures of QR codes are. Defaults to BaseURL if that is
	// given, and else to https://mp.weixin.qq.com.
	QRImageBaseURL string
	// Transport makes the connections. It must be safe for concurrent use. Defaults to one like
	// http.DefaultTransport that keeps more connections open; all clients share it.
	Transport http.RoundTripper
	// TokenKind is the way tokens are fetched. Defaults to StableToken.
	TokenKind TokenKind
	// Tokens shares the token with other nodes. Defaults to none: the client keeps its token
	// for itself, which is right for a single process.
	Tokens TokenStore
	// Timeout bounds each request, and media transfers in five times the time. Defaults to 10 s.
	Timeout time.Duration
	// ProbeInterval is how long nothing is asked after a refusal that only the owner of the
	// account can change. Defaults to 10 min. R-API-PROBE
	ProbeInterval time.Duration
	// OnTokenConflict is called, from a goroutine of the client, when tokens die early again
	// and again: somebody else fetches tokens for this AppID. It must not block. Optional.
	OnTokenConflict func(TokenConflict)
	// Logger gets what no call returns: renewals in the background that failed, conflicts
	// about tokens, a TokenStore that fails. Defaults to none.
	Logger *slog.Logger
	// Now is the wall clock, which the ends of tokens are reckoned by. Defaults to time.Now.
	Now func() time.Time
}

// Client calls the API for one account. Make it with [New]. It is safe for concurrent use, and
// needs no Close: it has a goroutine only while a token is fetched, for Config.Timeout at most.
type Client struct {
	config   Config
	base     url.URL
	qrImages string
	stats    counters

	mu        sync.Mutex
	current   Token
	flight    *flight
	nextFetch time.Time // no fetch before, unless there is no token
	fetchErr  error     // of the last fetch
	pauses    map[string]*pause
	deaths    []time.Time // when tokens died early, the last two hours
	warned    time.Time   // when a conflict was logged last
}

// Defaults of Config.
const (
	defaultBaseURL  = "https://api.weixin.qq.com"
	defaultImages   = "https://mp.weixin.qq.com"
	defaultTimeout  = 10 * time.Second
	defaultProbe    = 10 * time.Minute
	mediaTimeFactor = 5
)

// sharedTransport keeps connections for many sends at a time; http.DefaultTransport keeps two. It reads 64 KiB of
// header, where that one reads 10 MiB: WeChat sends less than one. S37
var sharedTransport = sync.OnceValue(func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = 64 << 10
	return t
})

// New returns a client. An error says which field of c is wrong. Nothing is sent yet.
func New(c Config) (*Client, error) {
	if c.AppID == "" {
		return nil, errors.New("wxapi: AppID is empty; it is in WeChat's console (公众平台) under 设置与开发 - 开发接口管理, and begins with wx")
	}
	if c.AppSecret.IsZero() {
		return nil, errors.New("wxapi: AppSecret is empty; WeChat's console (公众平台) shows it once, under 设置与开发 - 开发接口管理")
	}
	if c.TokenKind != StableToken && c.TokenKind != PlainToken {
		return nil, fmt.Errorf("wxapi: TokenKind %d is unknown; use StableToken or PlainToken", c.TokenKind)
	}
	if c.Timeout < 0 || c.ProbeInterval < 0 {
		return nil, errors.New("wxapi: Timeout and ProbeInterval must not be negative; leave them out for the defaults")
	}
	c.QRImageBaseURL = cmp.Or(c.QRImageBaseURL, c.BaseURL, defaultImages)
	c.BaseURL = cmp.Or(c.BaseURL, defaultBaseURL)
	base, err := parseBase("BaseURL", c.BaseURL)
	if err != nil {
		return nil, err
	}
	images, err := parseBase("QRImageBaseURL", c.QRImageBaseURL)
	if err != nil {
		return nil, err
	}
	if c.Transport == nil {
		c.Transport = sharedTransport()
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.ProbeInterval = cmp.Or(c.ProbeInterval, defaultProbe)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{config: c, base: *base, qrImages: images.String(), pauses: make(map[string]*pause)}, nil
}

// parseBase checks a base URL. Its text is left out of the error, since it may hold a password.
func parseBase(field, text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("wxapi: %s is not a URL such as %s", field, defaultBaseURL)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("wxapi: %s has a user, query or fragment; leave only scheme, host and path", field)
	}
	return u, nil
}

// AppID returns the account's AppID.
func (c *Client) AppID() string { return c.config.AppID }

// String names the account.
func (c *Client) String() string { return "wxapi client of " + c.config.AppID }

// Format prints what String returns for every verb and flag, so that none shows a secret.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
