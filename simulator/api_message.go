package simulator

import "strings"

// articlesPerMessage is how many articles a customer-service message of the type news has.
const articlesPerMessage = 1

// sendMessage is message/custom/send (客服消息). R-API-SEND
func (c *apiCall) sendMessage() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	u := c.official.User(in.text("touser"))
	if u == nil {
		return nil, 40003
	}
	b, code := c.official.bubble(in)
	if code != 0 {
		return nil, code
	}
	b = b.drawn()
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if !u.profile.Following {
		return nil, 43004
	}
	if code := u.windows.take(c.p.now()); code != 0 { // R-API-WINDOW
		return nil, code
	}
	u.receive(b)
	return okResult, 0
}

// bubble reads a customer-service message.
func (o *Official) bubble(in object) (Bubble, errcode) {
	kind, configured := in.text("msgtype"), o.Config().Kind
	v := in.object(kind)
	b := Bubble{From: FromAccount, Way: WayAPI, Kind: kind, Agent: in.object("customservice").text("kf_account")}
	medium := func(name string, types ...string) string {
		id := v.text(name)
		m, ok := o.Media(id)
		for _, t := range types {
			if ok && m.Type == t {
				return id
			}
		}
		return ""
	}
	b.Title, b.Description = v.text("title"), v.text("description")
	switch kind {
	case "text":
		b.Text = v.text("content")
		switch {
		case b.Text == "":
			return b, 44004
		case len(b.Text) > maxText:
			return b, 45002
		}
	case "image", "voice":
		if b.MediaID = medium("media_id", kind); b.MediaID == "" {
			return b, 40007
		}
	case "video":
		b.MediaID, b.ThumbMediaID = medium("media_id", "video"), medium("thumb_media_id", "thumb", "image")
		if b.MediaID == "" || b.ThumbMediaID == "" && v.text("thumb_media_id") != "" {
			return b, 40007
		}
	case "music":
		b.MusicURL, b.HQMusicURL = v.text("musicurl"), v.text("hqmusicurl")
		if b.ThumbMediaID = medium("thumb_media_id", "thumb", "image"); b.ThumbMediaID == "" {
			return b, 40007
		}
	case "news":
		for _, a := range v.list("articles") {
			b.Articles = append(b.Articles, Article{Title: a.text("title"), Description: a.text("description"), PicURL: a.text("picurl"), URL: a.text("url")})
		}
		switch {
		case len(b.Articles) == 0:
			return b, 44003
		case len(b.Articles) > articlesPerMessage:
			return b, 45008
		}
	case "mpnews": // the id of permanent material, of which there is none yet
		return b, 40007
	case "mpnewsarticle":
		b.Kind = "article"
		if b.ArticleID = v.text("article_id"); b.ArticleID == "" {
			return b, 40097
		}
	case "msgmenu":
		if configured != Service {
			return b, 40200
		}
		b.Text, b.Tail = v.text("head_content"), v.text("tail_content")
		for _, e := range v.list("list") {
			b.Entries = append(b.Entries, MenuEntry{ID: e.label("id"), Content: e.text("content")})
			if strings.TrimSpace(e.text("content")) == "" {
				return b, 44004
			}
		}
		if len(b.Entries) == 0 {
			return b, 44004
		}
	case "wxcard":
		b.Kind = "card"
		if b.CardID = v.text("card_id"); b.CardID == "" {
			return b, 40073
		}
	case "miniprogrampage":
		b.AppID, b.PagePath = v.text("appid"), v.text("pagepath")
		if b.AppID == "" {
			return b, 40013
		}
		if b.ThumbMediaID = medium("thumb_media_id", "thumb", "image"); b.ThumbMediaID == "" {
			return b, 40007
		}
	default:
		return b, 40008
	}
	return b, 0
}

// typing is message/custom/typing (客服输入状态). R-API-TYPING
func (c *apiCall) typing() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	u := c.official.user(in.text("touser"))
	command := in.text("command")
	switch {
	case u == nil:
		return nil, 40003
	case command != "Typing" && command != "CancelTyping":
		return nil, 45072
	case !u.profile.Following:
		return nil, 43004
	}
	if code := u.windows.setTyping(command == "Typing", c.p.now()); code != 0 {
		return nil, code
	}
	c.p.changed(Change{Kind: ChangeUser, AppID: c.official.AppID(), OpenID: u.openID})
	return okResult, 0
}
