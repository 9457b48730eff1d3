package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The file is taken as a syntax tree and put into the structs here, because
// the library's own decoder stops at the first error and its messages show
// the lines around it.

// decodeFile reports false if the file has not even the form of a configuration.
func (l *loader) decodeFile(data []byte) bool {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// `store: memory:` is the way people write it and not YAML, since a value
	// must not end in a colon. A blank keeps all columns as they are.
	data = bareStore.ReplaceAll(data, []byte("${1}${2} ${3}"))

	file, err := parse(data)
	if err != nil {
		l.broken(err)
		return false
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.NullType:
		case root != nil:
			l.fail(l.placeOf(doc.Body), "", "this is a second YAML document; the configuration is one document, so remove the line ---")
			return false
		default:
			root = doc.Body
		}
	}
	return root == nil || l.mapping(root, reflect.ValueOf(l.cfg).Elem(), "")
}

var bareStore = regexp.MustCompile(`(?m)^(store:[ \t]+)(memory|sqlite):([ \t]*\r?$|[ \t]+#)`)

// parse parses YAML. The parser can panic on odd input.
func parse(data []byte) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			file, err = nil, errors.New("the parser gave up")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func (l *loader) broken(err error) {
	at, why := place{source: l.cfg.file}, ""
	if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		if se.Token != nil && se.Token.Position != nil {
			at.line, at.column = se.Token.Position.Line, se.Token.Position.Column
		}
		if !strings.ContainsAny(se.Message, "\"\t\r\n") { // else it quotes the file
			why = " (" + se.Message + ")"
		}
	}
	l.fail(at, "", "this is not valid YAML"+why+"; check indentation, colons and quotation marks here and in the line above")
}

func (l *loader) fail(at place, path, text string) {
	l.errs = l.errs.merge(Errors{{place: at, Path: path, Text: text}})
}

// bad reports text about the value at path.
func (l *loader) bad(path, text string) { l.fail(l.cfg.whereIs(path), path, text) }

func (l *loader) placeOf(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{l.cfg.file, t.Position.Line, t.Position.Column}
	}
	return place{source: l.cfg.file}
}

// key is one key that a struct can have in the file.
type key struct {
	name   string
	index  int  // of the field
	secret bool // it has a twin with _file
	file   bool // it is that twin
}

// fileSuffix is what stands behind the key of a secret to name its file.
const fileSuffix = "_file"

// path is the path of the key inside the thing at parent.
func (k key) path(parent string) string {
	name := k.name
	if k.file {
		name += fileSuffix
	}
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// keysOf returns the keys of a struct by all their names.
func keysOf(t reflect.Type) (byName map[string]key, names []string) {
	byName = make(map[string]key)
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		k := key{name: name, index: i, secret: f.Type == reflect.TypeFor[Secret]()}
		for _, n := range append([]string{name}, strings.Split(f.Tag.Get("also"), ",")...) {
			if n != "" {
				byName[n] = k
			}
		}
		names = append(names, name)
		if k.secret {
			k.file = true
			byName[name+fileSuffix] = k
			names = append(names, name+fileSuffix)
		}
	}
	return byName, names
}

// mapping puts a YAML mapping into the struct v. It reports false if n is no mapping.
func (l *loader) mapping(n ast.Node, v reflect.Value, path string) bool {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return true
	default:
		what := "the file"
		if path != "" {
			what = "this"
		}
		l.errs = l.errs.merge(Errors{{place: l.placeOf(n), Path: path, Text: what + " must consist of lines `key: value`" + odd(n), whole: true}})
		return false
	}
	byName, names := keysOf(v.Type())
	seen := make(map[string]bool)
	for _, mv := range values {
		at := l.placeOf(mv.Key)
		name, ok := scalar(mv.Key)
		if !ok {
			l.fail(at, path, "a key must be a plain word"+odd(mv.Key))
			continue
		}
		k, ok := byName[name]
		if !ok {
			l.unknownKey(at, path, name, names)
			continue
		}
		p := k.path(path)
		if seen[p] {
			l.fail(at, p, "is given twice, perhaps once by another of its names; keep one")
			continue
		}
		seen[p] = true
		l.value(mv.Value, v.Field(k.index), k, p)
	}
	return true
}

// plainWord is what may be shown of a key that is not known: no secret is made
// of letters and underscores alone.
var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,29}$`)

func (l *loader) unknownKey(at place, path, name string, names []string) {
	where := path[strings.LastIndex(path, ".")+1:] // a section
	switch {
	case path == "":
		where = "the file"
	case strings.HasPrefix(where, "accounts["):
		where = "an account"
	}
	p := path
	text := "this key is not known in " + where
	if plainWord.MatchString(name) {
		p = key{name: name}.path(path)
		text = "is not known in " + where
	}
	if s := suggest(name, names); s != "" {
		text += "; did you mean " + s + "?"
	} else {
		text += "; known are " + strings.Join(names, ", ")
	}
	// Under the path of a known key this could hide an error of that key.
	l.errs = append(l.errs, &Error{place: at, Path: p, Text: text})
}

// value puts a YAML value into the field v of key k.
func (l *loader) value(n ast.Node, v reflect.Value, k key, path string) {
	at := l.placeOf(n)
	if n.Type() == ast.NullType {
		return // `key:` with nothing behind it is a key that is not given
	}
	l.cfg.at[path] = at
	switch {
	case k.file:
		text, ok := scalar(n)
		if !ok || text == "" {
			l.bad(path, "must be the name of a file"+odd(n))
			return
		}
		l.secretFiles[path] = text
	case v.Type() == reflect.TypeFor[[]Account]():
		l.sequence(n, path, func(n ast.Node, p string) {
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			l.mapping(n, v.Index(v.Len()-1), p)
		})
	case v.Type() == reflect.TypeFor[[]Prefix]():
		l.sequence(n, path, func(n ast.Node, p string) {
			var one Prefix
			l.scalarInto(n, reflect.ValueOf(&one).Elem(), p)
			v.Set(reflect.Append(v, reflect.ValueOf(one)))
		})
	case isSection(v.Type()):
		l.mapping(n, v, path)
	default:
		l.scalarInto(n, v, path)
	}
}

// isSection tells a section of the file from a value that happens to be a struct.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (l *loader) sequence(n ast.Node, path string, each func(ast.Node, string)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.bad(path, "must be a list, each entry on a line that begins with `- `"+odd(n))
		return
	}
	for i, e := range s.Values {
		p := fmt.Sprintf("%s[%d]", path, i)
		l.cfg.at[p] = l.placeOf(e)
		each(e, p)
	}
}

func (l *loader) scalarInto(n ast.Node, v reflect.Value, path string) {
	text, ok := scalar(n)
	if !ok {
		l.bad(path, "must be a single value"+odd(n))
		return
	}
	if err := set(v, text); err != nil {
		l.bad(path, err.Error())
	}
}

// scalar returns the text of a scalar as it is written: a token that consists
// of digits must not lose its zeros by being read as a number.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// odd explains what n is if it is a part of YAML that we leave out.
func odd(n ast.Node) string {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		return "; anchors (&), aliases (*), merge keys (<<) and tags (!) are not understood, so write the value itself, in quotation marks if it begins with one of these"
	}
	return ""
}

// set puts text into the value v.
func set(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *bool:
		if text != "true" && text != "false" {
			return errors.New("is neither true nor false; write one of them, without quotation marks")
		}
		*p = text == "true"
	case *time.Time:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errors.New("is not a moment; write it with its time zone, like 2026-01-31T18:00:00+08:00")
		}
		*p = t
	case *[]Prefix:
		*p = nil
		for part := range strings.SplitSeq(text, ",") {
			var one Prefix
			if err := one.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil {
				return err
			}
			*p = append(*p, one)
		}
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	return nil
}
