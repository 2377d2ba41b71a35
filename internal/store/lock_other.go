//go:build !unix

package store

import "os"

// bbolt takes the lock when it opens the file.
func lock(*os.File) error { return nil }

func unlock(*os.File) {}

// writable knows nothing better than to try.
func writable(string) error { return nil }
