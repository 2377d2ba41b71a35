package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/wire"
)

// verdicts has RDATA in hexadecimal with "ok" or what is wrong with it (a part of the error).
var verdicts = []struct {
	rrtype     uint16
	hex, want  string
	limitation bool // well formed, but refused because miekg/dns cannot hold it
}{
	// Fixed fields.
	{dns.TypeA, "c0000201", "ok", false},
	{dns.TypeA, "c00002", "too early", false},
	{dns.TypeA, "c000020100", "behind its end", false},
	{dns.TypeAAAA, "20010db8000000000000000000000001", "ok", false},
	{dns.TypeAAAA, "c0000201", "too early", false},
	{dns.TypeLOC, "00121610 89597350 70be15f0 00989c8c20", "behind its end", false},
	{dns.TypeEUI48, "0000000000", "too early", false},
	{dns.TypeNXNAME, "00", "behind its end", false},
	{dns.TypeANY, "00", "behind its end", false},
	// Names: more of them in TestMalformedNamesInRDATAAreRefused.
	{dns.TypeMX, "000a", "past its end", false}, // miekg/dns takes it
	{dns.TypeMX, "00", "too early", false},
	{dns.TypeMX, "000a00", "ok", false},
	{dns.TypeMX, "000a0000", "behind its end", false},
	{dns.TypeRP, "00", "past its end", false},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 20), "ok", false},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 19), "too early", false},
	{dns.TypeSOA, "0000", "too early", false},
	{dns.TypeSOA, "00", "past its end", false},
	{dns.TypeSOA, "0000" + strings.Repeat("00", 21), "behind its end", false},
	{dns.TypeSRV, "000100010001", "past its end", false},
	// Character-strings.
	{dns.TypeHINFO, "0161 0162", "ok", false},
	{dns.TypeHINFO, "0161", "too early", false},
	{dns.TypeHINFO, "0161 0262", "too early", false},
	{dns.TypeHINFO, "0161 0162 00", "behind its end", false},
	{dns.TypeX25, "0333", "too early", false},
	{dns.TypeISDN, "0130", "ok", false},
	{dns.TypeISDN, "0130 0131", "ok", false},
	{dns.TypeISDN, "0130 02", "too early", false},
	{dns.TypeISDN, "0130 0131 00", "behind its end", false},
	{dns.TypeTXT, "00", "ok", false},
	{dns.TypeTXT, "0161 00 0162", "ok", false},
	{dns.TypeTXT, "0161 0262", "too early", false},
	{dns.TypeTXT, "ff" + strings.Repeat("5c", 255), "ok", false},
	{dns.TypeNAPTR, "00010001 0153 00 00", "past its end", false},
	{dns.TypeNAPTR, "00010001 0153 00 05 00", "too early", false},
	// Octets to the end with a least length.
	{dns.TypeDS, "ec45 05 01", "too early", false},
	{dns.TypeDS, "ec45 05", "too early", false},
	{dns.TypeDS, "ec45 05 01 00", "ok", false},
	{dns.TypeDLV, "ec45 05 01", "too early", false},
	{dns.TypeTA, "ec45 05 01", "too early", false},
	{dns.TypeDNSKEY, "0100 03 08", "too early", false}, // CVE-2015-5722
	{dns.TypeDNSKEY, "0100 03", "too early", false},
	{dns.TypeDNSKEY, "0100 03 08 00", "ok", false},
	{dns.TypeKEY, "c100 03 08", "ok", false},
	{dns.TypeCERT, "0001 0000 05", "too early", false},
	{dns.TypeOPENPGPKEY, "00", "ok", false}, // CVE-2015-5986: none at all, see TestNoRDATAIsOnlyForTypesThatMayBeEmpty
	{dns.TypeTLSA, "03 01 01", "too early", false},
	{dns.TypeSSHFP, "01 01", "too early", false},
	{dns.TypeRRSIG, strings.Repeat("00", 18) + "00", "too early", false},
	{dns.TypeRRSIG, strings.Repeat("00", 18) + "00 01", "ok", false},
	{dns.TypeZONEMD, "00000001 01 01" + strings.Repeat("00", 11), "too early", false},
	{dns.TypeZONEMD, "00000001 01 f0" + strings.Repeat("00", 12), "ok", false},
	// Values.
	{dns.TypeCAA, "00 05 6973737565", "ok", false},
	{dns.TypeCAA, "00 00 61", "too short", false},
	{dns.TypeCAA, "00 09 6973737565", "too early", false},
	{dns.TypeCAA, "00 01 61" + strings.Repeat("61", wire.MaxValue), "ok", false},
	{dns.TypeCAA, "00 01 61" + strings.Repeat("61", wire.MaxValue+1), "more than", true},
	{dns.TypeURI, "0001 0001", "ok", false},
	{dns.TypeURI, "0001 00", "too early", false},
	{dns.TypeURI, "0001 0001" + strings.Repeat("61", wire.MaxValue), "ok", false},
	{dns.TypeURI, "0001 0001" + strings.Repeat("61", wire.MaxValue+1), "more than", true},
	// Octets with their length before them.
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 01 ff", "ok", false},
	{dns.TypeNSEC3, "01 00 000c 00 01 ff 0001 40", "ok", false},
	{dns.TypeNSEC3, "01 00 000c 04 aabbcc", "too early", false},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd", "too early", false},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 00", "too short", false},
	{dns.TypeNSEC3, "01 00 000c 04 aabbccdd 14 ffff", "too early", false},
	{dns.TypeNSEC3, "01 00 000c ff aabbccdd 01 ff", "too early", false},
	{dns.TypeNSEC3PARAM, "01 00 000c 00", "ok", false},
	{dns.TypeNSEC3PARAM, "01 00 000c", "too early", false},
	{dns.TypeNSEC3PARAM, "01 00 000c 02 aa", "too early", false},
	{dns.TypeNSEC3PARAM, "01 00 000c 02", "too early", false}, // miekg/dns takes it
	{dns.TypeNSEC3PARAM, "01 00 000c 01 aa aa", "behind its end", false},
	{dns.TypeTSIG, "00" + strings.Repeat("00", 8) + "0000 00000000 0000", "ok", false},
	{dns.TypeTSIG, "00" + strings.Repeat("00", 8) + "0001 00000000 0000", "too early", false},
	{dns.TypeTSIG, "00" + strings.Repeat("00", 8) + "00", "too early", false},
	{dns.TypeTSIG, "00" + strings.Repeat("00", 8) + "ffff 00000000 0000", "too early", false},
	{dns.TypeTKEY, "00" + strings.Repeat("00", 12) + "0000 0001", "too early", false},
	// Type bitmaps, RFC 4034 §4.1.2.
	{dns.TypeNSEC, "00 00 01 40", "ok", false},
	{dns.TypeNSEC, "00", "ok", false},
	{dns.TypeNSEC, "00 00", "too early", false},
	{dns.TypeNSEC, "00 00 00", "has 0 octets", false},
	{dns.TypeNSEC, "00 00 20" + strings.Repeat("01", 32) + "ff 20" + strings.Repeat("01", 32), "ok", false},
	{dns.TypeNSEC, "00 00 21" + strings.Repeat("01", 33), "has 33 octets", false},
	{dns.TypeNSEC, "00 00 02 40", "too early", false},
	{dns.TypeNSEC, "00 00 02 4000", "ends in a zero octet", false},
	{dns.TypeNSEC, "00 00 01 00", "ends in a zero octet", false},
	{dns.TypeNSEC, "00 01 01 40 00 01 40", "follows window 1", false},
	{dns.TypeNSEC, "00 01 01 40 01 01 40", "follows window 1", false},
	{dns.TypeCSYNC, "00000042 0003", "ok", false},
	{dns.TypeCSYNC, "00000042 0003 00 01", "too early", false},
	{dns.TypeNXT, "00 00 01 40", "ok", false},
	{dns.TypeNXT, "00 60000002", "has 0 octets", true}, // A, NS and NXT as in RFC 2535 §5.2
	// SvcParams, RFC 9460 §2.2.
	{dns.TypeSVCB, "0001 00 0003 0002 01bb", "ok", false},
	{dns.TypeSVCB, "0000 00 0003 0002 01bb", "ok", false},
	{dns.TypeSVCB, "0001", "past its end", false},
	{dns.TypeSVCB, "0001 00 0003 00", "too early", false},
	{dns.TypeSVCB, "0001 00 0003 0002 01", "too early", false},
	{dns.TypeSVCB, "0001 00 0003 ffff 01bb", "too early", false}, // CVE-2026-12244
	{dns.TypeSVCB, "0001 00 0003 0002 01bb 0003 0002 01bb", "SvcParamKey 3 follows 3", false},
	{dns.TypeSVCB, "0001 00 0003 0002 01bb 0002 0000", "SvcParamKey 2 follows 3", false},
	{dns.TypeSVCB, "0001 00 0000 0004 0001 0003", "ok", false},
	{dns.TypeSVCB, "0001 00 0000 0000", "value of SvcParamKey 0", false},
	{dns.TypeSVCB, "0001 00 0000 0003 000100", "value of SvcParamKey 0", false},
	{dns.TypeSVCB, "0001 00 0000 0002 0000", "value of SvcParamKey 0", false},
	{dns.TypeSVCB, "0001 00 0000 0004 0003 0001", "value of SvcParamKey 0", false},
	{dns.TypeSVCB, "0001 00 0000 0004 0003 0003", "value of SvcParamKey 0", false},
	{dns.TypeSVCB, "0001 00 0001 0003 02 6832", "ok", false},
	{dns.TypeSVCB, "0001 00 0001 0000", "value of SvcParamKey 1", false},
	{dns.TypeSVCB, "0001 00 0001 0001 00", "value of SvcParamKey 1", false},
	{dns.TypeSVCB, "0001 00 0001 0003 03 6832", "value of SvcParamKey 1", false},
	{dns.TypeSVCB, "0001 00 0002 0000", "ok", false},
	{dns.TypeSVCB, "0001 00 0002 0001 00", "value of SvcParamKey 2", false},
	{dns.TypeSVCB, "0001 00 0003 0001 bb", "value of SvcParamKey 3", false},
	{dns.TypeSVCB, "0001 00 0004 0008 c0000201 c0000202", "ok", false},
	{dns.TypeSVCB, "0001 00 0004 0000", "value of SvcParamKey 4", false},
	{dns.TypeSVCB, "0001 00 0004 0005 c000020100", "value of SvcParamKey 4", false},
	{dns.TypeSVCB, "0001 00 0005 0000", "ok", false},
	{dns.TypeHTTPS, "0001 00 0006 0010 20010db8000000000000000000000001", "ok", false},
	{dns.TypeHTTPS, "0001 00 0006 0000", "value of SvcParamKey 6", false},
	{dns.TypeHTTPS, "0001 00 0006 0004 c0000201", "value of SvcParamKey 6", false},
	{dns.TypeHTTPS, "0001 00 0006 0010 00000000000000000000ffffc0000201", "value of SvcParamKey 6", true},
	{dns.TypeHTTPS, "0001 00 0007 0000", "ok", false},
	{dns.TypeHTTPS, "0001 00 0008 0000", "ok", false},
	{dns.TypeHTTPS, "0001 00 0008 0001 00", "value of SvcParamKey 8", false},
	{dns.TypeHTTPS, "0001 00 fffe 0000", "ok", false},
	{dns.TypeHTTPS, "0001 00 ffff 0000", "SvcParamKey 65535", true},
	// APL, RFC 3123 §4.
	{dns.TypeAPL, "0001 18 03 c00002 0001 1c 84 c0000240", "ok", false},
	{dns.TypeAPL, "0001 00 00", "ok", false},
	{dns.TypeAPL, "0001 18", "too early", false},
	{dns.TypeAPL, "0001 18 03 c000", "too early", false}, // CVE-2026-12246
	{dns.TypeAPL, "0001 21 04 c0000201", "prefix /33", false},
	{dns.TypeAPL, "0001 20 05 c000020101", "with 5 octets", false},
	{dns.TypeAPL, "0002 81 10 20010db8000000000000000000000001", "prefix /129", false},
	{dns.TypeAPL, "0002 80 7f" + strings.Repeat("01", 127), "with 127 octets", false},
	{dns.TypeAPL, "0001 18 03 c00000", "ends in a zero octet", false},
	{dns.TypeAPL, "0003 08 01 01", "family 3", true},
	// HIP, RFC 8005 §5.
	{dns.TypeHIP, "01 02 0001 aa bb", "ok", false},
	{dns.TypeHIP, "01 02 0001 aa bb 0161 00 00", "ok", false},
	{dns.TypeHIP, "01 02 00", "too early", false},
	{dns.TypeHIP, "01 02 0001 aa", "too early", false},
	{dns.TypeHIP, "ff 02 ffff aa bb", "too early", false},
	{dns.TypeHIP, "00 02 0001 bb", "without a tag", false},
	{dns.TypeHIP, "01 02 0000 aa", "without a key", false},
	{dns.TypeHIP, "01 02 0001 aa bb 0161", "past its end", false},
	// Gateways, RFC 4025 §2 and RFC 8777 §4.2.
	{dns.TypeIPSECKEY, "0a 00 02", "ok", false},
	{dns.TypeIPSECKEY, "0a 00", "too early", false},
	{dns.TypeIPSECKEY, "0a 01 02 c00002", "too early", false},
	{dns.TypeIPSECKEY, "0a 01 02 c0000201", "ok", false},
	{dns.TypeIPSECKEY, "0a 02 02 c0000201", "too early", false},
	{dns.TypeIPSECKEY, "0a 03 02", "past its end", false},
	{dns.TypeIPSECKEY, "0a 03 02 00", "ok", false},
	{dns.TypeIPSECKEY, "0a 04 02 c00c", "ok", false},
	{dns.TypeAMTRELAY, "0a", "too early", false},
	{dns.TypeAMTRELAY, "0a 00", "ok", false},
	{dns.TypeAMTRELAY, "0a 80", "ok", false},
	{dns.TypeAMTRELAY, "0a 00 00", "behind its end", false},
	{dns.TypeAMTRELAY, "0a 01 c00002", "too early", false},
	{dns.TypeAMTRELAY, "0a 81 c0000201", "behind its end", true},
	{dns.TypeAMTRELAY, "0a 04 01", "behind its end", true},
	// EDNS options, RFC 6891 §6.1.2.
	{dns.TypeOPT, "000a 0002 0102 000c 0000", "ok", false},
	{dns.TypeOPT, "000a 00", "too early", false},
	{dns.TypeOPT, "000a 0002 01", "too early", false},
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

func TestWellFormedRDATAIsRefusedOnlyWhereMiekgFails(t *testing.T) {
	for _, v := range verdicts {
		if !v.limitation {
			continue
		}
		data := octets(t, v.hex)
		rr, err := unpack(v.rrtype, data, 0)
		if err != nil {
			continue
		}
		if again, err := pack(rr); err == nil && bytes.Equal(again, data) {
			t.Errorf("%s %.80s: miekg/dns can hold it now, so there is no reason to refuse it", wire.TypeName(v.rrtype), v.hex)
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
