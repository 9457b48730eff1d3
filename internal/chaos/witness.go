package chaos

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// witness is the file that the handler writes to. Each record is one write at the
// end of the file, so records of several processes do not mix; and all are equally long and
// lie within a page, since of a write to two pages a process that is killed may leave the first half.
type witness struct{ file *os.File }

// recordSize divides the size of a page.
const recordSize = 256

func openWitness(path string) (*witness, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &witness{f}, nil
}

// write appends one record. Without its witness a run proves nothing, so the process
// ends if that fails.
func (w *witness) write(what string, m *Mark) {
	record := fmt.Sprintf("%-*s\n", recordSize-1, fmt.Sprintf("%s %s %s %d %d %d", what, m.ID, m.Key, m.Attempt, m.PID, m.At.UnixNano()))
	_, err := w.file.WriteString(record)
	for tries := 0; errors.Is(err, syscall.ECONNRESET) && tries < 10; tries++ { // no file says so: it is the sweep that does
		_, err = w.file.WriteString(record)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the witness file cannot be written:", err)
		os.Exit(exitWitness)
	}
}

// exitWitness is the exit code of a bot that cannot write its witness file.
const exitWitness = 3

// readWitness reads the records of a file, in the order of time. A file that is not
// there has none.
func readWitness(path string) (starts, ends []Mark, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return parseWitness(f)
}

func parseWitness(r io.Reader) (starts, ends []Mark, err error) {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		f := strings.Fields(in.Text())
		if len(f) != 6 {
			return nil, nil, fmt.Errorf("line %d of the witness file has %d fields and not 6", n, len(f))
		}
		attempt, err1 := strconv.Atoi(f[3])
		pid, err2 := strconv.Atoi(f[4])
		nano, err3 := strconv.ParseInt(f[5], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, nil, fmt.Errorf("line %d of the witness file: %w", n, err)
		}
		m := Mark{ID: f[1], Key: f[2], Attempt: attempt, PID: pid, At: time.Unix(0, nano)}
		switch f[0] {
		case "start":
			starts = append(starts, m)
		case "end":
			ends = append(ends, m)
		default:
			return nil, nil, fmt.Errorf("line %d of the witness file begins with %q", n, f[0])
		}
	}
	byTime := func(a, b Mark) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.PID, b.PID)) }
	slices.SortStableFunc(starts, byTime)
	slices.SortStableFunc(ends, byTime)
	return starts, ends, in.Err()
}
