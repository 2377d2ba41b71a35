//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
)

const mixedOrigin = "mixed.test."

// timers are the last four numbers of a SOA. It is a plain value.
type timers struct{ Refresh, Retry, Expire, Minimum int }

// longTimers keep the timers out of a test: what happens in it is then due to something else.
var longTimers = timers{Refresh: 3600, Retry: 900, Expire: 1209600, Minimum: 300}

// plainZone is a zone of a SOA, two NS, and hosts h0, h1, ... so that it has records in all (at least 3).
func plainZone(origin string, serial uint32, records int, soa timers) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL 3600\n", origin)
	fmt.Fprintf(&b, "@ SOA ns1.example.net. hostmaster.example.net. %d %d %d %d %d\n",
		serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minimum)
	b.WriteString("@ NS ns1.example.net.\n@ NS ns2.example.net.\n")
	for i := range records - 3 {
		fmt.Fprintf(&b, "h%d A 10.%d.%d.%d\n", i, i>>16&255, i>>8&255, i&255)
	}
	return b.String()
}

// mixedZone has one of everything that lookups treat in a way of its own. The TXT record at "version" is the serial.
func mixedZone(serial uint32) string {
	return lines(
		"$ORIGIN "+mixedOrigin,
		"$TTL 3600",
		fmt.Sprintf("@ 7200 SOA ns1 hostmaster %d 3600 900 1209600 300", serial),
		"@ NS ns1",
		"@ NS ns2",
		"@ MX 10 mail",
		"@ MX 20 mail.example.net.",
		`@ TXT "v=spf1 mx -all" "second string"`,
		`@ CAA 0 issue "ca.example.net"`,
		"ns1 A 192.0.2.1",
		"ns1 AAAA 2001:db8::1",
		"ns2 A 192.0.2.2",
		"mail 60 A 192.0.2.25",
		fmt.Sprintf(`version TXT "%d"`, serial),
		// Owner case, escapes and odd types.
		"MiXeD A 192.0.2.3",
		`dot\.in.label A 192.0.2.4`,
		`sp\032ace A 192.0.2.5`,
		"_sip._tcp SRV 10 60 5060 mail",
		"naptr NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.net!\" .",
		"fp SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
		"_443._tcp.mail TLSA 3 1 1 0d6fce13243aa7b35ff5bc3d0c9d5b0cf2b4f1a2b6d2e3f4a5b6c7d8e9f0a1b2",
		"hinfo HINFO \"PC\" \"Linux\"",
		"unknown TYPE65280 \\# 4 0a000001",
		"loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 1m 10000m 10m",
		// Aliases, wildcards and what stops them.
		"web CNAME mail",
		"chain CNAME web",
		"away CNAME www.example.net.",
		"gone CNAME nothing.here",
		"into CNAME www.child",
		"old DNAME new",
		"host.new A 192.0.2.90",
		"*.wild A 192.0.2.7",
		`*.wild TXT "synthesized"`,
		"exact.wild A 192.0.2.8",
		"*.star CNAME mail",
		"below.empty.nonterminal A 192.0.2.9",
		// Delegations, with glue and without.
		"child NS ns.child",
		"child NS ns.example.net.",
		"ns.child A 192.0.2.53",
		"ns.child AAAA 2001:db8::53",
		"far NS ns.example.net.",
		"far DS 12345 13 2 3490A6806D47F17A34C29E2CE80E8A999FFBE4BE7F2A9B1C1D1E1F2021222324",
	)
}

// newer is mixedZone with a record that the first version has not.
func newer(serial uint32) string { return mixedZone(serial) + "added A 192.0.2.200\n" }
