package simulator

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Exchange is one message of a user on its way: what was pushed and answered, while it is under
// way up to now. It is a copy; what its slices of bytes hold must not be changed.
type Exchange struct {
	// ID grows from 1.
	ID int64
	// AppID, OpenID and Nickname say whose message it is.
	AppID, OpenID, Nickname string
	// Summary is the message on one line, such as "text: 你好" or "event CLICK: V1001".
	Summary string
	// Begun is when it began, and Ended when WeChat was done with it. Zero while it is under way.
	Begun, Ended time.Time
	// Report is what has happened so far. The last push is Pending while it is under way. The
	// verdict counts when Ended is set.
	Report Report
	// Captured says that it is a replay of captured bytes, and that no user sees what comes of it.
	Captured bool

	user   *User
	wechat *WeChat // that pushed it
	size   int     // bytes of what was sent and answered
}

// Opened returns the answer to a push in clear, if it was sealed and opens: push counts from 1.
// The request in clear is Report.Document.
func (e Exchange) Opened(push int) ([]byte, bool) {
	if push < 1 || push > len(e.Report.Pushes) || e.wechat == nil {
		return nil, false
	}
	return e.wechat.opened(e.Report.Pushes[push-1].Body)
}

// Rules returns the habits by which the exchange is pushed, with defaults filled in. Those of its
// account may be others by now.
func (e Exchange) Rules() Rules {
	if e.wechat == nil {
		return Rules{}.withDefaults()
	}
	return e.wechat.rules
}

// ChangeKind says what a [Change] is about.
type ChangeKind string

// What can change.
const (
	ChangeBubble   ChangeKind = "bubble"   // there is a new Bubble in the chat of OpenID
	ChangeExchange ChangeKind = "exchange" // Exchange has begun
	ChangePush     ChangeKind = "push"     // the push Push of Exchange has begun
	ChangePushed   ChangeKind = "pushed"   // the push Push of Exchange has ended
	ChangeVerdict  ChangeKind = "verdict"  // Exchange has ended
	ChangeUser     ChangeKind = "user"     // the user OpenID is new or has changed
	ChangeMenu     ChangeKind = "menu"     // AppID has another menu
	ChangeOfficial ChangeKind = "official" // the account AppID is new, or its configuration or rules have changed
	ChangeAPI      ChangeKind = "api"      // a call of the HTTP API has ended; see [Platform.APICalls]
)

// Change is one thing that has changed. Fields that its kind does not name are empty, but AppID
// is always there.
type Change struct {
	ID       int64
	Kind     ChangeKind
	AppID    string
	OpenID   string
	Exchange int64
	Push     int
	Bubble   *Bubble
}

// The bounds of what a platform keeps.
const (
	keptChanges       = 4096
	keptExchanges     = 500
	keptExchangeBytes = 64 << 20
	keptBubbles       = 1000 // of each user, unless PlatformConfig says otherwise
	maxBubbleText     = 8 << 10
	maxBubble         = 32 << 10 // bytes of text in one bubble
)

// feed is a log of changes with a bell. p.mu guards it.
type feed struct {
	last int64
	kept []Change      // the oldest first, without gaps
	bell chan struct{} // closed at the next change; nil while nobody waits
}

// init begins ids at the time, so that a reader of an earlier platform is told to reload.
func (f *feed) init() { f.last = time.Now().UnixMicro() }

// changed notes a change and wakes who waits. It never waits itself. p.mu is held.
func (p *Platform) changed(c Change) {
	f := &p.changes
	f.last++
	c.ID = f.last
	if len(f.kept) >= 2*keptChanges { // now and then, so that it costs nothing each time
		f.kept = slices.Clone(f.kept[len(f.kept)-keptChanges:])
	}
	f.kept = append(f.kept, c)
	if f.bell != nil {
		close(f.bell)
		f.bell = nil
	}
}

// LastChange returns the id of the last change. Ask for it before reading what there is, and
// then for what changed after it.
func (p *Platform) LastChange() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes.last
}

// Changes waits until something has changed after the change with the given id, and returns
// all that has. If the platform no longer has all of it, or never had that id, complete is
// false and last is where to go on after reading everything anew. Only the last 4096 changes
// are sure to be kept, so a slow reader holds up nobody. The error is that of ctx.
func (p *Platform) Changes(ctx context.Context, after int64) (changes []Change, last int64, complete bool, err error) {
	for {
		p.mu.Lock()
		f := &p.changes
		begin := f.last - int64(len(f.kept)) // the id before the first that is kept
		switch {
		case after < begin || after > f.last:
			last = f.last
			p.mu.Unlock()
			return nil, last, false, nil
		case after < f.last:
			changes, last = slices.Clone(f.kept[after-begin:]), f.last
			p.mu.Unlock()
			return changes, last, true, nil
		}
		if f.bell == nil {
			f.bell = make(chan struct{})
		}
		bell := f.bell
		p.mu.Unlock()
		select {
		case <-bell:
		case <-ctx.Done():
			return nil, after, true, ctx.Err()
		}
	}
}

// exchangeLog has the last exchanges. p.mu guards it.
type exchangeLog struct {
	last  int64
	kept  []*Exchange // the oldest first, ids without gaps
	bytes int
	most  int // bytes; keptExchangeBytes but in tests
}

// Exchanges returns the last exchanges, the oldest first: at most 500, and fewer if what
// was sent and answered has more than 64 MiB.
func (p *Platform) Exchanges() []Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Exchange, len(p.exchanges.kept))
	for i, e := range p.exchanges.kept {
		all[i] = e.copy()
	}
	return all
}

// Exchange returns one exchange, if it is still kept.
func (p *Platform) Exchange(id int64) (Exchange, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.exchange(id)
	if e == nil {
		return Exchange{}, false
	}
	return e.copy(), true
}

// exchange finds an exchange, nil if there is none. p.mu is held.
func (p *Platform) exchange(id int64) *Exchange {
	x := &p.exchanges
	if at := id - (x.last - int64(len(x.kept))) - 1; at >= 0 && at < int64(len(x.kept)) {
		return x.kept[at]
	}
	return nil
}

func (e *Exchange) copy() Exchange {
	c := *e
	c.Report.Pushes = slices.Clone(e.Report.Pushes)
	return c
}

// begin notes that an exchange has begun. p.mu is held.
func (p *Platform) begin(e *Exchange) {
	x := &p.exchanges
	x.last++
	e.ID = x.last
	x.kept = append(x.kept, e)
	p.grown(e, len(e.Report.Document))
	p.changed(Change{Kind: ChangeExchange, AppID: e.AppID, OpenID: e.OpenID, Exchange: e.ID})
}

// grown notes that an exchange has more bytes, and forgets the oldest if there are too many.
// p.mu is held.
func (p *Platform) grown(e *Exchange, bytes int) {
	x := &p.exchanges
	if p.exchange(e.ID) == nil {
		return // forgotten before it ended
	}
	e.size += bytes
	x.bytes += bytes
	forget := 0
	for len(x.kept)-forget > 1 && (len(x.kept)-forget > keptExchanges || x.bytes > x.most) {
		x.bytes -= x.kept[forget].size
		x.kept[forget] = nil
		forget++
	}
	x.kept = x.kept[forget:]
}

// pushed notes a push that has begun or ended.
func (p *Platform) pushed(e *Exchange, push Push) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Change{Kind: ChangePushed, AppID: e.AppID, OpenID: e.OpenID, Exchange: e.ID, Push: push.Number}
	if push.Outcome == Pending {
		c.Kind = ChangePush
		e.Report.Pushes = append(e.Report.Pushes, push)
		p.grown(e, push.Request.size())
	} else {
		e.Report.Pushes[len(e.Report.Pushes)-1] = push
		p.grown(e, headerSize(push.Header)+len(push.Body))
	}
	p.changed(c)
}

// ended notes the verdict. p.mu is held.
func (p *Platform) ended(e *Exchange, v Verdict) {
	e.Ended, e.Report.Verdict = time.Now(), v
	if v.Reply != nil {
		p.grown(e, 2*len(v.Reply.Document)) // and its fields, which have no more
	}
	p.changed(Change{Kind: ChangeVerdict, AppID: e.AppID, OpenID: e.OpenID, Exchange: e.ID})
}

// summary is the beginning of a message, on one line.
func summary(m Message, b Bubble) string {
	s := b.String()
	if m.isEvent() {
		s = strings.TrimSuffix("event "+m.Event()+": "+b.Key, ": ")
	}
	s = strings.ReplaceAll(s, "\n", " ")
	return beginning(s, 200)
}
