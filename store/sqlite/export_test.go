package sqlite

import "context"

// HoldReaders takes all connections beside the writer, as those who read may for a while. What it
// returns gives them back.
func (s *Store) HoldReaders(ctx context.Context) (release func(), err error) {
	var held []func() error
	release = func() {
		for _, give := range held {
			_ = give()
		}
	}
	for range readers {
		conn, err := s.read.db.Conn(ctx)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, conn.Close)
	}
	return release, nil
}

// Number and OldestSQLite are the check of the version of SQLite.
var Number = number

const OldestSQLite = oldestSQLite
