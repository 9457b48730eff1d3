package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// tokenName is the name of the token file if none is configured.
const tokenName = "echostr.admin-token"

// TokenFile returns the file that holds the token of the API of a server with
// this configuration: admin_token_file, whose relative names count from the
// directory of the configuration file at path, or else echostr.admin-token in
// that directory.
func TokenFile(cfg *Config, path string) string {
	name := tokenName
	if cfg.AdminTokenFile != "" {
		name = cfg.AdminTokenFile
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(path), name)
}

// loadToken reads the token of the API, or makes one.
func (s *Server) loadToken() error {
	file := s.opts.TokenFile
	if file == "" {
		file = TokenFile(s.cfg, "")
	}
	token, err := ReadToken(file)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = writeToken(file)
	}
	if err != nil && s.cfg.AdminTokenFile != "" {
		return fmt.Errorf("%w: admin_token_file: %w", ErrConfig, err)
	}
	if err != nil {
		// Nobody asked for the file, and answering users must not depend on it.
		s.logger.Warn("the API of the admin listener is closed, because its token cannot be kept in a file; set admin_token_file to a place where this user can write", slog.Any("error", err))
		token = rand.Text()
	}
	s.token = token
	return nil
}

// ReadToken reads a token file. The error wraps fs.ErrNotExist if there is
// none. A file that others may read is refused.
func ReadToken(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others may read the token file %s; run chmod 600 on it, or remove it for a new one", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if len(token) < 16 {
		return "", fmt.Errorf("the token file %s holds no token of 16 characters or more; remove it for a new one", file)
	}
	return token, nil
}

func writeToken(file string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	// A complete file under another name first: another process may read it.
	temp, err := os.CreateTemp(filepath.Dir(file), ".token-*") // with mode 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(temp.Name())
	token := rand.Text()
	_, err = temp.WriteString(token + "\n")
	if err = errors.Join(err, temp.Close()); err != nil {
		return "", err
	}
	switch err := os.Link(temp.Name(), file); {
	case err == nil:
		return token, nil
	case errors.Is(err, fs.ErrExist):
		return ReadToken(file) // of another node that starts at the same moment
	}
	// A file system without hard links.
	if err := os.Rename(temp.Name(), file); err != nil {
		return "", err
	}
	return token, nil
}
