package xfr_test

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const testID = 4711

// recorder is a Receiver that writes down what it is told.
type recorder struct {
	events []string
	failAt int   // the number of the call that fails, from 1; 0 is none
	fail   error // what it returns
}

func (r *recorder) note(verb string, rr *wire.RR) error {
	text := fmt.Sprintf("%s %s %s", verb, rr.Owner, wire.TypeName(rr.Type))
	switch {
	case rr.Class != wire.ClassIN:
		text += fmt.Sprintf(" class %d", rr.Class)
	case rr.Type == wire.TypeSOA:
		if soa, err := wire.ParseSOA(rr.Data); err == nil {
			text += " " + soa.Serial.String()
		}
	case rr.Type == wire.TypeA && len(rr.Data) == 4:
		text += " " + net.IP(rr.Data).String()
	}
	r.events = append(r.events, text)
	if len(r.events) == r.failAt {
		return r.fail
	}
	return nil
}

func (r *recorder) Begin(kind xfr.Kind, soa *wire.RR) error {
	return r.note("begin "+kind.String(), soa)
}
func (r *recorder) Add(rr *wire.RR) error    { return r.note("add", rr) }
func (r *recorder) Remove(rr *wire.RR) error { return r.note("remove", rr) }

func (r *recorder) Discard(rr *wire.RR, err error) error {
	if bad, ok := errors.AsType[*wire.RDATAError](err); !ok || bad.Type != rr.Type {
		return fmt.Errorf("discard with the error %w", err)
	}
	return r.note("discard", rr)
}

// counter is a Receiver that counts.
type counter struct{ begun, added, removed, discarded int }

func (c *counter) Begin(xfr.Kind, *wire.RR) error { c.begun++; return nil }
func (c *counter) Add(*wire.RR) error             { c.added++; return nil }
func (c *counter) Remove(*wire.RR) error          { c.removed++; return nil }
func (c *counter) Discard(*wire.RR, error) error  { c.discarded++; return nil }

// conversation drives an Interpreter with messages made of records in presentation form.
type conversation struct {
	t    testing.TB
	rec  recorder
	x    *xfr.Interpreter
	name string
	typ  uint16
	done bool
	err  error
}

// axfr begins an AXFR of example.
func axfr(t testing.TB) *conversation {
	t.Helper()
	c := &conversation{t: t, name: "example.", typ: dns.TypeAXFR}
	c.x = xfr.NewInterpreter(xfr.Query{Origin: mustName(t, "example."), ID: testID}, &c.rec)
	return c
}

// ixfr begins an IXFR of example. by a secondary that has this serial.
func ixfr(t testing.TB, have uint32) *conversation {
	t.Helper()
	c := &conversation{t: t, name: "example.", typ: dns.TypeIXFR}
	soa := &wire.SOA{Serial: serial.New(have)}
	c.x = xfr.NewInterpreter(xfr.Query{Origin: mustName(t, "example."), ID: testID, Have: soa}, &c.rec)
	return c
}

// message returns an answer with these records.
func (c *conversation) message(records ...string) *dns.Msg {
	c.t.Helper()
	m := new(dns.Msg)
	m.Id, m.Response, m.Authoritative, m.Compress = testID, true, true, true
	m.Question = []dns.Question{{Name: c.name, Qtype: c.typ, Qclass: dns.ClassINET}}
	m.Answer = dnstest.Records(records...)
	return m
}

// says gives the Interpreter one message with these records.
func (c *conversation) says(records ...string) *conversation {
	c.t.Helper()
	return c.raw(dnstest.Pack(c.message(records...)))
}

// raw gives the Interpreter one message, unless it has ended.
func (c *conversation) raw(msg []byte) *conversation {
	c.t.Helper()
	if c.err != nil || c.done {
		c.t.Fatalf("a message after the end (done %v, error %v)", c.done, c.err)
	}
	c.done, c.err = c.x.Message(msg)
	return c
}

// wantDone fails the test unless the answer is whole and has brought these events.
func (c *conversation) wantDone(kind xfr.Kind, events ...string) {
	c.t.Helper()
	if c.err != nil || !c.done {
		c.t.Fatalf("done %v, error %v; want a whole answer", c.done, c.err)
	}
	if err := c.x.Finish(); err != nil {
		c.t.Errorf("Finish of a whole answer: %v", err)
	}
	if c.x.Kind() != kind {
		c.t.Errorf("kind %s; want %s", c.x.Kind(), kind)
	}
	c.wantEvents(events...)
}

func (c *conversation) wantEvents(events ...string) {
	c.t.Helper()
	if d := cmp.Diff(events, c.rec.events); d != "" {
		c.t.Errorf("events (-want +got):\n%s", d)
	}
}

// wantOpen fails the test unless the answer goes on.
func (c *conversation) wantOpen() *conversation {
	c.t.Helper()
	if c.err != nil || c.done {
		c.t.Fatalf("done %v, error %v; want the answer to go on", c.done, c.err)
	}
	return c
}

// wantError fails the test unless the answer has failed for this reason.
func (c *conversation) wantError(want reason.Reason) {
	c.t.Helper()
	if c.done {
		c.t.Error("a failed answer is reported as whole")
	}
	wantReason(c.t, c.err, want)
}

func wantReason(t testing.TB, err error, want reason.Reason) {
	t.Helper()
	if got := reason.Of(err); got != want {
		t.Fatalf("reason %q, error %v; want %q", got, err, want)
	}
}

func mustName(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// soa returns the SOA of example. with this serial.
func soa(n uint32) string {
	return fmt.Sprintf("example. 3600 IN SOA ns.example. admin.example. %d 7200 900 1209600 300", n)
}

// host returns an A record of example.
func host(name, addr string) string { return fmt.Sprintf("%s.example. 300 IN A %s", name, addr) }
