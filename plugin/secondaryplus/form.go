package secondaryplus

import (
	"context"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// malformed reports whether a request breaks the rules for OPT and TSIG records, as far as CoreDNS's server lets it come to a
// plugin: it does not say what the section counts were.
func malformed(r *dns.Msg) bool {
	for _, section := range [][]dns.RR{r.Answer, r.Ns} {
		for _, rr := range section {
			switch rr.Header().Rrtype {
			case dns.TypeOPT, dns.TypeTSIG: // RFC 6891 §6.1.1, RFC 8945 §5.1: in the additional section
				return true
			}
		}
	}
	opts := 0
	for i, rr := range r.Extra {
		switch rr := rr.(type) {
		case *dns.OPT:
			if opts++; opts > 1 || rr.Hdr.Name != "." || !optionsInOrder(rr) { // RFC 6891 §6.1.1, §6.1.2
				return true
			}
		case *dns.TSIG:
			if i != len(r.Extra)-1 || !tsigInOrder(rr) { // RFC 8945 §5.2: one, and the last record
				return true
			}
		}
	}
	return false
}

// optionsInOrder reports whether no option has a value that a query may not give it.
func optionsInOrder(o *dns.OPT) bool {
	for _, option := range o.Option {
		if option.Option() == dns.EDNS0ZONEVERSION { // RFC 9660 §3.1: empty, which miekg/dns does not let pass
			return false
		}
	}
	return true
}

// tsigInOrder reports whether a TSIG record has the class and all the fields of one (RFC 8945 §4.2). miekg/dns takes RDATA
// that ends behind any of them.
func tsigInOrder(t *dns.TSIG) bool {
	const fixed = 6 + 2 + 2 + 2 + 2 + 2 // Time Signed, Fudge, MAC Size, Original ID, Error, Other Len
	algorithm, err := wire.ParseName(t.Algorithm)
	if err != nil || t.Hdr.Class != dns.ClassANY || t.Algorithm == "" {
		return false
	}
	length := int(t.Hdr.Rdlength) - fixed - int(t.MACSize) - int(t.OtherLen) // of the algorithm's name in the message
	if length == len(algorithm) {
		return true
	}
	for off := 0; off < len(algorithm)-1; off += 1 + int(algorithm[off]) {
		if length == off+pointerLen {
			return true
		}
	}
	return false
}

// pointerLen is the length of a pointer to a name (RFC 1035 §4.1.4).
const pointerLen = 2

// rejectForm answers a malformed request: without an OPT record, which would be the answer to one of several, or to none.
func (s *SecondaryPlus) rejectForm(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) error {
	if s.tooMany(ctx, w) {
		return nil
	}
	m := new(dns.Msg).SetRcode(r, dns.RcodeFormatError)
	extra := r.Extra
	r.Extra = nil // CoreDNS's server would answer an OPT record with one
	defer func() { r.Extra = extra }()
	return w.WriteMsg(m)
}
