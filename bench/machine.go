package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is where it was measured.
type Machine struct {
	Name     string  `json:"name"`
	Cores    int     `json:"cores"`
	GiB      float64 `json:"gib"`
	System   string  `json:"system"`
	Go       string  `json:"go"`
	Load     string  `json:"load"`                 // what else it did, when the section began
	Flush    float64 `json:"flush_ms"`             // of 4 KiB, where SQLite's files are: the median
	Database float64 `json:"database_ms"`          // the same where PostgreSQL's are
	Version  string  `json:"postgresql,omitempty"` // of PostgreSQL
	Unpinned bool    `json:"unpinned,omitempty"`   // the servers have no core of their own
	Nice     int     `json:"nice,omitempty"`       // others came first
}

func (m Machine) String() string {
	s := fmt.Sprintf("%s, %d cores, %.0f GiB, %s, %s, load %s, a flush of 4 KiB takes %.2f ms (SQLite) and %.2f ms (PostgreSQL", m.Name, m.Cores, m.GiB, m.System, m.Go, m.Load, m.Flush, m.Database)
	s += strings.TrimSuffix(" "+m.Version, " ") + ")"
	if m.Unpinned {
		s += ", servers not pinned to a core"
	}
	if m.Nice != 0 {
		s += fmt.Sprintf(", nice %d", m.Nice)
	}
	return s
}

// machine looks at this one.
func (b *bench) machine() (m Machine, err error) {
	m = Machine{Name: b.name, Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Load: loadAverage(), Unpinned: pinner() == ""}
	if m.Name == "" {
		m.Name = field("/proc/cpuinfo", "model name")
		if strings.Contains(field("/proc/cpuinfo", "flags"), " hypervisor ") {
			m.Name += " (virtual machine)"
		}
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.System += ", Linux " + unix.ByteSliceToString(uts.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.GiB = float64(info.Totalram) * float64(info.Unit) / (1 << 30)
	}
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		m.Nice = 20 - p // the system call's own numbers
	}
	if m.Flush, err = flushTime(b.dir); err != nil {
		return m, err
	}
	m.Database, err = flushTime(os.TempDir())
	return m, err
}

// field is the first value of a name in a file of /proc.
func field(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// flushTime is how many milliseconds it takes to append a page to a file and have it on the disk.
func flushTime(dir string) (float64, error) {
	f, err := newFloor(filepath.Join(dir, fmt.Sprintf("flush-%d.tmp", os.Getpid())))
	if err != nil {
		return 0, err
	}
	defer f.close()
	var took []float64
	for range 50 {
		began := time.Now()
		if err := f.append(4096); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	return median(took), nil
}

// floor is the least that storing takes: a file to which something is appended, and flushed.
type floor struct {
	*os.File
	buf []byte
}

func newFloor(path string) (*floor, error) {
	f, err := os.Create(path)
	return &floor{File: f}, err
}

func (f *floor) append(n int) error {
	f.buf = slices.Grow(f.buf[:0], n)[:n]
	if _, err := f.Write(f.buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(f.Fd()))
}

func (f *floor) close() {
	f.Close()
	os.Remove(f.Name())
}

// loadAverage is what else the machine does.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(b))[0]
}
