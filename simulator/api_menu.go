package simulator

import (
	"net/url"
	"slices"
	"unicode/utf8"
)

// The limits of a menu (自定义菜单), in bytes or buttons. R-API-MENU
const (
	maxButtons       = 3
	maxSubButtons    = 5
	maxButtonName    = 16
	maxSubButtonName = 60
	maxButtonKey     = 128
	maxButtonURL     = 1024
)

// buttonCodes are the codes for one level of buttons.
type buttonCodes struct {
	kind, name, key, url, domain errcode
	maxName                      int
}

var (
	topButton = buttonCodes{40017, 40018, 40019, 40020, 40055, maxButtonName}
	subButton = buttonCodes{40024, 40025, 40026, 40027, 40054, maxSubButtonName}
)

// createMenu is menu/create.
func (c *apiCall) createMenu() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	m, code := readMenu(in)
	if code != 0 {
		return nil, code
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.official.setMenu(m)
	return okResult, 0
}

func readMenu(in object) (*Menu, errcode) {
	if _, ok := in["button"].([]any); !ok {
		return nil, 40015
	}
	buttons := in.list("button")
	if len(buttons) < 1 || len(buttons) > maxButtons {
		return nil, 40016
	}
	m := new(Menu)
	for _, b := range buttons {
		button, code := readButton(b, topButton)
		if code != 0 {
			return nil, code
		}
		m.Buttons = append(m.Buttons, button)
	}
	return m, 0
}

func readButton(in object, codes buttonCodes) (Button, errcode) {
	b := Button{Name: in.text("name")}
	if b.Name == "" || len(b.Name) > codes.maxName || !utf8.ValidString(b.Name) {
		return b, codes.name
	}
	if subs, _ := in["sub_button"].([]any); len(subs) > 0 {
		if codes == subButton || len(subs) > maxSubButtons { // there are two levels
			return b, 40023
		}
		for _, sub := range in.list("sub_button") {
			s, code := readButton(sub, subButton)
			if code != 0 {
				return b, code
			}
			b.SubButtons = append(b.SubButtons, s)
		}
		return b, 0
	}
	b.Type = in.text("type")
	switch b.Type {
	case "":
		return b, 65308
	case "click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select":
		if b.Key = in.text("key"); b.Key == "" || len(b.Key) > maxButtonKey {
			return b, codes.key
		}
	case "view":
		b.URL = in.text("url")
		return b, buttonURL(b.URL, codes)
	case "miniprogram":
		b.URL, b.AppID, b.PagePath = in.text("url"), in.text("appid"), in.text("pagepath")
		switch {
		case b.AppID == "":
			return b, 40013
		case b.PagePath == "":
			return b, 40097
		}
		return b, buttonURL(b.URL, codes)
	case "media_id", "view_limited":
		if b.MediaID = in.text("media_id"); b.MediaID == "" {
			return b, 40007
		}
	case "article_id", "article_view_limited":
		if b.ArticleID = in.text("article_id"); b.ArticleID == "" {
			return b, 40097
		}
	default:
		return b, codes.kind
	}
	return b, 0
}

func buttonURL(text string, codes buttonCodes) errcode {
	if text == "" || len(text) > maxButtonURL {
		return codes.url
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return codes.domain
	}
	return 0
}

// shownButton is a button as menu/get writes it: with sub_button also where there is none.
type shownButton struct {
	Button
	SubButtons []shownButton `json:"sub_button"`
}

func shown(buttons []Button) []shownButton {
	list := make([]shownButton, len(buttons))
	for i, b := range buttons {
		list[i] = shownButton{b, shown(b.SubButtons)}
	}
	return list
}

// getMenu is menu/get.
func (c *apiCall) getMenu() (any, errcode) {
	m := c.official.Menu()
	if m == nil {
		return nil, 46003
	}
	type menu struct {
		Button []shownButton `json:"button"`
	}
	return struct {
		Menu menu `json:"menu"`
	}{menu{shown(m.Buttons)}}, 0
}

// currentButton is a button as get_current_selfmenu_info writes it.
type currentButton struct {
	Button
	SubButtons *currentList `json:"sub_button,omitempty"`
}

type currentList struct {
	List []currentButton `json:"list"`
}

func current(buttons []Button) []currentButton {
	list := make([]currentButton, len(buttons))
	for i, b := range buttons {
		list[i].Button = b
		if len(b.SubButtons) > 0 {
			list[i].SubButtons = &currentList{current(b.SubButtons)}
		}
	}
	return list
}

// currentMenu is get_current_selfmenu_info.
func (c *apiCall) currentMenu() (any, errcode) {
	type info struct {
		Button []currentButton `json:"button"`
	}
	answer := struct {
		Open int  `json:"is_menu_open"`
		Info info `json:"selfmenu_info"`
	}{Info: info{[]currentButton{}}}
	if m := c.official.Menu(); m != nil {
		answer.Open, answer.Info.Button = 1, current(m.Buttons)
	}
	return answer, 0
}

// deleteMenu is menu/delete. It works without a menu, too.
func (c *apiCall) deleteMenu() (any, errcode) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.official.setMenu(nil)
	return okResult, 0
}
