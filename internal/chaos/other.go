//go:build !linux

package chaos

import (
	"errors"
	"syscall"
)

func childAttributes() *syscall.SysProcAttr { return nil }

func endWithParent() {}

func fileSystem(string) string { return "unknown" }

func kernel() string { return "unknown" }

var errLinux = errors.New("this needs Linux")

func command(string, ...string) error { return errLinux }
func unmount(string) error            { return errLinux }
func mountMemory(string, int) error   { return errLinux }
func freeze(*process) error           { return errLinux }
func thaw(*process) error             { return errLinux }
func shutDown(string) error           { return errLinux }
func freeSpace(string) int64          { return -1 }
