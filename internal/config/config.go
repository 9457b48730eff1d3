// Package config reads the configuration of echostr: the file echostr.yaml,
// the environment over it, and the files that hold secrets.
//
// The file is YAML without anchors, aliases and tags. A key that is not known,
// or written twice, is an error. Names are those people know from other
// programs, so four keys have further names: app_id is also appid, app_secret
// secret, and encoding_aes_key aes_key or EncodingAESKey.
//
// # Environment
//
// Every key is also an environment variable, and the variable wins: ECHOSTR_
// and the path in capitals, with an underscore for every dot and the number of
// the account for its place in the list, counted from 0:
//
//	ECHOSTR_LISTEN=0.0.0.0:8080
//	ECHOSTR_LOG_LEVEL=debug
//	ECHOSTR_RETENTION_BODIES=240h
//	ECHOSTR_TRUSTED_PROXIES=10.0.0.0/8,192.168.1.5
//	ECHOSTR_ACCOUNTS_0_TOKEN=...
//	ECHOSTR_ACCOUNTS_1_APP_SECRET_FILE=/run/secrets/shop
//
// An account that the file does not have is appended if its number is the next
// one, so a container needs no file at all. A variable that is set but empty
// counts as not set. Variables that begin with ECHOSTR_ and name no key become
// warnings and not errors, because Kubernetes makes such names by itself.
//
// # Secrets
//
// Each secret can come from a file: the key with _file behind it names the
// file, whose content is taken without the white space around it. A relative
// name counts from the directory of echostr.yaml. Errors and warnings never
// show a value, only where it stands: a secret may be in the wrong place.
//
// # Errors
//
// All errors are reported together, as [Errors]. Variables that name no key are
// among them then: a misspelt one is often why something is missing.
package config

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"time"
)

// Config is the whole configuration, with defaults filled in. It is a plain
// value: nothing in it changes after [Load].
type Config struct {
	// Listen is the address for WeChat's pushes. Defaults to 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Admin is the address for the operator. Defaults to 127.0.0.1:8081.
	Admin string `yaml:"admin"`
	// AdminTokenFile names the file with the bearer token of /api/v1 on the
	// admin listener. Empty leaves the place to the server.
	AdminTokenFile string `yaml:"admin_token_file"`
	// Store is where turns are kept: "sqlite:" and the name of a database file (see
	// Database), "postgres://" and the rest of an address (see Postgres), or "memory:". Defaults to
	// sqlite:./echostr.db. An account may have a store of its own: see ByStore.
	Store Store `yaml:"store"`
	// AllowNetworkFileSystem accepts a database file on NFS, SMB or FUSE, whose locks
	// and flushes may not do what they say.
	AllowNetworkFileSystem bool `yaml:"allow_network_file_system"`
	// Log says what is logged, and how.
	Log Log `yaml:"log"`
	// Accounts has at least one entry; names and AppIDs are unique.
	Accounts []Account `yaml:"accounts"`
	// TrustedProxies are the addresses of our own reverse proxies: limits per
	// address do not apply to them. Empty by default.
	TrustedProxies []Prefix `yaml:"trusted_proxies"`
	// Retention says how long content is kept.
	Retention Retention `yaml:"retention"`
	// Limits bounds what runs at the same time.
	Limits Limits `yaml:"limits"`
	// OnUnsubscribe says what happens to the data of a user who unsubscribes.
	// Defaults to erase, which WeChat's rules ask for.
	OnUnsubscribe OnUnsubscribe `yaml:"on_unsubscribe"`
	// APIBaseURL is where WeChat's HTTP API is called, if not at
	// https://api.weixin.qq.com: a regional host, a proxy or a simulator. It begins with
	// https://, or http:// and a loopback address, since the AppSecret goes there.
	APIBaseURL string `yaml:"api_base_url"`
	// ServeToken lets the admin listener hand access tokens to the user's other services.
	ServeToken bool `yaml:"serve_token"`

	// Warnings are about things that work but are probably not meant.
	Warnings Errors `yaml:"-"`

	file        string           // name of the file as given; empty if there is none
	at          map[string]place // where each path was set
	development bool             // made by Development, which may use its own token
}

// Log is the log section.
type Log struct {
	// Level defaults to info.
	Level LogLevel `yaml:"level"`
	// Format defaults to text.
	Format LogFormat `yaml:"format"`
}

// Retention is the retention section.
type Retention struct {
	// Bodies is how long messages and answers are kept, 1 h to 3660 d.
	// Defaults to 720h, that is 30 days. That there was a message stays known for as
	// long, and for 7 days at least, so that a replay is recognised.
	Bodies Duration `yaml:"bodies"`
}

// Limits is the limits section.
type Limits struct {
	// MaxWaiting bounds the pushes that are open at the same time, 1 to 1,000,000:
	// those beyond it are closed at once. Defaults to 10,000.
	MaxWaiting Count `yaml:"max_waiting"`
	// MaxRunning bounds the handlers that run at the same time, 1 to 1,000,000: a new
	// message beyond it is held without an answer. Defaults to 10,000.
	MaxRunning Count `yaml:"max_running"`
	// MaxUserMessages bounds the messages of one user to an account that are handled within
	// ten seconds, up to 1,000,000: those beyond it are stored as failed. 0 is no limit. Defaults to 60.
	MaxUserMessages Count `yaml:"max_user_messages"`
}

// Account is one Official Account.
type Account struct {
	// Name is the account's name in URLs, logs and commands:
	// a lower-case letter or digit, then at most 63 of a-z, 0-9, _ and -.
	Name string `yaml:"name"`
	// AppID is wx and 16 hexadecimal digits.
	AppID string `yaml:"app_id" also:"appid"`
	// Store is where the turns of this account are kept, in the form of Config.Store. Empty: there.
	Store Store `yaml:"store"`
	// AppSecret is needed for calls to WeChat's API, and so for a Late of api or hold.
	AppSecret Secret `yaml:"app_secret" also:"secret"`
	// Token is what WeChat's console calls 令牌(Token).
	Token Secret `yaml:"token"`
	// EncodingAESKey has 43 characters. It is needed unless Mode is plain.
	EncodingAESKey Secret `yaml:"encoding_aes_key" also:"aes_key,EncodingAESKey"`
	// Mode is what WeChat's console calls 消息加解密方式. It has no default.
	Mode Mode `yaml:"mode"`
	// Verified says that the account is verified (微信认证) and so may call
	// the customer-service API (客服消息).
	Verified bool `yaml:"verified"`
	// Late says which way a late answer takes. Empty: api if the account is Verified,
	// and ticket if not.
	Late Late `yaml:"late"`
	// OnUnknown says what happens to a message of which nobody knows whether the API has
	// sent it. Defaults to resend.
	OnUnknown OnUnknown `yaml:"on_unknown"`
	// Placeholder is the text a user gets when the last push ends before the handler, at
	// most 1200 bytes with {link} in it. Empty: the server's own.
	Placeholder string `yaml:"placeholder"`
	// FetchWord is the text by which a user fetches the newest answer that waits, at most 60
	// bytes. Empty: 继续.
	FetchWord string `yaml:"fetch_word"`
	// TicketLife is how long an answer is kept to be fetched, 1 min to 168 h.
	// Defaults to 24h.
	TicketLife Duration `yaml:"ticket_life"`
	// HoldBudget is how many pushes may be left to WeChat's cut within five minutes, 1 to
	// 1,000,000. Defaults to 60.
	HoldBudget Count `yaml:"hold_budget"`
	// Overlap says what becomes of a handler when its user writes again. Defaults to parallel.
	Overlap Overlap `yaml:"overlap"`
	// Markdown turns Markdown in text replies into text that reads well in WeChat.
	// Defaults to true for the bot ai, and to false for others.
	Markdown bool `yaml:"markdown"`
	// RemoveThinking removes from text replies what a model has thought (<think>…</think>).
	// Defaults to true for the bot ai, and to false for others.
	RemoveThinking bool `yaml:"remove_thinking"`
	// TokenKind is the way access tokens are fetched. Defaults to stable.
	TokenKind TokenKind `yaml:"token_kind"`
	// Bot is the built-in bot that answers. Empty: nothing answers.
	Bot Bot `yaml:"bot"`
	// AI is for the bot ai only.
	AI AI `yaml:"ai"`
	// OriginalID is gh_ and 12 hexadecimal digits (原始ID). If it is given,
	// pushes to another one are refused.
	OriginalID string `yaml:"original_id"`
	// PreviousToken is valid beside Token until PreviousUntil.
	PreviousToken Secret `yaml:"previous_token"`
	// PreviousEncodingAESKey is valid beside EncodingAESKey until PreviousUntil.
	PreviousEncodingAESKey Secret `yaml:"previous_encoding_aes_key"`
	// PreviousUntil ends a rotation (R-KEY-ROTATE). It lies at most 24 h
	// ahead; if it has passed, the previous token and key must not be used any more.
	PreviousUntil time.Time `yaml:"previous_until"`
	// HandlerTimeout ends a handler that is not Late, at most 10 min.
	// Defaults to 60s.
	HandlerTimeout Duration `yaml:"handler_timeout"`
	// Freshness is how far the timestamp of a push may lie from the clock,
	// 30 s to 10 min. Defaults to 10 min in mode safe and 5 min otherwise.
	Freshness Duration `yaml:"freshness"`
	// BodyLimit is the size of the largest body, 4KiB to 4MiB.
	// Defaults to 256KiB.
	BodyLimit Size `yaml:"body_limit"`
	// AllowWeakToken accepts a token that is short or well known, for accounts
	// whose token cannot be changed.
	AllowWeakToken bool `yaml:"allow_weak_token"`
	// Once does not start a handler again when the process that ran it died.
	Once bool `yaml:"once"`
	// BindSignature refuses, in mode plain, a second message under a signature
	// that another message has used.
	BindSignature bool `yaml:"bind_signature"`
	// Fallback is the text a user gets when the handler failed, at most
	// 2048 bytes. Empty: nothing is sent.
	Fallback string `yaml:"fallback"`
}

const maxFile = 1 << 20 // no configuration is longer; a mistaken path may be

// Load reads the file at path, then env in the form of os.Environ, then the
// files with secrets, and checks everything. An empty path means that there is
// no file. What is wrong with the content comes back as [Errors], all at once.
func Load(path string, env []string) (*Config, error) {
	l := loader{now: time.Now(), read: readSecret}
	if path == "" {
		return l.load("", nil, env)
	}
	data, mode, err := readLimited(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.start(path)
		l.assignments(env) // a misspelt name may be why a file is needed
		l.fail(place{source: path}, "", "the configuration file does not exist; make one from the output of `echostr account new NAME`, or name another with -c")
		return nil, l.failure()
	case errors.Is(err, errTooLong):
		return nil, Errors{{place: place{source: path}, Text: "the file is longer than 1 MiB, so it is not a configuration; name another with -c"}}
	case err != nil:
		return nil, Errors{{place: place{source: path}, Text: "the file cannot be read (" + cause(err) + "); give this user the right to read it"}}
	}
	l.open = runtime.GOOS != "windows" && mode.Perm()&0o077 != 0
	return l.load(path, data, env)
}

var errTooLong = errors.New("too long")

func readLimited(path string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLong
	}
	return data, info.Mode(), err
}

// cause is the reason of a file error without the file's name: what was
// written as a name may be the secret itself.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return "input error"
}

// readSecret also reports whether every user of the machine may read the file.
func readSecret(path string) (data []byte, open bool, err error) {
	data, mode, err := readLimited(path, 4<<10)
	return data, runtime.GOOS != "windows" && mode.Perm()&0o007 != 0, err
}

// loader is one run of Load.
type loader struct {
	now  time.Time
	read func(path string) (data []byte, open bool, err error)
	open bool // others may read the file

	cfg         *Config
	errs        Errors
	secretFiles map[string]string // path of a _file key to the name of the file
}

func (l *loader) load(name string, data []byte, env []string) (*Config, error) {
	l.start(name)
	if !l.decodeFile(data) {
		l.assignments(env)
		return nil, l.failure() // everything further would be guessing
	}
	l.overlay(env)
	l.readSecrets()
	l.cfg.fillDefaults()
	l.errs = l.errs.merge(l.cfg.problems(l.now))
	if len(l.errs) > 0 {
		return nil, l.failure()
	}
	l.cfg.Warnings = l.cfg.Warnings.merge(l.cfg.doubts(l.now))
	if l.open && l.cfg.holdsSecrets() {
		l.cfg.Warnings = l.cfg.Warnings.merge(Errors{{place: place{source: name}, Text: "the file holds secrets, and other users may read it; run chmod 600 on it, or keep the secrets in files of their own (token_file ...)"}})
	}
	return l.cfg, nil
}

func (l *loader) start(name string) {
	l.cfg = &Config{file: name, at: make(map[string]place)}
	l.secretFiles = make(map[string]string)
}

// failure is all that is wrong, and the variables that name no key.
func (l *loader) failure() Errors { return l.errs.merge(l.cfg.Warnings) }

// holdsSecrets reports whether a secret stands in the file itself.
func (c *Config) holdsSecrets() bool {
	if c.at["store"].line > 0 && c.Store.hasPassword() {
		return true
	}
	for i := range c.Accounts {
		if c.at[accountPath(i, "store")].line > 0 && c.Accounts[i].Store.hasPassword() {
			return true
		}
		for path := range c.secrets(i) {
			if c.at[path].line > 0 {
				return true
			}
		}
	}
	return false
}

// secrets yields the secrets of an account, those of its sections too, by their paths.
func (c *Config) secrets(i int) iter.Seq2[string, *Secret] {
	return func(yield func(string, *Secret) bool) {
		eachSecret(reflect.ValueOf(&c.Accounts[i]).Elem(), accountPath(i, ""), yield)
	}
}

func eachSecret(v reflect.Value, parent string, yield func(string, *Secret) bool) bool {
	byName, names := keysOf(v.Type())
	for _, n := range names {
		k := byName[n]
		field := v.Field(k.index)
		switch {
		case k.file: // the twin of one that has its turn
		case k.secret:
			if !yield(k.path(parent), field.Addr().Interface().(*Secret)) {
				return false
			}
		case isSection(field.Type()) && !eachSecret(field, k.path(parent), yield):
			return false
		}
	}
	return true
}

func (l *loader) readSecrets() {
	for i := range l.cfg.Accounts {
		for path, secret := range l.cfg.secrets(i) {
			if name, ok := l.secretFiles[path+fileSuffix]; ok {
				l.readSecretFile(name, path+fileSuffix, secret)
			}
		}
	}
}

func (l *loader) readSecretFile(name, path string, into *Secret) {
	if !filepath.IsAbs(name) && l.cfg.file != "" {
		name = filepath.Join(filepath.Dir(l.cfg.file), name)
	}
	data, open, err := l.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.bad(path, "the file that it names does not exist; a relative name counts from the directory of the configuration file")
	case errors.Is(err, errTooLong):
		l.bad(path, "the file that it names is longer than 4 KiB; it must hold the secret and nothing else")
	case err != nil:
		l.bad(path, "the file that it names cannot be read ("+cause(err)+"); give this user the right to read it")
	case trimSpace(data) == "":
		l.bad(path, "the file that it names is empty; write the secret into it")
	default:
		*into = NewSecret(trimSpace(data))
		if open {
			l.cfg.Warnings = l.cfg.Warnings.merge(Errors{{place: l.cfg.whereIs(path), Path: path, Text: "every user of this machine may read the file that it names; run chmod 600 on it, or in a volume of Kubernetes set defaultMode: 0400"}})
		}
	}
}

func (c *Config) fillDefaults() {
	setDefault(&c.Listen, "127.0.0.1:8080")
	setDefault(&c.Admin, "127.0.0.1:8081")
	setDefault(&c.Store, defaultStore)
	c.Store = c.Store.spelled()
	setDefault(&c.Log.Level, "info")
	setDefault(&c.Log.Format, LogText)
	setDefaultUnless(c, "retention.bodies", &c.Retention.Bodies, Duration(720*time.Hour))
	setDefaultUnless(c, "limits.max_waiting", &c.Limits.MaxWaiting, 10_000)
	setDefaultUnless(c, "limits.max_running", &c.Limits.MaxRunning, 10_000)
	setDefaultUnless(c, "limits.max_user_messages", &c.Limits.MaxUserMessages, 60)
	setDefault(&c.OnUnsubscribe, Erase)
	for i := range c.Accounts {
		a := &c.Accounts[i]
		a.Store = a.Store.spelled()
		setDefaultUnless(c, accountPath(i, "handler_timeout"), &a.HandlerTimeout, Duration(time.Minute))
		freshness := 5 * time.Minute
		if a.Mode == Safe {
			freshness = 10 * time.Minute
		}
		setDefaultUnless(c, accountPath(i, "freshness"), &a.Freshness, Duration(freshness))
		setDefaultUnless(c, accountPath(i, "body_limit"), &a.BodyLimit, 256<<10)
		setDefault(&a.OnUnknown, Resend)
		setDefaultUnless(c, accountPath(i, "ticket_life"), &a.TicketLife, Duration(24*time.Hour))
		setDefaultUnless(c, accountPath(i, "hold_budget"), &a.HoldBudget, 60)
		setDefault(&a.Overlap, OverlapParallel)
		setDefault(&a.TokenKind, StableToken)
		if a.Bot == BotAI {
			setDefaultUnless(c, accountPath(i, "markdown"), &a.Markdown, true)
			setDefaultUnless(c, accountPath(i, "remove_thinking"), &a.RemoveThinking, true)
			a.AI.fillDefaults(c, accountPath(i, "ai"))
		}
	}
}

// setDefaultUnless leaves a zero alone that was written down, so that it is
// refused and not silently taken for the default.
func setDefaultUnless[T comparable](c *Config, path string, p *T, v T) {
	if _, set := c.at[path]; !set {
		setDefault(p, v)
	}
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
