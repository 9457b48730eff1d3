package config

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

const (
	memoryStore  = "memory:"
	sqliteScheme = "sqlite:"
	defaultStore = sqliteScheme + "./echostr.db"
)

// Store says where turns are kept. Wherever it is printed, a password in it is not.
type Store string

// String returns s with *** for a password.
func (s Store) String() string {
	if !s.isPostgres() {
		return string(s)
	}
	u, err := url.Parse(string(s))
	if err != nil {
		return "postgres:" + masked
	}
	where := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		where.User = url.User(name)
	}
	if u.RawQuery != "" {
		where.RawQuery = masked // a password may stand here, too
	}
	return where.String()
}

// Format prints the same for every verb and flag.
func (s Store) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText makes encoders of text print the same, encoding/json among them.
func (s Store) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text.
func (s *Store) UnmarshalText(text []byte) error {
	*s = Store(text)
	return nil
}

// spelled returns s as it is written in full.
func (s Store) spelled() Store {
	if s == "memory" {
		return memoryStore
	}
	return s
}

func (s Store) isPostgres() bool {
	scheme, _, _ := strings.Cut(string(s), ":")
	return slices.Contains([]string{"postgres", "postgresql"}, scheme)
}

// hasPassword reports whether a password stands in s, or something that may be one.
func (s Store) hasPassword() bool {
	if !s.isPostgres() {
		return false
	}
	u, err := url.Parse(string(s))
	if err != nil {
		return true
	}
	_, is := u.User.Password()
	return is || u.Query().Has("password")
}

// Postgres returns the address of the database of the store postgres:, which is a secret, and "" if turns are
// kept elsewhere.
func (c *Config) Postgres() string {
	if !c.Store.isPostgres() {
		return ""
	}
	return string(c.Store)
}

// Database returns the path of the database file of the store sqlite:, and ""
// if turns are kept elsewhere. A relative name counts from the directory of the
// configuration file, as that of a file with a secret does, and without a file from
// the working directory.
func (c *Config) Database() string {
	name, ok := strings.CutPrefix(string(c.Store), sqliteScheme)
	if !ok {
		return ""
	}
	if filepath.IsAbs(name) || c.file == "" {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(c.file), name)
}

// ByStore takes c apart into one Config for each store that accounts are kept in: with this store, these
// accounts, and everything else as in c. They come in the order of their first accounts. Two names of one
// database file are one store; whether two addresses lead to one database only their server knows.
func (c *Config) ByStore() []*Config {
	var parts []*Config
	byPlace := make(map[string]*Config)
	for i := range c.Accounts {
		one := *c
		if a := &c.Accounts[i]; a.Store != "" {
			one.Store = a.Store
		}
		place := string(one.Store)
		if file := one.Database(); file != "" {
			place = sqliteScheme + trueName(file)
		}
		part := byPlace[place]
		if part == nil {
			part, one.Accounts = &one, nil
			byPlace[place] = part
			parts = append(parts, part)
		}
		part.Accounts = append(part.Accounts, c.Accounts[i])
	}
	return parts
}

// trueName is the name of a file without symbolic links, as far as it is there.
func trueName(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
		return filepath.Join(dir, filepath.Base(file))
	}
	return file
}

const storeHelp = "write sqlite:./echostr.db for a database in that file, postgres://user:password@host:5432/name for a database that several nodes share, or memory: for a store that forgets everything when the process ends"

func (k *checker) store(path string, s Store) {
	scheme, _, _ := strings.Cut(string(s), ":")
	name, isSQLite := strings.CutPrefix(string(s), sqliteScheme)
	switch {
	case s == memoryStore:
	case scheme == "memory", isSQLite && strings.Contains(name, ":memory:"):
		k.bad(path, "has more than the store in memory needs; write memory: alone")
	case s == "sqlite": // as YAML has it without a name
		k.database(path, "")
	case isSQLite:
		k.database(path, name)
	case scheme == "sqlite3", scheme == "file":
		k.bad(path, "is a database file under another name than here; write sqlite: before the file, like sqlite:./echostr.db")
	case s.isPostgres():
		k.postgres(path, string(s))
	default:
		k.bad(path, "is not a store; %s", storeHelp)
	}
}

// database checks the name of a database file.
func (k *checker) database(path, name string) {
	switch {
	case name == "":
		k.bad(path, "names no file; %s", storeHelp)
	case strings.HasPrefix(name, "//") && !strings.HasPrefix(name, "///"):
		k.bad(path, "looks like the address of another machine; write sqlite:./echostr.db, or sqlite:/var/lib/echostr/echostr.db with one slash")
	case strings.ContainsRune(name, '?'):
		k.bad(path, "has parameters behind a question mark, and there are none; write the name of the file alone, like sqlite:./echostr.db")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }):
		k.bad(path, "has characters that no name of a file should have; write a plain one, like sqlite:./echostr.db")
	case strings.HasSuffix(name, "/"), filepath.Base(name) == ".", filepath.Base(name) == "..":
		k.bad(path, "names a folder; write the name of a file in it, like sqlite:./echostr.db")
	}
}

// postgres checks the address of a database. What is wrong with it is not quoted: it may be the password.
func (k *checker) postgres(path, address string) {
	const advice = "write it like postgres://user:password@host:5432/name, and characters such as @, / and %% in the password as %%40, %%2F and %%25"
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Opaque != "":
		k.bad(path, "is not an address of a database; "+advice)
	case strings.Trim(u.Path, "/") == "":
		k.bad(path, "names no database behind the host; "+advice)
	}
}
