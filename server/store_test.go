package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/store/sqlite"
)

// unjoined is a store that nobody can join.
type unjoined struct {
	store.Store
	err error
}

func (s unjoined) Join(context.Context, string) (store.Node, error) { return store.Node{}, s.err }

// Only what no restart helps is ErrConfig, at which a service manager gives up.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	for _, tt := range []struct{ err, joining, opening error }{
		{fmt.Errorf("%w: the disk is full", store.ErrUnavailable), nil, nil},
		{fmt.Errorf("%w: locked", store.ErrFull), nil, nil},
		{store.ErrBroken, ErrFatal, ErrFatal},
		{fmt.Errorf("%w: is a folder", sqlite.ErrUnusable), ErrConfig, ErrConfig},
		{fmt.Errorf("%w: %w", sqlite.ErrUnusable, store.ErrUnavailable), nil, nil},
		{store.ErrFenced, nil, nil},
	} {
		st := memory.New(memory.Config{})
		p := &part{server: &Server{cfg: cfg, logger: slog.New(slog.DiscardHandler)}, cfg: cfg, store: unjoined{st, tt.err}}
		for _, c := range []struct{ got, want error }{{p.joinStore(), tt.joining}, {openError(tt.err), tt.opening}} {
			if !errors.Is(c.got, tt.err) {
				t.Errorf("%v became %v", tt.err, c.got)
			}
			for _, kind := range []error{ErrConfig, ErrFatal} {
				if errors.Is(c.got, kind) != (kind == c.want) {
					t.Errorf("%v: is it %q? %v", c.got, kind, errors.Is(c.got, kind))
				}
			}
		}
		st.Close()
	}
}

// A busy port is no reason to touch the database.
func TestBusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "echostr.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, strings.Replace(testYAML, "store: memory:", "store: sqlite:"+path+"\nlisten: "+l.Addr().String()+"\nadmin: 127.0.0.1:0", 1))
	opts := &Options{Logger: slog.New(slog.DiscardHandler), TokenFile: filepath.Join(t.TempDir(), "token")}
	_, err = New(cfg, opts)
	if err == nil || errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "another program uses") {
		t.Errorf("%v", err)
	}
	if names, size := names(t, dir), size(t, path); !slices.Equal(names, []string{"echostr.db"}) || size != 0 {
		t.Errorf("the folder has %q now, and the database %d bytes", names, size)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: opts.Logger})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = New(cfg, opts)
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("while a process has the database: %v", err)
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
