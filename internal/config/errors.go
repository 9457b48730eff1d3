package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong: one sentence that says where, what, and
// what to do. It never holds a value of the configuration.
type Error struct {
	place
	// Path names the key, such as accounts[0].mode. It is empty if the error
	// is about the file as a whole.
	Path string
	// Text says what is wrong and what to do.
	Text string

	// whole says that nothing below Path could be read, so that there is
	// nothing more to say about it.
	whole bool
}

// explains reports whether e makes a further error about path superfluous.
func (e *Error) explains(path string) bool {
	return e.Path != "" && (e.Path == path || e.whole && strings.HasPrefix(path, e.Path+"."))
}

// place is where something was written.
type place struct {
	source       string // name of the file or of the environment variable
	line, column int    // from 1; 0 if the source has no lines
}

func (p place) String() string {
	if p.line == 0 {
		return p.source
	}
	return fmt.Sprintf("%s:%d:%d", p.source, p.line, p.column)
}

// Error returns "file:line:column: path: text", without the parts that are
// not known.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{e.place.String(), e.Path, e.Text} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Errors is everything that is wrong, in the order of the file.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// merge adds more to e, at most one error for each path: what reading a key said
// about it explains what checking it would say again.
func (e Errors) merge(more Errors) Errors {
	for _, m := range more {
		if !slices.ContainsFunc(e, func(have *Error) bool { return have.explains(m.Path) }) {
			e = append(e, m)
		}
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return e
}

// whereIs returns the place of path, or else of the nearest thing around it
// that has a place.
func (c *Config) whereIs(path string) place {
	for p := path; p != ""; {
		if at, ok := c.at[p]; ok {
			return at
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return place{source: c.file}
}

func accountPath(i int, key string) string {
	path := fmt.Sprintf("accounts[%d]", i)
	if key != "" {
		path += "." + key
	}
	return path
}

// suggest returns the candidate that word is probably meant to be, or "".
func suggest(word string, candidates []string) string {
	best, bestDist := "", 3 // two letters wrong at most
	for _, c := range candidates {
		if d := Distance(strings.ToLower(word), strings.ToLower(c)); d < bestDist && d < len(c) {
			best, bestDist = c, d
		}
	}
	return best
}

// Distance is the number of bytes to insert, delete or replace to make a into b
// (Levenshtein): how far a word is from one that was perhaps meant.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
