package main

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// devState is how `echostr push` and `echostr turn` find a running `echostr dev`.
type devState struct {
	PID       int    `json:"pid"`
	URL       string `json:"url"` // of the account
	Mode      string `json:"mode"`
	Admin     string `json:"admin"`
	TokenFile string `json:"token_file"`
}

// userDir is where this user's state lies: what can be made again at any time.
func userDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "echostr")
}

func stateFile() string { return filepath.Join(userDir(), "dev.json") }

// save makes s the server that others find. The last one started wins.
func (s devState) save() error {
	if err := os.MkdirAll(userDir(), 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(stateFile(), append(text, '\n'), 0o600)
}

// remove takes s back, unless another server has taken its place.
func (s devState) remove() {
	if now, ok := readState(); ok && now == s {
		os.Remove(stateFile())
	}
}

func readState() (s devState, ok bool) {
	text, err := os.ReadFile(stateFile())
	return s, err == nil && json.Unmarshal(text, &s) == nil
}

// runningDev returns the state of a dev server that accepts connections.
func runningDev() (devState, bool) {
	s, ok := readState()
	if !ok {
		return s, false
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return s, false
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		return s, false // it was killed
	}
	conn.Close()
	return s, true
}
