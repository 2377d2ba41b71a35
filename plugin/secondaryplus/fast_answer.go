package secondaryplus

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/pkg/edns"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondaryplus/secondaryplus/internal/cookie"
	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// routes say which server block at an address a query is for: the one with the longest of its zones among the suffixes of
// the name. It is immutable.
type routes struct {
	server  string            // as CoreDNS's metrics call it
	sockets int               // that are to be open
	insists bool              // on their number: the Corefile says it
	nsid    bool              // some server block has the nsid plugin, which replies to who asks for it
	blocks  map[string]*route // by zone, on the wire and in lower case; nil for the blocks that CoreDNS's server is to find itself
}

// route is one zone of a server block with a fast path. It is immutable.
type route struct {
	handler *SecondaryPlus
	zone    string // as CoreDNS's metrics call it
	counted bool   // the block has the prometheus plugin
}

// supports reports whether CoreDNS may answer a query with this EDNS option in another way than one without.
func (r *routes) supports(option uint16) bool {
	return option == dns.EDNS0NSID && r.nsid || edns.SupportedOption(option)
}

// match returns the route of a name, lower case; nil for none.
func (r *routes) match(name wire.Name) *route {
	for off := 0; off < len(name); off += int(name[off]) + 1 {
		if to, ok := r.blocks[string(name[off:])]; ok {
			return to
		}
	}
	return nil
}

// nameKey returns the key of a name, in presentation form, in routes.
func nameKey(name string) (string, error) {
	n, err := wire.ParseName(name)
	return string(wire.AppendLower(nil, n)), err
}

// fastAnswerer answers the queries of one socket. It belongs to the goroutine of that socket.
type fastAnswerer struct {
	address *fastAddress
	query   fastpath.Query
	writer  fastpath.Writer
	lookup  lookup
	cookie  [cookie.Len]byte // scratch: of the reply
	counts  fastCounts

	answered, handedOver prometheus.Counter
}

func newFastAnswer(f *fastAddress) fastpath.Answer {
	a := &fastAnswerer{
		address: f, answered: metrics().FastpathQueries("answered"), handedOver: metrics().FastpathQueries("handed_over"),
	}
	return a.answer
}

// answer answers a query from contents if it is a plain one, if the answer is ours alone, and if all of it fits; and one for
// our server blocks that is malformed, which CoreDNS's metrics do not count, as they do not what CoreDNS's server refuses.
func (a *fastAnswerer) answer(msg, buf []byte, client netip.Addr) []byte {
	start := time.Now()
	rs := a.address.routes.Load()
	reply, r := a.reply(rs, msg, buf, client, start)
	if reply == nil {
		a.query.Disarm()
		a.handedOver.Inc()
		return nil
	}
	a.answered.Inc()
	if r != nil && r.counted && len(reply) > 0 {
		a.counts.add(rs, r, &a.query, client.Is6(), msg, reply, start)
	}
	return reply
}

func (a *fastAnswerer) reply(rs *routes, msg, buf []byte, client netip.Addr, now time.Time) ([]byte, *route) {
	q, l := &a.query, &a.lookup
	kind := q.Parse(msg, rs.supports)
	if kind == fastpath.Other {
		return nil, nil
	}
	l.name, l.lower = q.Name, wire.AppendLower(l.lowerBuf[:0], q.Name)
	r := rs.match(l.lower)
	if r == nil {
		return nil, nil
	}
	q.Limit(r.handler.maxUDP)
	g := r.handler.instance.guard
	if kind != fastpath.Plain {
		return a.refuse(g, buf, kind, client, now), nil
	}
	if g.cookies == nil {
		q.Cookie = nil
	}
	state := cookie.Unproven
	if q.Cookie != nil {
		if state = g.cookies.check(q.Cookie, client, now); state == cookie.Malformed {
			return a.refuse(g, buf, fastpath.Malformed, client, now), r
		}
	}
	z := r.handler.zones.Load().match(l.lower, q.Type)
	if z == nil {
		return nil, nil
	}
	c := z.Contents()
	if r.handler.find(l, z, zone.Query{Name: q.Name, Type: q.Type, DNSSEC: q.DNSSEC}) != found {
		return nil, nil
	}
	if q.Version {
		if c == nil || c != z.Contents() {
			return nil, nil // another version has come: which of them the answer is from is not known
		}
		q.SetVersion(z.origin.Labels(), c.Serial().Uint32())
	}
	if q.Expire && z.checks(l.lower, q.Type) {
		q.SetExpire(z.left(now))
	}
	if q.Cookie != nil {
		q.SetCookie(g.cookies.appendTo(a.cookie[:0], q.Cookie, state, client, now))
	}
	return a.write(buf, g.check(client, state.Proven(), topicOf(&l.answer, z, l.lower, q.Type, l.target[:]), now)), r
}

// write writes what may go out of the answer, nil if buf has no room for it.
func (a *fastAnswerer) write(buf []byte, may ratelimit.Verdict) []byte {
	switch {
	case may == ratelimit.Drop:
		return buf[:0]
	case may == ratelimit.Truncate && a.query.Cookie != nil:
		return a.writer.WantCookie(buf, &a.query)
	case may == ratelimit.Truncate:
		return a.writer.Shorten(buf, &a.query, &a.lookup.answer)
	}
	reply, ok := a.writer.Reply(buf, &a.query, &a.lookup.answer)
	if !ok {
		return nil
	}
	return reply
}

// refuse writes the reply to a query that is not answered, or none where the client has had too many.
func (a *fastAnswerer) refuse(g *guard, buf []byte, kind fastpath.Kind, client netip.Addr, now time.Time) []byte {
	if g.check(client, false, topic{class: ratelimit.Error}, now) != ratelimit.Send {
		return buf[:0]
	}
	return a.writer.Refuse(buf, &a.query, kind)
}

// fastCounts counts queries as the prometheus plugin does. It belongs to one goroutine.
type fastCounts struct {
	routes *routes // that the counters are for
	byKind map[kind]*counters
}

// kind is what CoreDNS's metrics tell apart. It is a plain value.
type kind struct {
	route  *route
	qtype  uint16 // 0 for those that the metrics do not name
	rcode  int
	v6, do bool
}

// counters are CoreDNS's own, of one kind of queries. They are safe for concurrent use.
type counters struct {
	requests, responses, do             prometheus.Counter
	duration, requestSize, responseSize prometheus.Observer
}

// add counts a query.
func (c *fastCounts) add(rs *routes, r *route, q *fastpath.Query, v6 bool, msg, reply []byte, start time.Time) {
	if c.routes != rs {
		c.routes, c.byKind = rs, map[kind]*counters{}
	}
	k := kind{route: r, qtype: q.Type, rcode: fastpath.Rcode(reply, q), v6: v6, do: q.DNSSEC}
	if !named(q.Type) {
		k.qtype = 0
	}
	n := c.byKind[k]
	if n == nil {
		n = newCounters(rs.server, k)
		c.byKind[k] = n
	}
	n.requests.Inc()
	n.responses.Inc()
	if k.do {
		n.do.Inc()
	}
	n.duration.Observe(time.Since(start).Seconds())
	n.requestSize.Observe(float64(len(msg)))
	n.responseSize.Observe(float64(len(reply)))
}

func newCounters(server string, k kind) *counters {
	const proto, view = "udp", ""
	qtype, family, z := "other", "1", k.route.zone
	if k.qtype != 0 {
		qtype = dns.Type(k.qtype).String()
	}
	if k.v6 {
		family = strconv.Itoa(2)
	}
	n := &counters{
		requests:     vars.RequestCount.WithLabelValues(server, z, view, proto, family, qtype),
		responses:    vars.ResponseRcode.WithLabelValues(server, z, view, dns.RcodeToString[k.rcode], corefile.Name),
		duration:     vars.RequestDuration.WithLabelValues(server, z, view),
		requestSize:  vars.RequestSize.WithLabelValues(server, z, view, proto),
		responseSize: vars.ResponseSize.WithLabelValues(server, z, view, proto),
	}
	if k.do {
		n.do = vars.RequestDo.WithLabelValues(server, z, view)
	}
	return n
}

// named reports whether CoreDNS's metrics name a type, of those that are answered here.
func named(qtype uint16) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeMX, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNS, dns.TypePTR,
		dns.TypeRRSIG, dns.TypeSOA, dns.TypeSRV, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSVCB:
		return true
	}
	return false
}
