package simulator

import (
	"fmt"
	"slices"
	"strings"
)

// Menu is the menu at the bottom of a chat (自定义菜单), in the form of the API.
type Menu struct {
	Buttons []Button `json:"button"`
	MenuID  int64    `json:"menuid,omitempty"`
}

// Button is a button of a menu: with a Type, or with SubButtons and without one. Which other
// fields count depends on the type.
type Button struct {
	Type       string   `json:"type,omitempty"` // click, view, scancode_push, ...
	Name       string   `json:"name"`
	Key        string   `json:"key,omitempty"`        // click, scancode_push, scancode_waitmsg, pic_..., location_select
	URL        string   `json:"url,omitempty"`        // view, and miniprogram for clients too old for it
	MediaID    string   `json:"media_id,omitempty"`   // media_id, view_limited
	ArticleID  string   `json:"article_id,omitempty"` // article_id, article_view_limited
	AppID      string   `json:"appid,omitempty"`      // miniprogram
	PagePath   string   `json:"pagepath,omitempty"`   // miniprogram
	SubButtons []Button `json:"sub_button,omitempty"`
}

func (m *Menu) clone() *Menu {
	if m == nil {
		return nil
	}
	c := &Menu{MenuID: m.MenuID, Buttons: slices.Clone(m.Buttons)}
	for i, b := range c.Buttons {
		c.Buttons[i].SubButtons = slices.Clone(b.SubButtons)
	}
	return c
}

// Find returns a button that can be tapped: by its position, as in "#1" and "#2.3" for the
// third below the second, by its key, by its name, or by both names as in "菜单/搜索". It may be
// called on nil. The error says which buttons there are.
func (m *Menu) Find(what string) (Button, error) {
	if m == nil || len(m.Buttons) == 0 {
		return Button{}, fmt.Errorf("simulator: the account has no menu; make one with menu/create or SetMenu")
	}
	type place struct {
		position, path string
		button         Button
	}
	var all []place
	for i, b := range m.Buttons {
		if len(b.SubButtons) == 0 {
			all = append(all, place{fmt.Sprintf("#%d", i+1), b.Name, b})
		}
		for j, sub := range b.SubButtons {
			all = append(all, place{fmt.Sprintf("#%d.%d", i+1, j+1), b.Name + "/" + sub.Name, sub})
		}
	}
	for _, is := range []func(place) bool{
		func(p place) bool { return p.position == what },
		func(p place) bool { return p.button.Key != "" && p.button.Key == what },
		func(p place) bool { return p.path == what },
		func(p place) bool { return p.button.Name == what },
	} {
		if at := slices.IndexFunc(all, is); at >= 0 {
			return all[at].button, nil
		}
	}
	var names []string
	for _, p := range all {
		names = append(names, p.path)
	}
	return Button{}, fmt.Errorf("simulator: the menu has no button %q that can be tapped; it has %s", what, strings.Join(names, ", "))
}
