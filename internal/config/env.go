package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const envPrefix = "ECHOSTR_"

// envKeys returns the keys of a struct by what their variables have behind the
// prefix: sections are joined with an underscore.
func envKeys(t reflect.Type) map[string][]key {
	keys := make(map[string][]key)
	byName, _ := keysOf(t)
	for name, k := range byName {
		ft := t.Field(k.index).Type
		switch {
		case ft == reflect.TypeFor[[]Account]():
		case isSection(ft):
			for rest, below := range envKeys(ft) {
				keys[strings.ToUpper(name)+"_"+rest] = append([]key{k}, below...)
			}
		default:
			keys[strings.ToUpper(name)] = []key{k}
		}
	}
	return keys
}

var (
	accountVar = regexp.MustCompile(`^ACCOUNTS_(0|[1-9][0-9]{0,3})_(.+)$`)

	// Kubernetes gives every container variables about every service: a service
	// named echostr, or echostr-something, makes names that look like ours.
	kubernetesVar = regexp.MustCompile(`^(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.*)?)?)$`)
)

// assignment is one variable that names a key.
type assignment struct {
	name    string // of the variable
	text    string
	account int // -1 for the file's own keys
	keys    []key
}

// overlay puts the variables of env over what the file said.
func (l *loader) overlay(env []string) {
	todo := l.assignments(env)
	given := make(map[string]string) // path to variable
	for _, a := range todo {
		v, path := reflect.ValueOf(l.cfg).Elem(), ""
		if a.account >= 0 {
			path = accountPath(a.account, "")
			if a.account > len(l.cfg.Accounts) {
				l.fail(place{source: a.name}, path, fmt.Sprintf("there is no account with this number and it is not the next one, which is %d; accounts are counted from 0", len(l.cfg.Accounts)))
				continue
			}
			if a.account == len(l.cfg.Accounts) {
				l.cfg.Accounts = append(l.cfg.Accounts, Account{})
				l.cfg.at[path] = place{source: "environment"}
			}
			v = reflect.ValueOf(&l.cfg.Accounts[a.account]).Elem()
		}
		for _, k := range a.keys {
			path, v = k.path(path), v.Field(k.index)
		}
		if other, twice := given[path]; twice {
			l.fail(place{source: a.name}, path, "is also given by "+other+"; unset one of the two")
			continue
		}
		given[path] = a.name
		l.assign(a, v, path)
	}
}

func (l *loader) assign(a assignment, v reflect.Value, path string) {
	l.cfg.at[path] = place{source: a.name}
	if last := a.keys[len(a.keys)-1]; last.secret {
		// A variable replaces the file's secret in both of its forms.
		twin := path + fileSuffix
		if last.file {
			twin = strings.TrimSuffix(path, fileSuffix)
		}
		if l.cfg.at[twin].line > 0 {
			delete(l.cfg.at, twin)
			delete(l.secretFiles, twin)
			v.SetZero()
		}
		if last.file {
			l.secretFiles[path] = a.text
			return
		}
	}
	if err := set(v, a.text); err != nil {
		l.bad(path, err.Error())
	}
}

func (l *loader) assignments(env []string) []assignment {
	values := make(map[string]string)
	for _, kv := range env {
		name, text, _ := strings.Cut(kv, "=")
		if rest, ok := strings.CutPrefix(name, envPrefix); ok {
			values[rest] = text // as in os/exec, the last one counts
		}
	}
	own, ofAccount := envKeys(reflect.TypeFor[Config]()), envKeys(reflect.TypeFor[Account]())
	var todo []assignment
	for rest, text := range values {
		a := assignment{name: envPrefix + rest, text: text, account: -1}
		a.keys = own[rest]
		if m := accountVar.FindStringSubmatch(rest); m != nil {
			a.account, _ = strconv.Atoi(m[1]) // at most four digits
			a.keys = ofAccount[m[2]]
		}
		switch {
		case a.keys != nil && text != "":
			todo = append(todo, a)
		case a.keys == nil && !kubernetesVar.MatchString(rest) && rest != "CONFIG":
			l.warnUnknownVar(a.name)
		}
	}
	slices.SortFunc(todo, func(a, b assignment) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.name, b.name))
	})
	return todo
}

func (l *loader) warnUnknownVar(name string) {
	// A name is no secret, but it may be anything that a system allows.
	if !regexp.MustCompile(`^[A-Z0-9_]{1,80}$`).MatchString(name) {
		name = envPrefix + "..."
	}
	l.cfg.Warnings = append(l.cfg.Warnings, &Error{place: place{source: name}, Text: "this variable names no key and is ignored; check its spelling against the keys of the file"})
}
