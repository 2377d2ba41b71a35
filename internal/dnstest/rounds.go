package dnstest

import (
	"flag"
	"fmt"
	"testing"
)

// Under -race a test takes some ten times as long. Where one goroutine only computes there is nothing for it to find, so that
// such tests do less of the same then, or nothing. `make test` runs the packages that use Rounds, Checks or Alone without
// -race as well, where they do all.

// Rounds returns how often a test repeats what one goroutine computes: n times, or a twentieth of that under -race.
func Rounds(n int) int {
	if raced {
		return max(1, n/20)
	}
	return n
}

// Checks makes rapid draw as many cases as Rounds says of its usual hundred; the command line overrides it. It is for TestMain.
func Checks() { _ = flag.Set("rapid.checks", fmt.Sprint(Rounds(100))) }

// Alone skips a test under -race, in which one goroutine computes a lot, or what is measured is what -race changes.
func Alone(tb testing.TB) {
	tb.Helper()
	if raced {
		tb.Skip("nothing is shared here; it runs without -race")
	}
}
