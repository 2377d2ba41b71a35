//go:build e2e

package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	queryTimeout = 2 * time.Second
	udpSize      = 1232
	edeNotReady  = dns.ExtendedErrorCodeNotReady // RFC 8914 §4.15
)

// question makes a query with EDNS, so that the answer can carry an extended error.
func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = false
	return m.SetEdns0(udpSize, false)
}

// exchange asks by UDP, and by TCP when the answer is truncated.
func exchange(addr string, m *dns.Msg) (*dns.Msg, error) {
	in, _, err := (&dns.Client{Timeout: queryTimeout}).Exchange(m, addr)
	if err == nil && in.Truncated {
		in, _, err = (&dns.Client{Net: "tcp", Timeout: queryTimeout}).Exchange(m, addr)
	}
	return in, err
}

// ask is exchange that must succeed.
func ask(t *testing.T, addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m, err := exchange(addr, question(name, qtype))
	if err != nil {
		t.Fatalf("Question %s %s to %s: %v", name, dns.TypeToString[qtype], addr, err)
	}
	return m
}

// extendedError returns the code of the message's extended error, and false when it has none.
func extendedError(m *dns.Msg) (uint16, bool) {
	opt := m.IsEdns0()
	if opt == nil {
		return 0, false
	}
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			return e.InfoCode, true
		}
	}
	return 0, false
}

// notReady complains of an answer that is not SERVFAIL with the extended error Not Ready.
func notReady(addr, zone string) (complaint string) {
	m, err := exchange(addr, question(zone, dns.TypeSOA))
	if err != nil {
		return err.Error()
	}
	code, ok := extendedError(m)
	if m.Rcode != dns.RcodeServerFailure || !ok || code != edeNotReady {
		return fmt.Sprintf("%s, extended error %d (%t), want SERVFAIL and %d", dns.RcodeToString[m.Rcode], code, ok, edeNotReady)
	}
	return ""
}

// notify sends one NOTIFY from an address, signed when key is not nil, and returns the response's code.
func notify(t *testing.T, from, to, zone string, key *tsigKey) int {
	t.Helper()
	m := new(dns.Msg).SetNotify(zone)
	c := &dns.Client{Timeout: queryTimeout, Dialer: dialerFrom(from)}
	if key != nil {
		algorithm := dns.Fqdn(key.Algorithm)
		c.TsigSecret = map[string]string{dns.Fqdn(key.Name): key.Secret}
		if key.Algorithm == "hmac-md5" {
			algorithm, c.TsigProvider = dns.HmacMD5, md5Provider(key.Secret)
		}
		m.SetTsig(dns.Fqdn(key.Name), algorithm, 300, time.Now().Unix())
	}
	in, _, err := c.Exchange(m, to)
	if err != nil && in == nil { // a refusal of the signature is not signed with what we can verify
		t.Fatalf("NOTIFY of %s from %s: %v", zone, from, err)
	}
	return in.Rcode
}

// dialerFrom dials from a loopback address.
func dialerFrom(addr string) *net.Dialer {
	return &net.Dialer{Timeout: queryTimeout, LocalAddr: &net.UDPAddr{IP: net.ParseIP(addr)}}
}

// md5Provider signs and verifies with hmac-md5 and the base64 secret, which miekg/dns does no longer.
type md5Provider string

func (p md5Provider) Generate(msg []byte, _ *dns.TSIG) ([]byte, error) {
	return mac(md5.New, string(p), msg)
}

func (p md5Provider) Verify(msg []byte, t *dns.TSIG) error {
	want, err := p.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

// mac is the HMAC of the message with the base64 secret.
func mac(of func() hash.Hash, secret string, msg []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		return nil, err
	}
	h := hmac.New(of, key)
	h.Write(msg)
	return h.Sum(nil), nil
}

// axfr transfers a zone with dig and returns its records in presentation form, sorted, the SOA once.
func axfr(t *testing.T, addr, zone string, key *tsigKey) []string {
	t.Helper()
	out := dig(t, addr, zone, "AXFR", key)
	var rrs []string
	soas := 0
	for l := range strings.Lines(out) {
		l = strings.Join(strings.Fields(l), " ")
		if l == "" || strings.HasPrefix(l, ";") {
			continue
		}
		if strings.Contains(l, " IN SOA ") {
			if soas++; soas > 1 {
				continue
			}
		}
		rrs = append(rrs, l)
	}
	if soas != 2 || strings.Contains(out, "Transfer failed") {
		t.Fatalf("AXFR of %s from %s: %d SOA records, want 2:\n%s", zone, addr, soas, tail(out))
	}
	slices.Sort(rrs)
	return rrs
}

// dig runs one query with dig and returns the answer section, or what dig says of its failure.
func dig(t *testing.T, addr, name, qtype string, key *tsigKey) string {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	args := []string{"@" + ap.Addr().String(), "-p", strconv.Itoa(int(ap.Port()))}
	if key != nil {
		args = append(args, "-y", key.Algorithm+":"+key.Name+":"+key.Secret)
	}
	args = append(args, "+noall", "+answer", "+time=5", "+tries=1", name, qtype)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A failed transfer is an answer, too: the callers read the text.
	out, _ := exec.CommandContext(ctx, "dig", args...).CombinedOutput()
	return string(out)
}

// parse reads records in presentation form, by way of the wire: that gives unknown types and hexadecimal text the form
// they have in an answer.
func parse(t *testing.T, texts []string) []dns.RR {
	t.Helper()
	rrs := make([]dns.RR, 0, len(texts))
	for _, s := range texts {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatalf("Record %q: %v", s, err)
		}
		wire := make([]byte, dns.Len(rr))
		if _, err := dns.PackRR(rr, wire, 0, nil, false); err != nil {
			t.Fatalf("Record %q: %v", s, err)
		}
		if rr, _, err = dns.UnpackRR(wire, 0); err != nil {
			t.Fatalf("Record %q: %v", s, err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

// texts returns the records as sorted presentation text with lower-case owners.
func texts(rrs []dns.RR) []string {
	out := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		c := dns.Copy(rr)
		c.Header().Name = dns.CanonicalName(c.Header().Name)
		out = append(out, strings.Join(strings.Fields(c.String()), " "))
	}
	slices.Sort(out)
	return out
}
