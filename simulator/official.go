package simulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is the kind of an Official Account, on which depends what it may do.
type Kind string

// The kinds.
const (
	Subscription Kind = "subscription" // 订阅号
	Service      Kind = "service"      // 服务号
)

// OfficialConfig is an account as its console shows it.
type OfficialConfig struct {
	// Account is the server address with its secrets. The AppID is the account's name in the
	// API. AppID and OriginalID default to ones that no other account of the platform has.
	Account Account
	// Name is what users read above the chat. Defaults to one with the original id.
	Name string
	// Kind defaults to Subscription.
	Kind Kind
	// Verified says whether the account is verified (已认证).
	Verified bool
	// AppSecret is the password of the API. Defaults to a random one.
	AppSecret string
	// Recognition says whether speech recognition (语音识别) is on: then a voice message
	// carries what was said. Otherwise its Recognition is empty, as in most pushes of today.
	Recognition bool
}

// String hides the secrets from logs.
func (c OfficialConfig) String() string {
	return fmt.Sprintf("%s %s (%s)", c.Name, c.Account.AppID, c.Kind)
}

// GoString hides the secrets from logs.
func (c OfficialConfig) GoString() string { return "simulator.OfficialConfig(" + c.String() + ")" }

// Official is one Official Account (公众号) of a [Platform]. It is safe for concurrent use.
type Official struct {
	p     *Platform
	appID string

	// p.mu guards the rest.
	config  OfficialConfig
	rules   Rules
	wechat  *WeChat // replaced, never changed
	users   []*User
	byID    map[string]*User
	menu    *Menu // nil: none; replaced, never changed
	tickets map[string]*QRCode

	api officialAPI // of the HTTP API
}

// String hides the secrets from logs.
func (o *Official) String() string { return "simulator.Official(" + o.AppID() + ")" }

// GoString hides the secrets from logs.
func (o *Official) GoString() string { return o.String() }

// connect makes the pusher.
func (o *Official) connect(a Account, r Rules) (*WeChat, error) {
	return New(Config{Account: a, Rules: r, DialContext: o.p.config.DialContext, Transport: o.p.config.Transport})
}

// Platform returns the platform that the account is on.
func (o *Official) Platform() *Platform { return o.p }

// AppID returns the AppID, which never changes.
func (o *Official) AppID() string { return o.appID }

// Config returns the configuration, with its secrets and with what was left empty filled in.
func (o *Official) Config() OfficialConfig {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.config
}

// Configure changes the account's configuration, for what is pushed from now on. What is left
// empty stays as it is; another URL has the Nodes that are given with it. The AppID and the original id cannot be changed.
func (o *Official) Configure(c OfficialConfig) error {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	old := o.config
	c.Account.AppID = or(c.Account.AppID, old.Account.AppID)
	c.Account.OriginalID = or(c.Account.OriginalID, old.Account.OriginalID)
	if c.Account.AppID != old.Account.AppID || c.Account.OriginalID != old.Account.OriginalID {
		return fmt.Errorf("simulator: AppID and original id of an account stay what they are; add another account")
	}
	if c.Account.URL == "" || c.Account.URL == old.Account.URL && c.Account.Nodes == nil {
		c.Account.URL, c.Account.Nodes = old.Account.URL, old.Account.Nodes
	}
	c.Account.Token = or(c.Account.Token, old.Account.Token)
	c.Account.Mode = Mode(or(string(c.Account.Mode), string(old.Account.Mode)))
	c.Account.EncodingAESKey = or(c.Account.EncodingAESKey, old.Account.EncodingAESKey)
	c.Name, c.AppSecret = or(c.Name, old.Name), or(c.AppSecret, old.AppSecret)
	c.Kind = Kind(or(string(c.Kind), string(old.Kind)))
	if c.Kind != Subscription && c.Kind != Service {
		return fmt.Errorf("simulator: there is no kind of account %q; say subscription (订阅号) or service (服务号)", c.Kind)
	}
	wechat, err := o.connect(c.Account, o.rules)
	if err != nil {
		return err
	}
	o.config, o.wechat = c, wechat
	o.p.changed(Change{Kind: ChangeOfficial, AppID: o.AppID()})
	return nil
}

// Rules returns the habits by which the account's server is pushed to, with defaults filled in.
func (o *Official) Rules() Rules {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.wechat.rules
}

// SetRules changes the habits for messages that begin from now on. WeChat forgets what it has
// against the server (MarkFail).
func (o *Official) SetRules(r Rules) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	wechat, err := o.connect(o.config.Account, r)
	if err != nil {
		return // the account was checked before, and rules are never wrong
	}
	o.rules, o.wechat = r, wechat
	o.p.changed(Change{Kind: ChangeOfficial, AppID: o.AppID()})
}

// Verify checks the server address (接入验证), as the console does when it is saved.
func (o *Official) Verify(ctx context.Context) (*URLCheck, error) {
	o.p.mu.Lock()
	wechat := o.wechat
	o.p.mu.Unlock()
	return wechat.Verify(ctx)
}

// AddUser makes a user who does not follow the account yet. Nothing is pushed.
func (o *Official) AddUser(nickname string) *User {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.addUser(nickname)
}

// AddFollower makes a user who has been following the account since before its server was
// connected. Nothing is pushed.
func (o *Official) AddFollower(nickname string) *User {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	u := o.addUser(nickname)
	u.follow("ADD_SCENE_SEARCH", QRCode{})
	return u
}

// addUser makes a user. p.mu is held.
func (o *Official) addUser(nickname string) *User {
	o.p.users++
	u := &User{o: o, openID: fmt.Sprintf("%s%015d", o.p.config.OpenIDs, o.p.users)}
	u.nickname = or(nickname, fmt.Sprintf("用户 %d", o.p.users))
	o.users = append(o.users, u)
	o.byID[u.openID] = u
	o.p.changed(Change{Kind: ChangeUser, AppID: o.AppID(), OpenID: u.openID})
	return u
}

// Users returns the users, followers or not, in the order in which they were added.
func (o *Official) Users() []*User {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return slices.Clone(o.users)
}

// User returns the user with the OpenID, nil if there is none.
func (o *Official) User(openID string) *User {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.user(openID)
}

// user finds a user. p.mu is held.
func (o *Official) user(openID string) *User {
	return o.byID[openID]
}

// Menu returns a copy of the menu, nil if there is none.
func (o *Official) Menu() *Menu {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return o.menu.clone()
}

// SetMenu gives the account a menu, as its console does; nil takes it away. Unlike the API it
// asks neither for permissions nor for limits. Users see it at once.
func (o *Official) SetMenu(m *Menu) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.setMenu(m.clone())
}

// setMenu stores a menu that nobody else has. p.mu is held.
func (o *Official) setMenu(m *Menu) {
	o.menu = m
	o.p.changed(Change{Kind: ChangeMenu, AppID: o.AppID()})
}

// QRCode is a QR code with a scene (带参数二维码).
type QRCode struct {
	Ticket string // names it in the API and in pushes
	Scene  string // scene_id in decimal, or scene_str
	Number bool   // whether the scene is a scene_id
	URL    string // what is drawn in the picture
	// Created is when it was made, and Expires when it ends, by the platform's time. Zero: never.
	Created, Expires time.Time
}

// AddQRCode makes a permanent QR code with a scene_str, or returns the one that the scene has.
// Unlike the API it asks neither for permissions nor for limits.
func (o *Official) AddQRCode(scene string) QRCode {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	return *o.addQRCode(QRCode{Scene: scene})
}

// QRCodes returns the codes, the oldest first, with those that have expired and are not forgotten yet.
func (o *Official) QRCodes() []QRCode {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	all := make([]QRCode, 0, len(o.tickets))
	for _, q := range o.tickets {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b QRCode) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Ticket, b.Ticket))
	})
	return all
}

// findQRCode finds a code by its ticket, its URL or its scene; of several with a scene the
// newest that has not expired counts. A scene without a code gets one.
func (o *Official) findQRCode(code string) (QRCode, error) {
	if code == "" {
		return QRCode{}, errors.New("simulator: no QR code is named; say its ticket or its scene")
	}
	codes := o.QRCodes()
	now, expired := o.p.now(), false
	for _, q := range slices.Backward(codes) {
		if code != q.Ticket && code != q.URL && code != q.Scene {
			continue
		}
		if q.alive(now) {
			return q, nil
		}
		expired = true
	}
	switch {
	case expired:
		return QRCode{}, fmt.Errorf("simulator: the QR code %q has expired; make a new one with qrcode/create", code)
	case utf8.RuneCountInString(code) > qrMaxScene || strings.HasPrefix(code, "http"):
		return QRCode{}, fmt.Errorf("simulator: the account has no QR code with the ticket or address %q; make one with qrcode/create", code)
	}
	return o.AddQRCode(code), nil
}

// newSecret looks like an AppSecret.
func newSecret() string {
	random := make([]byte, 16)
	rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
