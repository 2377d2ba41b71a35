package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// verdicts has RDATA in hexadecimal with "ok" or what is wrong with it (a part of the error).
var verdicts = []struct {
	rrtype    uint16
	hex, want string
}{
	// Fixed fields.
	{dns.TypeA, "c0000201", "ok"},
	{dns.TypeA, "c00002", "3 octets; expected are 4"},
	{dns.TypeA, "c000020100", "5 octets; expected are 4"},
	{dns.TypeAAAA, "20010db8000000000000000000000001", "ok"},
	{dns.TypeAAAA, "c0000201", "4 octets; expected are 16"},
	{dns.TypeLOC, "00121610 89597350 70be15f0 00989c8c20", "ok"},
	{dns.TypeEUI48, "0000000000", "5 octets; expected are 6"},
	{dns.TypeNXNAME, "00", "ok"},
	{dns.TypeANY, "00", "ok"},
	// Names: more of them in TestMalformedNamesInRDATAAreRefused.
	{dns.TypeMX, "000a", "past its end"}, // miekg/dns takes it
	{dns.TypeMX, "00", "past its end"},
	{dns.TypeMX, "000a00", "ok"},
	{dns.TypeMX, "000a0000", "behind its end"},
	{dns.TypeRP, "00", "past its end"},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 20), "ok"},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 19), "19 octets; expected are 20"},
	{dns.TypeSOA, "0000", "0 octets; expected are 20"},
	{dns.TypeSOA, "00", "past its end"},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 21), "21 octets; expected are 20"},
	{dns.TypeSRV, "000100010001", "past its end"},
	// Character-strings.
	{dns.TypeHINFO, "0161 0162", "ok"},
	{dns.TypeHINFO, "0161", "ok"},
	{dns.TypeHINFO, "0161 0262", "too early"},
	{dns.TypeHINFO, "0161 0162 00", "ok"},
	{dns.TypeX25, "0333", "too early"},
	{dns.TypeISDN, "0130", "ok"},
	{dns.TypeISDN, "0130 0131", "ok"},
	{dns.TypeISDN, "0130 02", "too early"},
	{dns.TypeISDN, "0130 0131 00", "ok"},
	{dns.TypeTXT, "00", "ok"},
	{dns.TypeTXT, "0161 00 0162", "ok"},
	{dns.TypeTXT, "0161 0262", "too early"},
	{dns.TypeTXT, "ff" + strings.Repeat("5c", 255), "ok"},
	{dns.TypeNAPTR, "00010001 0153 00 00", "past its end"},
	{dns.TypeNAPTR, "00010001 0153 00 05 00", "too early"},
	// Octets to the end with a least length.
	{dns.TypeDS, "ec45 05 01", "ok"},
	{dns.TypeDS, "ec45 05", "ok"},
	{dns.TypeDS, "ec45 05 01 00", "ok"},
	{dns.TypeDLV, "ec45 05 01", "ok"},
	{dns.TypeTA, "ec45 05 01", "ok"},
	{dns.TypeDNSKEY, "0100 03 08", "ok"},
	{dns.TypeDNSKEY, "0100 03", "ok"},
	{dns.TypeDNSKEY, "0100 03 08 00", "ok"},
	{dns.TypeKEY, "c100 03 08", "ok"},
	{dns.TypeCERT, "0001 0000 05", "ok"},
	{dns.TypeOPENPGPKEY, "00", "ok"}, // CVE-2015-5986: none at all is octets, too
	{dns.TypeTLSA, "03 01 01", "ok"},
	{dns.TypeSSHFP, "01 01", "ok"},
	{dns.TypeRRSIG, strings.Repeat("00", 18) + "00", "ok"},
	{dns.TypeRRSIG, strings.Repeat("00", 18) + "00 01", "ok"},
	{dns.TypeZONEMD, "00000001 01 01" + strings.Repeat("00", 11), "ok"},
	{dns.TypeZONEMD, "00000001 01 f0" + strings.Repeat("00", 12), "ok"},
	// Values.
	{dns.TypeCAA, "00 05 6973737565", "ok"},
	{dns.TypeCAA, "00 00 61", "ok"},
	{dns.TypeCAA, "00 09 6973737565", "too early"},
	{dns.TypeCAA, "00 01 61" + strings.Repeat("61", 1025), "ok"},
	{dns.TypeCAA, "00 01 61" + strings.Repeat("61", 65000), "ok"},
	{dns.TypeURI, "0001 0001", "ok"},
	{dns.TypeURI, "0001 00", "ok"},
	{dns.TypeURI, "0001 0001" + strings.Repeat("61", 1025), "ok"},
	{dns.TypeURI, "0001 0001" + strings.Repeat("61", 65000), "ok"},
	// Octets with their length before them.
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 01 ff", "ok"},
	{dns.TypeNSEC3, "01 00 000c 00 01 ff 0001 40", "ok"},
	{dns.TypeNSEC3, "01 00 000c 04 aabbcc", "too early"},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd", "ok"},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 00", "ok"},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 14 ffff", "too early"},
	{dns.TypeNSEC3, "01 00 000c ff aabbccdd 01 ff", "too early"},
	{dns.TypeNSEC3PARAM, "01 00 000c 00", "ok"},
	{dns.TypeNSEC3PARAM, "01 00 000c", "ok"},
	{dns.TypeNSEC3PARAM, "01 00 000c 02 aa", "too early"},
	{dns.TypeNSEC3PARAM, "01 00 000c 02", "too early"}, // miekg/dns takes it
	{dns.TypeNSEC3PARAM, "01 00 000c 01 aa aa", "ok"},
	// Type bitmaps, RFC 4034 §4.1.2.
	{dns.TypeNSEC, "00 00 01 40", "ok"},
	{dns.TypeNSEC, "00", "ok"},
	{dns.TypeNSEC, "00 00", "ok"},
	{dns.TypeNSEC, "00 00 00", "ok"},
	{dns.TypeNSEC, "00 00 20" + strings.Repeat("01", 32) + "ff 20" + strings.Repeat("01", 32), "ok"},
	{dns.TypeNSEC, "00 00 21" + strings.Repeat("01", 33), "ok"},
	{dns.TypeNSEC, "00 00 02 40", "too early"},
	{dns.TypeNSEC, "00 00 02 4000", "ok"},
	{dns.TypeNSEC, "00 00 01 00", "ok"},
	{dns.TypeNSEC, "00 01 01 40 00 01 40", "ok"},
	{dns.TypeNSEC, "00 01 01 40 01 01 40", "ok"},
	{dns.TypeCSYNC, "00000042 0003", "ok"},
	{dns.TypeCSYNC, "00000042 0003 00 01", "too early"},
	{dns.TypeNXT, "00 00 01 40", "ok"},
	{dns.TypeNXT, "00 60000002", "ok"}, // A, NS and NXT as in RFC 2535 §5.2
	// SvcParams, RFC 9460 §2.2.
	{dns.TypeSVCB, "0001 00 0003 0002 01bb", "ok"},
	{dns.TypeSVCB, "0000 00 0003 0002 01bb", "ok"},
	{dns.TypeSVCB, "0001", "past its end"},
	{dns.TypeSVCB, "0001 00 0003 00", "ok"},
	{dns.TypeSVCB, "0001 00 0003 0002 01", "too early"},
	{dns.TypeSVCB, "0001 00 0003 ffff 01bb", "too early"}, // CVE-2026-12244
	{dns.TypeSVCB, "0001 00 0003 0002 01bb 0003 0002 01bb", "ok"},
	{dns.TypeSVCB, "0001 00 0003 0002 01bb 0002 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0004 0001 0003", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0003 000100", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0002 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0004 0003 0001", "ok"},
	{dns.TypeSVCB, "0001 00 0000 0004 0003 0003", "ok"},
	{dns.TypeSVCB, "0001 00 0001 0003 02 6832", "ok"},
	{dns.TypeSVCB, "0001 00 0001 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0001 0001 00", "ok"},
	{dns.TypeSVCB, "0001 00 0001 0003 03 6832", "ok"},
	{dns.TypeSVCB, "0001 00 0002 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0002 0001 00", "ok"},
	{dns.TypeSVCB, "0001 00 0003 0001 bb", "ok"},
	{dns.TypeSVCB, "0001 00 0004 0008 c0000201 c0000202", "ok"},
	{dns.TypeSVCB, "0001 00 0004 0000", "ok"},
	{dns.TypeSVCB, "0001 00 0004 0005 c000020100", "ok"},
	{dns.TypeSVCB, "0001 00 0005 0000", "ok"},
	{dns.TypeHTTPS, "0001 00 0006 0010 20010db8000000000000000000000001", "ok"},
	{dns.TypeHTTPS, "0001 00 0006 0000", "ok"},
	{dns.TypeHTTPS, "0001 00 0006 0004 c0000201", "ok"},
	{dns.TypeHTTPS, "0001 00 0006 0010 00000000000000000000ffffc0000201", "ok"},
	{dns.TypeHTTPS, "0001 00 0007 0000", "ok"},
	{dns.TypeHTTPS, "0001 00 0008 0000", "ok"},
	{dns.TypeHTTPS, "0001 00 0008 0001 00", "ok"},
	{dns.TypeHTTPS, "0001 00 fffe 0000", "ok"},
	{dns.TypeHTTPS, "0001 00 ffff 0000", "ok"},
	// APL, RFC 3123 §4.
	{dns.TypeAPL, "0001 18 03 c00002 0001 1c 84 c0000240", "ok"},
	{dns.TypeAPL, "0001 00 00", "ok"},
	{dns.TypeAPL, "0001 18", "ok"},
	{dns.TypeAPL, "0001 18 03 c000", "too early"}, // CVE-2026-12246
	{dns.TypeAPL, "0001 21 04 c0000201", "ok"},
	{dns.TypeAPL, "0001 20 05 c000020101", "ok"},
	{dns.TypeAPL, "0002 81 10 20010db8000000000000000000000001", "ok"},
	{dns.TypeAPL, "0002 80 7f" + strings.Repeat("01", 127), "ok"},
	{dns.TypeAPL, "0001 18 03 c00000", "ok"},
	{dns.TypeAPL, "0003 08 01 01", "ok"},
	// HIP, RFC 8005 §5.
	{dns.TypeHIP, "01 02 0001 aa bb", "ok"},
	{dns.TypeHIP, "01 02 0001 aa bb 0161 00 00", "ok"},
	{dns.TypeHIP, "01 02 00", "ok"},
	{dns.TypeHIP, "01 02 0001 aa", "too early"},
	{dns.TypeHIP, "ff 02 ffff aa bb", "too early"},
	{dns.TypeHIP, "00 02 0001 bb", "ok"},
	{dns.TypeHIP, "01 02 0000 aa", "ok"},
	{dns.TypeHIP, "01 02 0001 aa bb 0161", "past its end"},
	// Gateways, RFC 4025 §2 and RFC 8777 §4.2.
	{dns.TypeIPSECKEY, "0a 00 02", "ok"},
	{dns.TypeIPSECKEY, "0a 00", "ok"},
	{dns.TypeIPSECKEY, "0a 01 02 c00002", "ok"},
	{dns.TypeIPSECKEY, "0a 01 02 c0000201", "ok"},
	{dns.TypeIPSECKEY, "0a 02 02 c0000201", "ok"},
	{dns.TypeIPSECKEY, "0a 03 02", "past its end"},
	{dns.TypeIPSECKEY, "0a 03 02 00", "ok"},
	{dns.TypeIPSECKEY, "0a 04 02 c00c", "ok"},
	{dns.TypeAMTRELAY, "0a", "ok"},
	{dns.TypeAMTRELAY, "0a 00", "ok"},
	{dns.TypeAMTRELAY, "0a 80", "ok"},
	{dns.TypeAMTRELAY, "0a 00 00", "ok"},
	{dns.TypeAMTRELAY, "0a 01 c00002", "ok"},
	{dns.TypeAMTRELAY, "0a 81 c0000201", "ok"},
	{dns.TypeAMTRELAY, "0a 04 01", "ok"},
}

func TestRDATAMustHaveTheLayoutOfItsType(t *testing.T) {
	for _, v := range verdicts {
		data := octets(t, v.hex)
		got, err := wire.AppendRDATA([]byte("before"), data, 0, len(data), v.rrtype)
		want := "before"
		if v.want == "ok" {
			want += string(data)
		}
		if (err == nil) != (v.want == "ok") || err != nil && !strings.Contains(err.Error(), v.want) || string(got) != want {
			t.Errorf("%s %.80s: %v; want %s", wire.TypeName(v.rrtype), v.hex, err, v.want)
		}
	}
}

func TestRDATACutAnywhereIsRefusedOrValid(t *testing.T) {
	// Whatever is left of a record after cutting it, reading it must stay inside what is left.
	for rrtype, list := range examples(t) {
		for _, rr := range list {
			whole, err := pack(rr)
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				cut := whole[:n:n]
				got, err := rdata(rrtype, cut)
				if err == nil && !bytes.Equal(got, cut) {
					t.Errorf("the first %d octets of %s read as %x", n, rr, got)
				}
			}
		}
	}
}
