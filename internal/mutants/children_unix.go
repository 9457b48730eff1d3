//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// endWithChildren has the end of cmd's time end what it has started, too.
func endWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
