package wire_test

import (
	"bytes"
	"maps"
	"net"
	"reflect"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
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

// refused returns why we do not accept data, which miekg/dns makes rr of and packs into the same octets, or "" if we
// have no reason to.
func refused(data []byte, rr dns.RR) string {
	reason := ""
	if len(data) == 0 {
		return "miekg/dns takes no RDATA in every type, for RFC 2136 updates"
	}
	names(rr, func(s string) string {
		if s == "" && gateway(rr) == dns.IPSECGatewayHost {
			reason = "miekg/dns takes RDATA that ends before a name"
		}
		return s
	})
	behind := false
	switch rr := rr.(type) {
	case *dns.A, *dns.AAAA, *dns.NID, *dns.L32, *dns.L64, *dns.EUI48, *dns.EUI64, *dns.SOA:
		return "miekg/dns takes RDATA that ends between numbers; BIND, Knot and NSD refuse it in these types"
	case *dns.NSEC3PARAM:
		behind = len(rr.Salt) != 2*int(rr.SaltLength)
	case *dns.NSEC3:
		behind = len(rr.Salt) != 2*int(rr.SaltLength) || rr.NextDomain == "" && rr.HashLength > 0
	case *dns.HIP:
		behind = len(rr.Hit) != 2*int(rr.HitLength) || rr.PublicKey == "" && rr.PublicKeyLength > 0
	}
	if behind {
		reason = "miekg/dns takes RDATA that ends behind a length"
	}
	return reason
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

// FuzzRDATA compares us with miekg/dns: what it packs into the same octets again, we must accept, but for the exceptions in
// refused; and where it does so with what we made of RDATA, it must make the same of it. The RDATA stands behind a name, so
// that it can have compression pointers.
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
	f.Add(uint8(slices.Index(known, dns.TypeHIP)), []byte("0\x00\x00\x00"))
	f.Add(uint8(slices.Index(known, dns.TypeMINFO)), []byte("\xc0\x0c\x01a\xc0\x10"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if len(data) > 4096 {
			t.Skip("longer than anything of interest")
		}
		rrtype := known[int(which)%len(known)]
		msg := append([]byte(message), data...)
		got, err := wire.AppendRDATA(nil, msg, len(message), len(msg), rrtype)
		if err == nil {
			checkAccepted(t, rrtype, msg, len(message), got)
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

// checkAccepted fails the test unless what we read at off of msg is what we read from it again, and what miekg/dns reads if that
// can hold it.
func checkAccepted(t *testing.T, rrtype uint16, msg []byte, off int, got []byte) {
	t.Helper()
	if again, err := rdata(rrtype, got); err != nil || !bytes.Equal(again, got) {
		t.Fatalf("%s %x reads as %x, %v the second time", wire.TypeName(rrtype), got, again, err)
	}
	if theirs, ok := repacked(rrtype, msg, off); ok && !bytes.Equal(theirs, got) {
		if same, ok := repacked(rrtype, got, 0); ok && bytes.Equal(same, got) {
			t.Fatalf("%s %x reads as %x; miekg/dns reads %x", wire.TypeName(rrtype), msg[off:], got, theirs)
		}
	}
	if wire.CompareRDATA(rrtype, got, got) != 0 {
		t.Fatalf("%s %x is not equal to itself", wire.TypeName(rrtype), got)
	}
	if target := wire.Target(rrtype, got); target != nil && (target[len(target)-1] != 0 || len(target) > wire.MaxName) {
		t.Fatalf("%s %x has the target %x", wire.TypeName(rrtype), got, []byte(target))
	}
}

// repacked returns the RDATA at off of msg as miekg/dns packs what it has read; ok is false if it cannot read or pack it.
func repacked(rrtype uint16, msg []byte, off int) (data []byte, ok bool) {
	rr, err := unpack(rrtype, msg, off)
	if err != nil {
		return nil, false
	}
	data, err = pack(rr)
	return data, err == nil
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
	if _, err := rdata(rrtype, plain); err != nil && refused(plain, rr) == "" {
		t.Fatalf("%s %x: %v, but miekg/dns takes it", wire.TypeName(rrtype), plain, err)
	}
}
