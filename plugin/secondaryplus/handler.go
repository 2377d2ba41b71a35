package secondaryplus

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// SecondaryPlus answers for the zones of one server block. Its fields but zones are set before the first query, and it is
// safe for concurrent use from then on.
type SecondaryPlus struct {
	Next plugin.Handler

	config    *dnsserver.Config
	instance  *instance
	server    string             // names the server block, see serverName
	view      string             // of the server block, empty for none
	keys      []string           // of the server block, as CoreDNS writes them: dns://example.org.:53
	bypass    []string           // zones the cache plugin leaves alone
	signers   []*xfr.Key         // the keys of all directives: a query may be signed with any
	fast      fastpathOption     // of the server block
	isFast    bool               // queries to the server block may be answered by the fast path
	front     []plugin.Handler   // in front of this one in the chain, as it was last put together
	decorated bool               // another plugin wraps the replies that CoreDNS's UDP server writes
	transfer  *transfer.Transfer // nil without the plugin
	entries   []entry            // of that plugin
	outgoing  bool               // somebody may transfer a zone from here
	nsid      int                // octets of what the nsid plugin adds to replies; 0 without the plugin
	maxUDP    int                // octets of a reply over UDP, at most
	exact     bool               // no plugin in front makes replies longer than this one counts on
	zones     atomic.Pointer[zoneTable]
}

// servedZone is a zone as one server block serves it. It is immutable.
type servedZone struct {
	*engine.Zone
	origin wire.Name // lower case
	group  *group
}

// zoneTable holds the zones of a server block by name: on the wire, in lower case. It is immutable.
type zoneTable map[string]*servedZone

// match returns the zone that is asked about name, lower case: the one with the longest name among its suffixes. It looks
// each suffix up once, however many zones there are.
func (t zoneTable) match(name wire.Name, qtype uint16) *servedZone {
	var apex *servedZone
	for off := 0; off < len(name); off += int(name[off]) + 1 {
		z, ok := t[string(name[off:])]
		if !ok {
			continue
		}
		if off == 0 && qtype == dns.TypeDS && len(name) > 1 {
			apex = z // RFC 4035 §3.1.4.1: DS records are with the parent, if we have it
			continue
		}
		return z
	}
	return apex
}

// zone returns the zone of a name in presentation form, nil if it is not served here.
func (s *SecondaryPlus) zone(name string) *servedZone {
	var l lookup
	if table := s.zones.Load(); table != nil && l.ask(name) {
		return (*table)[string(l.lower)]
	}
	return nil
}

// Name is for plugin.Handler.
func (s *SecondaryPlus) Name() string { return corefile.Name }

// ServeDNS is for plugin.Handler.
func (s *SecondaryPlus) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if s.instance != nil {
		s.instance.serves()
	}
	if malformed(r) {
		return dns.RcodeSuccess, s.rejectForm(ctx, w, r)
	}
	l := lookups.Get().(*lookup)
	defer lookups.Put(l)
	q := r.Question[0]
	var z *servedZone
	if table := s.zones.Load(); table != nil && q.Qclass == dns.ClassINET && l.ask(q.Name) {
		if z = table.match(l.lower, q.Qtype); z != nil {
			z.Recall()
		}
	}
	switch r.Opcode {
	case dns.OpcodeQuery:
		if z != nil && isTransfer(q.Qtype) && !bytes.Equal(z.origin, l.lower) {
			z = nil // it is not about this zone
		}
		if z == nil && s.Next != nil {
			return plugin.NextOrFailure(s.Name(), s.Next, ctx, w, r)
		}
	case dns.OpcodeNotify:
		if z != nil && bytes.Equal(z.origin, l.lower) {
			return s.notified(ctx, w, r, z)
		}
		if s.Next != nil {
			return plugin.NextOrFailure(s.Name(), s.Next, ctx, w, r)
		}
	default:
		// CoreDNS lets UPDATE through because we asked for it, and the plugins behind us expect queries.
	}
	var sig signature
	if r.IsTsig() != nil || isTransfer(q.Qtype) { // else not signed, or the tsig plugin has taken the signature away and signs the reply
		sig = s.checkSignature(ctx, w, r, s.signers, readingsFor(w, q.Qtype, z))
		switch {
		case errors.Is(sig.err, errBusy):
			return dns.RcodeSuccess, s.putOff(ctx, w, r)
		case sig.err != nil:
			return dns.RcodeSuccess, s.reject(ctx, w, r, sig)
		}
	}
	return s.answer(ctx, w, r, l, z, sig)
}

// answer replies to a request that is ours to answer: it asks z, or a name in no zone if that is nil.
func (s *SecondaryPlus) answer(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, l *lookup, z *servedZone, sig signature) (int, error) {
	q := r.Question[0]
	failure := topic{class: ratelimit.Error}
	switch {
	case s.oddCookie(w, r):
		return dns.RcodeSuccess, s.rejectForm(ctx, w, r)
	case r.Opcode == dns.OpcodeQuery && isTransfer(q.Qtype):
		return dns.RcodeSuccess, s.transferOut(ctx, w, r, z, sig)
	case z == nil && r.Opcode == dns.OpcodeUpdate:
		return dns.RcodeSuccess, s.send(ctx, w, r, sig, new(dns.Msg).SetRcode(r, dns.RcodeNotImplemented), failure)
	case z == nil:
		return dns.RcodeSuccess, s.send(ctx, w, r, sig, failed(r, dns.RcodeRefused, dns.ExtendedErrorCodeNotAuthoritative, ""), failure)
	case r.Opcode != dns.OpcodeQuery:
		return dns.RcodeSuccess, s.send(ctx, w, r, sig, new(dns.Msg).SetRcode(r, dns.RcodeRefused), failure)
	}
	opt, udp := r.IsEdns0(), overUDP(w)
	limit := maxDatagram
	if udp && datagrams(ctx) {
		limit = s.maxUDP
	}
	switch s.find(l, z, zone.Query{Name: l.name, Type: q.Qtype, All: !udp, DNSSEC: opt != nil && opt.Do()}) {
	case notServed:
		return dns.RcodeSuccess, s.send(ctx, w, r, sig, notReady(r), failure)
	case notHere:
		return plugin.NextOrFailure(s.Name(), s.Next, ctx, w, r)
	case found:
	}
	t := topicOf(&l.answer, z, l.lower, q.Qtype, l.target[:])
	left := room(sig.signer(ctx), udp, limit, opt, s.nsid) - s.cookieLen(r)
	if !z.checks(l.lower, q.Qtype) || !asksExpire(r) {
		return dns.RcodeSuccess, s.send(ctx, w, r, sig, fit(r, l.name, &l.answer, left), t)
	}
	m := fit(r, l.name, &l.answer, left-expireLen)
	z.addExpire(r, m)
	return dns.RcodeSuccess, s.send(ctx, w, r, sig, m, t)
}

// lookup is the memory of one lookup, owned by the query that has it.
type lookup struct {
	name, lower wire.Name // what is asked about, as it was asked and in lower case
	answer      zone.Answer

	patient bool // a zone that is still to come may be waited for

	nameBuf          [wire.MaxName + 1]byte
	lowerBuf, target [wire.MaxName]byte
}

// lookups holds what lookups need, from query to query.
var lookups = sync.Pool{New: func() any { return &lookup{patient: true} }}

// ask takes a name in presentation form, and reports whether it is one.
func (l *lookup) ask(name string) (ok bool) {
	if l.name, ok = packName(name, &l.nameBuf); ok {
		l.lower = wire.AppendLower(l.lowerBuf[:0], l.name)
	}
	return ok
}

// finding is who answers a query.
type finding int

const (
	found     finding = iota // we do
	notServed                // nobody: the zone has no contents
	notHere                  // who comes next: the next plugin, or the chain of plugins behind the fast path
)

// find looks q, which asks z, up.
func (s *SecondaryPlus) find(l *lookup, z *servedZone, q zone.Query) finding {
	c := z.Contents()
	if c == nil {
		return notServed
	}
	a := &l.answer
	c.Lookup(q, a)
	if a.Outcome == zone.NXDomain && len(a.Answer) == 0 && s.Next != nil && z.group.fallsThrough(q.Name) {
		return notHere
	}
	if a.Target != nil && !s.chase(l, z, q.Type) {
		return notHere
	}
	return found
}

// chase follows an alias that leads out of z, as long as it leads to zones that are served here. It fails where one of those would
// have to be waited for.
func (s *SecondaryPlus) chase(l *lookup, z *servedZone, qtype uint16) (ok bool) {
	table, a := *s.zones.Load(), &l.answer
	for a.Target != nil {
		next := table.match(wire.AppendLower(l.target[:0], a.Target), qtype)
		if next == nil || next == z {
			return true
		}
		if next.IsToCome() {
			if !l.patient {
				return false
			}
			next.Recall()
		}
		c := next.Contents()
		if c == nil {
			return true // as if it were not served here: the client has to ask elsewhere
		}
		c.Resume(a)
		z = next
	}
	return true
}

// Ready is for the ready plugin. It keeps one handler of each name, so this speaks for all server blocks: ready means that
// every zone has contents, or has failed its first round and gains nothing by waiting.
func (s *SecondaryPlus) Ready() bool {
	process.mu.Lock()
	e := process.secondary
	process.mu.Unlock()
	return e != nil && e.Settled()
}

// CacheBypassZones is for the cache plugin, which asks once, before anything has started: zones in memory gain nothing from
// it, and it would spoil the TTLs of transfers. Where a file lists the zones they may become any of the server block's.
func (s *SecondaryPlus) CacheBypassZones() []string { return s.bypass }
