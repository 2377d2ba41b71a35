package wire_test

import (
	"bytes"
	"cmp"
	"maps"
	"net"
	"reflect"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// names replaces every name in the RDATA of rr by what f makes of it.
func names(rr dns.RR, f func(string) string) {
	eachField(reflect.ValueOf(rr).Elem(), func(v reflect.Value, tag string) {
		switch tag {
		case "domain-name", "cdomain-name", "ipsechost", "amtrelayhost":
		default:
			return
		}
		if v.Kind() == reflect.String {
			v.SetString(f(v.String()))
			return
		}
		for i := range v.Len() {
			v.Index(i).SetString(f(v.Index(i).String()))
		}
	})
}

// eachField calls f with every RDATA field of the structure v and its dns tag.
func eachField(v reflect.Value, f func(v reflect.Value, tag string)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch {
		case field.Anonymous:
			eachField(v.Field(i), f)
		case field.Name != "Hdr":
			f(v.Field(i), field.Tag.Get("dns"))
		}
	}
}

// changed returns why miekg/dns packs data, which we accept, into other octets, or "" if it has no reason to.
func changed(rrtype uint16, data []byte) string {
	switch {
	case rrtype == dns.TypeCAA && bytes.ContainsRune(data[2+data[1]:], '\\'),
		rrtype == dns.TypeURI && bytes.ContainsRune(data[4:], '\\'):
		return "miekg/dns keeps the value unescaped but unescapes it again when it packs"
	case rrtype == dns.TypeAPL && hostBits(data):
		return "miekg/dns clears the address bits behind the prefix, which RFC 3123 does not forbid"
	case rrtype == dns.TypeISDN && len(data) == 1+int(data[0]):
		return "miekg/dns packs an absent ISDN subaddress as an empty one"
	case rrtype == dns.TypeOPT:
		return "OPT is never stored, and the values of its options are not our business"
	}
	return ""
}

// hostBits reports whether an APL item of data has address bits behind its prefix.
func hostBits(data []byte) bool {
	for len(data) > 0 {
		prefix, n := int(data[2]), int(data[3]&0x7F)
		address := make([]byte, 16)
		copy(address, data[4:4+n])
		if !bytes.Equal(net.IP(address).Mask(net.CIDRMask(prefix, 128)), address) {
			return true
		}
		data = data[4+n:]
	}
	return false
}

// required names the fields that are empty only in RDATA that is cut off or has no sense, by type.
var required = map[uint16][]string{
	dns.TypeDS: {"Digest"}, dns.TypeDLV: {"Digest"}, dns.TypeTA: {"Digest"}, dns.TypeCDS: {"Digest"},
	dns.TypeDNSKEY: {"PublicKey"}, dns.TypeCDNSKEY: {"PublicKey"}, dns.TypeRKEY: {"PublicKey"},
	dns.TypeRRSIG: {"Signature"}, dns.TypeSIG: {"Signature"}, dns.TypeCERT: {"Certificate"}, dns.TypeSSHFP: {"FingerPrint"},
	dns.TypeTLSA: {"Certificate"}, dns.TypeSMIMEA: {"Certificate"}, dns.TypeHIP: {"Hit", "PublicKey"},
	dns.TypeNSEC3: {"NextDomain"}, dns.TypeCAA: {"Tag"},
}

// refused returns why we do not accept data, which miekg/dns makes rr of and packs into the same octets, or "" if we
// have no reason to.
func refused(rrtype uint16, data []byte, rr dns.RR) string {
	reason := ""
	if len(data) == 0 {
		return "miekg/dns takes no RDATA in every type, for RFC 2136 updates"
	}
	names(rr, func(s string) string {
		if s == "" && gateway(rr) != dns.IPSECGatewayNone {
			reason = "miekg/dns takes RDATA that ends before a name"
		}
		return s
	})
	eachField(reflect.ValueOf(rr).Elem(), func(v reflect.Value, tag string) {
		if tag == "a" && v.Len() == 0 {
			reason = "miekg/dns takes RDATA that ends before an address"
		}
	})
	for _, field := range required[rrtype] {
		if reflect.ValueOf(rr).Elem().FieldByName(field).Len() == 0 {
			reason = field + " is empty"
		}
	}
	switch rr := rr.(type) {
	case *dns.ZONEMD:
		if len(rr.Digest) < 2*12 {
			reason = "RFC 8976 §2.2.4: the digest has at least 12 octets"
		}
	case *dns.TKEY:
		reason = cmp.Or(reason, counted(rr.OtherLen, rr.OtherData))
	case *dns.TSIG:
		reason = cmp.Or(reason, counted(rr.OtherLen, rr.OtherData))
	case *dns.NSEC3PARAM:
		reason = cmp.Or(reason, counted(uint16(rr.SaltLength), rr.Salt))
	case *dns.SVCB:
		reason = cmp.Or(reason, oddParams(rr.Value))
	case *dns.HTTPS:
		reason = cmp.Or(reason, oddParams(rr.Value))
	}
	return reason
}

// counted returns what is wrong if the octets of hex are not as many as their count says.
func counted(count uint16, hex string) string {
	if len(hex) != 2*int(count) {
		return "miekg/dns takes RDATA that ends behind a length"
	}
	return ""
}

// gateway returns the gateway type of rr if its type has one, and else that of a name.
func gateway(rr dns.RR) uint8 {
	kind := dns.IPSECGatewayHost
	address := net.IP{}
	switch rr := rr.(type) {
	case *dns.IPSECKEY:
		kind, address = rr.GatewayType, rr.GatewayAddr
	case *dns.AMTRELAY:
		kind, address = rr.GatewayType, rr.GatewayAddr
	}
	if kind > dns.IPSECGatewayHost || len(address) > 0 {
		return dns.IPSECGatewayNone
	}
	return kind
}

// oddParams returns what RFC 9460 forbids in values that miekg/dns accepts.
func oddParams(params []dns.SVCBKeyValue) string {
	for _, p := range params {
		switch p := p.(type) {
		case *dns.SVCBMandatory:
			if len(p.Code) == 0 || p.Code[0] == 0 || len(slices.Compact(slices.Clone(p.Code))) < len(p.Code) {
				return "RFC 9460 §8: one or more other keys, none twice"
			}
		case *dns.SVCBAlpn:
			if len(p.Alpn) == 0 {
				return "RFC 9460 §7.1.1: one or more identifiers"
			}
		}
	}
	return ""
}

// FuzzRDATA compares us with miekg/dns: what we accept, it must make a record of and pack into the same octets; what it
// packs into the same octets again, we must accept. The exceptions are in changed and refused. The RDATA stands behind
// a name, so that it can have compression pointers.
func FuzzRDATA(f *testing.F) {
	known := slices.Sorted(maps.Keys(dns.TypeToRR))
	for _, v := range verdicts {
		f.Add(uint8(slices.Index(known, v.rrtype)), octets(f, v.hex))
	}
	for rrtype, list := range examples(f) {
		for _, rr := range list {
			data, err := pack(rr)
			if at := slices.Index(known, rrtype); err == nil && at >= 0 {
				f.Add(uint8(at), data)
			}
		}
	}
	f.Add(uint8(slices.Index(known, dns.TypeMINFO)), []byte("\xc0\x0c\x01a\xc0\x10"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if len(data) > 4096 {
			t.Skip("longer than anything of interest")
		}
		rrtype := known[int(which)%len(known)]
		msg := append([]byte(message), data...)
		got, err := wire.AppendRDATA(nil, msg, len(message), len(msg), rrtype)
		if err == nil {
			checkAccepted(t, rrtype, msg, got)
		}
		rr, err := unpack(rrtype, msg, len(message))
		if err != nil {
			return
		}
		if plain, err := pack(rr); err == nil {
			checkPacked(t, rrtype, plain)
		}
	})
}

// checkAccepted fails the test unless miekg/dns agrees with what we read from msg.
func checkAccepted(t *testing.T, rrtype uint16, msg, got []byte) {
	t.Helper()
	why := changed(rrtype, got)
	for _, in := range []struct {
		msg []byte
		off int
	}{{got, 0}, {msg, len(message)}} {
		rr, err := unpack(rrtype, in.msg, in.off)
		if err != nil && rrtype != dns.TypeOPT {
			t.Fatalf("%s %x: miekg/dns: %v", wire.TypeName(rrtype), in.msg[in.off:], err)
		}
		if err != nil || why != "" {
			continue
		}
		if again, err := pack(rr); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%s %x: miekg/dns packs %x, %v", wire.TypeName(rrtype), got, again, err)
		}
	}
	if again, err := rdata(rrtype, got); err != nil || !bytes.Equal(again, got) {
		t.Fatalf("%s %x reads as %x, %v the second time", wire.TypeName(rrtype), got, again, err)
	}
	if wire.CompareRDATA(rrtype, got, got) != 0 {
		t.Fatalf("%s %x is not equal to itself", wire.TypeName(rrtype), got)
	}
	if target := wire.Target(rrtype, got); target != nil && (target[len(target)-1] != 0 || len(target) > wire.MaxName) {
		t.Fatalf("%s %x has the target %x", wire.TypeName(rrtype), got, []byte(target))
	}
}

// checkPacked fails the test unless we accept plain, which miekg/dns packed, if it would pack it again into the same
// octets.
func checkPacked(t *testing.T, rrtype uint16, plain []byte) {
	t.Helper()
	rr, err := unpack(rrtype, plain, 0)
	if err != nil {
		return
	}
	again, err := pack(rr)
	if err != nil || !bytes.Equal(again, plain) {
		return
	}
	if _, err := rdata(rrtype, plain); err != nil && refused(rrtype, plain, rr) == "" {
		t.Fatalf("%s %x: %v, but miekg/dns takes it", wire.TypeName(rrtype), plain, err)
	}
}
