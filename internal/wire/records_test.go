package wire_test

import (
	"testing"

	"github.com/miekg/dns"
)

// presentations has examples of every type that has a presentation form in miekg/dns.
var presentations = map[uint16][]string{
	dns.TypeA:        {"192.0.2.1"},
	dns.TypeAAAA:     {"2001:db8::1", "::ffff:192.0.2.1"},
	dns.TypeAFSDB:    {"1 afs.Example."},
	dns.TypeAMTRELAY: {"10 0 0 .", "10 0 1 192.0.2.1", "10 0 2 2001:db8::1", "10 0 3 Relay.example.", "10 1 0 ."},
	dns.TypeAPL:      {"1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32", "1:0.0.0.0/0"},
	dns.TypeAVC:      {`"app-name:WOLFGANG|app-class:OAM" "x"`},
	dns.TypeCAA:      {`0 issue "ca.example.net; account=230123"`, `128 iodef ""`},
	dns.TypeCDNSKEY:  {"257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==", "0 3 0 AA=="},
	dns.TypeCDS:      {"370 13 2 BE74359954660069D5C63D200C39F5603827D7DD02B56F120EE9F3A86764247C", "0 0 0 00"},
	dns.TypeCERT:     {"PKIX 1 RSASHA256 KR1L0GbocaIOOim1+qdHtOSrDcOsGiI2NCcxuX2/Tqc="},
	dns.TypeCNAME:    {"Target.Example.", "."},
	dns.TypeCSYNC:    {"66 3 A NS AAAA", "66 0"},
	dns.TypeDHCID:    {"AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="},
	dns.TypeDLV:      {"60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"},
	dns.TypeDNAME:    {"Other.example."},
	dns.TypeDNSKEY:   {"256 3 8 AwEAAbOFAxl+Lkt0UMglZizKEC1AxUu8zlj65KYatR5wBWMrh18TYzK/ig6Y1t5YTWCO68bynorpNu9fqNFALX7bVl9/gybA0v0EhF+dgXmoUfRX7ksMGgBvtfa2/Y9a3klXNLqkTszIQ4PEMVCjtryl19Be9/PkFeC9ITjgMRQsQhmB"},
	dns.TypeDS:       {"60485 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"},
	dns.TypeEUI48:    {"00-00-5e-00-53-2a"},
	dns.TypeEUI64:    {"00-00-5e-ef-10-00-00-2a"},
	dns.TypeGID:      {"1000"},
	dns.TypeGPOS:     {"-32.6882 116.8652 10.0"},
	dns.TypeHINFO:    {`"PDP-11/70" "UNIX \"v7\" \000\255"`, `"" ""`},
	dns.TypeHIP: {
		"2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D",
		"2 200100107B1A74DF365639CC39F1D578 AwEAAQ== Rvs1.example. rvs2.example.",
	},
	dns.TypeHTTPS:    {`1 . alpn="h2,h3" ipv4hint=192.0.2.1,192.0.2.2 ech="AAAA" ipv6hint=2001:db8::1`, "0 Svc.example."},
	dns.TypeIPSECKEY: {"10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==", "10 1 2 192.0.2.38 AQNR", "10 2 2 2001:db8::1 AQNR", "10 3 2 Mygateway.example. AQNR"},
	dns.TypeISDN:     {`"150862028003217" "004"`, `"150862028003217" ""`},
	dns.TypeKEY:      {"512 255 1 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aRyzWZriO6i2odGWWQVucZqKVsENW91IOW4vqudngPZsY3GvQ/xVA8/7pyFj6b7Esga60zyGW6LFe9r8n6paHrlG5ojqf0BaqHT+8="},
	dns.TypeKX:       {"10 Kx.example."},
	dns.TypeL32:      {"10 10.1.2.0"},
	dns.TypeL64:      {"10 2001:0db8:1140:1000"},
	dns.TypeLOC:      {"42 21 54.000 N 71 06 18.000 W -24.00m 30m 10000m 10m"},
	dns.TypeLP:       {"10 L64-subnet.example."},
	dns.TypeMB:       {"Host.example."},
	dns.TypeMD:       {"Host.example."},
	dns.TypeMF:       {"Host.example."},
	dns.TypeMG:       {"Host.example."},
	dns.TypeMINFO:    {"Resp.example. Err.example."},
	dns.TypeMR:       {"Host.example."},
	dns.TypeMX:       {"10 Mail.example.", "0 ."},
	dns.TypeNAPTR:    {`100 50 "s" "z3950+I2L+N2L" "" _z3950._tcp.Example.`, `100 10 "u" "sip+E2U" "!^.*$!sip:i@example.com!i" .`},
	dns.TypeNID:      {"10 0014:4fff:ff20:ee64"},
	dns.TypeNINFO:    {`"zone status" "up"`},
	dns.TypeNS:       {"NS1.example."},
	dns.TypeNSAPPTR:  {"Foo.example."},
	dns.TypeNSEC:     {"Host.example. A MX RRSIG NSEC TYPE1234 TYPE65280", "."},
	dns.TypeNSEC3: {
		"1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA MX RRSIG DNSKEY NSEC3PARAM",
		"1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr",
	},
	dns.TypeNSEC3PARAM: {"1 0 12 aabbccdd", "1 0 0 -"},
	dns.TypeOPENPGPKEY: {"AAECAwQFBgc="},
	dns.TypePTR:        {`sp\032ace\.dot.Host.example.`},
	dns.TypePX:         {"10 Map822.example. Mapx400.example."},
	dns.TypeRESINFO:    {`"qnamemin" "exterr=15,16,17"`},
	dns.TypeRKEY:       {"0 3 1 AQMFD5raczCJHViK"},
	dns.TypeRP:         {"Mbox.example. Text.example."},
	dns.TypeRRSIG:      {"A 5 3 86400 20300322173103 20300220173103 2642 Example. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6o"},
	dns.TypeRT:         {"10 Relay.example."},
	dns.TypeSMIMEA:     {"3 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"},
	dns.TypeSOA:        {"Ns.example. Host\\.master.Example. 4294967295 1 2 3 4"},
	dns.TypeSPF:        {`"v=spf1 +all"`},
	dns.TypeSRV:        {"0 5 5060 Sip.example.", "0 0 0 ."},
	dns.TypeSSHFP:      {"2 1 123456789abcdef67890123456789abcdef67890"},
	dns.TypeSVCB: {
		`1 Svc.example. mandatory=alpn,port alpn="h2" no-default-alpn port=8443 dohpath="/dns-query{?dns}" ohttp key65280="x\\y"`,
		"0 .",
	},
	dns.TypeTA:     {"60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"},
	dns.TypeTALINK: {"H0.example. H2.example."},
	dns.TypeTLSA:   {"0 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"},
	dns.TypeTXT:    {`"plain" "" "quote \" back\\slash \000\200"`},
	dns.TypeUID:    {"1000"},
	dns.TypeUINFO:  {`"info"`},
	dns.TypeURI:    {`10 1 "ftp://ftp1.example.com/public"`, `10 1 ""`},
	dns.TypeX25:    {"311061700956"},
	dns.TypeZONEMD: {"2018031500 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306"},
}

// records has examples of the types that miekg/dns does not parse.
var records = map[uint16][]dns.RR{
	dns.TypeNULL:   {&dns.NULL{Data: "\x00any\xff"}, &dns.NULL{}},
	dns.TypeEID:    {&dns.EID{Endpoint: "01ff"}},
	dns.TypeNIMLOC: {&dns.NIMLOC{Locator: "01ff"}},
	dns.TypeSIG: {&dns.SIG{RRSIG: dns.RRSIG{
		TypeCovered: dns.TypeA, Algorithm: 5, Labels: 1, OrigTtl: 1, Expiration: 2, Inception: 1, KeyTag: 7,
		SignerName: "Example.", Signature: "AQID",
	}}},
	dns.TypeNXT:    {&dns.NXT{NSEC: dns.NSEC{NextDomain: "Next.example.", TypeBitMap: []uint16{dns.TypeA, dns.TypeNXT}}}},
	dns.TypeOPT:    {&dns.OPT{}, &dns.OPT{Option: []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{1, 2}}}}},
	dns.TypeANY:    {&dns.ANY{}},
	dns.TypeNXNAME: {&dns.NXNAME{}},
	dns.TypeTKEY: {&dns.TKEY{
		Algorithm: "gss-tsig.", Inception: 1, Expiration: 2, Mode: 3, KeySize: 3, Key: "010203", OtherLen: 1, OtherData: "09",
	}},
	dns.TypeTSIG: {&dns.TSIG{
		Algorithm: "hmac-sha256.", TimeSigned: 1 << 40, Fudge: 300, MACSize: 4, MAC: "deadbeef", OrigId: 1,
		Error: dns.RcodeBadTime, OtherLen: 6, OtherData: "000001020304",
	}},
}

// examples returns the example records of every type that miekg/dns has a name for; types without a structure of their own
// in miekg/dns are RFC 3597 records.
func examples(tb testing.TB) map[uint16][]dns.RR {
	tb.Helper()
	all := map[uint16][]dns.RR{}
	for rrtype, mnemonic := range dns.TypeToString {
		for _, s := range presentations[rrtype] {
			rr, err := dns.NewRR("Owner.example. 300 IN " + mnemonic + " " + s)
			if err != nil {
				tb.Fatalf("%s %s: %v", mnemonic, s, err)
			}
			all[rrtype] = append(all[rrtype], rr)
		}
		for _, rr := range records[rrtype] {
			*rr.Header() = dns.RR_Header{Name: "Owner.example.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: 300}
			all[rrtype] = append(all[rrtype], rr)
		}
		if _, typed := dns.TypeToRR[rrtype]; !typed {
			header := dns.RR_Header{Name: "Owner.example.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: 300}
			all[rrtype] = append(all[rrtype], &dns.RFC3597{Hdr: header, Rdata: "c00c01ff"})
		}
		if len(all[rrtype]) == 0 {
			tb.Errorf("type %s has no example", mnemonic)
		}
	}
	return all
}

// pack returns the RDATA of rr as miekg/dns packs it, without compression.
func pack(rr dns.RR) ([]byte, error) {
	buf := make([]byte, 1<<17)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	_, begin, err := dns.UnpackDomainName(buf, 0)
	return buf[begin+10 : end], err
}

// unpack reads the RDATA at off of msg as the server does when it makes a record of stored RDATA.
func unpack(rrtype uint16, msg []byte, off int) (dns.RR, error) {
	header := dns.RR_Header{Name: ".", Rrtype: rrtype, Class: dns.ClassINET, Rdlength: uint16(len(msg) - off)}
	rr, _, err := dns.UnpackRRWithHeader(header, msg, off)
	return rr, err
}
