package wire

import (
	"strconv"

	"github.com/miekg/dns"
)

// The types and the class this project treats specially, as on the wire.
const (
	TypeA          = dns.TypeA
	TypeNS         = dns.TypeNS
	TypeCNAME      = dns.TypeCNAME
	TypeSOA        = dns.TypeSOA
	TypeMX         = dns.TypeMX
	TypeTXT        = dns.TypeTXT
	TypeAAAA       = dns.TypeAAAA
	TypeSRV        = dns.TypeSRV
	TypeOPT        = dns.TypeOPT
	TypeDNAME      = dns.TypeDNAME
	TypeDS         = dns.TypeDS
	TypeRRSIG      = dns.TypeRRSIG
	TypeNSEC       = dns.TypeNSEC
	TypeDNSKEY     = dns.TypeDNSKEY
	TypeNSEC3      = dns.TypeNSEC3
	TypeNSEC3PARAM = dns.TypeNSEC3PARAM
	TypeSVCB       = dns.TypeSVCB
	TypeHTTPS      = dns.TypeHTTPS
	TypeTSIG       = dns.TypeTSIG
	TypeIXFR       = dns.TypeIXFR
	TypeAXFR       = dns.TypeAXFR
	TypeANY        = dns.TypeANY

	ClassIN  = dns.ClassINET
	ClassANY = dns.ClassANY
)

// TypeName returns the mnemonic of a type, or TYPEnnn (RFC 3597 §5).
func TypeName(t uint16) string {
	if s, ok := dns.TypeToString[t]; ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}
