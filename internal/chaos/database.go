package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // integrity_check without our own code

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

// readRows reads all turns that were received from since on, a slice of time at a
// time, since a list has a limit.
func readRows(ctx context.Context, database string, since time.Time) ([]Row, error) {
	r, err := openReader(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	defer r.Close()
	var rows []Row
	const slice = 10 * time.Second
	for from, end := since.Truncate(time.Second), time.Now().Add(time.Minute); from.Before(end); from = from.Add(slice) {
		turns, err := r.List(ctx, store.Filter{Since: from, Until: from.Add(slice), Limit: 10_000_000})
		if err != nil {
			return nil, fmt.Errorf("read the database: %w", err)
		}
		for i := range turns {
			rows = append(rows, rowOf(&turns[i]))
		}
	}
	return rows, nil
}

// reader looks into a database.
type reader interface {
	List(ctx context.Context, f store.Filter) ([]store.Turn, error)
	Close() error
}

// openReader opens a database of PostgreSQL by its address, or one of SQLite by its path.
func openReader(ctx context.Context, database string) (reader, error) {
	if isPostgres(database) {
		return postgres.OpenReader(ctx, database)
	}
	return sqlite.OpenReader(ctx, database)
}

func isPostgres(database string) bool { return strings.HasPrefix(database, "postgres:") }

// rowOf takes from a turn what the checker looks at. What message it is stands in the
// body, which is read by a pattern and not by the server's code.
func rowOf(t *store.Turn) Row {
	r := Row{
		Key: t.Key.String(), Account: t.Account, User: t.OpenID, State: t.State.String(), Attempt: t.Attempt,
		Reason: t.Reason, Delivery: t.Delivery.String(), Received: t.ReceivedAt, Finished: t.FinishedAt,
		Placeholder: element(t.Placeholder, "Content"), Code: t.Code, Due: t.Due, Told: t.Way.Told, Unknown: t.Way.Unknown,
	}
	if t.Way.TakenBy != (store.Key{}) {
		r.TakenBy = t.Way.TakenBy.String()
	}
	if t.Way.Fetch.Page > 0 {
		r.Fetches, r.Again = t.Way.Fetch.Of.String(), t.Way.Fetch.Again
	}
	if do, ok := parseInstruction(t.Body); ok {
		kind := element(t.Body, "MsgType")
		if kind == "event" {
			kind = strings.ToUpper(element(t.Body, "Event"))
		}
		r.ID = kind + "/" + do.Mark
	} else if id, err := strconv.ParseInt(element(t.Body, "MsgId"), 10, 64); err == nil {
		r.ID = messageID(id)
	}
	r.Reply, r.To = element(t.Reply, "Content"), element(t.Reply, "ToUserName")
	return r
}

var elementPattern = regexp.MustCompile(`(?s)<([A-Za-z]+)>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))`)

// element is the text of the first element with a name, if it is as simple as in all
// documents that the harness and the bot make.
func element(document, name string) string {
	for _, m := range elementPattern.FindAllStringSubmatch(document, -1) {
		if m[1] == name {
			return m[2] + m[3]
		}
	}
	return ""
}

// integrity is what PRAGMA integrity_check, or PostgreSQL's amcheck, says, in one string: "ok", if all is well.
func integrity(ctx context.Context, database string) (string, error) {
	if isPostgres(database) {
		return postgresIntegrity(ctx, database)
	}
	db, err := sql.Open("sqlite", "file:"+database+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return "", err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return "", fmt.Errorf("integrity_check: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
		all = append(all, line)
	}
	return strings.Join(all, "; "), rows.Err()
}

// postgresIntegrity has amcheck compare every table of the schema with its pages, and every index with its table.
func postgresIntegrity(ctx context.Context, dsn string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS amcheck WITH SCHEMA pg_catalog`); err != nil {
		return "", fmt.Errorf("amcheck: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT format('%s: %s', c.relname, v.msg) FROM pg_class c, verify_heapam(c.oid) v
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`)
	if err != nil {
		return "", fmt.Errorf("amcheck: %w", err)
	}
	bad, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("amcheck: %w", err)
	}
	_, err = conn.Exec(ctx, `SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam
		WHERE c.relnamespace = current_schema()::regnamespace AND a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisready AND i.indisvalid`)
	if err != nil {
		bad = append(bad, err.Error())
	}
	if len(bad) > 0 {
		return strings.Join(bad[:min(5, len(bad))], "; "), nil
	}
	return "ok", nil
}
