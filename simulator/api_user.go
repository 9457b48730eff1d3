package simulator

import (
	"strconv"
)

// maxBatch is how many users one batchget may ask for, and pageOfUsers how many OpenIDs one user/get returns.
const (
	maxBatch    = 100
	pageOfUsers = 10_000
)

// stranger is what user/info says about who does not follow.
type stranger struct {
	Subscribe int    `json:"subscribe"`
	OpenID    string `json:"openid"`
}

// userInfo is user/info. What WeChat no longer tells since the end of 2021 is empty. R-API-USER
func (c *apiCall) userInfo() (any, errcode) {
	openID := c.query.Get("openid")
	if openID == "" {
		return nil, 41009
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	u := c.official.user(openID)
	if u == nil {
		return nil, 40003
	}
	return u.info(or(c.query.Get("lang"), "zh_CN")), 0
}

// info is what the API tells about a user. p.mu is held.
func (u *User) info(language string) any {
	if !u.profile.Following {
		return stranger{OpenID: u.openID}
	}
	info := follower{
		Subscribe: 1, OpenID: u.openID, Language: language, SubscribeTime: u.profile.FollowedAt.Unix(),
		TagIDs: []int{}, SubscribeScene: u.profile.SubscribeScene,
	}
	if u.profile.QRNumber {
		info.QRScene, _ = strconv.ParseInt(u.profile.QRScene, 10, 64)
	} else {
		info.QRSceneStr = u.profile.QRScene
	}
	return info
}

type follower struct {
	Subscribe      int    `json:"subscribe"`
	OpenID         string `json:"openid"`
	Nickname       string `json:"nickname"`
	Sex            int    `json:"sex"`
	Language       string `json:"language"`
	City           string `json:"city"`
	Province       string `json:"province"`
	Country        string `json:"country"`
	HeadImgURL     string `json:"headimgurl"`
	SubscribeTime  int64  `json:"subscribe_time"`
	Remark         string `json:"remark"`
	GroupID        int    `json:"groupid"`
	TagIDs         []int  `json:"tagid_list"`
	SubscribeScene string `json:"subscribe_scene"`
	QRScene        int64  `json:"qr_scene"`
	QRSceneStr     string `json:"qr_scene_str"`
}

// userInfos is user/info/batchget.
func (c *apiCall) userInfos() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	asked := in.list("user_list")
	switch {
	case len(asked) == 0:
		return nil, 40031
	case len(asked) > maxBatch:
		return nil, 40032
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	infos := make([]any, len(asked))
	for i, a := range asked {
		u := c.official.user(a.text("openid"))
		if u == nil {
			return nil, 40003
		}
		infos[i] = u.info(or(a.text("lang"), "zh_CN"))
	}
	return struct {
		List []any `json:"user_info_list"`
	}{infos}, 0
}

// followers is user/get: 10,000 OpenIDs behind next_openid, in the order in which the users were
// added. Whoever has stopped following is left out, and still says where the list goes on.
func (c *apiCall) followers() (any, errcode) {
	after := c.query.Get("next_openid")
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if after != "" && c.official.user(after) == nil {
		return nil, 40003
	}
	total, behind := 0, after == ""
	var page []string
	for _, u := range c.official.users {
		if u.profile.Following {
			total++
			if behind {
				page = append(page, u.openID)
			}
		}
		behind = behind || u.openID == after
	}
	size := c.p.api.pageSize
	if size == 0 {
		size = pageOfUsers
	}
	page = page[:min(len(page), size)]
	type data struct {
		OpenID []string `json:"openid"`
	}
	answer := struct {
		Total      int    `json:"total"`
		Count      int    `json:"count"`
		Data       *data  `json:"data,omitempty"`
		NextOpenID string `json:"next_openid"`
	}{Total: total, Count: len(page)}
	if len(page) > 0 {
		answer.Data, answer.NextOpenID = &data{page}, page[len(page)-1]
	}
	return answer, 0
}
