package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// smallDisk mounts a file system of its own, which only root can.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can mount a small disk; `sudo go test` runs this")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		t.Skipf("skipped: no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// When the disk is full no new message is accepted, known ones are still told, the
// results of those under way still fit, and everything comes back with the room: also when
// the writer is all that runs, as on a machine that has much else to do.
func TestDiskFull(t *testing.T) {
	for name, alone := range map[string]bool{"quiet": false, "nothing runs beside the writer": true} {
		t.Run(name, func(t *testing.T) { testDiskFull(t, alone) })
	}
}

func testDiskFull(t *testing.T, alone bool) {
	dir := smallDisk(t, 8<<20)
	ctx := context.Background()
	path := filepath.Join(dir, "e.db")
	now := time.Now() // of leases: however long it takes
	s := open(t, sqlite.Config{Path: path, Now: func() time.Time { return now }})
	release := func() {}
	if alone {
		var err error
		if release, err = s.HoldReaders(ctx); err != nil {
			t.Fatal(err)
		}
	}
	defer release()
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(n int) (store.Op, error) {
		ops := []store.Op{{Turn: sample(int64(n), time.Now(), owner)}}
		ops[0].Turn.Body = strings.Repeat("x", 16_000)
		err := s.Claim(ctx, ops)
		return ops[0], errors.Join(err, ops[0].Err)
	}
	var accepted []store.Op
	n := 0
	for ; ; n++ {
		op, err := claim(n)
		if err != nil {
			if !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBroken) {
				t.Fatalf("claim %d on a full disk: %v", n, err)
			}
			break
		}
		accepted = append(accepted, op)
		if n > 10_000 {
			t.Fatal("the disk never gets full")
		}
	}
	if !s.Stats().Full {
		t.Error("Stats does not say that the disk is full")
	}
	for range 3 {
		n++
		if _, err := claim(n); !errors.Is(err, store.ErrFull) {
			t.Errorf("another claim: %v, want ErrFull", err)
		}
	}
	session := store.Session{Account: "demo", OpenID: "o", Data: strings.Repeat("x", store.MaxSession), Expires: now.Add(time.Hour)}
	if ok, err := s.SaveSession(ctx, &session); ok || !errors.Is(err, store.ErrFull) {
		t.Errorf("a session that would take the room of results: %v, %v", ok, err)
	}
	// Whoever was accepted before is still known,
	for _, op := range accepted[:5] {
		again := []store.Op{{Turn: op.Turn}}
		again[0].Turn.Version = 0
		if err := s.Claim(ctx, again); err != nil || again[0].OK || again[0].Turn.Version != 1 {
			t.Errorf("a claim of a turn that is there: %v, %+v", err, again[0])
		}
	}
	// and can end.
	for i := range accepted[:100] {
		op := accepted[i : i+1]
		op[0].Turn.State, op[0].Turn.Reply = store.Answered, strings.Repeat("y", 500)
		if err := s.Save(ctx, op); err != nil || !op[0].OK {
			t.Fatalf("result %d on a full disk: %v, %+v", i, err, op[0].Err)
		}
	}
	release()
	// Room comes back.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 64<<20)); err != nil {
		t.Fatal(err)
	}
	// Without a message that looks for room, too.
	for until := time.Now().Add(5 * time.Second); s.Full() && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
	}
	if s.Full() {
		t.Error("the store does not notice that there is room again")
	}
	until := time.Now().Add(5 * time.Second)
	for {
		n++
		if _, err := claim(n); err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal("nothing is accepted five seconds after there is room again")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s.Stats().Full {
		t.Error("Stats still says that the disk is full")
	}
	if ok, err := s.SaveSession(ctx, &session); !ok || err != nil {
		t.Errorf("a session when there is room again: %v, %v", ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, sqlite.Config{Path: path})
	for i, op := range accepted {
		row, err := s.Get(ctx, op.Turn.Key)
		if err != nil || i < 100 && row.Reply == "" {
			t.Fatalf("turn %d after a full disk: %v, %v", i, err, row.State)
		}
	}
}

// A new database on a disk without room is refused with what to do.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := sqlite.Check(filepath.Join(dir, "e.db"), false); !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), "no room on the disk of "+dir) {
		t.Errorf("Check: %v", err)
	}
	if said := refuse(t, sqlite.Config{Path: filepath.Join(dir, "e.db")}); !strings.Contains(said, "no room") {
		t.Errorf("%q", said)
	}
}

// A process that died on a full disk is started again there: the reserve makes room
// for opening the file, and nothing new is accepted.
func TestReopenOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 4<<20)
	path := filepath.Join(dir, "e.db")
	s := open(t, sqlite.Config{Path: path})
	fill(t, s, 500)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What a process that is killed leaves behind: its reserve, and a full disk.
	if err := os.WriteFile(path+".reserve", make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	s = open(t, sqlite.Config{Path: path})
	if rows, err := s.List(context.Background(), store.Filter{Limit: 1000}); err != nil || len(rows) != 500 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if !s.Stats().Full {
		t.Error("Stats does not say that the disk is full")
	}
}
