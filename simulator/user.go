package simulator

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// User is one person as one account knows them. What a user does is a method that blocks until
// WeChat is done pushing it; the user may do other things meanwhile, by other goroutines. A
// server that does not answer as it should is no error: the report tells. An error says that a
// phone would not let the user do it, or is that of ctx.
type User struct {
	o        *Official
	openID   string
	nickname string

	// p.mu guards the rest.
	profile Profile
	chat    []*Bubble   // which are never changed; shared with changes
	windows userWindows // of the HTTP API
}

// Profile is what the account knows about a user.
type Profile struct {
	OpenID   string
	Nickname string
	// Following says whether the user follows the account now, and FollowedAt since when, by package time.
	Following  bool
	FollowedAt time.Time
	// SubscribeScene is how the user came, such as ADD_SCENE_SEARCH or ADD_SCENE_QR_CODE, and
	// QRScene the scene of the QR code, if it was one.
	SubscribeScene, QRScene string
	// QRNumber says whether QRScene is a scene_id, and not a scene_str.
	QRNumber bool
}

// String is the user's nickname and OpenID.
func (u *User) String() string { return u.nickname + " (" + u.openID + ")" }

// OpenID returns the user's OpenID.
func (u *User) OpenID() string { return u.openID }

// Nickname returns the user's nickname.
func (u *User) Nickname() string { return u.nickname }

// Official returns the account that the user is one of.
func (u *User) Official() *Official { return u.o }

// Profile returns what is known about the user now.
func (u *User) Profile() Profile {
	u.o.p.mu.Lock()
	defer u.o.p.mu.Unlock()
	return u.profileNow()
}

// profileNow is what is known about the user. p.mu is held.
func (u *User) profileNow() Profile {
	p := u.profile
	p.OpenID, p.Nickname = u.openID, u.nickname
	return p
}

// Following reports whether the user follows the account now.
func (u *User) Following() bool { return u.Profile().Following }

// follow makes the user a follower. p.mu is held.
func (u *User) follow(scene string, code QRCode) {
	u.profile = Profile{Following: true, FollowedAt: time.Now(), SubscribeScene: scene, QRScene: code.Scene, QRNumber: code.Number}
}

// Send sends an ordinary message, or any other that [Raw] or a constructor has made. An event
// is pushed as it is: it changes nothing about the user. Media ids that the constructors have
// invented become ones with a content.
func (u *User) Send(ctx context.Context, m Message) (*Report, error) {
	if m.isEvent() || m.raw != nil {
		return u.perform(ctx, action{message: m, anybody: true, trigger: triggerOf(m), bubble: !m.isEvent()})
	}
	u.o.p.mu.Lock()
	m = u.o.withMedia(m)
	u.o.p.mu.Unlock()
	return u.perform(ctx, action{message: m, trigger: triggerMessage, bubble: true})
}

// triggerOf is empty for events that let nobody send anything.
func triggerOf(m Message) trigger {
	switch strings.ToLower(m.Event()) {
	case "click", "scancode_push", "scancode_waitmsg":
		return triggerMenu
	case "subscribe":
		return triggerFollow
	case "scan":
		return triggerScan
	case "":
		return triggerMessage
	}
	return ""
}

// Say sends a text message.
func (u *User) Say(ctx context.Context, text string) (*Report, error) {
	return u.Send(ctx, Text(text))
}

// Speak sends a voice message in which the user says the words. The server reads them if the
// account has speech recognition.
func (u *User) Speak(ctx context.Context, words string) (*Report, error) {
	return u.Send(ctx, u.voice("", words))
}

// SendMedia sends a picture, voice message or video that [Official.AddMedia] has made. words
// are what is said in a voice message.
func (u *User) SendMedia(ctx context.Context, m Media, words string) (*Report, error) {
	switch m.Type {
	case "image":
		return u.Send(ctx, Image(u.o.picURL(m.ID), m.ID))
	case "voice":
		return u.Send(ctx, u.voice(m.ID, words))
	case "video":
		return u.Send(ctx, Video(m.ID, ""))
	}
	return nil, fmt.Errorf("simulator: a user cannot send a medium of the type %q; send an image, a voice or a video", m.Type)
}

// voice is a voice message by what the account has.
func (u *User) voice(mediaID, words string) Message {
	u.o.p.mu.Lock()
	defer u.o.p.mu.Unlock()
	switch {
	case u.o.config.Recognition:
		return Voice(mediaID, words)
	case u.o.rules.OmitRecognition:
		return Voice(mediaID)
	}
	return Voice(mediaID, "")
}

// Follow follows the account, found by search.
func (u *User) Follow(ctx context.Context) (*Report, error) {
	return u.perform(ctx, action{message: Subscribe(""), trigger: triggerFollow, change: func() error {
		if u.profile.Following {
			return fmt.Errorf("simulator: %s follows the account already", u.nickname)
		}
		u.follow("ADD_SCENE_SEARCH", QRCode{})
		u.receive(Bubble{From: FromNotice, Kind: "follow", Text: "已关注公众号"})
		return nil
	}})
}

// FollowByScene scans a QR code with a scene (带参数二维码) and follows the account that it
// leads to. The code is named by its ticket, its URL or its scene; if no code has this scene, one is made.
func (u *User) FollowByScene(ctx context.Context, code string) (*Report, error) {
	qr, err := u.o.findQRCode(code)
	if err != nil {
		return nil, err
	}
	m := event("subscribe", cdata("EventKey", "qrscene_"+qr.Scene), cdata("Ticket", qr.Ticket))
	return u.perform(ctx, action{message: m, trigger: triggerFollow, change: func() error {
		if u.profile.Following {
			return fmt.Errorf("simulator: %s follows the account already; a follower who scans the code does not follow again, so use Scan", u.nickname)
		}
		u.follow("ADD_SCENE_QR_CODE", qr)
		u.receive(Bubble{From: FromNotice, Kind: "follow", Text: "通过扫描二维码关注了公众号", Key: qr.Scene}.drawn())
		return nil
	}})
}

// Scan scans a QR code with a scene as a follower. The code is named as for FollowByScene.
// Someone who does not follow only comes to the account's page, of which nothing is pushed:
// that is an error here.
func (u *User) Scan(ctx context.Context, code string) (*Report, error) {
	qr, err := u.o.findQRCode(code)
	if err != nil {
		return nil, err
	}
	m := event("SCAN", cdata("EventKey", qr.Scene), cdata("Ticket", qr.Ticket))
	return u.perform(ctx, action{message: m, trigger: triggerScan, change: func() error {
		u.receive(Bubble{From: FromNotice, Kind: "scan", Text: "扫描了二维码", Key: qr.Scene}.drawn())
		return nil
	}})
}

// Unfollow stops following. What stands in the chat stays in [User.Chat], though a phone deletes it.
func (u *User) Unfollow(ctx context.Context) (*Report, error) {
	return u.perform(ctx, action{message: Unsubscribe(), change: func() error {
		u.profile.Following = false
		u.receive(Bubble{From: FromNotice, Kind: "unfollow", Text: "已取消关注"})
		return nil
	}})
}

// ReportLocation reports where the user is (上报地理位置), as WeChat does when the chat is
// opened, if the user agreed. In degrees and metres.
func (u *User) ReportLocation(ctx context.Context, latitude, longitude, precision float64) (*Report, error) {
	return u.perform(ctx, action{message: LocationEvent(latitude, longitude, precision)})
}

// ClickInput is what the user does after the tap on a button that asks for something.
type ClickInput struct {
	// ScanType and ScanResult are what scancode_push and scancode_waitmsg have scanned. They
	// default to "qrcode" and "https://example.com/". A bar code has the type "barcode" and a
	// result such as "EAN_13,6901234567892".
	ScanType, ScanResult string
	// Pictures are what pic_sysphoto, pic_photo_or_album and pic_weixin send. They default to one that is invented.
	Pictures []Media
	// Latitude and Longitude, in degrees, Scale, Label and POIName are what location_select
	// has chosen. All empty means a place in Guangzhou.
	Latitude, Longitude float64
	Scale               int
	Label, POIName      string
}

// Click taps a button of the menu, which [Menu.Find] finds, and does what the button asks for;
// in may be nil. It returns a report for everything that was pushed: one of the event, then
// one for every picture or place that follows as an ordinary message, and none for buttons
// that push nothing (media_id, view_limited, article_id, article_view_limited). R-EVENT-MENU
func (u *User) Click(ctx context.Context, button string, in *ClickInput) ([]*Report, error) {
	b, err := u.o.Menu().Find(button)
	if err != nil {
		return nil, err
	}
	if in == nil {
		in = &ClickInput{}
	}
	u.o.p.mu.Lock()
	actions, err := u.clicked(b, *in)
	u.o.p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var reports []*Report
	for _, a := range actions {
		r, err := u.perform(ctx, a)
		if r != nil {
			reports = append(reports, r)
		}
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// clicked says what a tap on a button sets off. p.mu is held.
func (u *User) clicked(b Button, in ClickInput) ([]action, error) {
	if err := u.mustFollow(); err != nil {
		return nil, err
	}
	key := cdata("EventKey", b.Key)
	switch b.Type {
	case "click":
		return []action{{message: Click(b.Key), trigger: triggerMenu}}, nil
	case "view":
		return []action{{message: View(b.URL)}}, nil
	case "miniprogram":
		return []action{{message: event("view_miniprogram", cdata("EventKey", b.PagePath))}}, nil
	case "scancode_push", "scancode_waitmsg":
		m := event(b.Type, key, "<ScanCodeInfo>"+cdata("ScanType", or(in.ScanType, "qrcode"))+
			cdata("ScanResult", or(in.ScanResult, "https://example.com/"))+"</ScanCodeInfo>\n")
		return []action{{message: m, trigger: triggerMenu}}, nil
	case "pic_sysphoto", "pic_photo_or_album", "pic_weixin":
		pictures := in.Pictures
		if len(pictures) == 0 {
			m, _ := u.o.medium(u.o.inventMedia("image"))
			pictures = []Media{m}
		}
		if len(pictures) > 1 && b.Type == "pic_sysphoto" {
			return nil, errors.New("simulator: the camera (pic_sysphoto) sends one picture at a time")
		}
		var items strings.Builder
		var messages []action
		for _, p := range pictures {
			if p.Type != "image" {
				return nil, fmt.Errorf("simulator: a button of the type %s sends pictures, and no %s", b.Type, or(p.Type, "empty medium"))
			}
			sum := md5.Sum(p.Data)
			items.WriteString("<item>" + cdata("PicMd5Sum", hex.EncodeToString(sum[:])) + "</item>\n")
			messages = append(messages, action{message: Image(u.o.picURL(p.ID), p.ID), trigger: triggerMessage, bubble: true})
		}
		m := event(b.Type, key, "<SendPicsInfo>"+number("Count", int64(len(pictures)))+"<PicList>"+items.String()+"</PicList>\n</SendPicsInfo>\n")
		return append([]action{{message: m}}, messages...), nil
	case "location_select":
		if in.Latitude == 0 && in.Longitude == 0 && in.Label == "" {
			in.Latitude, in.Longitude, in.Label = 23.098994, 113.32252, "广州市海珠区新港中路397号"
		}
		in.Scale = or(in.Scale, 15)
		m := event(b.Type, key, "<SendLocationInfo>"+cdata("Location_X", coordinate(in.Latitude))+cdata("Location_Y", coordinate(in.Longitude))+
			cdata("Scale", fmt.Sprint(in.Scale))+cdata("Label", in.Label)+cdata("Poiname", in.POIName)+"</SendLocationInfo>\n")
		return []action{{message: m}, {message: Location(in.Latitude, in.Longitude, in.Scale, in.Label), trigger: triggerMessage, bubble: true}}, nil
	case "media_id", "view_limited", "article_id", "article_view_limited":
		if b.Type == "media_id" || b.Type == "article_id" { // the others open a page
			u.receive(u.o.menuBubble(b).drawn())
		}
		return nil, nil
	}
	return nil, fmt.Errorf("simulator: a phone does not know buttons of the type %q", b.Type)
}

// menuBubble is what a button sends without asking the server. p.mu is held.
func (o *Official) menuBubble(b Button) Bubble {
	bubble := Bubble{From: FromAccount, Way: WayMenu, Kind: "article", MediaID: b.MediaID, ArticleID: b.ArticleID}
	if b.Type == "media_id" {
		if m, ok := o.medium(b.MediaID); ok {
			bubble.Kind = m.Type
		}
	}
	return bubble
}

// coordinate writes degrees without zeros at the end.
func coordinate(degrees float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.6f", degrees), "0"), ".")
}

// Tap taps a link in the chat, named by what the user reads or by its address; the newest
// counts. A weixin://bizmsgmenu link sends a message; any other link opens something and pushes
// nothing, which is an error here.
func (u *User) Tap(ctx context.Context, link string) (*Report, error) {
	chat := u.Chat()
	var links []string
	for _, b := range slices.Backward(chat) {
		for _, s := range b.Spans {
			switch {
			case b.From != FromAccount || s.Kind == SpanText:
			case s.Text != link && s.URL != link:
				links = append(links, s.Text)
			case s.Kind != SpanMenu:
				return nil, fmt.Errorf("simulator: a tap on %q opens %s, and nothing is pushed", s.Text, or(s.URL, s.Text))
			case s.Content == "":
				return nil, fmt.Errorf("simulator: the link %q has no msgmenucontent, so a tap sends nothing", s.Text)
			default:
				return u.perform(ctx, action{message: MenuText(s.Content, s.MenuID), trigger: triggerMsgMenu, bubble: true})
			}
		}
	}
	return nil, fmt.Errorf("simulator: there is no link %q in the chat; there are %q", link, links)
}

// ChooseMenu taps an entry of a menu message (msgmenu), named by its content or its id; the
// newest counts.
func (u *User) ChooseMenu(ctx context.Context, entry string) (*Report, error) {
	chat := u.Chat()
	var entries []string
	for _, b := range slices.Backward(chat) {
		for _, e := range b.Entries {
			if e.Content == entry || e.ID == entry {
				return u.perform(ctx, action{message: MenuText(e.Content, e.ID), trigger: triggerMsgMenu, bubble: true})
			}
			entries = append(entries, e.Content)
		}
	}
	return nil, fmt.Errorf("simulator: there is no menu message with the entry %q in the chat; there are the entries %q", entry, entries)
}
