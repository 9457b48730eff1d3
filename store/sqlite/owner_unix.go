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
