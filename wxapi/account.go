package wxapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
)

// CallbackCheck is what WeChat finds on its way to the server (网络检测).
type CallbackCheck struct {
	DNS []struct {
		IP           string `json:"ip"`
		RealOperator string `json:"real_operator"`
	} `json:"dns"`
	Ping []struct {
		IP           string `json:"ip"`
		FromOperator string `json:"from_operator"`
		PackageLoss  string `json:"package_loss"` // "0%" or "100%"
		Time         string `json:"time"`         // such as "23.079ms"
	} `json:"ping"`
}

// CheckCallback lets WeChat look for the account's server URL, by DNS and ping. operator is
// CHINANET, UNICOM, CAP or DEFAULT; "" is DEFAULT. Without a URL WeChat refuses with 40201.
func (c *Client) CheckCallback(ctx context.Context, operator string) (CallbackCheck, error) {
	if operator == "" {
		operator = "DEFAULT"
	}
	var check CallbackCheck
	err := c.post(ctx, "/cgi-bin/callback/check", struct {
		Action   string `json:"action"`
		Operator string `json:"check_operator"`
	}{"all", operator}, &check)
	return check, err
}

// CallbackIPs returns the addresses that pushes come from (微信服务器出口地址), single ones as networks
// of one address. They change: ask daily, and do not rely on them alone.
func (c *Client) CallbackIPs(ctx context.Context) ([]netip.Prefix, error) {
	return c.addresses(ctx, "/cgi-bin/getcallbackip")
}

// APIServerIPs returns the addresses of WeChat's API, for the rules of a firewall.
func (c *Client) APIServerIPs(ctx context.Context) ([]netip.Prefix, error) {
	return c.addresses(ctx, "/cgi-bin/get_api_domain_ip")
}

func (c *Client) addresses(ctx context.Context, path string) ([]netip.Prefix, error) {
	var answer struct {
		IPList []string `json:"ip_list"`
	}
	if err := c.get(ctx, path, nil, &answer); err != nil {
		return nil, err
	}
	prefixes := make([]netip.Prefix, 0, len(answer.IPList))
	for _, text := range answer.IPList {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, &TransportError{Path: path, Sent: true, Status: http.StatusOK, Err: fmt.Errorf("%.60q is no address", text)}
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		prefixes = append(prefixes, prefix)
	}
	if len(prefixes) == 0 {
		return nil, &TransportError{Path: path, Sent: true, Status: http.StatusOK, Err: errors.New("there is no address in it")}
	}
	return prefixes, nil
}

// Quota is how often a call may be made on one day.
type Quota struct {
	DailyLimit int64 `json:"daily_limit"`
	Used       int64 `json:"used"`
	Remain     int64 `json:"remain"`
}

// Quota returns the quota of the call with this path, such as /cgi-bin/message/custom/send.
func (c *Client) Quota(ctx context.Context, path string) (Quota, error) {
	var answer struct {
		Quota Quota `json:"quota"`
	}
	err := c.post(ctx, "/cgi-bin/openapi/quota/get", struct {
		Path string `json:"cgi_path"`
	}{path}, &answer)
	return answer.Quota, err
}

// ClearQuota sets all quotas back (清零), which WeChat allows ten times a month.
func (c *Client) ClearQuota(ctx context.Context) error {
	return c.post(ctx, "/cgi-bin/clear_quota", struct {
		AppID string `json:"appid"`
	}{c.config.AppID}, nil)
}
