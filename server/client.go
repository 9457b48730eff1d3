package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// Client asks the admin listener of a running server. The zero value lacks
// Address and Token.
type Client struct {
	// Address is host:port of the admin listener.
	Address string
	// Token is that of the token file.
	Token string
	// DialContext makes the connections. Defaults to that of a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// ErrNotRunning: nothing answers at the address.
var ErrNotRunning = errors.New("no server answers")

// ErrToken: the server at the address has another token.
var ErrToken = errors.New("the server does not take this token")

// TurnFilter selects turns. Zero fields do not restrict.
type TurnFilter struct {
	Account string
	User    string // OpenID
	States  []store.State
	// Deliveries looks through turns one by one, so it takes seconds in a database with
	// millions of them unless Since bounds it.
	Deliveries []store.Delivery
	// Due selects what the server has to look at again: answers that wait to be sent or
	// fetched. With it Deliveries is quick.
	Due bool
	// Since and Until bound when they were received: Since ≤ received < Until.
	Since, Until time.Time
	Limit        int // at most 1,000. Defaults to 50
}

// Turns lists turns, youngest first, without their documents.
func (c *Client) Turns(ctx context.Context, f TurnFilter) ([]Turn, error) {
	q := url.Values{}
	if f.Account != "" {
		q.Set("account", f.Account)
	}
	if f.User != "" {
		q.Set("user", f.User)
	}
	for _, state := range f.States {
		q.Add("state", state.String())
	}
	for _, delivery := range f.Deliveries {
		q.Add("delivery", delivery.String())
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.Due {
		q.Set("due", "true")
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var list TurnList
	err := c.do(ctx, http.MethodGet, "/api/v1/turns?"+q.Encode(), nil, &list)
	return list.Turns, err
}

// Turn returns one turn with its documents. key may be the beginning of the
// turn's, from [MinKey] digits on.
func (c *Client) Turn(ctx context.Context, key string) (*Turn, error) {
	var t Turn
	if err := c.do(ctx, http.MethodGet, "/api/v1/turns/"+url.PathEscape(key), nil, &t); err != nil {
		return nil, err
	}
	return &t, nil
}

// Refusals lists the last requests that the server has refused since it was started, youngest
// first.
func (c *Client) Refusals(ctx context.Context) ([]callback.Refusal, error) {
	var list RefusalList
	err := c.do(ctx, http.MethodGet, "/api/v1/refusals", nil, &list)
	return list.Refusals, err
}

// do sends a request with the JSON of body, unless that is nil, and reads the answer into into.
func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address+path, in)
	if err != nil {
		return fmt.Errorf("%s is not an address: %w", c.Address, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	transport := &http.Transport{DialContext: c.DialContext, DisableKeepAlives: true} // and no proxy
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return fmt.Errorf("%w at %s", ErrNotRunning, c.Address)
		}
		return fmt.Errorf("the server at %s did not answer as expected: %w", c.Address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("the server at %s did not answer completely: %w", c.Address, err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%w at %s", ErrToken, c.Address)
	}
	if resp.StatusCode != http.StatusOK {
		var failed apiError
		if json.Unmarshal(answer, &failed) == nil && failed.Error != "" {
			return errors.New(failed.Error)
		}
		return fmt.Errorf("the program at %s answers with status %d, so it is probably not echostr; check the address", c.Address, resp.StatusCode)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the program at %s does not answer like echostr; check the address: %w", c.Address, err)
	}
	return nil
}
