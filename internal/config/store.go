package config

import (
	"path/filepath"
	"slices"
	"strings"
)

const (
	memoryStore  = "memory:"
	sqliteScheme = "sqlite:"
	defaultStore = sqliteScheme + "./echostr.db"
)

// Database returns the path of the database file of the store sqlite:, and ""
// if turns are kept elsewhere. A relative name counts from the directory of the
// configuration file, as that of a file with a secret does, and without a file from
// the working directory.
func (c *Config) Database() string {
	name, ok := strings.CutPrefix(c.Store, sqliteScheme)
	if !ok {
		return ""
	}
	if filepath.IsAbs(name) || c.file == "" {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(c.file), name)
}

const storeHelp = "write sqlite:./echostr.db for a database in that file, or memory: for a store that forgets everything when the process ends"

func (k *checker) store() {
	scheme, _, _ := strings.Cut(k.c.Store, ":")
	name, isSQLite := strings.CutPrefix(k.c.Store, sqliteScheme)
	switch {
	case k.c.Store == memoryStore:
	case scheme == "memory", isSQLite && strings.Contains(name, ":memory:"):
		k.bad("store", "has more than the store in memory needs; write memory: alone")
	case k.c.Store == "sqlite": // as YAML has it without a name
		k.database("")
	case isSQLite:
		k.database(name)
	case scheme == "sqlite3", scheme == "file":
		k.bad("store", "is a database file under another name than here; write sqlite: before the file, like sqlite:./echostr.db")
	case slices.Contains([]string{"postgres", "postgresql"}, scheme):
		k.bad("store", "this engine does not exist yet; %s", storeHelp)
	default:
		k.bad("store", "is not a store; %s", storeHelp)
	}
}

// database checks the name of a database file.
func (k *checker) database(name string) {
	switch {
	case name == "":
		k.bad("store", "names no file; %s", storeHelp)
	case strings.HasPrefix(name, "//") && !strings.HasPrefix(name, "///"):
		k.bad("store", "looks like the address of another machine; write sqlite:./echostr.db, or sqlite:/var/lib/echostr/echostr.db with one slash")
	case strings.ContainsRune(name, '?'):
		k.bad("store", "has parameters behind a question mark, and there are none; write the name of the file alone, like sqlite:./echostr.db")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }):
		k.bad("store", "has characters that no name of a file should have; write a plain one, like sqlite:./echostr.db")
	case strings.HasSuffix(name, "/"), filepath.Base(name) == ".", filepath.Base(name) == "..":
		k.bad("store", "names a folder; write the name of a file in it, like sqlite:./echostr.db")
	}
}
