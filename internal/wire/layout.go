package wire

import "github.com/miekg/dns"

// kind says what a field of RDATA is made of.
type kind uint8

const (
	kindFixed    kind = iota // arg octets of numbers or addresses
	kindWhole                // arg octets, which are all there are
	kindSome                 // at least one octet, whatever it is: the fields behind look at it again
	kindLower                // a name that canonical form lower-cases
	kindExact                // a name whose case is kept in canonical form
	kindNames                // names to the end, case kept
	kindCount8               // one octet with the length of what follows, say a character-string or a salt
	kindTexts                // character-strings to the end
	kindGateway              // arg octets, the second of which says whether the gateway that follows is a name
	kindTypes                // windows of a type bitmap to the end
	kindParams               // SvcParams to the end
	kindPrefixes             // APL items to the end
	kindHost                 // a host identity: HIT and public key with their lengths
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

// The octets before the gateways of IPSECKEY (RFC 4025 §2.1) and AMTRELAY (RFC 8777 §4.2).
const (
	ipseckeyHead = 3
	amtrelayHead = 2
)

func fixed(n uint8) field { return field{kindFixed, n} }

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

// whole returns the layout of RDATA of n octets.
func whole(n uint8) layout { return fields(field{kindWhole, n}) }

var (
	some   = field{kind: kindSome}
	lower  = field{kind: kindLower}
	exact  = field{kind: kindExact}
	text   = field{kind: kindCount8} // a character-string (RFC 1035 §3.3)
	texts  = field{kind: kindTexts}
	types  = field{kind: kindTypes}
	count8 = field{kind: kindCount8}
)

// layouts has the layouts of types by number. They tell where names are, for these are decompressed and some of them compared
// without regard to case, and what makes RDATA malformed: a name or a length that runs out of it, and what BIND, Knot and NSD
// all refuse. Everything else is octets (RFC 3597 §3): numbers that mean nothing, fields that are missing at the end, unless
// they are names, and octets behind the last, unless it is one. Types without an entry are opaque.
//
// Names are lower in the types of RFC 4034 §6.2 as corrected by RFC 6840 §5.1 (RRSIG is among them, NSEC is not). Every
// name may have been compressed. RFC 3597 §4 has senders compress only in the types of RFC 1035 and receivers
// decompress some more; as miekg/dns we decompress wherever we know a name to be: nothing else can begin with those
// bits, and a pointer kept in RDATA would point into a message that is gone.
var layouts = [...]layout{
	dns.TypeA:          whole(4),
	dns.TypeNS:         fields(lower),
	dns.TypeMD:         fields(lower),
	dns.TypeMF:         fields(lower),
	dns.TypeCNAME:      fields(lower),
	dns.TypeSOA:        fields(lower, lower, field{kindWhole, soaFixed}),
	dns.TypeMB:         fields(lower),
	dns.TypeMG:         fields(lower),
	dns.TypeMR:         fields(lower),
	dns.TypePTR:        fields(lower),
	dns.TypeHINFO:      fields(some, text, text),
	dns.TypeMINFO:      fields(lower, lower),
	dns.TypeMX:         fields(fixed(2), lower),
	dns.TypeTXT:        fields(texts),
	dns.TypeRP:         fields(lower, lower),
	dns.TypeAFSDB:      fields(fixed(2), lower),
	dns.TypeX25:        fields(text),
	dns.TypeISDN:       fields(text, text),
	dns.TypeRT:         fields(fixed(2), lower),
	dns.TypeNSAPPTR:    fields(exact),
	dns.TypeSIG:        fields(fixed(18), lower, fixed(0)),
	dns.TypePX:         fields(fixed(2), lower, lower),
	dns.TypeGPOS:       fields(text, text, text),
	dns.TypeAAAA:       whole(16),
	dns.TypeNXT:        fields(lower, fixed(0)), // its bitmap has no windows (RFC 2535 §5.2)
	dns.TypeSRV:        fields(fixed(6), lower),
	dns.TypeNAPTR:      fields(fixed(4), text, text, text, lower),
	dns.TypeKX:         fields(fixed(2), lower),
	dns.TypeCERT:       fields(some),
	dns.TypeDNAME:      fields(lower),
	dns.TypeAPL:        fields(field{kind: kindPrefixes}),
	dns.TypeDS:         fields(some),
	dns.TypeSSHFP:      fields(some),
	dns.TypeIPSECKEY:   fields(some, field{kindGateway, ipseckeyHead}),
	dns.TypeRRSIG:      fields(fixed(18), lower, fixed(0)),
	dns.TypeNSEC:       fields(exact, types),
	dns.TypeDNSKEY:     fields(some),
	dns.TypeNSEC3:      fields(some, fixed(4), count8, count8, types),
	dns.TypeNSEC3PARAM: fields(some, fixed(4), count8),
	dns.TypeTLSA:       fields(some),
	dns.TypeSMIMEA:     fields(some),
	dns.TypeHIP:        fields(field{kind: kindHost}, field{kind: kindNames}),
	dns.TypeNINFO:      fields(texts),
	dns.TypeTALINK:     fields(exact, exact),
	dns.TypeCDS:        fields(some),
	dns.TypeCDNSKEY:    fields(some),
	dns.TypeCSYNC:      fields(some, fixed(6), types),
	dns.TypeZONEMD:     fields(some),
	dns.TypeSVCB:       fields(fixed(2), exact, field{kind: kindParams}),
	dns.TypeHTTPS:      fields(fixed(2), exact, field{kind: kindParams}),
	dns.TypeSPF:        fields(texts),
	dns.TypeNID:        whole(10),
	dns.TypeL32:        whole(6),
	dns.TypeL64:        whole(10),
	dns.TypeLP:         fields(fixed(2), exact),
	dns.TypeEUI48:      whole(6),
	dns.TypeEUI64:      whole(8),
	dns.TypeURI:        fields(some),
	dns.TypeCAA:        fields(some, fixed(1), text),
	dns.TypeAVC:        fields(texts),
	dns.TypeAMTRELAY:   fields(field{kindGateway, amtrelayHead}),
	dns.TypeRESINFO:    fields(texts),
}

// opaque is the layout of types without an entry.
var opaque layout

func layoutOf(rrtype uint16) *layout {
	if int(rrtype) < len(layouts) {
		return &layouts[rrtype]
	}
	return &opaque
}
