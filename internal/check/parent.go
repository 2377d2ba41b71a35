package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

const (
	parentUDP     = 3 * time.Second // for the answer over UDP, before TCP is tried
	parentPayload = 1232            // octets of an answer over UDP: what crosses every network without fragments
)

// referral is what a parent says of a zone. It is a plain value.
type referral struct {
	names     []wire.Name             // of the NS records, lower case, in canonical order
	addresses map[string][]netip.Addr // that came with them, ascending, by name on the wire
	authority bool                    // the server answers for the zone itself
}

// checkParent compares what a name server of the parent zone says with the zone.
func (p *plan) checkParent(ctx context.Context, s *servers) *Parent {
	r := &Parent{Address: p.parent.String(), NameServers: []string{}, Glue: []Host{}}
	answer, err := p.askParent(ctx)
	if err != nil {
		r.found(Problem, "parent_no_answer", "no answer from the parent's server: "+err.Error(),
			"Check its address, and that UDP and TCP get through.")
		return r
	}
	if answer.Rcode != dns.RcodeSuccess {
		r.found(Problem, "parent_rcode", fmt.Sprintf("the parent's server answers %s", dns.RcodeToString[answer.Rcode]),
			"Ask a name server of the parent zone. NXDOMAIN from one means that the zone is not registered.")
		return r
	}
	d := p.readReferral(answer)
	if len(d.names) == 0 {
		r.found(Problem, "not_delegated", "the parent's server has no NS records of the zone",
			"Ask a name server of the parent zone; if it is one, have the zone delegated.")
		return r
	}
	r.NameServers = texts(d.names)
	for _, n := range d.names {
		if addrs := d.addresses[string(n)]; len(addrs) > 0 {
			r.Glue = append(r.Glue, Host{Name: n.String(), Addresses: texts(addrs)})
		}
	}
	if d.authority {
		r.found(Warning, "parent_is_authoritative",
			"the server answers for the zone itself: what it says is its copy of the zone, not the delegation",
			"Ask a server that has the parent zone alone.")
	}
	r.compare(s, d)
	if len(r.Findings) == 0 {
		r.found(OK, "parent_agrees",
			fmt.Sprintf("the parent has the same %d name servers, with the addresses that the zone has", len(d.names)), "")
	}
	return r
}

func (r *Parent) found(s Severity, what, detail, advice string) {
	r.Findings = append(r.Findings, Finding{s, what, detail, advice})
}

// askParent asks for the NS records of the zone, as a resolver would: over UDP, and over TCP if that brings no whole answer.
func (p *plan) askParent(ctx context.Context) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	q := new(dns.Msg).SetQuestion(p.origin.String(), dns.TypeNS)
	q.RecursionDesired = false
	q.SetEdns0(parentPayload, false)
	udp := dns.Client{Net: "udp", Timeout: min(p.timeout, parentUDP)}
	if a, _, err := udp.ExchangeContext(ctx, q, p.parent.String()); err == nil && !a.Truncated {
		return a, nil
	}
	tcp := dns.Client{Net: "tcp", Timeout: p.timeout}
	a, _, err := tcp.ExchangeContext(ctx, q, p.parent.String())
	return a, err
}

// readReferral reads the NS records of the zone and the addresses that came with them.
func (p *plan) readReferral(m *dns.Msg) *referral {
	d := &referral{addresses: map[string][]netip.Addr{}}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		ns, ok := rr.(*dns.NS)
		owner, err := parseName(rr.Header().Name)
		if !ok || err != nil || !owner.Equal(p.origin) {
			continue
		}
		if name, err := parseName(ns.Ns); err == nil && !contains(d.names, name) {
			d.names = append(d.names, name)
		}
	}
	slices.SortFunc(d.names, compareNames)
	d.authority = m.Authoritative
	for _, rr := range m.Extra {
		name, err := parseName(rr.Header().Name)
		if err != nil || !contains(d.names, name) {
			continue
		}
		var addr netip.Addr
		switch a := rr.(type) {
		case *dns.A:
			addr, _ = netip.AddrFromSlice(a.A)
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(a.AAAA)
		}
		if addr = addr.Unmap(); addr.IsValid() && !slices.Contains(d.addresses[string(name)], addr) {
			d.addresses[string(name)] = append(d.addresses[string(name)], addr)
		}
	}
	for _, addrs := range d.addresses {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	return d
}

// compare says how the parent's delegation differs from the zone.
func (r *Parent) compare(s *servers, d *referral) {
	if missing := minus(s.names, d.names); len(missing) > 0 {
		r.found(Problem, "ns_missing", "the parent lacks name servers that the zone has: "+list(missing),
			"Register them at the parent, or take their NS records out of the zone.")
	}
	if superfluous := minus(d.names, s.names); len(superfluous) > 0 {
		r.found(Problem, "ns_superfluous", "the parent has name servers that the zone lacks: "+list(superfluous),
			"Take them out at the parent, or add their NS records to the zone.")
	}
	for _, name := range s.within() {
		if contains(d.names, name) {
			r.compareGlue(name, s.of(name), d.addresses[string(name)])
		}
	}
}

// compareGlue compares the addresses of one host.
func (r *Parent) compareGlue(name wire.Name, zone, parent []netip.Addr) {
	in := func(list []netip.Addr) func(netip.Addr) bool {
		return func(a netip.Addr) bool { return slices.Contains(list, a) }
	}
	missing := slices.DeleteFunc(slices.Clone(zone), in(parent))
	superfluous := slices.DeleteFunc(slices.Clone(parent), in(zone))
	const advice = "Register the host at the parent with the addresses that the zone has."
	switch {
	case len(missing) > 0 && len(superfluous) > 0:
		r.found(Problem, "glue_differs", fmt.Sprintf("host %s: the parent has %s, which the zone lacks, and lacks %s, "+
			"which the zone has", name, list(superfluous), list(missing)), advice)
	case len(missing) > 0:
		r.found(Problem, "glue_missing", fmt.Sprintf("host %s: the parent lacks %s", name, list(missing)), advice)
	case len(superfluous) > 0:
		r.found(Problem, "glue_superfluous", fmt.Sprintf("host %s: the parent has %s, which the zone lacks", name,
			list(superfluous)), advice)
	}
}
