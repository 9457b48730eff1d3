//go:build linux

package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// command runs a program that says nothing if all is well.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// unmount takes a file system away. One that is busy for longer is detached, so that
// nothing is left on the machine.
func unmount(folder string) error {
	var err error
	for range 50 {
		if err = syscall.Unmount(folder, 0); err == nil || err == syscall.EINVAL { // it is not mounted
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	syscall.Unmount(folder, syscall.MNT_DETACH)
	return fmt.Errorf("unmount %s: %w", folder, err)
}

// mountMemory mounts an empty tmpfs.
func mountMemory(folder string, sizeMiB int) error {
	return command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", sizeMiB), "tmpfs", folder)
}

// thaw has a process go on that was frozen.
func thaw(p *process) error { return p.signal(syscall.SIGCONT) }

// freeze stops all threads of the process, and waits until they stand still.
func freeze(p *process) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.life.PID))
		if err != nil {
			return err
		}
		still := len(files) > 0
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				still = false
				break
			}
			// The state follows the name, which is in parentheses.
			rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
			if f := strings.Fields(rest); len(f) == 0 || f[0] != "T" {
				still = false
				break
			}
		}
		if still {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not stop", p.life.PID)
		}
	}
}

// What ext4 knows: shut down at once, and do not even write the journal.
const (
	extShutdown  = 0x8004587d // EXT4_IOC_SHUTDOWN
	withoutFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH

)

// shutDown makes the file system forget what was not flushed.
func shutDown(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	how := uint32(withoutFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), extShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("shut the file system down: %w", errno)
	}
	return nil
}

// freeSpace is how many bytes fit on the file system.
func freeSpace(folder string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return -1
	}
	return int64(s.Bavail) * s.Bsize
}
