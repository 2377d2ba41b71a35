package store

import "syscall"

// giveBack takes the pages of a mapped file out of the memory of the process. They stay in the page cache as long as the system
// likes, and are there again when somebody looks at them.
func giveBack(at uintptr, octets uint64) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, at, uintptr(octets), syscall.MADV_DONTNEED) // if it fails they stay
}
