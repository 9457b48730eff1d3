//go:build !unix

package sqlite

import "os"

func giveTo(*os.File, string) {}

// allowed is not known here.
func allowed(string) bool { return false }
