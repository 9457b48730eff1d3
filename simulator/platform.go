package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Platform is WeChat as a world: Official Accounts, their users, what stands in each chat,
// and the wire between them and the servers. Make one with [NewPlatform], and accounts with
// [Platform.Add]. It is safe for concurrent use. It keeps everything in memory, and of what
// grows only the end: see [Platform.Exchanges], [User.Chat] and [Platform.Changes].
type Platform struct {
	config PlatformConfig
	api    platformAPI // of the HTTP API

	// mu guards everything below, and everything in the accounts and users. It is never held
	// while something waits: not during a push, and not while a hook or handler runs.
	mu        sync.Mutex
	officials []*Official
	users     int   // how many were made, for OpenIDs
	bubbles   int64 // the last id of a bubble
	exchanges exchangeLog
	changes   feed
}

// PlatformConfig says how a platform behaves.
type PlatformConfig struct {
	// Rules are the habits of pushing, for every account to which [Official.SetRules] gives no others.
	Rules Rules
	// BaseURL is where [Platform.API] is served, such as "http://127.0.0.1:8081", without a
	// slash at the end. Pictures that users send get a PicUrl there. Defaults to
	// "http://mmbiz.qpic.cn", where nobody finds them.
	BaseURL string
	// DialContext and Transport make the connections of pushes, as in [Config].
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Transport   http.RoundTripper
	// KeptBubbles is how many bubbles of each chat are kept, or up to twice as many. Defaults to 1000.
	KeptBubbles int
	// OpenIDs is what the OpenIDs of users begin with, before their number of 15 digits. Defaults to "oEchostr0User",
	// which makes them as long as WeChat's.
	OpenIDs string
	// Now tells the platform's time, which windows, quotas, tokens, tickets and media run by.
	// Pushes carry the time of package time all the same, since the server under test compares
	// it with its own clock. Defaults to time.Now.
	Now func() time.Time
}

// NewPlatform makes a platform without accounts.
func NewPlatform(c PlatformConfig) *Platform {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.BaseURL = or(c.BaseURL, "http://mmbiz.qpic.cn")
	c.OpenIDs = or(c.OpenIDs, "oEchostr0User")
	if c.KeptBubbles <= 0 {
		c.KeptBubbles = keptBubbles
	}
	p := &Platform{config: c}
	p.changes.init()
	p.exchanges.most = keptExchangeBytes
	return p
}

// Add makes an account. It does not connect to the account's server; [Official.Verify] does.
// The error says what is wrong with the configuration, or that there is an account with this
// AppID or original id (原始ID) already.
func (p *Platform) Add(c OfficialConfig) (*Official, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.officials) + 1
	c.Account.AppID = or(c.Account.AppID, fmt.Sprintf("wxec4057%010x", n))
	c.Account.OriginalID = or(c.Account.OriginalID, fmt.Sprintf("gh_ec4057%06x", n))
	c.Kind = Kind(or(string(c.Kind), string(Subscription)))
	c.Name = or(c.Name, "公众号 "+c.Account.OriginalID)
	c.AppSecret = or(c.AppSecret, newSecret())
	if c.Kind != Subscription && c.Kind != Service {
		return nil, fmt.Errorf("simulator: there is no kind of account %q; say subscription (订阅号) or service (服务号)", c.Kind)
	}
	for _, o := range p.officials {
		switch {
		case o.config.Account.AppID == c.Account.AppID:
			return nil, fmt.Errorf("simulator: there is an account with the AppID %s already; give each its own", c.Account.AppID)
		case o.config.Account.OriginalID == c.Account.OriginalID:
			return nil, fmt.Errorf("simulator: there is an account with the original id %s already; give each its own", c.Account.OriginalID)
		}
	}
	o := &Official{p: p, appID: c.Account.AppID, config: c, rules: p.config.Rules, byID: map[string]*User{}, tickets: map[string]*QRCode{}}
	wechat, err := o.connect(c.Account, o.rules)
	if err != nil {
		return nil, err
	}
	o.wechat = wechat
	p.officials = append(p.officials, o)
	p.changed(Change{Kind: ChangeOfficial, AppID: c.Account.AppID})
	return o, nil
}

// Officials returns the accounts in the order in which they were added.
func (p *Platform) Officials() []*Official {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.officials)
}

// Official returns the account with the AppID, nil if there is none.
func (p *Platform) Official(appID string) *Official {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.official(appID)
}

// official finds an account. p.mu is held.
func (p *Platform) official(appID string) *Official {
	for _, o := range p.officials {
		if o.config.Account.AppID == appID {
			return o
		}
	}
	return nil
}

// Repeat pushes the message of an exchange once more, with the same MsgId and CreateTime and a
// new signature, as WeChat does now and then. The user sees what comes of it.
func (p *Platform) Repeat(ctx context.Context, exchange int64) (*Report, error) {
	return p.again(ctx, exchange, false, nil)
}

// Replay sends the very bytes of an exchange's first push once more, as somebody would who has
// captured them. It is one push, and no user sees what comes of it.
func (p *Platform) Replay(ctx context.Context, exchange int64) (*Report, error) {
	return p.again(ctx, exchange, true, nil)
}

// Resend sends a request as it is, right or wrong, in the place of an exchange's first push, to
// see what the server does with it. Like Replay it is one push that no user sees. The error says
// if it cannot be written as HTTP; then nothing is sent.
func (p *Platform) Resend(ctx context.Context, exchange int64, r Request) (*Report, error) {
	return p.again(ctx, exchange, true, &r)
}

func (p *Platform) again(ctx context.Context, exchange int64, exact bool, instead *Request) (*Report, error) {
	p.mu.Lock()
	old := p.exchange(exchange)
	if old == nil {
		p.mu.Unlock()
		return nil, fmt.Errorf("simulator: there is no exchange %d; only the last ones are kept", exchange)
	}
	report, user := old.Report, old.user
	report.Pushes = slices.Clone(report.Pushes)
	p.mu.Unlock()
	if instead != nil {
		report.Pushes = []Push{{Request: *instead}}
	}
	if exact && len(report.Pushes) == 0 {
		return nil, errors.New("simulator: this message was never pushed, so there are no bytes to send again; send it as a new one")
	}
	if exact {
		if err := report.Pushes[0].Request.check(); err != nil {
			return nil, err
		}
	}
	return user.perform(ctx, action{message: report.Message, document: report.Document, again: &report, exact: exact})
}

// now is the platform's time.
func (p *Platform) now() time.Time { return p.config.Now() }
