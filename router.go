package echostr

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Router is a [Handler] that gives each message to the first route that
// matches it, in the order of registration.
//
// Register everything first, from one goroutine, then serve: from the first
// message on, a Router may be used by any number of goroutines, and
// registering panics. So does every other misuse at registration.
//
// The zero value is not usable; call [NewRouter].
type Router struct {
	table      *table
	parent     *Router // nil for the router itself, else where the group is
	middleware []func(Handler) Handler
	conditions []Condition
	closed     bool // a route or group of it has been registered, so Use comes too late
}

// table is what a router and all its groups share.
type table struct {
	routes   []*Route
	notFound *Route
	serving  atomic.Bool
}

// Route is one line of a [Router]: a handler, what it is for and how it is
// to be run. The methods that only read are safe for concurrent use, and for a nil
// Route, which answers nothing.
type Route struct {
	table      *table
	matchType  func(Message) bool
	conditions []Condition
	handler    Handler // with the middleware around it
	pure       bool
	budget     time.Duration
}

// maxBudget is the longest time that Late grants.
const maxBudget = 10 * time.Minute

// NewRouter returns a Router without routes.
func NewRouter() *Router { return &Router{table: new(table)} }

// On registers h for the messages of type T that meet all conditions.
//
// T is a pointer to one type, such as *[TextMessage], or an interface that several
// types have: [Message] for everything, [SceneEvent] for subscribe and SCAN. It is
// usually told from h:
//
//	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
//		return echostr.Text("you said " + m.Content), nil
//	})
//
// It panics if h is nil, if a condition can never be met by a T, or if r is serving.
func On[T Message](r *Router, h func(ctx context.Context, m T) (Reply, error), conditions ...Condition) *Route {
	t := reflect.TypeFor[T]()
	if h == nil {
		panic(fmt.Sprintf("echostr: On[%v]: the handler is nil; give a function", t))
	}
	if t.Kind() != reflect.Interface && !isMessageType(t) {
		panic(fmt.Sprintf("echostr: On[%v]: no message has this type; use a pointer to a type of package echostr, or an interface", t))
	}
	return r.add(t,
		func(m Message) bool { _, ok := m.(T); return ok },
		HandlerFunc(func(ctx context.Context, m Message) (Reply, error) {
			v, ok := m.(T)
			if !ok { // middleware passed on something else
				return nil, fmt.Errorf("echostr: a route for %v was given a %T; middleware must pass on the message it got", t, m)
			}
			return h(ctx, v)
		}),
		conditions)
}

// isMessageType reports whether a push can become a t. Types that embed a
// message, and the headers that messages embed, are a [Message] by the letter only.
func isMessageType(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer &&
		t.Elem().PkgPath() == reflect.TypeFor[Router]().PkgPath() &&
		!strings.HasSuffix(t.Elem().Name(), "Header")
}

func (r *Router) add(t reflect.Type, matchType func(Message) bool, h Handler, conditions []Condition) *Route {
	name := fmt.Sprintf("On[%v]", t)
	r.checkOpen(name)
	all := slices.Concat(r.allConditions(), conditions)
	for _, c := range all {
		c.check(name)
		if !c.possible(t) {
			panic(fmt.Sprintf("echostr: %s: a %v can never meet the condition %s, so the route would never match; change the type or the condition", name, t, c.name))
		}
	}
	route := &Route{table: r.table, matchType: matchType, conditions: all, handler: r.wrap(h)}
	r.closed = true
	r.table.routes = append(r.table.routes, route)
	return route
}

// Use puts middleware around the handlers of all routes of r, those of its groups
// included, and around NotFound. The first one is the outermost. A message that
// reaches no handler reaches no middleware either.
//
// Middleware may answer itself, or change the context, the reply or the error;
// a panic is the callback server's to catch. Use panics after the first route
// or group of r, since those would not have it.
func (r *Router) Use(middleware ...func(Handler) Handler) {
	r.checkOpen("Use")
	if r.closed {
		panic("echostr: Use: there is a route, a group or NotFound already, which would go without this middleware; call Use first, or make a Group for it")
	}
	for i, m := range middleware {
		if m == nil {
			panic(fmt.Sprintf("echostr: Use: middleware %d is nil; give a function", i+1))
		}
	}
	r.middleware = append(r.middleware, middleware...)
}

// Group returns a part of r: its routes must meet the conditions too and run inside
// the middleware of r and then that of the group. They keep their place among the
// routes of r, in the order of registration, and a message that meets the conditions of
// the group but of none of its routes goes on to the routes behind.
//
// A group is for registering. To match and handle messages it is the same as r.
func (r *Router) Group(conditions ...Condition) *Router {
	r.checkOpen("Group")
	for _, c := range conditions {
		c.check("Group")
	}
	r.closed = true
	return &Router{table: r.table, parent: r, conditions: slices.Clone(conditions)}
}

// NotFound registers h for every message that no route matches. Without it such
// messages get no answer. It is a route like others, with the middleware of r
// around it, and may be Pure or Late. It panics if h is nil, on a second call,
// and on a group.
func (r *Router) NotFound(h Handler) *Route {
	r.checkOpen("NotFound")
	switch {
	case h == nil:
		panic("echostr: NotFound: the handler is nil; give one")
	case r.parent != nil:
		panic("echostr: NotFound: a group has none of its own; call it on the router")
	case r.table.notFound != nil:
		panic("echostr: NotFound: there is one already; keep one of them")
	}
	r.closed = true
	r.table.notFound = &Route{table: r.table, handler: r.wrap(h)}
	return r.table.notFound
}

// Match returns the route that m takes: the first that matches, else that of
// NotFound, else nil. It allocates nothing (a condition made with [When] may).
func (r *Router) Match(m Message) *Route {
	t := r.table
	if !t.serving.Load() {
		t.serving.Store(true)
	}
	if m == nil {
		return nil
	}
	for _, route := range t.routes {
		if route.matches(m) {
			return route
		}
	}
	return t.notFound
}

// Handle lets the route that m takes handle it; without a route there is no answer.
func (r *Router) Handle(ctx context.Context, m Message) (Reply, error) {
	return r.Match(m).Handle(ctx, m)
}

func (r *Router) checkOpen(what string) {
	if r.table.serving.Load() {
		panic(fmt.Sprintf("echostr: %s: the router is serving already; register everything before the first message", what))
	}
}

// wrap puts the middleware around h, the router's outside of the group's.
func (r *Router) wrap(h Handler) Handler {
	for ; r != nil; r = r.parent {
		for _, m := range slices.Backward(r.middleware) {
			if h = m(h); h == nil {
				panic("echostr: Use: a middleware returned a nil handler; return the one it was given, or one around it")
			}
		}
	}
	return h
}

func (r *Router) allConditions() []Condition {
	if r.parent == nil {
		return r.conditions
	}
	return slices.Concat(r.parent.allConditions(), r.conditions)
}

func (r *Route) matches(m Message) bool {
	if !r.matchType(m) {
		return false
	}
	for i := range r.conditions {
		if !r.conditions[i].match(m) {
			return false
		}
	}
	return true
}

// Pure declares that the handler has no effect outside of its answer, so that
// running it again after a crash does no harm. The server then keeps no start
// mark for it, which makes it cheaper. It returns r.
func (r *Route) Pure() *Route {
	r.checkOpen("Pure")
	r.pure = true
	return r
}

// Late sets the time that the handler may take, from its start, instead of the
// account's handler_timeout. An answer after the passive window goes out by the
// next way that is open. It panics unless 0 < d ≤ 10 min. It returns r.
func (r *Route) Late(d time.Duration) *Route {
	r.checkOpen("Late")
	if d <= 0 || d > maxBudget {
		panic(fmt.Sprintf("echostr: Late: %v is out of range; give more than 0 and at most %v", d, maxBudget))
	}
	r.budget = d
	return r
}

func (r *Route) checkOpen(what string) {
	if r.table.serving.Load() {
		panic(fmt.Sprintf("echostr: %s: the router is serving already; set up routes before the first message", what))
	}
}

// IsPure reports whether the route was declared [Route.Pure].
func (r *Route) IsPure() bool { return r != nil && r.pure }

// Budget is the time that was set with [Route.Late]; 0 means the account's
// handler_timeout.
func (r *Route) Budget() time.Duration {
	if r == nil {
		return 0
	}
	return r.budget
}

// Handle runs the route's handler with the middleware around it. It does not
// ask whether the route matches m.
func (r *Route) Handle(ctx context.Context, m Message) (Reply, error) {
	if r == nil {
		return nil, nil
	}
	return r.handler.Handle(ctx, m)
}
