package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
)

// SQLite overwrites what it deletes (secure_delete), but not the copies that are left
// when the rows of a page are divided between two: between the list of a page's
// cells and the cells there may be bytes that belong to nothing. A row that grows by
// its reply does that often, so an erased text would stay in the file. scrub
// reads all pages beside the writer, and has the writer clear that gap where it
// is not clear.
func (s *Store) scrub(ctx context.Context) error {
	var pages []int64
	for after := int64(0); ; {
		pages = pages[:0]
		last := after
		err := s.read.query(ctx, func(next scanner) error {
			var data []byte
			if err := next(&last, &data); err != nil {
				return err
			}
			if from, to := gap(data, last); !isClear(data[from:to]) {
				pages = append(pages, last)
			}
			return nil
		}, `SELECT pgno, data FROM sqlite_dbpage WHERE pgno > ? ORDER BY pgno LIMIT 1000`, after)
		if err != nil || last == after {
			return s.fault(err)
		}
		after = last
		if len(pages) == 0 {
			continue
		}
		if err := s.writer.submit(ctx, alone, nil, func() error { return s.writer.clear(pages) }); err != nil {
			return err
		}
	}
}

// clear clears the gaps of some pages, as they are by now.
func (w *writer) clear(pages []int64) error {
	for _, n := range pages {
		w.args = append(w.args[:0], n)
		var row [1]driver.Value
		if err := w.first(`SELECT data FROM sqlite_dbpage WHERE pgno = ?`, row[:]); err != nil {
			return err
		}
		data, _ := row[0].([]byte)
		from, to := gap(data, n)
		clear(data[from:to])
		if _, err := w.exec(`UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?`, data, n); err != nil {
			return err
		}
	}
	return nil
}

// gap returns the part of a page that belongs to nothing, which is empty if the page is
// not one of a b-tree. See "B-tree Pages" in SQLite's description of its file format.
func gap(page []byte, number int64) (from, to int) {
	at := 0
	if number == 1 {
		at = 100 // the header of the file
	}
	if len(page) < at+12 {
		return 0, 0
	}
	header := 8
	switch page[at] {
	case 2, 5: // inner pages
		header = 12
	case 10, 13: // leaves
	default:
		// Overflow pages and free ones begin with the number of another page, which
		// would have to be above 2 << 24 to look like one of the above.
		return 0, 0
	}
	cells := int(binary.BigEndian.Uint16(page[at+3:]))
	from = at + header + 2*cells
	if to = int(binary.BigEndian.Uint16(page[at+5:])); to == 0 {
		to = 1 << 16
	}
	if to > len(page) || from > to {
		return 0, 0
	}
	return from, to
}

// isClear reports whether there are only zeros.
func isClear(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
