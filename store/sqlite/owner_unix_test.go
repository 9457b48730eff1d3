//go:build unix

package sqlite_test

import (
	"io/fs"
	"syscall"
)

// owner is the user and the group of a file.
func owner(info fs.FileInfo) [2]int {
	st := info.Sys().(*syscall.Stat_t)
	return [2]int{int(st.Uid), int(st.Gid)}
}
