package simulator

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// tokenAnswer is the answer of both token calls.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// getToken is getAccessToken. R-API-TOKEN
func (c *apiCall) getToken() (any, errcode) {
	return c.issueToken(c.query.Get("grant_type"), c.query.Get("appid"), c.query.Get("secret"), func(t *tokens, now time.Time) *accessToken {
		return t.get(now)
	})
}

// getStableToken is getStableAccessToken. R-API-STABLE
func (c *apiCall) getStableToken() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	force, _ := in["force_refresh"].(bool)
	return c.issueToken(in.text("grant_type"), in.text("appid"), in.text("secret"), func(t *tokens, now time.Time) *accessToken {
		return t.getStable(now, force)
	})
}

func (c *apiCall) issueToken(grantType, appID, secret string, issue func(*tokens, time.Time) *accessToken) (any, errcode) {
	if grantType != "client_credential" {
		return nil, 40002
	}
	if code := c.authenticateBySecret(appID, secret); code != 0 {
		return nil, code
	}
	if code := c.count(c.official); code != 0 {
		return nil, code
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	now := c.p.now()
	token := issue(&c.official.api.tokens, now)
	return tokenAnswer{AccessToken: token.value, ExpiresIn: int64(token.expires.Sub(now) / time.Second)}, 0
}

// authenticateBySecret finds the account by its AppID and AppSecret.
func (c *apiCall) authenticateBySecret(appID, secret string) errcode {
	switch {
	case appID == "":
		return 41002
	case secret == "":
		return 41004
	}
	o := c.p.Official(appID)
	switch {
	case o == nil:
		return 40013
	case o.Config().AppSecret != secret:
		return 40125
	}
	c.official = o
	return 0
}

// ipList is getcallbackip and get_api_domain_ip: the address that pushes come from, and that of the API.
func (c *apiCall) ipList() (any, errcode) {
	return struct {
		IPList []string `json:"ip_list"`
	}{[]string{"127.0.0.1"}}, 0
}

// checkCallback is callback/check (网络检测). It does not look for the server; the address is
// that of the URL if it has one, and the way there is always free.
func (c *apiCall) checkCallback() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	action, operator := in.text("action"), in.text("check_operator")
	switch {
	case !slices.Contains([]string{"dns", "ping", "all"}, action):
		return nil, 40202
	case !slices.Contains([]string{"", "DEFAULT", "CHINANET", "UNICOM", "CAP"}, operator):
		return nil, 40203
	}
	ip := "127.0.0.1"
	if u, err := url.Parse(c.official.Config().Account.URL); err == nil {
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			ip = addr.String()
		}
	}
	operator = or(operator, "DEFAULT")
	type dns struct {
		IP           string `json:"ip"`
		RealOperator string `json:"real_operator"`
	}
	type ping struct {
		IP           string `json:"ip"`
		FromOperator string `json:"from_operator"`
		PackageLoss  string `json:"package_loss"`
		Time         string `json:"time"`
	}
	var answer struct {
		DNS  []dns  `json:"dns,omitempty"`
		Ping []ping `json:"ping,omitempty"`
	}
	if action != "ping" {
		answer.DNS = []dns{{ip, operator}}
	}
	if action != "dns" {
		answer.Ping = []ping{{ip, operator, "0%", "0.042ms"}}
	}
	return answer, 0
}

// clearsPerMonth is how often an account may clear its quotas.
const clearsPerMonth = 10

// clearQuota is clear_quota.
func (c *apiCall) clearQuota() (any, errcode) {
	in, code := c.object()
	switch {
	case code != 0:
		return nil, code
	case in.text("appid") == "":
		return nil, 41002
	case in.text("appid") != c.official.AppID():
		return nil, 40013
	}
	return c.clear()
}

// clearQuotaBySecret is clear_quota/v2.
func (c *apiCall) clearQuotaBySecret() (any, errcode) {
	if code := c.authenticateBySecret(c.query.Get("appid"), c.query.Get("appsecret")); code != 0 {
		return nil, code
	}
	return c.clear()
}

func (c *apiCall) clear() (any, errcode) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	api := &c.official.api
	month := c.p.now().In(china).Format("2006-01")
	if api.clears.month != month {
		api.clears.month, api.clears.count = month, 0
	}
	if api.clears.count >= clearsPerMonth {
		return nil, 48006
	}
	api.clears.count++
	clear(api.quotas)
	return okResult, 0
}

// getQuota is openapi/quota/get.
func (c *apiCall) getQuota() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	path := in.text("cgi_path")
	limit := c.quota(path)
	if limit == 0 {
		return nil, 76021
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	used := 0
	if q := c.official.api.quotas[path]; q != nil {
		used = q.used(c.p.now())
	}
	type quota struct {
		DailyLimit int `json:"daily_limit"`
		Used       int `json:"used"`
		Remain     int `json:"remain"`
	}
	return struct {
		result
		Quota quota `json:"quota"`
	}{okResult, quota{limit, used, limit - used}}, 0
}

var ridForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)

// getRID is openapi/rid/get.
func (c *apiCall) getRID() (any, errcode) {
	in, code := c.object()
	if code != 0 {
		return nil, code
	}
	rid := in.text("rid")
	if !ridForm.MatchString(rid) {
		return nil, 76002
	}
	for _, call := range c.p.APICalls() {
		if call.RID != rid || call.AppID != c.official.AppID() {
			continue
		}
		type request struct {
			InvokeTime   int64  `json:"invoke_time"`
			CostInMS     int64  `json:"cost_in_ms"`
			RequestURL   string `json:"request_url"`
			RequestBody  string `json:"request_body"`
			ResponseBody string `json:"response_body"`
			ClientIP     string `json:"client_ip"`
		}
		host, _, _ := net.SplitHostPort(c.request.RemoteAddr)
		return struct {
			result
			Request request `json:"request"`
		}{okResult, request{call.At.Unix(), call.Duration.Milliseconds(), call.Query, string(call.Request), string(call.Answer), host}}, 0
	}
	return nil, 76001
}
