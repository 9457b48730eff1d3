//go:build !race

package echostr

const raceDetector = false
