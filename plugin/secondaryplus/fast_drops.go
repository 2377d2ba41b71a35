package secondaryplus

import (
	"sync/atomic"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fastpath"
)

// dropSpan is the time between two log lines about what an address drops.
const dropSpan = time.Minute

// dropAdvice says what each reason for dropping means, and what may be done.
var dropAdvice = map[string]string{
	fastpath.DropBuffer: "replies, the send buffer is full: clients that cannot be reached, or a link that is too slow; see net.core.wmem_max",
	fastpath.DropError:  "replies, the kernel refuses to send them: a firewall, or no route to the client",
	fastpath.DropQueue:  "queries, too many wait for CoreDNS's plugins; see which of them is slow",
}

// newFastDrops returns what counts and logs the datagrams that the sockets of an address drop.
func newFastDrops(addr string) fastpath.Dropped {
	begin := time.Now()
	next := map[string]*atomic.Int64{} // when each reason may be logged again, since begin
	for reason := range dropAdvice {
		metrics().FastpathDropped(reason) // alerts want a counter that is there before it counts
		next[reason] = &atomic.Int64{}
	}
	return func(reason string, n int) {
		metrics().FastpathDropped(reason).Add(float64(n))
		now, at := time.Since(begin), next[reason].Load()
		if int64(now) >= at && next[reason].CompareAndSwap(at, int64(now+dropSpan)) {
			log.Warningf("fastpath: %s drops %s; told once in %v while it lasts", addr, dropAdvice[reason], dropSpan)
		}
	}
}
