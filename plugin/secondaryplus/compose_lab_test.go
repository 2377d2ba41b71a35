package secondaryplus

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// perMessage is how many records serveZones puts into a message: few, for some tests have large ones.
const perMessage = 20

// serveZones is the script of a primary of several zones, each with its SOA first.
func serveZones(zones ...[]string) scripted.Handler {
	byName := map[string][]dns.RR{}
	for _, z := range zones {
		rrs := scripted.Records(z...)
		byName[dns.CanonicalName(rrs[0].Header().Name)] = rrs
	}
	return serveRecords(byName)
}

// serveRecords is serveZones for records at hand, by zone: some have no presentation form.
func serveRecords(zones map[string][]dns.RR) scripted.Handler {
	return func(r scripted.Request, w *scripted.Writer) {
		rrs, ok := zones[dns.CanonicalName(r.Name)]
		switch {
		case !ok:
			w.Send(r.Rcode(dns.RcodeNotAuth))
			return
		case r.Type == dns.TypeSOA:
			rrs = rrs[:1]
		default:
			rrs = append(slices.Clone(rrs), rrs[0])
		}
		for some := range slices.Chunk(rrs, perMessage) {
			m := r.Reply()
			m.Answer = some
			w.Send(m)
		}
	}
}

// newZones returns the handler of a server block with these zones; empty ones, which the primary has not, are named only.
func newZones(t testing.TB, options string, empty []string, zones ...[]string) *SecondaryPlus {
	t.Helper()
	p := scripted.NewPrimary(t, serveZones(zones...))
	var names []string
	for _, z := range zones {
		names = append(names, dns.CanonicalName(scripted.Records(z[0])[0].Header().Name))
	}
	words := strings.Join(append(slices.Clone(names), empty...), " ")
	in := newInstance(t, fmt.Sprintf("secondaryplus %s {\nprimary %s\n%s\n}", words, p.Addr(), options))
	h := in.handlers[0]
	h.Next = test.NextHandler(passedOn, nil)
	for _, name := range names {
		wait(t, "contents of "+name, func() bool { return h.zone(name).Contents() != nil })
	}
	return h
}
