package secondaryplus

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/zone"
)

// SecondaryPlus answers for the zones of one server block. Its fields but zones are set before the first query, and it is
// safe for concurrent use from then on.
type SecondaryPlus struct {
	Next plugin.Handler

	config   *dnsserver.Config
	instance *instance
	server   string             // names the server block, see serverName
	bypass   []string           // zones the cache plugin leaves alone
	transfer *transfer.Transfer // nil without the plugin
	nsid     int                // octets of what the nsid plugin adds to replies; 0 without the plugin
	zones    atomic.Pointer[zoneTable]
}

// servedZone is a zone as one server block serves it. It is immutable.
type servedZone struct {
	*engine.Zone
	group *group
}

// zoneTable holds the zones of a server block by name, lower case with a final dot. It is immutable.
type zoneTable map[string]*servedZone

// match returns the zone that is asked about name, lower case: the one with the longest name among its suffixes. It looks
// each suffix up once, however many zones there are.
func (t zoneTable) match(name string, qtype uint16) *servedZone {
	var apex *servedZone
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		z, ok := t[name[off:]]
		if !ok {
			continue
		}
		if off == 0 && qtype == dns.TypeDS {
			apex = z // RFC 4035 §3.1.4.1: DS records are with the parent, if we have it
			continue
		}
		return z
	}
	if root, ok := t["."]; ok && name != "." {
		return root
	}
	if apex != nil {
		return apex
	}
	return t["."]
}

// Name is for plugin.Handler.
func (s *SecondaryPlus) Name() string { return directiveName }

// ServeDNS is for plugin.Handler.
func (s *SecondaryPlus) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if s.instance != nil {
		s.instance.serves()
	}
	q := r.Question[0]
	name := lower(q.Name)
	var z *servedZone
	if table := s.zones.Load(); table != nil && q.Qclass == dns.ClassINET {
		z = table.match(name, q.Qtype)
	}
	switch r.Opcode {
	case dns.OpcodeQuery:
	case dns.OpcodeNotify:
		if z != nil && z.Name() == name {
			return s.notified(ctx, w, r, z)
		}
	default:
		// CoreDNS lets UPDATE through because we asked for it, and the plugins behind us expect queries.
		if z == nil {
			return dns.RcodeNotImplemented, nil
		}
		return dns.RcodeRefused, nil
	}
	if r.Opcode == dns.OpcodeNotify && s.Next == nil {
		return dns.RcodeRefused, nil // without the error of NextOrFailure, which would be logged for whoever sends one
	}
	if z == nil || r.Opcode == dns.OpcodeNotify {
		return plugin.NextOrFailure(s.Name(), s.Next, ctx, w, r)
	}
	if q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return dns.RcodeRefused, nil // the transfer plugin, which stands in front, is not there or does not serve this zone
	}
	contents := z.Contents()
	if contents == nil {
		return dns.RcodeSuccess, w.WriteMsg(notReady(r))
	}
	m := s.answer(ctx, w, r, z, contents, name)
	if m == nil {
		return plugin.NextOrFailure(s.Name(), s.Next, ctx, w, r)
	}
	return dns.RcodeSuccess, w.WriteMsg(m)
}

// answers holds what a lookup needs, from query to query.
var answers = sync.Pool{New: func() any { return new(lookup) }}

// lookup is the memory of one lookup, owned by the query that has it.
type lookup struct {
	name   [wire.MaxName + 1]byte
	answer zone.Answer
}

// answer returns the reply to a query about a name, lower case, in z, or nil if the next plugin is to answer it.
func (s *SecondaryPlus) answer(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, z *servedZone, c *zone.Contents, name string) *dns.Msg {
	l := answers.Get().(*lookup)
	defer answers.Put(l)
	qname, ok := packName(r.Question[0].Name, &l.name)
	if !ok {
		return new(dns.Msg).SetRcode(r, dns.RcodeFormatError)
	}
	a, udp := &l.answer, overUDP(w)
	q := zone.Query{Name: qname, Type: r.Question[0].Qtype, All: !udp}
	if opt := r.IsEdns0(); opt != nil {
		q.DNSSEC = opt.Do()
	}
	c.Lookup(q, a)
	if a.Outcome == zone.NXDomain && len(a.Answer) == 0 && z.group.fall.Through(name) {
		return nil
	}
	if a.Target != nil {
		s.chase(a, z, q.Type)
	}
	return fit(r, q.Name, a, room(ctx, udp, r, s.nsid))
}

// chase follows an alias that leads out of z, as long as it leads to zones that are served here.
func (s *SecondaryPlus) chase(a *zone.Answer, z *servedZone, qtype uint16) {
	table := *s.zones.Load()
	for a.Target != nil {
		next := table.match(lower(text(a.Target)), qtype)
		if next == nil || next == z {
			return
		}
		c := next.Contents()
		if c == nil {
			return // as if it were not served here: the client has to ask elsewhere
		}
		c.Resume(a)
		z = next
	}
}

// lower returns name in lower case; without a copy if it is already.
func lower(name string) string {
	for i := range len(name) {
		if 'A' <= name[i] && name[i] <= 'Z' {
			return dns.CanonicalName(name)
		}
	}
	return name
}

// Ready is for the ready plugin. It keeps one handler of each name, so this speaks for all server blocks: ready means that
// every zone has contents, or has failed its first round and gains nothing by waiting.
func (s *SecondaryPlus) Ready() bool {
	process.mu.Lock()
	e := process.engine
	process.mu.Unlock()
	return e != nil && e.Settled()
}

// CacheBypassZones is for the cache plugin, which asks once, before anything has started: zones in memory gain nothing from
// it, and it would spoil the TTLs of transfers. Where a file lists the zones they may become any of the server block's.
func (s *SecondaryPlus) CacheBypassZones() []string { return s.bypass }
