package secondaryplus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// oddRDATA is RDATA, in hexadecimal, that miekg/dns cannot hold, or would write in another way.
var oddRDATA = map[uint16][]string{
	0:                  {"00"},
	dns.TypeNULL:       {"", "00"},
	dns.TypeHINFO:      {"0161", "0161016200"},
	dns.TypeTXT:        {"", "00", "0000", "01610000"},
	dns.TypeKEY:        {"01", "010003"},
	dns.TypeLOC:        {"01", "00", "ff" + strings.Repeat("00", 15)},
	dns.TypeNXT:        {"0060000002", "00"},
	dns.TypeISDN:       {"0130", "013000"},
	dns.TypeCERT:       {"0001", "000100"},
	dns.TypeAPL:        {"", "00030801ff", "000118", "00012104c0000201", "00011804c0000200"},
	dns.TypeDS:         {"ec45", "ec4505", "ec450501"},
	dns.TypeSSHFP:      {"01", "0101"},
	dns.TypeIPSECKEY:   {"0a00", "0a0102c00002", "0aff0200", "0a0302" + "0161" + "00"},
	dns.TypeRRSIG:      {strings.Repeat("00", 19)},
	dns.TypeNSEC:       {"00", "000000", "0000210101", "000101400001" + "40", "0001" + "0100"},
	dns.TypeDNSKEY:     {"01", "010003", "01000308"},
	dns.TypeNSEC3:      {"01", "0100000c00", "0100000c0000", "0100000c0001ff0000"},
	dns.TypeNSEC3PARAM: {"01", "0100000c", "0100000c0000"},
	dns.TypeTLSA:       {"03", "030101"},
	dns.TypeHIP:        {"01", "00020001bb", "01020000aa"},
	dns.TypeCSYNC:      {"00000042", "00000042000300000000"},
	dns.TypeZONEMD:     {"00000001", "0000000101", "00000001f0f0", "00000001f0f0aa"},
	dns.TypeHTTPS:      {"000100000600100000000000000000" + "0000ffffc0000201", "0001000008000100", "000100ffff0000", "0001000003000201bb0001000302" + "6832", "00010000"},
	dns.TypeTKEY:       {"00", "0161c000"},
	dns.TypeMAILB:      {"00"},
	dns.TypeANY:        {"00"},
	dns.TypeURI:        {"00", "00010001", "000100015c22", "00010001" + strings.Repeat("61", 1200)},
	dns.TypeCAA:        {"00", "0000", "000061", "000561", "0005697373756522" + "5c00ff", "00056973737565" + strings.Repeat("61", 1050)},
	dns.TypeAMTRELAY:   {"0a", "0a81c0000201", "0a830161" + "00", "0a04", "0aff01020304", "0a0000", "0a01c00002"},
	65280:              {"", "c00c"},
}

// FuzzRecordsKeepTheirOctets makes records of what a primary may send: packed, they are what came, whatever their type.
func FuzzRecordsKeepTheirOctets(f *testing.F) {
	for rrtype, list := range oddRDATA {
		for _, digits := range list {
			data, err := hex.DecodeString(digits)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(rrtype, data)
		}
	}
	for rrtype := range dns.TypeToRR {
		f.Add(rrtype, []byte{})
		f.Add(rrtype, bytes.Repeat([]byte{0}, 40))
	}
	f.Fuzz(func(t *testing.T, rrtype uint16, data []byte) {
		if len(data) > 4096 || rrtype == dns.TypeOPT || rrtype == dns.TypeTSIG {
			t.Skip("longer than anything of interest, or no data")
		}
		want, ok := received(t, rrtype, data)
		if !ok {
			t.Skip("malformed")
		}
		h := dns.RR_Header{Name: "a.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: 60}
		for _, newRecord := range []maker{record, measured} {
			rr := newRecord(h, want)
			buf := make([]byte, dns.Len(rr)+len(want)+64)
			end, err := dns.PackRR(rr, buf, 0, nil, false)
			const head = 3 + 10
			if err != nil || !bytes.Equal(buf[head:end], want) || int(binary.BigEndian.Uint16(buf[head-2:])) != len(want) {
				t.Fatalf("%s %x: %T is packed as %x, %v", wire.TypeName(rrtype), want, rr, buf[:end], err)
			}
		}
		if n := dns.Len(measured(h, want)); n != 3+10+len(want) {
			t.Fatalf("%s %x is taken to have %d octets", wire.TypeName(rrtype), want, n)
		}
	})
}

// received returns the RDATA as it is read from a message.
func received(t *testing.T, rrtype uint16, data []byte) ([]byte, bool) {
	t.Helper()
	msg := make([]byte, wire.HeaderLen)
	msg = append(msg, 0)
	msg = binary.BigEndian.AppendUint16(msg, rrtype)
	msg = append(msg, 0, 1, 0, 0, 0, 60)
	msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(data))), data...)
	var r wire.Reader
	var rr wire.RR
	if _, err := r.Reset(msg); err != nil {
		t.Fatal(err)
	}
	err := r.Next(&rr)
	return rr.Data, err == nil
}
