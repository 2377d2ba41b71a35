package dnstest_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// dialMemory connects to a primary in memory.
func dialMemory(t *testing.T, p *dnstest.Primary, network string) net.Conn {
	t.Helper()
	c, err := p.DialContext(t.Context(), network, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// query returns a query as it goes over a network.
func query(network string, qtype uint16) []byte {
	m := new(dns.Msg)
	m.SetQuestion("example.", qtype)
	b := dnstest.Pack(m)
	if network == "tcp" {
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	}
	return b
}

// A primary in memory answers over both transports, and takes no time for it.
func TestMemoryPrimaryAnswers(t *testing.T) {
	for network, qtype := range map[string]uint16{"udp": dns.TypeSOA, "tcp": dns.TypeAXFR} {
		synctest.Test(t, func(t *testing.T) {
			p := dnstest.NewMemoryPrimary(t, dnstest.Serve(secret, apex, host))
			c, began := dialMemory(t, p, network), time.Now()
			for range 2 {
				if _, err := c.Write(query(network, qtype)); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 4096)
				n, err := c.Read(buf)
				if network == "tcp" {
					buf, n = buf[2:], n-2
				}
				m := new(dns.Msg)
				if err != nil || m.Unpack(buf[:n]) != nil || len(m.Answer) == 0 || time.Since(began) != 0 {
					t.Errorf("%s: %v, error %v after %s", network, m, err, time.Since(began))
				}
			}
		})
	}
}

// The ends of a connection in memory are those of a socket.
func TestMemoryConnectionEnds(t *testing.T) {
	for _, c := range []struct {
		name, network string
		script        dnstest.Handler
		read, write   error // what the client gets in the end
	}{
		{"FIN", "tcp", func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }, io.EOF, syscall.EPIPE},
		{"RST", "tcp", func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }, syscall.ECONNRESET, syscall.EPIPE},
		{"silence", "tcp", func(_ dnstest.Request, w *dnstest.Writer) { w.Hang() }, os.ErrDeadlineExceeded, nil},
		{"silence", "udp", func(dnstest.Request, *dnstest.Writer) {}, os.ErrDeadlineExceeded, nil},
	} {
		t.Run(c.name+" "+c.network, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc, began := dialMemory(t, dnstest.NewMemoryPrimary(t, c.script), c.network), time.Now()
				if _, err := nc.Write(query(c.network, dns.TypeSOA)); err != nil {
					t.Fatal(err)
				}
				if err := nc.SetReadDeadline(began.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, c.read) {
					t.Errorf("Read says %v; want %v", err, c.read)
				}
				if took, waited := time.Since(began), errors.Is(c.read, os.ErrDeadlineExceeded); (took == time.Hour) != waited {
					t.Errorf("That takes %s", took)
				}
				if _, err := nc.Write([]byte{0}); !errors.Is(err, c.write) {
					t.Errorf("Write says %v; want %v", err, c.write)
				}
				nc.Close()
				if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Read after Close says %v", err)
				}
			})
		})
	}
}

// Nobody is there once the primary is closed.
func TestMemoryPrimaryRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dnstest.NewMemoryPrimary(t, dnstest.Serve(secret, apex, host))
		udp := dialMemory(t, p, "udp")
		p.Close()
		if _, err := p.DialContext(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("DialContext says %v", err)
		}
		if _, err := udp.Write(query("udp", dns.TypeSOA)); err != nil {
			t.Errorf("Write says %v", err)
		}
		if _, err := udp.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Read says %v", err)
		}
	})
}

// A writer waits for a reader that is slow, and ends with it.
func TestMemoryConnectionHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		p := dnstest.NewMemoryPrimary(t, func(_ dnstest.Request, w *dnstest.Writer) {
			for w.Octets(make([]byte, 1<<16)) {
				sent++
			}
		})
		c := dialMemory(t, p, "tcp")
		if _, err := c.Write(query("tcp", dns.TypeAXFR)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := sent
		if _, err := io.CopyN(io.Discard, c, 1<<20); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if before == 0 || before > 20 || sent <= before {
			t.Errorf("%d writes before the client reads, %d after", before, sent)
		}
	})
}
