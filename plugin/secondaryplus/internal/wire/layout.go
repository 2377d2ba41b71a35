package wire

import "github.com/miekg/dns"

// kind says what a field of RDATA is made of.
type kind uint8

const (
	kindFixed    kind = iota // arg octets of numbers or addresses
	kindLower                // a name that canonical form lower-cases
	kindExact                // a name whose case is kept in canonical form
	kindNames                // names to the end, case kept
	kindMayText              // a character-string, or the end
	kindTexts                // one or more character-strings to the end
	kindRest                 // at least arg octets to the end
	kindValue                // at most maxValue octets to the end
	kindCount8               // one octet with the length, at least arg, of what follows, say a character-string or a salt
	kindCount16              // two octets with the length of what follows
	kindGateway              // arg octets, the second of which says which gateway follows them
	kindTypes                // a type bitmap to the end
	kindParams               // SvcParams to the end
	kindPrefixes             // APL items to the end
	kindHost                 // a host identity: HIT and public key with their lengths
	kindOptions              // EDNS options to the end
)

// field is one field of a type's RDATA. It is a plain value.
type field struct {
	kind kind
	arg  uint8
}

// layout is the RDATA of one type. It never changes after init and may be read by any goroutine.
type layout struct {
	fields []field // nil: any octets
	lower  int     // how many fields there are up to the last one of kindLower
}

func fixed(n uint8) field      { return field{kindFixed, n} }
func rest(least uint8) field   { return field{kindRest, least} }
func count8(least uint8) field { return field{kindCount8, least} }

// fields returns the layout of RDATA that is made of list.
func fields(list ...field) layout {
	l := layout{fields: list}
	for i, f := range list {
		if f.kind == kindLower {
			l.lower = i + 1
		}
	}
	return l
}

var (
	lower   = field{kind: kindLower}
	exact   = field{kind: kindExact}
	text    = count8(0) // a character-string (RFC 1035 §3.3)
	texts   = field{kind: kindTexts}
	types   = field{kind: kindTypes}
	count16 = field{kind: kindCount16}
	nothing = fixed(0)
)

// layouts has the layout of every type that miekg/dns knows, by type; TA and DLV, far behind the others, share that of
// DS. Types without an entry are opaque (RFC 3597 §3).
//
// Names are lower in the types of RFC 4034 §6.2 as corrected by RFC 6840 §5.1 (RRSIG is among them, NSEC is not). Every
// name may have been compressed. RFC 3597 §4 has senders compress only in the types of RFC 1035 and receivers
// decompress some more; as miekg/dns we decompress wherever we know a name to be: nothing else can begin with those
// bits, and a pointer kept in RDATA would point into a message that is gone.
//
// RDATA that is well formed but that miekg/dns cannot hold is refused, because it could not be answered: NXT with the
// flat bitmap of RFC 2535, AMTRELAY with the D bit or an undefined relay type, APL of other families than IPv4 and
// IPv6, SvcParamKey 65535, an IPv4-mapped ipv6hint, a CAA or URI value above maxValue.
var layouts = [...]layout{
	dns.TypeA:          fields(fixed(4)),
	dns.TypeNS:         fields(lower),
	dns.TypeMD:         fields(lower),
	dns.TypeMF:         fields(lower),
	dns.TypeCNAME:      fields(lower),
	dns.TypeSOA:        fields(lower, lower, fixed(soaFixed)),
	dns.TypeMB:         fields(lower),
	dns.TypeMG:         fields(lower),
	dns.TypeMR:         fields(lower),
	dns.TypeNULL:       fields(rest(0)),
	dns.TypePTR:        fields(lower),
	dns.TypeHINFO:      fields(text, text),
	dns.TypeMINFO:      fields(lower, lower),
	dns.TypeMX:         fields(fixed(2), lower),
	dns.TypeTXT:        fields(texts),
	dns.TypeRP:         fields(lower, lower),
	dns.TypeAFSDB:      fields(fixed(2), lower),
	dns.TypeX25:        fields(text),
	dns.TypeISDN:       fields(text, field{kind: kindMayText}), // RFC 1183 §3.2: the subaddress is optional
	dns.TypeRT:         fields(fixed(2), lower),
	dns.TypeNSAPPTR:    fields(exact),
	dns.TypeSIG:        fields(fixed(18), lower, rest(1)),
	dns.TypeKEY:        fields(fixed(4), rest(0)), // RFC 2535 §3.1.2: flags may say that there is no key
	dns.TypePX:         fields(fixed(2), lower, lower),
	dns.TypeGPOS:       fields(text, text, text),
	dns.TypeAAAA:       fields(fixed(16)),
	dns.TypeLOC:        fields(fixed(16)),
	dns.TypeNXT:        fields(lower, types),
	dns.TypeEID:        fields(rest(1)),
	dns.TypeNIMLOC:     fields(rest(1)),
	dns.TypeSRV:        fields(fixed(6), lower),
	dns.TypeNAPTR:      fields(fixed(4), text, text, text, lower),
	dns.TypeKX:         fields(fixed(2), lower),
	dns.TypeCERT:       fields(fixed(5), rest(1)),
	dns.TypeDNAME:      fields(lower),
	dns.TypeOPT:        fields(field{kind: kindOptions}),
	dns.TypeAPL:        fields(field{kind: kindPrefixes}),
	dns.TypeDS:         fields(fixed(4), rest(1)),
	dns.TypeSSHFP:      fields(fixed(2), rest(1)),
	dns.TypeIPSECKEY:   fields(field{kindGateway, 3}, rest(0)), // an undefined gateway type is part of the rest
	dns.TypeRRSIG:      fields(fixed(18), lower, rest(1)),
	dns.TypeNSEC:       fields(exact, types),
	dns.TypeDNSKEY:     fields(fixed(4), rest(1)),
	dns.TypeDHCID:      fields(rest(1)),
	dns.TypeNSEC3:      fields(fixed(4), count8(0), count8(1), types), // RFC 5155 §3.2: the hash is not empty
	dns.TypeNSEC3PARAM: fields(fixed(4), count8(0)),
	dns.TypeTLSA:       fields(fixed(3), rest(1)),
	dns.TypeSMIMEA:     fields(fixed(3), rest(1)),
	dns.TypeHIP:        fields(field{kind: kindHost}, field{kind: kindNames}),
	dns.TypeNINFO:      fields(texts),
	dns.TypeRKEY:       fields(fixed(4), rest(1)),
	dns.TypeTALINK:     fields(exact, exact),
	dns.TypeCDS:        fields(fixed(4), rest(1)),
	dns.TypeCDNSKEY:    fields(fixed(4), rest(1)),
	dns.TypeOPENPGPKEY: fields(rest(1)),
	dns.TypeCSYNC:      fields(fixed(6), types),
	dns.TypeZONEMD:     fields(fixed(6), rest(12)), // RFC 8976 §2.2.4: no digest is shorter
	dns.TypeSVCB:       fields(fixed(2), exact, field{kind: kindParams}),
	dns.TypeHTTPS:      fields(fixed(2), exact, field{kind: kindParams}),
	dns.TypeSPF:        fields(texts),
	dns.TypeUINFO:      fields(text),
	dns.TypeUID:        fields(fixed(4)),
	dns.TypeGID:        fields(fixed(4)),
	dns.TypeNID:        fields(fixed(10)),
	dns.TypeL32:        fields(fixed(6)),
	dns.TypeL64:        fields(fixed(10)),
	dns.TypeLP:         fields(fixed(2), exact),
	dns.TypeEUI48:      fields(fixed(6)),
	dns.TypeEUI64:      fields(fixed(8)),
	dns.TypeNXNAME:     fields(nothing),
	dns.TypeTKEY:       fields(exact, fixed(12), count16, count16),
	dns.TypeTSIG:       fields(exact, fixed(8), count16, fixed(4), count16),
	dns.TypeANY:        fields(nothing),
	dns.TypeURI:        fields(fixed(4), field{kind: kindValue}),
	dns.TypeCAA:        fields(fixed(1), count8(1), field{kind: kindValue}), // RFC 8659 §4.1: the tag is not empty
	dns.TypeAVC:        fields(texts),
	dns.TypeAMTRELAY:   fields(field{kindGateway, 2}),
	dns.TypeRESINFO:    fields(texts),
}

// opaque is the layout of types without an entry.
var opaque layout

func layoutOf(rrtype uint16) *layout {
	switch {
	case int(rrtype) < len(layouts):
		return &layouts[rrtype]
	case rrtype == dns.TypeTA || rrtype == dns.TypeDLV:
		return &layouts[dns.TypeDS]
	}
	return &opaque
}
