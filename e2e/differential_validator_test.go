//go:build e2e

package e2e_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

const (
	validatedNames = 60 // of each signed zone
	minValidated   = 24 // valid answers of each kind
)

// validatedTypes are asked at these names, beside a type that is there; DS is asked at all cuts.
var validatedTypes = []uint16{dns.TypeA, dns.TypeTXT}

// validator is a validating resolver that asks one server. It belongs to the goroutine of its test.
type validator struct {
	installed
	Upstream netip.AddrPort
	Anchors  []*dns.DNSKEY
}

// startValidator starts a validator with the keys of the zones as trust anchors.
func startValidator(t *testing.T, upstream string, zones []*corpusZone) *validator {
	t.Helper()
	v := &validator{installed: install(t, primarySpec{}), Upstream: netip.MustParseAddrPort(upstream)}
	for _, z := range zones {
		for _, rr := range z.rrs[0] {
			if key, ok := rr.(*dns.DNSKEY); ok {
				v.Anchors = append(v.Anchors, key)
			}
		}
	}
	v.configure(t, "named-validator.conf", v)
	v.proc = startServer(t, func() string {
		if _, err := exchange(v.addr(), question("start.test.", dns.TypeSOA)); err != nil {
			return err.Error()
		}
		return ""
	}, v.Dir, "named", "-g", "-n", "1", "-c", v.path("named-validator.conf"))
	return v
}

// validate lets a resolver validate answers of the server under test, and another the same answers of BIND. Where the
// second gets an answer, the first must get the same, and be as sure of it.
func (c *contest) validate(t *testing.T, version int) {
	t.Helper()
	var qs []inquiry
	types := map[*corpusZone]map[string][]uint16{}
	for _, z := range c.zones {
		types[z] = typesOf(z, version)
		qs = append(qs, validations(z, types[z], version)...)
	}
	var answers [2][][]byte
	for i, addr := range []string{c.addrs()[0], c.sec.addr()} {
		var err error
		v := startValidator(t, addr, c.zones)
		if answers[i], err = askAll(v.addr(), qs); err != nil {
			t.Fatalf("Validator: %v", err)
		}
		v.stop(t)
	}
	valid := map[string]int{}
	for i, q := range qs {
		want, got := newAnswerText(answers[0][i]), newAnswerText(answers[1][i])
		if want.crossesZones(q.zone) || got.crossesZones(q.zone) {
			continue // who is right depends on what else the resolver has asked
		}
		if got.msg.AuthenticatedData || got.msg.Rcode != dns.RcodeServerFailure && q.zone.variant == "optout" {
			valid[q.kind(types[q.zone], got.msg)]++ // answers about names in an opt-out span are insecure (RFC 5155 §9.2)
		}
		if want.msg.Rcode != dns.RcodeServerFailure &&
			(got.msg.Rcode != want.msg.Rcode || got.msg.AuthenticatedData != want.msg.AuthenticatedData) {
			t.Errorf("%v: validated to %s, secure %t, want %s, secure %t", q, got.text[aspectRcode],
				got.msg.AuthenticatedData, want.text[aspectRcode], want.msg.AuthenticatedData)
		}
	}
	t.Logf("Version %d: of %d answers are valid: %v", version+1, len(qs), valid)
	for _, v := range corpusVariants {
		for _, kind := range answerKinds {
			if n := valid[v.name+" "+kind]; v.signed && n < minValidated && len(c.zones) > len(corpusVariants) {
				t.Errorf("%d valid answers of %s %s, want %d", n, v.name, kind, minValidated)
			}
		}
	}
}

// validations are the questions to be validated: at owners and empty non-terminals, and at names between and below them.
// types are those of the zone's owners. Occluded data is left out: what a resolver says of it depends on what else it has
// been asked.
func validations(z *corpusZone, types map[string][]uint16, version int) []inquiry {
	if z.variant == corpusVariants[0].name || z.without != "" {
		return nil
	}
	by := manner{name: "validated", size: 4096, do: true, recursive: true}
	names := relatedNames(z, types)
	for name := range types {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return int(hashOf(z.origin, a, 0, version)) - int(hashOf(z.origin, b, 0, version))
	})
	var qs []inquiry
	for _, name := range names[:min(validatedNames, len(names))] {
		qtypes := validatedTypes
		if len(types[name]) > 0 {
			qtypes = append(types[name][:1:1], qtypes...)
		}
		for _, qtype := range qtypes {
			qs = append(qs, inquiry{z, name, qtype, by})
		}
	}
	for _, name := range names {
		if slices.Contains(types[name], dns.TypeNS) {
			qs = append(qs, inquiry{z, name, dns.TypeDS, by})
		}
	}
	return qs
}

// answerKinds are the kinds of answers that differ in their proof, see kind.
var answerKinds = []string{"positive", "wildcard", "NXDOMAIN", "NODATA", "empty non-terminal", "wildcard NODATA", "no DS"}

// kind is the variant of the zone, whose owners have these types, and what a validator has to prove.
func (q inquiry) kind(owners map[string][]uint16, m *dns.Msg) string {
	types, exists := owners[q.name]
	kind := "positive"
	switch {
	case m.Rcode == dns.RcodeNameError:
		kind = "NXDOMAIN"
	case len(m.Answer) > 0 && slices.ContainsFunc(m.Answer, synthesized):
		kind = "wildcard"
	case len(m.Answer) > 0:
	case !exists:
		kind = "wildcard NODATA"
	case len(types) == 0:
		kind = "empty non-terminal"
	case q.qtype == dns.TypeDS && slices.Contains(types, dns.TypeNS):
		kind = "no DS"
	default:
		kind = "NODATA"
	}
	return fmt.Sprintf("%s %s", q.zone.variant, kind)
}

// synthesized reports whether the record is the signature of an RRset made from a wildcard (RFC 4035 §5.3.4).
func synthesized(rr dns.RR) bool {
	s, ok := rr.(*dns.RRSIG)
	return ok && int(s.Labels) < dns.CountLabel(s.Hdr.Name) && s.Hdr.Name[0] != '*'
}
