package simulator

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Mode says how pushes and replies of an account are encrypted (消息加解密方式).
type Mode string

// The three modes. R-MODE-THREE
const (
	Plain      Mode = "plain"      // 明文模式
	Compatible Mode = "compatible" // 兼容模式: pushes in clear and encrypted side by side, replies in either
	Safe       Mode = "safe"       // 安全模式
)

// Account is an Official Account as its console shows it.
type Account struct {
	// URL is the server address (服务器地址), http or https. It may have a query.
	URL string
	// Nodes are the addresses, host and port, of the nodes of a server that has several, as a load balancer
	// before them has them: each push goes to the next one, so retries never come to the node that the push before
	// came to. One that takes no connection is passed over. The requests stay those to URL. Empty: pushes go to the host of URL.
	Nodes []string
	// Token is the token (令牌).
	Token string
	// Mode is the encryption mode. It must be given.
	Mode Mode
	// AppID and EncodingAESKey (消息加解密密钥) are needed in the compatible and safe modes.
	AppID          string
	EncodingAESKey string
	// OriginalID (原始ID) is the account's name inside messages. Defaults to "gh_ec4057000001".
	OriginalID string
}

// String hides the secrets from logs.
func (a Account) String() string { return fmt.Sprintf("%s (%s)", a.originalID(), a.Mode) }

// GoString hides the secrets from logs.
func (a Account) GoString() string { return "simulator.Account(" + a.String() + ")" }

func (a Account) originalID() string {
	if a.OriginalID == "" {
		return "gh_ec4057000001"
	}
	return a.OriginalID
}

// check returns the AES key, nil in the plain mode.
func (a Account) check() ([]byte, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("simulator: the URL %q is not one that WeChat would push to; give it as http://host/path", a.URL)
	}
	for _, node := range a.Nodes {
		if _, port, err := net.SplitHostPort(node); err != nil || port == "" {
			return nil, fmt.Errorf("simulator: the node %q is not an address; give it as host:port, like 127.0.0.1:8082", node)
		}
	}
	if a.Token == "" {
		return nil, errors.New("simulator: the token (令牌) is empty; give the one the server is configured with")
	}
	switch a.Mode {
	case Plain:
		return nil, nil
	case Compatible, Safe:
	case "":
		return nil, errors.New("simulator: no mode (消息加解密方式) is given; say plain, compatible or safe, as the server is configured")
	default:
		return nil, fmt.Errorf("simulator: there is no mode %q; say plain, compatible or safe, as the server is configured", a.Mode)
	}
	if a.AppID == "" {
		return nil, fmt.Errorf("simulator: the mode %s needs the AppID; give the one the server is configured with", a.Mode)
	}
	key, err := decodeKey(strings.TrimSpace(a.EncodingAESKey))
	if err != nil {
		return nil, fmt.Errorf("simulator: the mode %s needs the EncodingAESKey (消息加解密密钥): %w", a.Mode, err)
	}
	return key, nil
}
