package wire_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// octets decodes hexadecimal digits with blanks between them.
func octets(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// rdata reads data as RDATA of rrtype that stands alone in its message.
func rdata(rrtype uint16, data []byte) ([]byte, error) {
	return wire.AppendRDATA(nil, data, 0, len(data), rrtype)
}

func TestEveryTypeRoundTrips(t *testing.T) {
	for _, list := range examples(t) {
		for _, rr := range list {
			want, err := pack(rr)
			if err != nil {
				t.Fatalf("%s: %v", rr, err)
			}
			rrtype := rr.Header().Rrtype
			got, err := wire.AppendRDATA([]byte("before"), want, 0, len(want), rrtype)
			if err != nil || string(got) != "before"+string(want) {
				t.Errorf("%s: %x, %v; want %x", rr, got, err, want)
				continue
			}
			back, err := unpack(rrtype, want, 0)
			if err != nil {
				t.Errorf("%s: miekg/dns: %v", rr, err)
				continue
			}
			if again, err := pack(back); err != nil || !bytes.Equal(again, want) {
				t.Errorf("%s: miekg/dns packs %x, %v; want %x", rr, again, err, want)
			}
		}
	}
}

// TestNoRDATAIsRefusedWhereAllServersRefuseIt has what BIND, Knot and NSD do, see TestRecordsAreServedAsReceived in e2e.
func TestNoRDATAIsRefusedWhereAllServersRefuseIt(t *testing.T) {
	refused := []uint16{
		dns.TypeHINFO, dns.TypeCERT, dns.TypeDS, dns.TypeSSHFP, dns.TypeIPSECKEY, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeDNSKEY,
		dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeTLSA, dns.TypeSMIMEA, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeCSYNC, dns.TypeZONEMD,
		dns.TypeSVCB, dns.TypeHTTPS, dns.TypeURI, dns.TypeCAA, dns.TypeLP, dns.TypeSIG, dns.TypeTALINK, dns.TypeNSAPPTR,
		dns.TypeA, dns.TypeAAAA, dns.TypeNID, dns.TypeL32, dns.TypeL64, dns.TypeEUI48, dns.TypeEUI64, dns.TypeNXT,
		dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeSOA, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR, dns.TypeMINFO,
		dns.TypeMX, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypePX, dns.TypeSRV, dns.TypeNAPTR, dns.TypeKX, dns.TypeDNAME,
	}
	for rrtype := range 1 << 16 {
		_, err := rdata(uint16(rrtype), nil)
		if must := slices.Contains(refused, uint16(rrtype)); must != (err != nil) {
			t.Errorf("%s without RDATA: %v", wire.TypeName(uint16(rrtype)), err)
		}
	}
}

func TestUnknownTypesAreOpaque(t *testing.T) {
	data := []byte{0xC0, 0x00, 0x3F, 1} // neither a pointer nor a label to us
	for _, rrtype := range []uint16{0, 11, 38, 262, 32767, 32770, 62347, 65535} {
		if got, err := rdata(rrtype, data); err != nil || !bytes.Equal(got, data) {
			t.Errorf("type %d: %x, %v", rrtype, got, err)
		}
	}
}

// message is a message with the name Www.Example. at octet 12.
const message = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03Www\x07Example\x00"

func TestNamesAreDecompressedInEveryType(t *testing.T) {
	const www, example, numbers = "\x03Www\x07Example\x00", "\x07Example\x00", "0123456789abcdefghij"
	for _, c := range []struct {
		rrtype         uint16
		in, want, from string // from is the section that names the type
	}{
		{dns.TypeNS, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeMD, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeMF, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeCNAME, "\x01a\xc0\x10", "\x01a" + example, "RFC 1035 §3.3"},
		{dns.TypeMB, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeMG, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeMR, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypePTR, "\xc0\x0c", www, "RFC 1035 §3.3"},
		{dns.TypeMINFO, "\xc0\x0c\xc0\x10", www + example, "RFC 1035 §3.3"},
		{dns.TypeMX, "\x00\x0a\xc0\x0c", "\x00\x0a" + www, "RFC 1035 §3.3"},
		{dns.TypeSOA, "\xc0\x0c\x01h\xc0\x10" + numbers, www + "\x01h" + example + numbers, "RFC 1035 §3.3"},
		{dns.TypeRP, "\xc0\x0c\xc0\x10", www + example, "RFC 3597 §4"},
		{dns.TypeAFSDB, "\x00\x01\xc0\x0c", "\x00\x01" + www, "RFC 3597 §4"},
		{dns.TypeRT, "\x00\x01\xc0\x0c", "\x00\x01" + www, "RFC 3597 §4"},
		{dns.TypeSIG, "0123456789abcdefgh\xc0\x0cS", "0123456789abcdefgh" + www + "S", "RFC 3597 §4"},
		{dns.TypePX, "\x00\x01\xc0\x0c\xc0\x10", "\x00\x01" + www + example, "RFC 3597 §4"},
		{dns.TypeNXT, "\xc0\x0c\x00\x01\x40", www + "\x00\x01\x40", "RFC 3597 §4"},
		{dns.TypeNAPTR, "1234\x00\x00\x00\xc0\x0c", "1234\x00\x00\x00" + www, "RFC 3597 §4"},
		{dns.TypeSRV, "123456\xc0\x0c", "123456" + www, "RFC 3597 §4"},
		// The rest must not be compressed, and is decompressed all the same.
		{dns.TypeKX, "12\xc0\x0c", "12" + www, "RFC 2230 §3"},
		{dns.TypeDNAME, "\xc0\x0c", www, "RFC 6672 §2.5"},
		{dns.TypeRRSIG, "0123456789abcdefgh\xc0\x0cS", "0123456789abcdefgh" + www + "S", "RFC 4034 §3.1.7"},
		{dns.TypeNSEC, "\xc0\x0c\x00\x01\x40", www + "\x00\x01\x40", "RFC 4034 §4.1.1"},
		{dns.TypeSVCB, "\x00\x01\xc0\x0c", "\x00\x01" + www, "RFC 9460 §2.2"},
		{dns.TypeHTTPS, "\x00\x01\xc0\x0c", "\x00\x01" + www, "RFC 9460 §2.2"},
		{dns.TypeLP, "12\xc0\x0c", "12" + www, "RFC 6742 §2.4"},
		{dns.TypeHIP, "\x01\x02\x00\x01HK\xc0\x0c\xc0\x10", "\x01\x02\x00\x01HK" + www + example, "RFC 8005 §5"},
		{dns.TypeIPSECKEY, "\x01\x03\x02\xc0\x0cK", "\x01\x03\x02" + www + "K", "RFC 4025 §2.5"},
		{dns.TypeAMTRELAY, "\x01\x03\xc0\x0c", "\x01\x03" + www, "RFC 8777 §4.2.4"},
		{dns.TypeTALINK, "\xc0\x0c\xc0\x10", www + example, "no RFC"},
		{dns.TypeNSAPPTR, "\xc0\x0c", www, "RFC 1348"},
	} {
		msg := []byte(message + c.in)
		got, err := wire.AppendRDATA(nil, msg, len(message), len(msg), c.rrtype)
		if err != nil || string(got) != c.want {
			t.Errorf("%s (%s): %q, %v; want %q", wire.TypeName(c.rrtype), c.from, got, err, c.want)
		}
	}
}

func TestMalformedNamesInRDATAAreRefused(t *testing.T) {
	label := "\x3f" + strings.Repeat("a", 63)
	for what, in := range map[string]string{
		"nothing":                          "",
		"label cut off":                    "\x03ab",
		"no root label":                    "\x01a",
		"pointer cut off":                  "\xc0",
		"pointer to itself":                "\xc0\x19",
		"pointer forward":                  "\xc0\x1b\x00",
		"pointer past the message":         "\xff\xff",
		"pointer to its own label":         "\x01a\xc0\x19",
		"label type 01":                    "\x41a\x00",
		"label type 10":                    "\x80a\x00",
		"256 octets":                       label + label + label + label + "\x00",
		"256 octets with a pointer":        label + label + label + "\x33" + strings.Repeat("a", 51) + "\xc0\x0c",
		"octets behind it":                 "\x00\x00",
		"octets behind it and its pointer": "\xc0\x0c\x00",
	} {
		msg := []byte(message + in)
		for _, rrtype := range []uint16{dns.TypeNS, dns.TypeRRSIG, dns.TypeHIP} {
			fixed := map[uint16]string{dns.TypeRRSIG: "0123456789abcdefgh", dns.TypeHIP: "\x01\x02\x00\x01HK"}[rrtype]
			moved := in == "" || strings.HasPrefix(what, "octets") || strings.HasPrefix(what, "pointer")
			if rrtype != dns.TypeNS && moved {
				continue // behind other fields, these are something else
			}
			whole := append(append(slices.Clone(msg[:len(message)]), fixed...), msg[len(message):]...)
			got, err := wire.AppendRDATA([]byte("before"), whole, len(message), len(whole), rrtype)
			if err == nil || string(got) != "before" {
				t.Errorf("%s in %s: %q, %v", what, wire.TypeName(rrtype), got, err)
			}
		}
	}
}

func TestPointerTargetEndsBeforeThePointer(t *testing.T) {
	// Two labels at octet 12 and a pointer there; the second label takes in the pointer and ends in the record behind.
	msg := []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01a\x02" + "\xc0\x0c" + "\x00")
	if got, err := wire.AppendRDATA(nil, msg, 15, 17, dns.TypeNS); err == nil {
		t.Errorf("name %q", got)
	}
}

func TestPointersToPointersAreBounded(t *testing.T) {
	chain := []byte("\x01a\x00")
	for at := 0; len(chain) < 1<<14; at = len(chain) - 2 {
		chain = append(chain, 0xC0|byte(at>>8), byte(at))
	}
	for pointers, ok := range map[int]bool{1: true, wire.MaxPointers: true, wire.MaxPointers + 1: false, 8000: false} {
		end := 3 + 2*pointers
		got, err := wire.AppendRDATA(nil, chain, end-2, end, dns.TypeNS)
		if (err == nil) != ok || ok && string(got) != "\x01a\x00" {
			t.Errorf("%d pointers: %q, %v", pointers, got, err)
		}
		if _, _, err := dns.UnpackDomainName(chain, end-2); (err == nil) != ok {
			t.Errorf("%d pointers: miekg/dns: %v", pointers, err)
		}
	}
}

func TestNameThatFitsThroughPointerIsTaken(t *testing.T) {
	label := "\x3f" + strings.Repeat("a", 63)
	in := label + label + label + "\x31" + strings.Repeat("a", 49) + "\xc0\x0c"
	msg := []byte(message + in)
	got, err := wire.AppendRDATA(nil, msg, len(message), len(msg), dns.TypeCNAME)
	if err != nil || len(got) != wire.MaxName {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

func TestRDATAThatOutgrowsItsLengthIsRefused(t *testing.T) {
	label := "\x3f" + strings.Repeat("a", 63)
	long := label + label + label + "\x3d" + strings.Repeat("a", 61) + "\x00" // 255 octets
	head := "\x01\x02\x00\x01HK"
	most := (wire.MaxRDATA - len(head)) / wire.MaxName
	for _, c := range []struct {
		names int
		ok    bool
	}{{most, true}, {most + 1, false}, {30000, false}} {
		msg := []byte(long + head + strings.Repeat("\xc0\x00", c.names))
		got, err := wire.AppendRDATA(nil, msg, len(long), len(msg), dns.TypeHIP)
		if (err == nil) != c.ok || cap(got) > 4*wire.MaxRDATA {
			t.Errorf("%d names: %d octets of %d, %v", c.names, len(got), cap(got), err)
		}
	}
	// With 65,535 octets and the pointer in the middle: the fields behind the names count, too.
	key := strings.Repeat("K", wire.MaxRDATA-3-2)
	msg := []byte(long + "\x01\x03\x02" + "\xc0\x00" + key)
	if got, err := wire.AppendRDATA(nil, msg, len(long), len(msg), dns.TypeIPSECKEY); err == nil {
		t.Errorf("IPSECKEY of %d octets", len(got))
	}
}

func TestTargetIsTheNameAnAnswerFollows(t *testing.T) {
	for _, c := range []struct{ rr, want string }{
		{"NS Ns.example.", "Ns.example."},
		{"CNAME c.example.", "c.example."},
		{"DNAME d.example.", "d.example."},
		{"PTR p.example.", "p.example."},
		{"MX 10 m.example.", "m.example."},
		{"MX 0 .", "."},
		{"SRV 1 2 3 s.example.", "s.example."},
		{"SVCB 1 v.example. port=1", "v.example."},
		{"SVCB 1 . port=1", "."},
		{"HTTPS 0 h.example.", "h.example."},
	} {
		rr, err := dns.NewRR("x. " + c.rr)
		if err != nil {
			t.Fatal(err)
		}
		data, err := pack(rr)
		if err != nil {
			t.Fatal(err)
		}
		got := wire.Target(rr.Header().Rrtype, data)
		if got.String() != c.want || cap(got) != len(got) {
			t.Errorf("%s: %s with %d octets of room", c.rr, got, cap(got)-len(got))
		}
		if n := testing.AllocsPerRun(10, func() { wire.Target(rr.Header().Rrtype, data) }); n != 0 {
			t.Errorf("%s: %v allocations", c.rr, n)
		}
	}
}

func TestTypesWithoutTargetHaveNone(t *testing.T) {
	followed := []uint16{
		dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeSVCB, dns.TypeHTTPS,
	}
	for rrtype, list := range examples(t) {
		if slices.Contains(followed, rrtype) {
			if got := wire.Target(rrtype, nil); got != nil {
				t.Errorf("%s of no RDATA: %s", wire.TypeName(rrtype), got)
			}
			continue
		}
		for _, rr := range list {
			data, err := pack(rr)
			if err != nil {
				t.Fatal(err)
			}
			if got := wire.Target(rrtype, data); got != nil {
				t.Errorf("%s: %s", rr, got)
			}
		}
	}
}

// caseless are the types whose names RFC 4034 §6.2 lower-cases, without NSEC (RFC 6840 §5.1) and those miekg/dns lacks.
var caseless = []uint16{
	dns.TypeNS, dns.TypeMD, dns.TypeMF, dns.TypeCNAME, dns.TypeSOA, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypePTR,
	dns.TypeMINFO, dns.TypeMX, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeSIG, dns.TypePX, dns.TypeNXT,
	dns.TypeNAPTR, dns.TypeKX, dns.TypeSRV, dns.TypeDNAME, dns.TypeRRSIG,
}

// swapNames returns rr with the letters of every name in its RDATA in the other case.
func swapNames(tb testing.TB, rr dns.RR) dns.RR {
	tb.Helper()
	swapped := dns.Copy(rr)
	names(swapped, func(s string) string {
		return strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
				return r ^ 0x20
			}
			return r
		}, s)
	})
	return swapped
}

func TestCompareRDATAIgnoresCaseInTheTypesOfRFC4034Only(t *testing.T) {
	for rrtype, list := range examples(t) {
		for _, rr := range list {
			a, errA := pack(rr)
			b, errB := pack(swapNames(t, rr))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			got := wire.CompareRDATA(rrtype, a, b)
			want := bytes.Compare(a, b)
			if slices.Contains(caseless, rrtype) {
				want = 0
			}
			if got != want {
				t.Errorf("%s with its names in the other case compares %d, want %d", rr, got, want)
			}
		}
	}
}

func TestCompareRDATAKeepsCaseOutsideNames(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{`NAPTR 1 1 "S" "" "" a.`, `NAPTR 1 1 "s" "" "" A.`},
		{"RRSIG A 5 1 1 20300101000000 20200101000000 1 a. QUFB", "RRSIG A 5 1 1 20300101000000 20200101000000 1 A. YWFh"},
		{"MX 65 z.", "MX 97 a."},
		{`TXT "A"`, `TXT "a"`},
		{"SOA a. b. 65 1 1 1 1", "SOA A. B. 97 1 1 1 1"},
	} {
		a, b := mustPack(t, c.a), mustPack(t, c.b)
		rrtype := dns.StringToType[strings.Fields(c.a)[0]]
		if wire.CompareRDATA(rrtype, a, b) != -1 || wire.CompareRDATA(rrtype, b, a) != 1 {
			t.Errorf("%s does not sort before %s", c.a, c.b)
		}
	}
}

func mustPack(tb testing.TB, s string) []byte {
	tb.Helper()
	rr, err := dns.NewRR("x. " + s)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := pack(rr)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestCompareRDATAIsCanonicalOrder(t *testing.T) {
	for _, c := range []struct {
		rrtype uint16
		build  func(n wire.Name, tail []byte) []byte
		lower  bool
	}{
		{dns.TypeNS, func(n wire.Name, _ []byte) []byte { return n }, true},
		{dns.TypeMX, func(n wire.Name, _ []byte) []byte { return append([]byte{'A', 'a'}, n...) }, true},
		{dns.TypeRRSIG, func(n wire.Name, tail []byte) []byte {
			return slices.Concat([]byte("ABCDEFGHIJKLMNOPQR"), n, []byte{'S'}, tail)
		}, true},
		{dns.TypeNAPTR, func(n wire.Name, tail []byte) []byte {
			return slices.Concat([]byte("ABCD"), []byte{byte(len(tail))}, tail, []byte{0, 1, 'S'}, n)
		}, true},
		{dns.TypeSVCB, func(n wire.Name, _ []byte) []byte { return append([]byte{0, 0}, n...) }, false},
		{dns.TypeNULL, func(n wire.Name, tail []byte) []byte { return append(n, tail...) }, false},
	} {
		rapid.Check(t, func(t *rapid.T) {
			tail := rapid.SliceOfN(rapid.SampledFrom([]byte("AaB")), 0, 2)
			_, na, nb := drawPair(t)
			ta, tb := tail.Draw(t, "tail"), tail.Draw(t, "tail")
			canonical := func(n wire.Name, tail []byte) []byte {
				if c.lower {
					n = wire.AppendLower(nil, n)
				}
				return c.build(slices.Clone(n), tail)
			}
			got := wire.CompareRDATA(c.rrtype, c.build(slices.Clone(na), ta), c.build(slices.Clone(nb), tb))
			if want := bytes.Compare(canonical(na, ta), canonical(nb, tb)); got != want {
				t.Fatalf("%s of %s %q and %s %q: %d, want %d", wire.TypeName(c.rrtype), na, ta, nb, tb, got, want)
			}
		})
	}
}

func TestCompareRDATASurvivesRDATAThatIsCutOff(t *testing.T) {
	for rrtype, list := range examples(t) {
		for _, rr := range list {
			whole, err := pack(rr)
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				if wire.CompareRDATA(rrtype, whole[:n], whole) != -1 || wire.CompareRDATA(rrtype, whole, whole[:n]) != 1 {
					t.Errorf("%s: the first %d octets do not sort before the whole", rr, n)
				}
			}
		}
	}
}
