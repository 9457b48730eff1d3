package wxapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// Button is a button of the menu (自定义菜单), or an entry of one. Which fields count depends on Type. R-API-MENU
type Button struct {
	Name string `json:"name"`
	// Type is click, view, miniprogram, scancode_push, scancode_waitmsg, pic_sysphoto,
	// pic_photo_or_album, pic_weixin, location_select, media_id, article_id or
	// article_view_limited, and "" for a button with entries. Menus made in the console know
	// more: see Value.
	Type string `json:"type,omitempty"`
	// Key comes back in the event of click, scancode_… , pic_… and location_select.
	Key string `json:"key,omitempty"`
	// URL is opened by view, and by miniprogram in old clients.
	URL       string `json:"url,omitempty"`
	MediaID   string `json:"media_id,omitempty"`
	ArticleID string `json:"article_id,omitempty"`
	AppID     string `json:"appid,omitempty"`    // miniprogram
	PagePath  string `json:"pagepath,omitempty"` // miniprogram
	// Value is what a button of the types text, img, voice and video answers that was made in
	// WeChat's console. It cannot be created by the API.
	Value string `json:"value,omitempty"`
	// Entries are 1 to 5 buttons without entries of their own.
	Entries Buttons `json:"sub_button,omitempty"`
}

// Buttons are a list of buttons, which WeChat also writes as an object with the list in it.
type Buttons []Button

// UnmarshalJSON reads both forms.
func (b *Buttons) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		var inside struct {
			List []Button `json:"list"`
		}
		err := json.Unmarshal(text, &inside)
		*b = inside.List
		return err
	}
	return json.Unmarshal(text, (*[]Button)(b))
}

// Menu is a menu that the API has made.
type Menu struct {
	ID      MenuID  `json:"menuid"` // "" if WeChat gives none
	Buttons Buttons `json:"button"`
	// MatchRule says which users see it, for conditional menus (个性化菜单).
	MatchRule map[string]any `json:"matchrule,omitempty"`
}

// MenuID is the id of a menu, which WeChat writes as a number or as text.
type MenuID string

// UnmarshalJSON reads both.
func (id *MenuID) UnmarshalJSON(text []byte) error {
	*id = MenuID(bytes.Trim(text, `"`))
	return nil
}

// Menus are all menus that the API has made.
type Menus struct {
	Menu        Menu   `json:"menu"`
	Conditional []Menu `json:"conditionalmenu"`
}

// CurrentMenu is the menu that users see, whoever has made it.
type CurrentMenu struct {
	Open    bool // whether there is one
	Buttons []Button
}

// CreateMenu replaces the menu by 1 to 3 buttons. Clients show it within five minutes, or
// after following again. R-API-MENU
func (c *Client) CreateMenu(ctx context.Context, buttons ...Button) error {
	if len(buttons) == 0 {
		return fmt.Errorf("%w: the menu has no buttons; give 1 to 3, or use DeleteMenu", ErrInvalid)
	}
	return c.post(ctx, "/cgi-bin/menu/create", struct {
		Buttons []Button `json:"button"`
	}{buttons}, nil)
}

// Menus returns the menus that the API has made. Without one WeChat refuses with 46003.
func (c *Client) Menus(ctx context.Context) (Menus, error) {
	var m Menus
	err := c.get(ctx, "/cgi-bin/menu/get", nil, &m)
	return m, err
}

// CurrentMenu returns the menu that users see, also if it was made in WeChat's console.
func (c *Client) CurrentMenu(ctx context.Context) (CurrentMenu, error) {
	var answer struct {
		IsMenuOpen int `json:"is_menu_open"`
		Info       struct {
			Buttons Buttons `json:"button"`
		} `json:"selfmenu_info"`
	}
	err := c.get(ctx, "/cgi-bin/get_current_selfmenu_info", nil, &answer)
	return CurrentMenu{answer.IsMenuOpen != 0, answer.Info.Buttons}, err
}

// DeleteMenu deletes the menu and all conditional ones.
func (c *Client) DeleteMenu(ctx context.Context) error {
	return c.get(ctx, "/cgi-bin/menu/delete", nil, nil)
}
