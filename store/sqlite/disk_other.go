//go:build !linux

package sqlite

import "os"

// freeBytes: not known on this system.
func freeBytes(string) int64 { return -1 }

// remote: not known on this system.
func remote(string) string { return "" }

func allocate(f *os.File, size int64) error { return fillZeros(f, size) }

// bootID: not known on this system, so that every unclean stop counts as one
// of the whole machine.
func bootID() string { return "" }
