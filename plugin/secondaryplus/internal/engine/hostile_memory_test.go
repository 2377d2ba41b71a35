package engine_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
)

// heapPeak watches the heap until stop is called, which returns how far it has grown at most, in octets.
func heapPeak() (stop func() int64) {
	var most atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	before := heap()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), int64(m.HeapAlloc)))
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() int64 {
		close(done)
		<-ended
		return most.Load() - before
	}
}

// repeating is the script of a primary that has version 2 and sends a message with so many records of its zone for ever.
func repeating(f func(r dnstest.Request) (msg []byte, records int)) dnstest.Handler {
	return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(version(example, 2)...))
		for msg, _ := f(r); w.SendRaw(msg); {
		}
	})
}

// smallest returns a message full of the shortest record there is, all alike: an owner that is a pointer, no RDATA.
func smallest(r dnstest.Request) (msg []byte, records int) {
	var body []byte
	for ; len(body) < 65_000; records++ {
		body = append(body, 0xC0, 12, 0xFF, 0, 0, 1, 0, 0, 0, 60, 0, 0) // TYPE65280
	}
	return response(r, records, body), records
}

// late returns compressed with a record in front whose owner comes after the others in canonical order.
func late(r dnstest.Request) (msg []byte, records int) {
	const at = 12 + 9 + 4 + 4 + 10
	body := []byte{1, 'z', 0xC0, 12, 0xFF, 0, 0, 1, 0, 0, 0, 60, 0, 0}
	for range 122 {
		body = append(body, 1, 'x')
	}
	tail := []byte{0xFF, 0, 0, 1, 0, 0, 0, 60, 0, 0}
	body = append(append(body, 0xC0, 12), tail...)
	for records = 2; len(body) < 65_000; records++ {
		body = append(append(body, 0xC0, at), tail...)
	}
	return response(r, records, body), records
}

// HP1, HP22: the octets that a transfer may take are those of its limit, a few times over, whatever the records are and
// however often they come.
func TestRefusedTransferTakesBoundedMemory(t *testing.T) {
	const limit, times = 8 << 20, 6
	for name, f := range map[string]func(dnstest.Request) ([]byte, int){
		"smallest records":        smallest,
		"compressed, in order":    compressed,
		"compressed, in disorder": late,
	} {
		t.Run(name, func(t *testing.T) {
			wantNothingLeft(t)
			s := besiege(t, nil, unlimitedTo(limit))
			stop := heapPeak()
			s.attacker.play(repeating(f))
			s.notify()
			s.blocked(example, 0, "too_big")
			peak := stop()
			t.Logf("%.1f MB for a limit of %d MB", float64(peak)/(1<<20), limit>>20)
			if peak > times*limit {
				t.Errorf("The heap has grown by %d octets for a limit of %d; want at most %d times as much", peak, limit, times)
			}
		})
	}
}

// HP2: the same for differences, of which each record has a name of its own.
func TestRefusedDifferencesTakeBoundedMemory(t *testing.T) {
	wantNothingLeft(t)
	const limit, times = 8 << 20, 6
	s := besiege(t, nil, unlimitedTo(limit))
	large := version(example, 2)
	for i := range 250 { // so that the differences are smaller than the zone
		large = append(large, fmt.Sprintf("h%d.example. 60 IN TXT", i)+strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 100))
	}
	zone := wireRRs(large...)
	s.attacker.play(spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) { sendRecords(r, w, append(zone, zone[0])) }))
	s.notify()
	s.serves(s.zone, 2)
	stop := heapPeak()
	s.attacker.play(spoiling(example, 3, func(r dnstest.Request, w *dnstest.Writer) {
		if r.Type == dns.TypeAXFR {
			w.Send(r.Rcode(dns.RcodeRefused))
			return
		}
		sendRecords(r, w, wireRRs(soa(example, 3), soa(example, 2), soa(example, 3)))
		for n := 0; ; {
			var body []byte
			records := 0
			for ; len(body) < 65_000; records++ {
				body = append(fmt.Appendf(body, "\x08%08x", n), 0xC0, 12, 0xFF, 0, 0, 1, 0, 0, 0, 60, 0, 0)
				n++
			}
			if !w.SendRaw(response(r, records, body)) {
				return
			}
		}
	}))
	s.notify()
	s.blocked(example, 0, "refused")
	s.logged("(after IXFR: the differences are larger than the zone)")
	peak := stop()
	t.Logf("%.1f MB for a limit of %d MB", float64(peak)/(1<<20), limit>>20)
	if peak > times*limit {
		t.Errorf("The heap has grown by %d octets for a limit of %d; want at most %d times as much", peak, limit, times)
	}
	if n := served(s.zone); n != 2 {
		t.Errorf("Serial %d is served", n)
	}
}
