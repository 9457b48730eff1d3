//go:build race

package echostr

// Under the race detector everything is slower and sync.Pool forgets at random.
const raceDetector = true
