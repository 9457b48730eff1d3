package simulator

import "context"

type begunKey struct{}

// WithBegun returns a context for what a user does, or for sending an exchange again. f is called
// with the id of each [Exchange] that this begins, before its first push: from then on nothing is
// refused any more, and only what comes of it is waited for. It is called by the goroutine that
// acts and holds it up; it may use the platform.
func WithBegun(ctx context.Context, f func(exchange int64)) context.Context {
	return context.WithValue(ctx, begunKey{}, f)
}

// tellBegun calls the function of WithBegun, if there is one.
func tellBegun(ctx context.Context, exchange int64) {
	if f, ok := ctx.Value(begunKey{}).(func(int64)); ok {
		f(exchange)
	}
}
