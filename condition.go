package echostr

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Condition narrows down the messages that a route is for. Conditions are made
// by [Exact], [Prefix], [Regexp], [EventKey], [EventKeyPrefix], [Scene],
// [Event], [When] and [Any], can be used any number of times, and are safe for
// concurrent use.
//
// A condition that speaks of something a message does not have is not met by it: an
// event has no text, a text message no scene.
type Condition struct {
	name  string // as it was written, for the panics
	match func(Message) bool
	// possible reports whether a message of a route's type, which may be an
	// interface, can meet the condition at all.
	possible func(reflect.Type) bool
}

func (c Condition) check(where string) {
	if c.match == nil {
		panic(fmt.Sprintf("echostr: %s: the zero Condition means nothing; use Exact, Prefix, When, ...", where))
	}
}

// words returns what the user said: the Content of a text message, the
// Recognition of a voice message.
func words(m Message) (string, bool) {
	switch m := m.(type) {
	case *TextMessage:
		return m.Content, true
	case *VoiceMessage:
		return m.Recognition, m.Recognition != ""
	}
	return "", false
}

func textCondition(name string, match func(string) bool) Condition {
	return Condition{
		name: name,
		match: func(m Message) bool {
			s, ok := words(m)
			return ok && match(s)
		},
		possible: canBe(reflect.TypeFor[*TextMessage](), reflect.TypeFor[*VoiceMessage]()),
	}
}

// canBe is the possible of a condition that only messages of some types meet.
func canBe(types ...reflect.Type) func(reflect.Type) bool {
	return func(t reflect.Type) bool {
		return slices.ContainsFunc(types, func(one reflect.Type) bool { return one.AssignableTo(t) })
	}
}

// canHave is the possible of a condition on what the interface I gives. An
// interface passes, since it does not tell which types have both.
func canHave[I any](t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t.Implements(reflect.TypeFor[I]())
}

// named checks the values of a condition and returns it as it was written.
func named(function string, values []string, need bool) string {
	if need && len(values) == 0 {
		panic(fmt.Sprintf("echostr: %s: no value is given, so nothing would ever match; give at least one", function))
	}
	if slices.Contains(values, "") {
		panic(fmt.Sprintf("echostr: %s: a value is empty; leave it out, or give what to look for", function))
	}
	return fmt.Sprintf("%s(%s)", function, strings.Join(quoteAll(values), ", "))
}

func quoteAll(values []string) []string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return quoted
}

// Exact is met by a text message whose Content is one of the words, and by a
// voice message whose Recognition is. White space around what the user sent
// does not count; every other character does, letter case included.
//
//	Exact("帮助")    "帮助", " 帮助\n"        but not "帮助!", "我要帮助"
//	Exact("help")    "help"                    but not "Help"
//
// Speech recognition usually ends in a full stop: for voice, prefer Prefix or Regexp.
func Exact(words ...string) Condition {
	name := named("Exact", words, true)
	for _, w := range words {
		if w != strings.TrimSpace(w) {
			panic(fmt.Sprintf("echostr: Exact: %q has white space around it and would never match; trim it", w))
		}
	}
	words = slices.Clone(words)
	return textCondition(name, func(s string) bool { return slices.Contains(words, strings.TrimSpace(s)) })
}

// Prefix is met by a text message whose Content begins with one of the
// prefixes, and by a voice message whose Recognition does. White space in front
// of what the user sent does not count; letter case does.
//
//	Prefix("天气")    "天气", "天气北京", " 天气 北京"    but not "北京天气"
func Prefix(prefixes ...string) Condition {
	name := named("Prefix", prefixes, true)
	for _, p := range prefixes {
		if p != strings.TrimLeftFunc(p, unicode.IsSpace) {
			panic(fmt.Sprintf("echostr: Prefix: %q begins with white space and would never match; trim it", p))
		}
	}
	prefixes = slices.Clone(prefixes)
	return textCondition(name, func(s string) bool {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
	})
}

// Regexp is met by a text message whose Content has a match of the expression
// (syntax of package regexp), and by a voice message whose Recognition has.
// Nothing is trimmed, and the match may be anywhere unless the expression says
// ^ and $. A text of several lines needs (?s) for . to match line feeds. It
// panics if the expression is wrong.
//
//	Regexp(`^\d{6}$`)        "123456"               but not "123456 ", "my code is 123456"
//	Regexp(`(?i)refund`)     "REFUND please"
func Regexp(expression string) Condition {
	re, err := regexp.Compile(expression)
	if err != nil {
		panic(fmt.Sprintf("echostr: Regexp: %v; correct the expression", err))
	}
	if expression == "" {
		panic("echostr: Regexp: the expression is empty and would match every text; leave the condition out")
	}
	return textCondition(fmt.Sprintf("Regexp(%q)", expression), re.MatchString)
}

// keyed is an event with an EventKey.
type keyed interface{ eventKey() string }

// EventKey is met by an event whose EventKey is exactly one of the keys: the
// key of a menu button for CLICK and its relatives, the URL for VIEW. Nothing
// is trimmed, and letter case counts. For QR codes use [Scene]: the keys of
// subscribe begin with "qrscene_", those of SCAN do not.
func EventKey(keys ...string) Condition {
	name := named("EventKey", keys, true)
	keys = slices.Clone(keys)
	return Condition{
		name: name,
		match: func(m Message) bool {
			e, ok := m.(keyed)
			return ok && slices.Contains(keys, e.eventKey())
		},
		possible: canHave[keyed],
	}
}

// EventKeyPrefix is met by an event whose EventKey begins with one of the
// prefixes, compared like [EventKey].
func EventKeyPrefix(prefixes ...string) Condition {
	name := named("EventKeyPrefix", prefixes, true)
	prefixes = slices.Clone(prefixes)
	return Condition{
		name: name,
		match: func(m Message) bool {
			e, ok := m.(keyed)
			return ok && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.eventKey(), p) })
		},
		possible: canHave[keyed],
	}
}

// Scene is met by an event that came from a QR code with parameters (带参数二维码)
// with one of the scenes, or with any scene if none is given: SCAN by a
// follower, and subscribe by a new one. Scenes are compared without
// the "qrscene_" that WeChat puts before them in subscribe: R-EVENT-SCENE.
//
//	Scene()         subscribe and SCAN with a scene     but not subscribe without one
//	Scene("123")    scene 123                           but not 1234, and not "qrscene_123" in SCAN
func Scene(scenes ...string) Condition {
	name := named("Scene", scenes, false)
	scenes = slices.Clone(scenes)
	return Condition{
		name: name,
		match: func(m Message) bool {
			e, ok := m.(SceneEvent)
			if !ok {
				return false
			}
			scene := e.Scene()
			return scene != "" && (len(scenes) == 0 || slices.Contains(scenes, scene))
		},
		possible: canHave[SceneEvent],
	}
}

// event is every type of event.
type event interface{ eventHeader() *EventHeader }

func (h *EventHeader) eventHeader() *EventHeader { return h }

// isEvent reports whether m is an event and not an ordinary message.
func isEvent(m Message) bool {
	_, ok := m.(event)
	return ok
}

// Event is met by an event with one of the names, compared without regard to
// letter case (R-EVENT-NAME), or by any event if none is given. It is for
// events that have no Go type (*[UnknownEvent]) and for routes of several
// types; otherwise the type says it.
//
//	Event()                every event             but no ordinary message
//	Event("holo_shake")    "Holo_Shake"            but not "holo_shake_2"
func Event(names ...string) Condition {
	name := named("Event", names, false)
	names = slices.Clone(names)
	return Condition{
		name: name,
		match: func(m Message) bool {
			e, ok := m.(event)
			return ok && (len(names) == 0 ||
				slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, e.eventHeader().Event) }))
		},
		possible: canHave[event],
	}
}

// When is met by a message of type T for which f says true. T is a pointer to
// one type or an interface, as with [On]; other messages do not meet it. f must not
// change the message or block, and it is called by several goroutines.
func When[T Message](f func(m T) bool) Condition {
	t := reflect.TypeFor[T]()
	if f == nil {
		panic(fmt.Sprintf("echostr: When[%v]: the function is nil; give one", t))
	}
	return Condition{
		name: fmt.Sprintf("When[%v]", t),
		match: func(m Message) bool {
			v, ok := m.(T)
			return ok && f(v)
		},
		possible: func(route reflect.Type) bool {
			return route.Kind() == reflect.Interface && t.Kind() == reflect.Interface ||
				route.AssignableTo(t) || t.AssignableTo(route)
		},
	}
}

// Any is met by a message that meets at least one of the conditions.
// (Conditions side by side in [On] must all be met.)
func Any(conditions ...Condition) Condition {
	if len(conditions) == 0 {
		panic("echostr: Any: no condition is given, so nothing would ever match; give at least one")
	}
	names := make([]string, len(conditions))
	for i, c := range conditions {
		c.check("Any")
		names[i] = c.name
	}
	conditions = slices.Clone(conditions)
	return Condition{
		name: fmt.Sprintf("Any(%s)", strings.Join(names, ", ")),
		match: func(m Message) bool {
			return slices.ContainsFunc(conditions, func(c Condition) bool { return c.match(m) })
		},
		possible: func(t reflect.Type) bool {
			return slices.ContainsFunc(conditions, func(c Condition) bool { return c.possible(t) })
		},
	}
}
