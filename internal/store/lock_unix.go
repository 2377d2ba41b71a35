//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock takes the lock of a file, which bbolt then finds to be its own already: what is checked before bbolt opens the
// file must not be written meanwhile.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w%s", ErrInUse, holder(f))
	}
	return err
}

// unlock gives the lock up although the file may still be mapped.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// writable returns why this process may not write a file, also one that it has open already: a file system may have become
// read-only since.
func writable(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// holder says which process has the lock, as far as the system tells (proc_locks(5)).
func holder(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	device := uint64(stat.Dev) //nolint:unconvert // another type on other systems
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(device), unix.Minor(device), stat.Ino)
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		field := strings.Fields(line) // 1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF
		if len(field) < 6 || field[1] != "FLOCK" || field[5] != file {
			continue
		}
		command, err := os.ReadFile("/proc/" + field[4] + "/comm")
		if err != nil {
			continue // of another process namespace, or gone
		}
		return fmt.Sprintf(" by process %s (%s)", field[4], strings.TrimSpace(string(command)))
	}
	return ""
}
