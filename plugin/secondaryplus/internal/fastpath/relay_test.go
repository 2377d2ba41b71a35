//go:build linux

package fastpath

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// miekg/dns sets a deadline of some seconds before each reading: a process that is halted for longer finds it passed.
func TestRelayOutlivesAHalt(t *testing.T) {
	r := newRelay(&Sockets{}, &dns.Server{Handler: dns.NewServeMux()})
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
	r := newRelay(&Sockets{}, &dns.Server{Handler: dns.NewServeMux()})
	if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 1 {
		r.put(datagram{})
	}
	r.close()
}
