package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

// Archive answers the questions of [Client] from the databases. It writes nothing
// and needs no lock, so it does not matter whether a server runs.
type Archive struct {
	readers []reader
	close   []func() error
}

// OpenArchive opens the database of a configuration, which must exist. If accounts have databases of
// their own it opens all that are there.
func OpenArchive(ctx context.Context, cfg *Config) (_ *Archive, err error) {
	a := new(Archive)
	defer func() {
		if err != nil {
			_ = a.Close()
		}
	}()
	parts := cfg.ByStore()
	if len(parts) == 0 {
		parts = []*Config{cfg}
	}
	for _, part := range parts {
		if _, err := os.Stat(part.Database()); err != nil && len(parts) > 1 && part.Postgres() == "" {
			continue
		}
		if err := a.open(ctx, part); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Archive) open(ctx context.Context, cfg *Config) error {
	var db interface {
		reader
		Close() error
	}
	var err error
	if dsn := cfg.Postgres(); dsn != "" {
		db, err = postgres.OpenReader(ctx, dsn)
	} else {
		db, err = sqlite.OpenReader(ctx, cfg.Database())
	}
	if err != nil {
		return err
	}
	a.readers, a.close = append(a.readers, db), append(a.close, db.Close)
	return nil
}

// Turns is [Client.Turns].
func (a *Archive) Turns(ctx context.Context, f TurnFilter) ([]Turn, error) {
	return turnsOf(ctx, a.readers, f)
}

// Turn is [Client.Turn].
func (a *Archive) Turn(ctx context.Context, key string) (*Turn, error) {
	t, _, err := turnOf(ctx, a.readers, key)
	return t, err
}

// Close releases the databases.
func (a *Archive) Close() (err error) {
	for _, release := range a.close {
		err = errors.Join(err, release())
	}
	return err
}

// lister is what lists need of a store.
type lister interface {
	List(ctx context.Context, f store.Filter) ([]store.Turn, error)
}

// reader is what questions about turns need of a store.
type reader interface {
	lister
	Get(ctx context.Context, key store.Key) (store.Turn, error)
	Alive(ctx context.Context, n store.Node) (bool, error)
}

// turnsOf lists the turns of several stores.
func turnsOf(ctx context.Context, stores []reader, f TurnFilter) ([]Turn, error) {
	if f.Limit <= 0 {
		f.Limit = defaultTurns
	}
	f.Limit = min(f.Limit, maxTurns)
	var all []Turn
	for _, st := range stores {
		turns, err := turnsIn(ctx, st, f)
		if err != nil {
			return nil, err
		}
		all = append(all, turns...)
	}
	if len(stores) > 1 { // one has them in order
		slices.SortStableFunc(all, func(a, b Turn) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	}
	return all[:min(len(all), f.Limit)], nil
}

// turnsIn lists turns. What became of a reply is no condition that a store knows.
func turnsIn(ctx context.Context, st reader, f TurnFilter) ([]Turn, error) {
	limit := f.Limit
	page := store.Filter{Account: f.Account, OpenID: f.User, States: f.States, Since: f.Since, Until: f.Until, Due: f.Due, Limit: limit}
	if len(f.Deliveries) > 0 {
		page.Limit = findLimit
	}
	turns, alive := make([]Turn, 0, limit), make(map[store.Node]bool)
	var seen map[store.Key]bool // those of the page before that this one repeats
	for {
		rows, err := st.List(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			row := &rows[i]
			if seen[row.Key] || len(f.Deliveries) > 0 && !slices.Contains(f.Deliveries, row.Delivery) {
				continue
			}
			turn := newTurn(row)
			if turn.Interrupted, err = interrupted(ctx, st, row, alive); err != nil {
				return nil, err
			}
			if turns = append(turns, turn); len(turns) == limit {
				return turns, nil
			}
		}
		if len(rows) < page.Limit {
			return turns, nil
		}
		// The next page begins within the moment at which this one has ended.
		const resolution = time.Millisecond // of ReceivedAt
		until := rows[len(rows)-1].ReceivedAt.Add(resolution)
		if until.Equal(page.Until) {
			until = until.Add(-resolution) // more at one moment than a page holds
		}
		page.Until, seen = until, make(map[store.Key]bool)
		for i := range rows {
			if rows[i].ReceivedAt.Before(until) {
				seen[rows[i].Key] = true
			}
		}
	}
}

// interrupted reports whether a turn is running that nobody runs. alive is what is known of
// its owners.
func interrupted(ctx context.Context, st reader, row *store.Turn, alive map[store.Node]bool) (bool, error) {
	if row.State != store.Running {
		return false, nil
	}
	lives, known := alive[row.Owner]
	if !known {
		var err error
		if lives, err = st.Alive(ctx, row.Owner); err != nil {
			return false, err
		}
		alive[row.Owner] = lives
	}
	return !lives, nil
}

// What is wrong with a key.
var (
	errBadKey  = errors.New("a key has 40 hexadecimal digits, of which the first 8 or more must be given; copy it from `echostr turn ls`")
	errNoTurn  = errors.New("there is no such turn, or not any more; `echostr turn ls` lists those that are there")
	errManyKey = errors.New("several turns have a key that begins like this")
)

// turnOf returns the turn whose key is key, or begins with it, and the number of the store that it is in.
func turnOf(ctx context.Context, stores []reader, key string) (found *Turn, at int, err error) {
	for i, st := range stores {
		t, err := turnIn(ctx, st, key)
		switch {
		case errors.Is(err, errNoTurn):
		case err != nil:
			return nil, 0, err
		case found != nil:
			return nil, 0, fmt.Errorf("%w; give more of it, like %s", errManyKey, t.Key)
		default:
			found, at = t, i
		}
	}
	if found == nil {
		return nil, 0, errNoTurn
	}
	return found, at, nil
}

// turnIn is turnOf in one store.
func turnIn(ctx context.Context, st reader, key string) (*Turn, error) {
	key = strings.ToLower(key)
	row, err := store.Turn{}, error(nil)
	if whole, parseErr := store.ParseKey(key); parseErr == nil {
		row, err = st.Get(ctx, whole)
	} else {
		row, err = findTurn(ctx, st, key)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errNoTurn
	case err != nil:
		return nil, err
	}
	t := newTurn(&row)
	t.Reply, t.Placeholder = row.Reply, row.Placeholder
	if t.Interrupted, err = interrupted(ctx, st, &row, make(map[store.Node]bool)); err != nil {
		return nil, err
	}
	if utf8.ValidString(row.Body) {
		t.Body = row.Body
	} else {
		t.RawBody = []byte(row.Body)
	}
	return &t, nil
}

// MinKey is how many digits of a key must be given: those of the time.
const MinKey = 8

// findLimit is how many turns are looked through at once.
const findLimit = 5000

// findTurn looks for the turn whose key begins with prefix. A key begins with the
// second at which WeChat says the message was sent. It was received soon after, unless it is an old one that
// was sent again or one that says no time: those are looked for among the youngest.
func findTurn(ctx context.Context, st lister, prefix string) (store.Turn, error) {
	padded := prefix + strings.Repeat("0", max(0, 2*len(store.Key{})-len(prefix)))
	first, err := store.ParseKey(padded)
	if err != nil || len(prefix) < MinKey {
		return store.Turn{}, errBadKey
	}
	sent := first.Time()
	for _, f := range []store.Filter{
		{Since: sent.Add(-2 * time.Second), Until: sent.Add(20 * time.Second)},
		{Since: sent.Add(-10 * time.Minute), Until: sent.Add(time.Hour)},
		{},
	} {
		f.Limit = findLimit
		rows, err := st.List(ctx, f)
		if err != nil {
			return store.Turn{}, err
		}
		var found []store.Turn
		for i := range rows {
			if strings.HasPrefix(rows[i].Key.String(), prefix) {
				found = append(found, rows[i])
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return store.Turn{}, fmt.Errorf("%w; give more of it, like %s", errManyKey, found[0].Key)
	}
	return store.Turn{}, store.ErrNotFound
}
