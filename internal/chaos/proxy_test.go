package chaos

import (
	"encoding/binary"
	"strings"
	"testing"
)

// says is one message of a PostgreSQL server.
func says(what byte, body string) string {
	return string(what) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

// TestAnswers has what a server says arrive in pieces of all sizes. All of it goes on, and the end of each
// transaction that has written something is seen.
func TestAnswers(t *testing.T) {
	t.Parallel()
	read := says('D', "\x00\x01row") + says('C', "SELECT 1\x00") + says('Z', "I")
	insert := says('2', "") + says('D', "\x00\x01key") + says('C', "INSERT 0 1\x00") + says('Z', "I")
	nothing := says('C', "UPDATE 0\x00") + says('Z', "I")
	within := says('C', "UPDATE 3\x00") + says('Z', "T") + says('C', "COMMIT\x00") + says('Z', "I")
	all := read + insert + nothing + within + read
	for size := 1; size <= len(all); size++ {
		var a answers
		var out strings.Builder
		commits, last := 0, 0
		for at := 0; at < len(all); at += size {
			some, committed := a.take([]byte(all[at:min(at+size, len(all))]))
			if out.Write(some); committed {
				commits++
				last = out.Len()
			}
		}
		want := 2
		if size > len(nothing+within) {
			want = 1 // both ends may come at once
		}
		if out.String() != all || commits < want || commits > 2 || last == 0 {
			t.Fatalf("in pieces of %d: %d commits, %d of %d bytes", size, commits, out.Len(), len(all))
		}
	}
	var a answers
	if out, committed := a.take([]byte(says('C', "UPDATE 3\x00") + says('Z', "T"))); len(out) == 0 || committed {
		t.Errorf("an answer within a transaction is kept: %q, %v", out, committed)
	}
	if out, committed := a.take([]byte(says('C', "INSERT 0 1\x00"))); len(out) > 0 || committed {
		t.Errorf("an insert that may not be committed yet is told: %q", out)
	}
}
