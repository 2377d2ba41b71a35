//go:build linux

package fastpath

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// miekg/dns sets a deadline of some seconds before each reading: a process that is halted for longer finds it passed.
func TestRelayOutlivesAHalt(t *testing.T) {
	r := newRelay(&Sockets{closed: true, dropped: func(string, int) {}}, &dns.Server{Handler: dns.NewServeMux()})
	if err := r.SetReadDeadline(time.Now().Add(-3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if !r.put(datagram{octets: []byte{0}, from: &net.UDPAddr{}}) {
		t.Fatal("A deadline that has just passed ends the relay")
	}
	r.close()
	if r.put(datagram{}) {
		t.Error("A closed relay takes a query")
	}
}

// A server that has ended on its own takes nothing, and keeps nobody waiting.
func TestRelayWithoutAServer(t *testing.T) {
	r := newRelay(&Sockets{closed: true, dropped: func(string, int) {}}, &dns.Server{Handler: dns.NewServeMux()})
	if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 1 {
		r.put(datagram{})
	}
	r.close()
}

// However slow the plugins are, no more queries are in work than the limit says; the ones beyond it are dropped and counted,
// and nobody waits to hand one over.
func TestRelayBoundsItsWork(t *testing.T) {
	var working, dropped atomic.Int64
	release := make(chan struct{})
	r := newRelay(&Sockets{closed: true, dropped: func(reason string, n int) {
		if reason == DropQueue {
			dropped.Add(int64(n))
		}
	}}, &dns.Server{Handler: dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) {
		working.Add(1)
		<-release
		working.Add(-1)
	})})
	query, err := new(dns.Msg).SetQuestion("example.org.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		for range n {
			if !r.put(datagram{octets: query, from: &net.UDPAddr{}}) {
				t.Fatal("The relay is closed")
			}
			runtime.Gosched()
		}
	}
	before := runtime.NumGoroutine()
	for end := time.Now().Add(30 * time.Second); working.Load() < maxInWork && time.Now().Before(end); {
		put(maxBatch)
	}
	put(2 * maxWaiting)
	if n := working.Load(); n != maxInWork {
		t.Errorf("%d queries in work; want %d", n, maxInWork)
	}
	if n := runtime.NumGoroutine() - before; n > maxInWork {
		t.Errorf("%d goroutines more; want at most %d", n, maxInWork)
	}
	if dropped.Load() < maxWaiting {
		t.Errorf("%d queries dropped; want at least %d", dropped.Load(), maxWaiting)
	}
	close(release)
	r.close()
	if n := working.Load(); n != 0 {
		t.Errorf("%d queries in work after the end", n)
	}
}

// Each query that the server has read gives its place back, whatever becomes of it.
func TestRelayIsDoneWithEveryMessage(t *testing.T) {
	packed := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
		change(m)
		octets, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return octets
	}
	good := packed(func(*dns.Msg) {})
	var handled atomic.Int64
	r := newRelay(&Sockets{closed: true, dropped: func(string, int) {}}, &dns.Server{
		TsigSecret: map[string]string{"key.": "c2VjcmV0"},
		Handler:    dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) { handled.Add(1) }),
	})
	for name, octets := range map[string][]byte{
		"plain": good, "empty": {}, "header cut": good[:11], "header only": good[:12], "question cut": good[:len(good)-1],
		"behind it": append(append([]byte{}, good...), 0xff), "a reply": packed(func(m *dns.Msg) { m.Response = true }),
		"UPDATE": packed(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), "no question": packed(func(m *dns.Msg) { m.Question = nil }),
		"signed": packed(func(m *dns.Msg) { m.SetTsig("key.", dns.HmacSHA256, 300, 1) }),
	} {
		for range 3 {
			r.put(datagram{octets: octets, from: &net.UDPAddr{}})
		}
		for end := time.Now().Add(30 * time.Second); len(r.queue) > 0 || len(r.work) > 1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d places are not given back", name, len(r.work)-1) // the server holds one while it waits to read
			}
		}
	}
	r.close()
	if handled.Load() < 3 {
		t.Errorf("%d queries came to the handler", handled.Load())
	}
}
