package wxapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
)

// User is what WeChat tells about a user. Names and pictures are not told any more since the end
// of 2021. R-API-USER
type User struct {
	// Subscribe is 1 if the user follows. Otherwise only OpenID and UnionID are told.
	Subscribe     int    `json:"subscribe"`
	OpenID        string `json:"openid"`
	UnionID       string `json:"unionid"` // only if the account is bound to an Open Platform account
	Language      string `json:"language"`
	SubscribeTime int64  `json:"subscribe_time"` // Unix seconds, of the last time
	Remark        string `json:"remark"`
	GroupID       int    `json:"groupid"`
	TagIDs        []int  `json:"tagid_list"`
	// SubscribeScene is ADD_SCENE_SEARCH, ADD_SCENE_QR_CODE or another; new ones appear.
	SubscribeScene string `json:"subscribe_scene"`
	// QRScene and QRSceneStr are the scene of the QR code that the user has followed by.
	QRScene    int64  `json:"qr_scene"`
	QRSceneStr string `json:"qr_scene_str"`
}

const maxUsersPerCall = 100

// User returns what WeChat tells about a user.
func (c *Client) User(ctx context.Context, openID string) (User, error) {
	var u User
	if err := checkOpenID(openID); err != nil {
		return u, err
	}
	err := c.get(ctx, "/cgi-bin/user/info", url.Values{"openid": {openID}, "lang": {"zh_CN"}}, &u)
	return u, err
}

// Users returns what WeChat tells about many users, with a call per 100 of them. With an error it
// returns those it has got.
func (c *Client) Users(ctx context.Context, openIDs ...string) ([]User, error) {
	type entry struct {
		OpenID string `json:"openid"`
		Lang   string `json:"lang"`
	}
	var users []User
	for chunk := range slices.Chunk(openIDs, maxUsersPerCall) {
		var body struct {
			List []entry `json:"user_list"`
		}
		for _, openID := range chunk {
			if err := checkOpenID(openID); err != nil {
				return users, err
			}
			body.List = append(body.List, entry{openID, "zh_CN"})
		}
		var answer struct {
			List []User `json:"user_info_list"`
		}
		if err := c.post(ctx, "/cgi-bin/user/info/batchget", body, &answer); err != nil {
			return users, err
		}
		users = append(users, answer.List...)
	}
	return users, nil
}

// Followers returns the OpenIDs of all followers behind after, in the order in which they followed; ""
// is from the beginning. It makes a call per 10,000, when it gets there. An error ends it, and comes
// with "". The last OpenID got is where another call goes on.
func (c *Client) Followers(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			var page struct {
				Data struct {
					OpenIDs []string `json:"openid"`
				} `json:"data"`
				Next string `json:"next_openid"`
			}
			query := url.Values{"next_openid": {after}}
			if err := c.get(ctx, "/cgi-bin/user/get", query, &page); err != nil {
				yield("", err)
				return
			}
			for _, openID := range page.Data.OpenIDs {
				if !yield(openID, nil) {
					return
				}
			}
			switch {
			case page.Next == "" || len(page.Data.OpenIDs) == 0:
				return
			case page.Next == after: // a page that leads to itself would never end
				yield("", &TransportError{Path: "/cgi-bin/user/get", Sent: true, Status: http.StatusOK, Err: errors.New("the next page is the same one")})
				return
			}
			after = page.Next
		}
	}
}
