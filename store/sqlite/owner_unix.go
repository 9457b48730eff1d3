//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// giveTo gives a file that root makes to whom its folder belongs, who else could
// not open it.
func giveTo(f *os.File, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(st.Uid), int(st.Gid))
		}
	}
}

// allowed reports whether this user may write a file, or into a folder.
func allowed(path string) bool {
	const write = 2 // W_OK
	return syscall.Access(path, write) == nil
}
