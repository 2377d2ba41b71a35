package corefile

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// TestWrongLines gives, for every wrong text, the line and the words its error must have.
func TestWrongLines(t *testing.T) {
	root := t.TempDir()
	write(t, root, "bad.key", "# transfers\nkey k { algorithm hmac-sha256; };\n")
	write(t, root, "other.key", `key k { algorithm hmac-sha256; secret "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="; };`)
	write(t, root, "twice", "a.test\nb.test\n\nA.test.\n")
	write(t, root, "bad.zones", "a.test\nb.test c.test\n")
	write(t, root, "org", "b.test\nexample.org\n")
	const known = "known are allow_notify, allow_transfer, conflicts, control, cookies, expire, fallthrough, fastpath, fault_after, fault_every, fault_notify, history, ixfr_from_axfr, ixfr_out, key, key_file, max_records, max_rrset, " +
		"max_size, max_types, max_udp, notify, notify_delay, primary, rate_limit, refresh, retry, " +
		"serial_zero, soa_rate, store, transfer, transfer_memory, transfers_in, transfers_out, variant, zones_file"

	tests := []struct{ text, want string }{
		// The directive.
		{"secondaryplus", "1: secondaryplus without a primary; want at least one line of the form primary ADDRESS... [key NAME] [source ADDRESS]"},
		{"secondaryplus {\n}", "1: secondaryplus without a primary"},
		{"\n\nsecondaryplus {\nkey k hmac-sha256 SECRET\n}", "3: secondaryplus without a primary"},
		{"secondaryplus {\nprimary 192.0.2.1", "1: the block of secondaryplus is not closed"},
		{"secondaryplus {\nprimary 192.0.2.1 }\n", "2: unexpected } at the end of a line"},
		{"secondaryplus {\nprimary 192.0.2.1 {\n}\n}", "2: unexpected {; want no block inside the block of secondaryplus"},
		{"secondaryplus {\n{\n}\n}", "2: unexpected {"},
		{"secondaryplus {\nprimary 192.0.2.1\n} more", `3: unexpected "more" after the block of secondaryplus`},
		{"secondaryplus büro.test {\nprimary 192.0.2.1\n}", `1: zone "büro.test": want a domain name in ASCII`},
		{"secondaryplus a..test {\nprimary 192.0.2.1\n}", `1: zone "a..test": want a domain name`},
		{"secondaryplus \"\" {\nprimary 192.0.2.1\n}", `1: zone "": want a domain name`},
		{"secondaryplus dns:// {\nprimary 192.0.2.1\n}", `1: zone "dns://": want a domain name`},
		{"secondaryplus a.test A.test {\nprimary 192.0.2.1\n}", "1: zone a.test. is already listed at Testfile:1; want every zone once"},
		{"secondaryplus a.test {\nprimary 192.0.2.1\n}\nsecondaryplus b.test a.test. {\nprimary 192.0.2.1\n}", "4: zone a.test. is already listed at Testfile:1"},
		{inBlock("") + "\n" + inBlock(""), "5: zone example.org. is already listed at Testfile:1"},
		{inBlock("soa_rate 1") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nsoa_rate 2\n}", "7: soa_rate differs from the one at Testfile:3; want one value"},

		// Options of other work, and of no work.
		{inBlock("catalog"), `3: unknown option "catalog"; ` + known},
		{inBlock("\nzonemd require"), `4: unknown option "zonemd"; ` + known},
		{inBlock("fastpath 0"), `3: fastpath "0": want auto, off, or a whole number of at least 1 and at most 64, in sockets for an address`},
		{inBlock("Primary 192.0.2.1"), `3: unknown option "Primary", perhaps meant as primary; ` + known},

		// Primaries.
		{inBlock("primary"), `3: primary "": want primary ADDRESS... [key NAME] [source ADDRESS]`},
		{inBlock("primary ns1.example.org"), `3: primary "ns1.example.org": want an IP address with an optional port, such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53; host names are not resolved`},
		{inBlock("primary ns1.example.org:53"), "host names are not resolved"},
		{inBlock("primary 192.0.2.2 tls dns.test"), `3: primary "tls": want an IP address`},
		{inBlock("primary 192.0.2.2:0"), `3: primary "192.0.2.2:0": want an IP address`},
		{inBlock("primary 192.0.2.2:65536"), `3: primary "192.0.2.2:65536": want an IP address`},
		{inBlock("primary 0.0.0.0"), `3: primary "0.0.0.0": this is the unspecified address, which no machine has; want an IP address`},
		{inBlock("primary 224.0.0.1"), `3: primary "224.0.0.1": this is a multicast address, not that of one machine; want an IP address`},
		{inBlock("primary [::]:5353"), `3: primary "[::]:5353": this is the unspecified address`},
		{inBlock("primary [ff02::1]"), `3: primary "[ff02::1]": this is a multicast address`},
		{inBlock("primary ::ffff:0.0.0.0"), `3: primary "::ffff:0.0.0.0": this is the unspecified address`},
		{inBlock("transfer from 0.0.0.0:53"), `3: transfer "0.0.0.0:53": this is the unspecified address`},
		{inBlock("primary 192.0.2.0/24"), `3: primary "192.0.2.0/24": want an IP address`},
		{inBlock("primary 192.0.2.1:53"), `3: primary "192.0.2.1:53": want every primary once; 192.0.2.1:53 is listed before`},
		{inBlock("primary 192.0.2.2 key"), "3: primary: nothing after key; want primary ADDRESS... [key NAME] [source ADDRESS]"},
		{inBlock("primary 192.0.2.2 key \"\""), "3: primary: nothing after key"},
		{inBlock("primary 192.0.2.2 sorce 192.0.2.3"), `3: primary "sorce", perhaps meant as source: want primary ADDRESS... [key NAME] [source ADDRESS]`},
		{inBlock("allow_notify 192.0.2.2 Key k"), `3: allow_notify "Key", perhaps meant as key: want allow_notify SOURCE... [key NAME]`},
		{inBlock("primary key k"), "3: primary without an address"},
		{inBlock("primary 192.0.2.2 key k key l"), `3: primary: a second key, "l" beside "k"; want primary ADDRESS...`},
		{inBlock("primary 192.0.2.2 key k 192.0.2.3"), `3: primary "192.0.2.3": want primary ADDRESS... [key NAME] [source ADDRESS]`},
		{inBlock("\nprimary 192.0.2.2 key k\nsoa_rate 1"), `4: primary: no key "k" in this secondaryplus; want a key or key_file line for it in the same block`},
		{inBlock("primary 192.0.2.2 key a..b"), `3: primary: no key "a..b" in this secondaryplus`},
		{"secondaryplus a.test {\nprimary 192.0.2.1\nkey k hmac-sha256 SECRET\n}\nsecondaryplus b.test {\nprimary 192.0.2.1 key k\n}", `6: primary: no key "k" in this secondaryplus`},
		{inBlock("primary 192.0.2.2 source ::1"), "3: source ::1 for primary 192.0.2.2:53: want both to be IPv4 or both IPv6"},
		{inBlock("primary 192.0.2.2 source 10.0.0.1:53"), `3: source "10.0.0.1:53": want an IP address of this machine, without a port`},
		{inBlock("primary 192.0.2.2 source 0.0.0.0"), `3: source "0.0.0.0": this is the unspecified address, which no machine has; want an IP address of this machine`},
		{inBlock("transfer to 192.0.2.2"), "3: transfer to: secondaryplus has no such option; want allow_transfer SOURCE... [key NAME]"},
		{inBlock("transfer from"), `3: transfer "from": want transfer from ADDRESS...`},
		{inBlock("transfer 192.0.2.2"), `3: transfer "192.0.2.2": want transfer from ADDRESS...`},
		{inBlock("transfer from *"), `3: transfer "*": want an IP address`},

		// Keys.
		{inBlock("key k hmac-sha256"), "3: key: 2 words after it (not shown); want key NAME ALGORITHM SECRET"},
		{inBlock("key hmac-sha256:k:SECRET"), "3: key: 1 words after it (not shown); want key NAME ALGORITHM SECRET"},
		{inBlock("key k hmac-sha3 SECRET"), `3: key: the key algorithm "hmac-sha3" is not known; want one of hmac-md5, hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`},
		{inBlock("key k SECRET hmac-sha256"), "3: key: the key algorithm is not known; want one of hmac-md5"},
		{inBlock("key SECRET hmac-sha256 test-key"), "3: key: the key secret (not shown) is not base64"},
		{inBlock("key SECRET..SECRET hmac-sha256 SECRET"), "3: key: the key name is not a domain name"},
		{inBlock("key k hmac-sha256 SECRET\nkey K hmac-sha512 SECRET"), "4: key: key k. is already defined at Testfile:3 with another algorithm or secret; want every key once"},
		{inBlock("key_file"), `3: key_file "": want key_file FILE`},
		{inBlock("key_file a b"), `3: key_file "a b": want key_file FILE`},
		{inBlock("key_file none.key"), "3: key_file: " + root + "/none.key: no such file or directory; want a file of TSIG keys"},
		{inBlock("key_file bad.key"), "3: key_file: " + root + "/bad.key:2: the key clause has no secret"},
		{inBlock("key k hmac-sha256 SECRET\nkey_file other.key"), "4: key_file: key k. is already defined at Testfile:3"},

		// Sources of NOTIFY.
		{inBlock("allow_notify"), `3: allow_notify "": want allow_notify SOURCE... [key NAME]`},
		{inBlock("allow_notify key k"), "3: allow_notify without a source"},
		{inBlock("allow_notify any"), `3: allow_notify "any": want an address (192.0.2.1), a prefix (192.0.2.0/24, 2001:db8::/32) or a range (192.0.2.10-192.0.2.20)`},
		{inBlock("allow_notify 192.0.2.5/24"), `3: allow_notify "192.0.2.5/24": the address has bits set after the first 24; want 192.0.2.0/24 for the whole network, or 192.0.2.5 alone`},
		{inBlock("allow_notify 2001:db8::1/64"), "want 2001:db8::/64 for the whole network, or 2001:db8::1 alone"},
		{inBlock("allow_notify 192.0.2.0/33"), `3: allow_notify "192.0.2.0/33": want an address`},
		{inBlock("allow_notify 192.0.2.0/255.255.255.0"), "3: allow_notify"},
		{inBlock("allow_notify ::ffff:192.0.2.0/120"), "want the prefix of an IPv4 address written in IPv4"},
		{inBlock("allow_notify 192.0.2.20-192.0.2.10"), `3: allow_notify "192.0.2.20-192.0.2.10": the range is reversed; want 192.0.2.10-192.0.2.20`},
		{inBlock("allow_notify 192.0.2.1-2001:db8::1"), "want both ends of the range to be IPv4 or both IPv6"},
		{inBlock("allow_notify 192.0.2.1 - 192.0.2.9"), `3: allow_notify "-": want an address`},
		{inBlock("allow_notify 192.0.2.1:53"), `3: allow_notify "192.0.2.1:53": want an address`},
		{inBlock("allow_notify fe80::1%eth0"), `3: allow_notify "fe80::1%eth0": want an address`},
		{inBlock("allow_notify 192.0.2.2 key k key l"), `3: allow_notify: a second key, "l" beside "k"; want allow_notify SOURCE... [key NAME]`},
		{inBlock("allow_notify 192.0.2.2 key nokey"), `3: allow_notify: no key "nokey" in this secondaryplus`},

		// Secondaries.
		{inBlock("allow_transfer"), `3: allow_transfer "": want allow_transfer SOURCE... [key NAME]`},
		{inBlock("allow_transfer key k"), "3: allow_transfer without a source"},
		{inBlock("allow_transfer any"), `3: allow_transfer "any": without a key everybody could transfer the zones; want key NAME behind it`},
		{inBlock("allow_transfer 192.0.2.1 ::/0"), `3: allow_transfer "::/0": without a key everybody`},
		{inBlock("allow_transfer 0.0.0.0-255.255.255.255"), `3: allow_transfer "0.0.0.0-255.255.255.255": without a key everybody`},
		{inBlock("allow_transfer any key k"), `3: allow_transfer: no key "k" in this secondaryplus`},
		{inBlock("allow_transfer all"), `3: allow_transfer "all": want an address (192.0.2.1), a prefix (192.0.2.0/24, 2001:db8::/32) or a range (192.0.2.10-192.0.2.20), or any with a key`},
		{inBlock("allow_transfer 192.0.2.1 tls ns7.example.net"), `3: allow_transfer "tls": want an address`},
		{inBlock("ixfr_out"), `3: ixfr_out "": want ixfr_out PERCENT | off`},
		{inBlock("ixfr_out 0"), `3: ixfr_out "0": want a whole number of at least 1 and at most 1000, in percent of the zone, or off`},
		{inBlock("ixfr_out 1001"), `3: ixfr_out "1001": want a whole number`},
		{inBlock("ixfr_out 100%"), `3: ixfr_out "100%": want a whole number`},
		{inBlock("transfers_out 0"), `3: transfers_out "0": want a whole number of at least 1 and at most 10000`},
		{inBlock("transfers_out 4 5"), `3: transfers_out "4 5": want the second number, transfers to one client, to be of at least 1 and at most 4`},
		{inBlock("transfers_out 4 3 2"), `3: transfers_out "4 3 2": want transfers_out N [PER-CLIENT]`},

		// Our own secondaries.
		{inBlock("notify"), `3: notify "": want notify ADDRESS... [key NAME] [source ADDRESS]`},
		{inBlock("notify key k"), "3: notify without an address; want notify ADDRESS... [key NAME] [source ADDRESS]"},
		{inBlock("notify ns2.example.net"), `3: notify "ns2.example.net": want an IP address with an optional port`},
		{inBlock("notify 192.0.2.0/24"), `3: notify "192.0.2.0/24": want an IP address`},
		{inBlock("notify 192.0.2.7\nnotify 192.0.2.7:53"), `4: notify "192.0.2.7:53": want every secondary once; 192.0.2.7:53 is listed before`},
		{inBlock("notify 192.0.2.7 key nokey"), `3: notify: no key "nokey" in this secondaryplus`},
		{inBlock("notify 192.0.2.7 sorce ::1"), `3: notify "sorce", perhaps meant as source: want notify ADDRESS...`},
		{inBlock("notify 192.0.2.7 source ::1"), "3: source ::1 for notify 192.0.2.7:53: want both to be IPv4 or both IPv6"},
		{inBlock(manyTargets(257)), `3: notify "192.0.3.0": want at most 256 addresses in a directive`},
		{inBlock("notify_delay"), `3: notify_delay "": want notify_delay D`},
		{inBlock("notify_delay -1s"), `3: notify_delay "-1s": want a time of at most 1h0m0s, in whole seconds, such as 0s, 5s or 1m`},
		{inBlock("notify_delay 500ms"), `3: notify_delay "500ms": want a time of at most`},
		{inBlock("notify_delay 2h"), `3: notify_delay "2h": want a time of at most`},

		// Values.
		{inBlock("max_records ten"), `3: max_records "ten": want a whole number of at least 1, or unlimited`},
		{inBlock("max_records 0"), `3: max_records "0": want a whole number of at least 1, or unlimited`},
		{inBlock("max_records -1"), `3: max_records "-1": want a whole number`},
		{inBlock("max_records 1.5"), `3: max_records "1.5": want a whole number`},
		{inBlock("max_records 99999999999999999999"), `3: max_records "99999999999999999999": want a whole number`},
		{inBlock("max_records"), `3: max_records "": want max_records N | unlimited`},
		{inBlock("max_records 1 2"), `3: max_records "1 2": want max_records N | unlimited`},
		{inBlock("max_records 1\n\nmax_records 2"), "5: max_records is already given at Testfile:3; want it once in a directive"},
		{inBlock("max_size unlimited"), `3: max_size "unlimited": want a whole number of bytes`},
		{inBlock("max_size 0"), `3: max_size "0": want a whole number of bytes`},
		{inBlock("max_size 1.5G"), `3: max_size "1.5G": want a whole number of bytes`},
		{inBlock("max_size 256MB"), `3: max_size "256MB": want a whole number of bytes, of at least 1 and at most 1024G, with an optional K, M or G, such as 256M`},
		{inBlock("max_size 1025G"), `3: max_size "1025G": want a whole number of bytes`},
		{inBlock("max_size 18446744073709551615G"), "3: max_size"},
		{inBlock("history 0"), `3: history "0": want a whole number of versions of at least 1 and at most 10000, or off alone`},
		{inBlock("history off 1M"), `3: history "off": want a whole number of versions`},
		{inBlock("history 5 65M"), `3: history "65M": want a whole number of bytes, of at least 1 and at most 64M`},
		{inBlock("ixfr_from_axfr yes"), `3: ixfr_from_axfr "yes": want on or off`},
		{inBlock("serial_zero yes"), `3: serial_zero "yes": want stop or accept`},
		{inBlock("refresh 60"), `3: refresh "60": want refresh MIN MAX`},
		{inBlock("refresh 0 60"), `3: refresh "0": want a time of at least 1s and at most 4294967295s, in whole seconds, such as 90s, 15m, 2h, 1d or 3600`},
		{inBlock("refresh 60 4294967296"), `3: refresh "4294967296": want a time of at least 1s`},
		{inBlock("retry 60 30"), `3: retry "60 30": want the smaller time first: retry 30 60`},
		{inBlock("retry 1500ms 60"), `3: retry "1500ms": want a time`},
		{inBlock("expire 7D 14D"), `3: expire "7D": want a time`},
		{inBlock("expire 1d 49711d"), `3: expire "49711d": want a time`},
		{inBlock("expire 1d12h 2d"), `3: expire "1d12h": want a time`},
		{inBlock("expire 1d 18446744073709551615w"), `want a time`},
		{inBlock("expire 0d 1d"), `3: expire "0d": want a time`},
		{inBlock("expire -5s 60"), `3: expire "-5s": want a time`},
		{inBlock("rate_limit"), `3: rate_limit "": want rate_limit on`},
		{inBlock("rate_limit 0"), `3: rate_limit "0": want on, off or a whole number`},
		{inBlock("rate_limit maybe"), `3: rate_limit "maybe": want on, off or a whole number`},
		{inBlock("rate_limit off exempt 192.0.2.0/24"), `want nothing after off`},
		{inBlock("rate_limit 5 24"), `3: rate_limit "": want the length of an IPv6 prefix, 1 to 128`},
		{inBlock("rate_limit 5 33 56"), `3: rate_limit "33": want the length of an IPv4 prefix, 1 to 32`},
		{inBlock("rate_limit 5 24 129"), `3: rate_limit "129": want the length of an IPv6 prefix`},
		{inBlock("rate_limit 5 24 56 64"), `want rate_limit on | off`},
		{inBlock("rate_limit on exempt"), `want rate_limit on | off`},
		{inBlock("rate_limit on exempt example.org"), `3: rate_limit exempt "example.org": want an address`},
		{inBlock("cookies maybe"), `cookies: ` + root + `/maybe: no such file`},
		{inBlock("cookies bad.key"), `bad.key: line 2: want a secret of 32 hexadecimal digits`},
		{inBlock("transfer_memory 0"), `3: transfer_memory "0": want`},
		{inBlock("transfer_memory unlimited"), `3: transfer_memory "unlimited": want`},
		{inBlock("transfer_memory"), `3: transfer_memory "": want transfer_memory BYTES`},
		{inBlock("transfers_in 0"), `3: transfers_in "0": want a whole number of at least 1 and at most 10000`},
		{inBlock("transfers_in 10001"), `3: transfers_in "10001": want a whole number`},
		{inBlock("transfers_in 4 5"), `3: transfers_in "4 5": want the second number, transfers from one primary, to be of at least 1 and at most 4`},
		{inBlock("transfers_in 4 0"), `3: transfers_in "4 0": want the second number`},
		{inBlock("transfers_in 4 3 2"), `3: transfers_in "4 3 2": want transfers_in N [PER-PRIMARY]`},
		{inBlock("max_udp 511"), `3: max_udp "511": want a size of at least 512 and at most 4096, in octets of an answer over UDP`},
		{inBlock("max_udp 4097"), `3: max_udp "4097": want a size of at least 512 and at most 4096`},
		{inBlock("max_udp -1232"), `3: max_udp "-1232": want a size`},
		{inBlock("max_udp"), `3: max_udp "": want max_udp BYTES`},
		{inBlock("max_udp 1232") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nmax_udp 1400\n}", "7: max_udp differs from the one at Testfile:3; want one value"},
		{inBlock("soa_rate 0"), `3: soa_rate "0": want a whole number of at least 1 and at most 1000000, in SOA queries a second`},
		{inBlock("soa_rate 0.5"), `3: soa_rate "0.5": want a whole number`},
		{inBlock("variant a b"), `3: variant "a b": want variant NAME`},
		{inBlock("variant a/b"), `3: variant "a/b": want at most 63 letters, digits, dots, hyphens and underscores`},
		{inBlock("variant " + strings.Repeat("a", 64)), `3: variant "aaa`},
		{inBlock("fallthrough a..b"), `3: fallthrough: zone "a..b": want a domain name`},

		// Zones files.
		{inBlock("zones_file none"), "3: zones_file: " + root + "/none: no such file or directory; want a file of zones, one a line"},
		{inBlock("zones_file bad.zones"), "3: zones_file: " + root + `/bad.zones:2: "b.test c.test": want one zone a line`},
		{inBlock("zones_file org\nzones_file org"), "4: zones_file is already given at Testfile:3"},
	}
	for _, tt := range tests {
		_, err := parseTextIn(root, tt.text)
		if err == nil {
			t.Errorf("%s\nis accepted, want an error with %s", tt.text, tt.want)
			continue
		}
		want := tt.want
		if len(want) > 0 && want[0] >= '0' && want[0] <= '9' {
			line, rest, _ := strings.Cut(want, ": ")
			want = "Testfile:" + line + " - Error during parsing: " + rest
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v\nwant  %s", tt.text, err, want)
		}
		if strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s\nshows the secret: %v", tt.text, err)
		}
	}

	zones := []struct{ text, want string }{
		{inBlock("zones_file twice"), root + "/twice:4 - Error during parsing: zone a.test. is already listed at " + root + "/twice:1"},
		{"secondaryplus example.org {\nprimary 192.0.2.1\nzones_file org\n}", root + "/org:2 - Error during parsing: zone example.org. is already listed at Testfile:1"},
		{inBlock("") + "\nsecondaryplus x.test {\nprimary 192.0.2.1\nzones_file org\n}", root + "/org:2 - Error during parsing: zone example.org. is already listed at Testfile:1"},
	}
	for _, tt := range zones {
		if _, err := parseTextIn(root, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\nerror %v\nwant  %s", tt.text, err, tt.want)
		}
	}
}

// manyTargets is a line with so many secondaries, from 192.0.2.0 on.
func manyTargets(n int) string {
	line, addr := "notify", netip.MustParseAddr("192.0.2.0")
	for range n {
		line += " " + addr.String()
		addr = addr.Next()
	}
	return line
}

// A file that is not there is named in full: relative to what it is may be the mistake.
func TestMissingFileIsNamedInFull(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{"key_file": "want a file of TSIG keys", "zones_file": "want a file of zones, one a line"} {
		_, err := parseText(inBlock(option + " none"))
		want := "Testfile:3 - Error during parsing: " + option + ": " + filepath.Join(here, "none") + ": no such file or directory; " + want
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Error is %v; want %s", err, want)
		}
	}
}

func FuzzCorefile(f *testing.F) {
	for _, text := range []string{
		"secondaryplus example.org {\n    transfer from 10.0.1.1 10.0.1.2\n}",
		inBlock("key k hmac-sha256 SECRET\nallow_notify 192.0.2.0/24 2001:db8::1-2001:db8::9 key k\nfallthrough a.test"),
		inBlock("max_records unlimited\nmax_size 1G\nserial_zero accept\nrefresh 60 1h\nretry 60 1h\nexpire 60 1h\ntransfers_in 4 2\nsoa_rate 5"),
		"secondaryplus a.test 10.0.0.0/8 {\nprimary [::1]:5 192.0.2.1 key k\n}\nsecondaryplus \"\" { } {",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "_file") {
			return // what is on the disk is no part of the input
		}
		b, err := parseText(text)
		if err != nil {
			return
		}
		all, err := b.Zones()
		if err != nil {
			t.Fatalf("Accepted, and its zones are not: %v", err)
		}
		zones := map[*Group]int{}
		for _, o := range all {
			zones[o.Group]++
		}
		for _, g := range b.Groups {
			if len(g.Primaries) == 0 || zones[g] == 0 {
				t.Errorf("Accepted with %d primaries and %d zones", len(g.Primaries), zones[g])
			}
			for _, c := range []refresh.Clamp{g.Policy.Refresh, g.Policy.Retry, g.Policy.Expire} {
				if c.Min <= 0 || c.Min > c.Max {
					t.Errorf("Clamp %v", c)
				}
			}
		}
		if s := b.Settings; s.TransfersIn.PerPrimary < 1 || s.TransfersIn.PerPrimary > s.TransfersIn.Total || s.SOARate < 1 {
			t.Errorf("Settings %+v", s)
		}
	})
}
