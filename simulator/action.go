package simulator

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// withMedia gives media that a constructor has invented a content. p.mu is held.
func (o *Official) withMedia(m Message) Message {
	kind := m.Type()
	if kind == "shortvideo" {
		kind = "video"
	}
	invented, thumb := cdata("MediaId", someMediaID), cdata("ThumbMediaId", someMediaID+"_thumb")
	if strings.Contains(m.rest+m.tail, invented) && (kind == "image" || kind == "voice" || kind == "video") {
		id := o.inventMedia(kind)
		m.rest = strings.Replace(m.rest, invented, cdata("MediaId", id), 1)
		m.tail = strings.Replace(m.tail, invented, cdata("MediaId", id), 1)
		m.rest = strings.Replace(m.rest, cdata("PicUrl", somePicture), cdata("PicUrl", o.picURL(id)), 1)
	}
	if kind == "video" && strings.Contains(m.rest, thumb) {
		m.rest = strings.Replace(m.rest, thumb, cdata("ThumbMediaId", o.inventMedia("thumb")), 1)
	}
	return m
}

// picURL is where a picture can be fetched without a token.
func (o *Official) picURL(mediaID string) string {
	return o.p.config.BaseURL + "/mmbiz_jpg/" + mediaID + "/0"
}

// action is one message of a user and what goes with it.
type action struct {
	message  Message
	trigger  trigger
	bubble   bool         // the message stands in the chat
	anybody  bool         // it may come from somebody who does not follow
	change   func() error // what it changes about the user; p.mu is held
	document []byte       // the message in clear, if it was made before
	again    *Report      // what is sent again
	exact    bool         // with the same bytes
}

// mustFollow says what a phone says to somebody who does not follow. p.mu is held.
func (u *User) mustFollow() error {
	if u.profile.Following {
		return nil
	}
	return fmt.Errorf("simulator: %s does not follow the account and cannot write to it; let the user follow first", u.nickname)
}

// perform is what every action comes to: WeChat pushes the message, and the user sees what
// comes of it.
func (u *User) perform(ctx context.Context, a action) (*Report, error) {
	p := u.o.p
	p.mu.Lock()
	wechat := u.o.wechat
	p.mu.Unlock()
	e, b, err := u.prepare(wechat, &a)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	err = u.begin(e, b, a)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}

	tellBegun(ctx, e.ID)

	// Hooks of this message only.
	once := *wechat
	once.started = func(push Push) { p.pushed(e, push) }
	once.ended = once.started
	r := &Report{Message: e.Report.Message, Document: e.Report.Document}
	if a.exact {
		r, err = once.Replay(ctx, a.again)
	} else {
		r, err = once.deliver(ctx, r, nil)
	}

	var seen Bubble
	switch r.Verdict.Sees {
	case SeesFault:
		seen = Bubble{From: FromNotice, Kind: "fault", Text: FaultNotice}
	case SeesReply:
		seen = replyBubble(r.Verdict.Reply).drawn()
	}
	seen.Exchange = e.ID
	p.mu.Lock()
	defer p.mu.Unlock()
	visible := err == nil && !e.Captured && r.Verdict.Sees != SeesNothing
	if visible && u.profile.Following { // who has left meanwhile sees nothing
		u.receive(seen)
	}
	p.ended(e, r.Verdict)
	return r, err
}

// prepare makes the exchange of an action, and what the user sees of the own message. It takes
// time that grows with the message, so p.mu is not held.
func (u *User) prepare(wechat *WeChat, a *action) (*Exchange, Bubble, error) {
	m := a.message
	m.FromUserName = or(m.FromUserName, u.openID)
	m, err := wechat.fill(m)
	if err != nil {
		return nil, Bubble{}, err
	}
	if a.document == nil {
		a.document = m.document()
	}
	b := bubbleOf(m, a.document).drawn()
	return &Exchange{
		AppID: u.o.appID, OpenID: u.openID, Nickname: u.nickname, Summary: summary(m, b),
		Report: Report{Message: m, Document: a.document}, Captured: a.exact, user: u, wechat: wechat,
	}, b, nil
}

// begin does what happens before the first push. p.mu is held.
func (u *User) begin(e *Exchange, b Bubble, a action) error {
	p := u.o.p
	leaving := strings.EqualFold(a.message.Event(), "unsubscribe")
	following := strings.EqualFold(a.message.Event(), "subscribe")
	if a.again == nil && !a.anybody && !following {
		if err := u.mustFollow(); err != nil {
			return err
		}
	}
	if a.change != nil {
		if err := a.change(); err != nil {
			return err
		}
		if leaving || following {
			p.changed(Change{Kind: ChangeUser, AppID: u.o.appID, OpenID: u.openID})
		}
	}
	e.Begun = time.Now()
	p.begin(e)
	if a.bubble {
		b.Exchange = e.ID
		u.receive(b)
	}
	if a.trigger != "" {
		u.o.noteTrigger(u, a.trigger)
	}
	return nil
}
