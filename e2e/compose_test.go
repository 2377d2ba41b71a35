//go:build e2e

package e2e_test

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// composition is another plugin in the server block, and all that it is there to change. It is a plain value.
type composition struct {
	beside  string // its directive; KEY is the name of key files for the plain zone, NEXT the address of another server
	options string // of secondaryplus
	only    string // the zone that is compared; empty for both

	asks      func(q *dns.Msg)                 // makes the query of the client; nil: as without the plugin
	changes   func(l *composed, q, m *dns.Msg) // makes the answer that the client is to get of the one without the plugin
	reordered bool                             // the records of a section may be in any order
}

const composeNSID = "composed"

var composeTSIG = testKey("hmac-sha256")

// compositions are the plugins that users put beside secondaryplus. Where nothing is said the answers are those without it.
var compositions = map[string]composition{
	"errors and log": {beside: "log"},
	"cache":          {beside: "cache 30"},
	"acl that allows": {
		beside: "acl {\nallow net 127.0.0.0/8\nblock\n}",
	},
	"acl that blocks": {
		beside: "acl {\nblock type TXT net 127.0.0.0/8\n}",
		changes: func(_ *composed, q, m *dns.Msg) {
			if q.Question[0].Qtype == dns.TypeTXT {
				*m = *new(dns.Msg).SetRcode(q, dns.RcodeRefused).SetEdns0(udpSize, true) // acl sets DO in any case
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeBlocked}}
			}
		},
	},
	"acl that filters": {
		beside: "acl {\nfilter type AAAA net 127.0.0.0/8\n}",
		changes: func(_ *composed, q, m *dns.Msg) {
			if q.Question[0].Qtype == dns.TypeAAAA {
				*m = *new(dns.Msg).SetReply(q).SetEdns0(udpSize, true)
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeFiltered}}
			}
		},
	},
	// The signed zone must not be in reach of dnssec: that signs positive answers and referrals again, whatever
	// signatures they have, and answers DNSKEY with its own keys. Listing the unsigned zones is what keeps it off.
	"dnssec of the unsigned zone": {beside: "dnssec plain.test {\nkey file KEY\n}", only: signedOrigin},
	"loadbalance":                 {beside: "loadbalance", reordered: true},
	"minimal": {
		beside: "minimal",
		changes: func(_ *composed, _, m *dns.Msg) {
			if len(m.Answer) > 0 && m.Rcode == dns.RcodeSuccess {
				m.Ns, m.Extra = nil, onlyOPT(m.Extra)
			}
		},
	},
	"view":     {beside: "view loopback {\nexpr incidr(client_ip(), '127.0.0.0/8')\n}"},
	"metadata": {beside: "metadata\nlocal\ncancel\nloop"},
	"header": {
		beside: "header {\nresponse set ra\nresponse clear aa\n}",
		changes: func(_ *composed, _, m *dns.Msg) {
			m.RecursionAvailable, m.Authoritative = true, false
		},
	},
	"any": {
		beside: "any",
		changes: func(_ *composed, q, m *dns.Msg) {
			if q.Question[0].Qtype == dns.TypeANY {
				opt := m.IsEdns0()
				*m = *new(dns.Msg).SetReply(q)
				m.Answer = []dns.RR{record(`%s 8482 IN HINFO "ANY obsoleted" "See RFC 8482"`, q.Question[0].Name)}
				m.Extra = []dns.RR{opt}
			}
		},
	},
	"dns64":    {beside: "dns64 {\nprefix 64:ff9b::/96\nallow_ipv4\n}", changes: synthesizedAAAA},
	"autopath": {beside: "autopath plain.test search\nfile root.zone .", changes: searched},
	"nsid, not asked for": {
		beside: "nsid " + composeNSID,
	},
	"nsid": {
		beside: "nsid " + composeNSID,
		asks: func(q *dns.Msg) {
			q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		},
		changes: func(_ *composed, _, m *dns.Msg) {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "636f6d706f736564"}}
			m.IsEdns0().SetDo() // nsid sets it, asked for or not
		},
	},
	"bufsize": {
		beside: "bufsize 1000",
		changes: func(_ *composed, _, m *dns.Msg) {
			m.IsEdns0().SetUDPSize(1000)
		},
	},
	"tsig": {
		beside: "tsig {\nsecret " + composeTSIG.Name + ". " + composeTSIG.Secret + "\nrequire none\n}",
	},
	"tsig, signed": {
		beside: "tsig {\nsecret " + composeTSIG.Name + ". " + composeTSIG.Secret + "\nrequire all\n}",
		asks: func(q *dns.Msg) {
			q.SetTsig(dns.Fqdn(composeTSIG.Name), dns.HmacSHA256, 300, time.Now().Unix())
		},
		changes: func(_ *composed, _, m *dns.Msg) {
			m.SetTsig(dns.Fqdn(composeTSIG.Name), dns.HmacSHA256, 300, 0)
		},
	},
	"rewrite of a name": {
		beside: "rewrite name exact twin.plain.test multi.plain.test\nrewrite name exact twin.signed.test multi.signed.test",
		asks: func(q *dns.Msg) {
			q.Question[0].Name = twin(q.Question[0].Name)
		},
		changes: func(_ *composed, _, m *dns.Msg) {
			if m.Question[0].Name == twin(m.Question[0].Name) {
				return // where the question is not rewritten the answer is not either
			}
			m.Question[0].Name = twin(m.Question[0].Name)
			for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
				rr.Header().Name = twin(rr.Header().Name)
				if mx, ok := rr.(*dns.MX); ok {
					mx.Mx = twin(mx.Mx)
				}
			}
		},
	},
	"rewrite of TTLs": {
		beside: "rewrite ttl regex .* 30",
		changes: func(_ *composed, _, m *dns.Msg) {
			for _, rr := range slices.Concat(m.Answer, m.Ns, onlyData(m.Extra)) {
				rr.Header().Ttl = 30
			}
		},
	},
	"template": {
		beside: "template IN A {\nmatch ^nope\\.plain\\.test\\.$\nanswer \"{{ .Name }} 60 IN A 192.0.2.250\"\nfallthrough\n}",
		changes: func(_ *composed, q, m *dns.Msg) {
			if q.Question[0].Name == "nope.plain.test." && q.Question[0].Qtype == dns.TypeA {
				m.Rcode, m.Ns = dns.RcodeSuccess, nil
				m.Answer = []dns.RR{record("nope.plain.test. 60 IN A 192.0.2.250")}
			}
		},
	},
	"forward": {beside: "forward . NEXT"},
	"forward with fallthrough": {
		beside: "forward . NEXT", options: "fallthrough", changes: forwarded,
	},
	"forward with fallthrough of one zone": {
		beside: "forward . NEXT", options: "fallthrough plain.test",
		changes: func(l *composed, q, m *dns.Msg) {
			if dns.IsSubDomain(plainOrigin, q.Question[0].Name) {
				forwarded(l, q, m)
			}
		},
	},
}

// twin is the name that a client asks for where rewrite makes it multi.
func twin(name string) string {
	rest, ok := strings.CutPrefix(strings.ToLower(name), "multi.")
	if !ok {
		return name
	}
	return "twin." + rest
}

func onlyData(rrs []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(rrs), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
}

func onlyOPT(rrs []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(rrs), func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
}

// synthesizedAAAA is what dns64 makes of an answer without AAAA records (RFC 6147 §5.1).
func synthesizedAAAA(l *composed, q, m *dns.Msg) {
	hasAAAA := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeAAAA }
	if q.Question[0].Qtype != dns.TypeAAAA || m.Rcode == dns.RcodeNameError || slices.ContainsFunc(m.Answer, hasAAAA) {
		return
	}
	most := uint32(600)
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			most = rr.Header().Ttl
		}
	}
	*m = *l.without(q.Question[0].Name, dns.TypeA, q.IsEdns0().Do())
	m.Question[0].Qtype = dns.TypeAAAA
	m.Authoritative = false // it is made by dns64
	for i, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			b := a.A.To4()
			m.Answer[i] = &dns.AAAA{
				Hdr:  dns.RR_Header{Name: a.Hdr.Name, Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: min(a.Hdr.Ttl, most)},
				AAAA: append(net.ParseIP("64:ff9b::")[:12:12], b...),
			}
		}
	}
}

// searched is what autopath makes of a name below the first of the search path: below, wild.plain.test and plain.test.
func searched(l *composed, q, m *dns.Msg) {
	base, ok := strings.CutSuffix(q.Question[0].Name, ".below.plain.test.")
	if !ok || m.Rcode != dns.RcodeNameError {
		return
	}
	found := l.without(base+".plain.test.", q.Question[0].Qtype, q.IsEdns0().Do())
	if found.Rcode == dns.RcodeNameError {
		return
	}
	found.Id = m.Id
	*m = *found
	m.Question[0].Name = q.Question[0].Name
	if len(m.Answer) > 0 {
		h := m.Answer[0].Header()
		m.Answer = append([]dns.RR{record("%s %d IN CNAME %s", q.Question[0].Name, h.Ttl, h.Name)}, m.Answer...)
	}
}

// forwarded is what another server says of names that the zone has not.
func forwarded(_ *composed, q, m *dns.Msg) {
	if m.Rcode == dns.RcodeNameError && len(m.Answer) == 0 {
		*m = *elsewhere(q)
		m.Extra = append(m.Extra, q.IsEdns0())
	}
}

// elsewhere is the answer of the server that forward forwards to.
func elsewhere(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.Answer = []dns.RR{record(`%s 77 IN TXT "elsewhere"`, q.Question[0].Name)}
	return m
}

// composed is a CoreDNS with a server block for each composition, and one without. It belongs to the goroutine of its test.
type composed struct {
	t     *testing.T
	plain string // address of the block without
	addrs map[string]string
	sec   *secondary
}

// without asks the block without the plugin.
func (l *composed) without(name string, qtype uint16, do bool) *dns.Msg {
	l.t.Helper()
	return over(l.t, "tcp", l.plain, composeQuery(name, qtype, do))
}

func startComposed(t *testing.T) *composed {
	t.Helper()
	prim := startComposePrimary(t)
	next := serveDNS(t, "127.0.0.1", nil, func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(elsewhere(q)) })
	sec := newSecondary(t)
	writeFile(t, filepath.Join(sec.Dir, "search"), "search below.plain.test plain.test\n")
	// What autopath tries last are names in no zone but the root's.
	writeFile(t, filepath.Join(sec.Dir, "root.zone"), plainZone(".", 1, 3, longTimers))
	key := filepath.Join(sec.Dir, composeKey(t, sec.Dir, plainOrigin))
	l := &composed{t: t, plain: sec.addr(), addrs: map[string]string{}, sec: sec}
	words := strings.NewReplacer("NEXT", next, "KEY", key)
	var rest strings.Builder
	for _, name := range sortedKeys(compositions) {
		c := compositions[name]
		b := serverBlock{
			Port: freePort(t), Beside: words.Replace(c.beside), Zones: composeOrigins, Primary: prim.addr(), Options: c.options,
		}
		l.addrs[name] = loopback(b.Port)
		rest.WriteString(b.String())
	}
	sec.start(t, secondarySpec{Zones: composeOrigins, Block: "primary " + prim.addr(), Rest: rest.String()})
	servesAll(t, l.plain, composeOrigins...)
	return l
}

// extraProbes are about what some plugins do.
var extraProbes = []probe{
	{"ns1.below", dns.TypeA}, {"web.below", dns.TypeA}, {"nope.below", dns.TypeA}, {"multi.below", dns.TypeMX},
	{"ns1.below", dns.TypeMX},
}

func TestAnswersBesideOtherPluginsAreThoseWithout(t *testing.T) {
	t.Parallel()
	l := startComposed(t)
	for _, name := range sortedKeys(compositions) {
		c, addr := compositions[name], l.addrs[name]
		t.Run(name, func(t *testing.T) {
			l.t = t
			eventually(t, syncLimit, "Both zones at "+addr, func() string { return l.unserved(c, addr) })
			failures := 0
			for _, origin := range composeOrigins {
				if c.only != "" && c.only != origin {
					continue
				}
				for _, p := range append(slices.Clone(composeProbes), extraProbes...) {
					for _, do := range []bool{false, true} {
						network := "udp"
						if do {
							network = "tcp"
						}
						if failures < 5 && !l.same(c, network, addr, composeQuery(p.at(origin), p.qtype, do)) {
							failures++
						}
					}
				}
			}
		})
	}
	t.Run("dnssec signs", func(t *testing.T) {
		l.t = t
		l.signedOnTheFly(l.addrs["dnssec of the unsigned zone"])
	})
	for _, x := range scrape(t, l.sec.Metrics) {
		if strings.HasPrefix(x.name, "coredns_cache_") && strings.HasSuffix(x.name, "_total") && x.value != 0 {
			t.Errorf("The cache has seen queries (%s %v), which zones in memory gain nothing from", x.name, x.value)
		}
	}
	l.sec.logs(t, `(?m)"A IN nope\.plain\.test\. udp .*" NXDOMAIN qr,aa \d+`)
}

// signedOnTheFly checks that dnssec adds nothing but valid signatures, and proofs, to answers of the unsigned zone.
func (l *composed) signedOnTheFly(addr string) {
	l.t.Helper()
	keys := over(l.t, "tcp", addr, composeQuery(plainOrigin, dns.TypeDNSKEY, true)).Answer
	if len(keys) != 2 {
		l.t.Fatalf("DNSKEY: %v", keys)
	}
	for _, p := range composeProbes {
		q := composeQuery(p.at(plainOrigin), p.qtype, true)
		if p.qtype == dns.TypeDNSKEY || p.qtype == dns.TypeNSEC || p.qtype == dns.TypeANY {
			continue // made or moved by dnssec
		}
		want, got := over(l.t, "tcp", l.plain, q), over(l.t, "tcp", addr, q)
		if want.Rcode == dns.RcodeNameError && len(want.Answer) == 0 {
			want.Rcode = dns.RcodeSuccess // denied by a record of the name itself
		}
		want.Id = got.Id
		for _, section := range []*[]dns.RR{&got.Answer, &got.Ns, &got.Extra} {
			*section = l.verified(q, *section, keys[0].(*dns.DNSKEY))
		}
		if diff := cmp.Diff(show(want), show(got)); diff != "" {
			l.t.Errorf("%s (-want +got):\n%s", q.Question[0].String(), diff)
		}
	}
}

// verified returns the records of a section without signatures, which must be valid, and proofs.
func (l *composed) verified(q *dns.Msg, section []dns.RR, key *dns.DNSKEY) (rest []dns.RR) {
	l.t.Helper()
	for _, rr := range section {
		sig, ok := rr.(*dns.RRSIG)
		if !ok {
			if rr.Header().Rrtype != dns.TypeNSEC {
				rest = append(rest, rr)
			}
			continue
		}
		set := slices.DeleteFunc(slices.Clone(section), func(rr dns.RR) bool {
			return rr.Header().Rrtype != sig.TypeCovered || rr.Header().Name != sig.Hdr.Name
		})
		if err := sig.Verify(key, set); err != nil {
			l.t.Errorf("%s: signature over %s %s: %v", q.Question[0].String(), sig.Hdr.Name, dns.TypeToString[sig.TypeCovered], err)
		}
	}
	return rest
}

// unserved complains unless the block serves both zones to a client that asks as the composition has it.
func (l *composed) unserved(c composition, addr string) string {
	for _, origin := range composeOrigins {
		q := composeQuery(origin, dns.TypeSOA, false)
		if c.asks != nil {
			c.asks(q)
		}
		in, err := l.exchange("udp", addr, q)
		if err != nil {
			return err.Error()
		}
		if in.Rcode != dns.RcodeSuccess || len(in.Answer) == 0 {
			return origin + ": " + dns.RcodeToString[in.Rcode]
		}
	}
	return ""
}

func (l *composed) exchange(network, addr string, q *dns.Msg) (*dns.Msg, error) {
	c := &dns.Client{
		Net: network, Timeout: queryTimeout, UDPSize: dns.MaxMsgSize,
		TsigSecret: map[string]string{dns.Fqdn(composeTSIG.Name): composeTSIG.Secret},
	}
	in, _, err := c.Exchange(q, addr)
	return in, err
}

// same asks both blocks, and reports whether the answers differ in nothing but what they are to.
func (l *composed) same(c composition, network, addr string, q *dns.Msg) bool {
	l.t.Helper()
	want := over(l.t, network, l.plain, q.Copy())
	asked := q.Copy()
	if c.asks != nil {
		c.asks(asked)
	}
	got, err := l.exchange(network, addr, asked)
	if err != nil {
		l.t.Errorf("%s over %s: %v", asked.Question[0].String(), network, err)
		return false
	}
	if c.changes != nil {
		c.changes(l, q, want)
	}
	a, b := show(want), show(got)
	if c.reordered {
		a, b = a.sorted(), b.sorted()
	}
	if diff := cmp.Diff(a, b); diff != "" {
		l.t.Errorf("%s over %s (-want +got):\n%s", asked.Question[0].String(), network, diff)
		return false
	}
	return true
}
