package xfr_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// wantNothingLeft fails the test if, at its very end, there are more goroutines or sockets than now. Call it first.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	goroutines, sockets := runtime.NumGoroutine(), dnstest.OpenSockets()
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines && dnstest.OpenSockets() <= sockets }) {
			buf := make([]byte, 1<<16)
			t.Errorf("%d goroutines, %d sockets; there were %d, %d\n%s", runtime.NumGoroutine(), dnstest.OpenSockets(), goroutines, sockets,
				buf[:runtime.Stack(buf, true)])
		}
	})
}

// eventually reports whether cond comes true: the other end of a closed connection takes a moment to notice.
func eventually(cond func() bool) bool {
	const patience, step = 5 * time.Second, time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(step) {
		if cond() {
			return true
		}
	}
	return cond()
}
