//go:build race

package wxcrypt

// With the race detector sync.Pool drops some of what it is given.
const raceEnabled = true
