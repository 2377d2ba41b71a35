package secondaryplus

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// now returns the time as TSIG has it.
func now() uint64 { return uint64(time.Now().Unix()) }

// wireNames are the algorithms by the word the Corefile has for them.
var wireNames = map[string]string{
	"hmac-md5": dns.HmacMD5, "hmac-sha1": dns.HmacSHA1, "hmac-sha224": dns.HmacSHA224,
	"hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

// keyed returns the address of a CoreDNS that serves example.org with a key of every algorithm, of which the one in allow
// must sign NOTIFYs.
func keyed(t *testing.T, algorithm, before string) (addr string, p *primaryOf) {
	t.Helper()
	p = newPrimaryOf(t, exampleOrg...)
	port := unusedPort(t)
	runCoreDNS(t, fmt.Sprintf(`example.org:%s {
		%s
		secondaryplus {
			primary %s
			key notify.key. %s SECRET
			allow_notify 127.0.0.1 key notify.key.
		}
	}`, port, before, p.Addr(), algorithm))
	addr = "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	return addr, p
}

// sendRaw sends a message as it is and returns the reply as it is.
func sendRaw(t *testing.T, addr string, msg []byte) []byte {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("No reply: %v", err)
	}
	return buf[:n]
}

// unpack returns a message taken apart.
func unpack(t *testing.T, msg []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("Reply %x: %v", msg, err)
	}
	return m
}

// verified fails the test unless the reply is signed with the key over the MAC of the request.
func verified(t *testing.T, reply []byte, algorithm string, requestMAC []byte) {
	t.Helper()
	verifiedWith(t, reply, "notify.key.", algorithm, requestMAC)
}

// verifiedWith is verified for a key of any name.
func verifiedWith(t *testing.T, reply []byte, key, algorithm string, requestMAC []byte) {
	t.Helper()
	sig := unpack(t, reply).IsTsig()
	if sig == nil || sig.MACSize == 0 {
		t.Fatalf("The reply is not signed: %v", unpack(t, reply))
	}
	if dns.CanonicalName(sig.Hdr.Name) != key || dns.CanonicalName(sig.Algorithm) != algorithm {
		t.Errorf("The reply is signed with %s %s", sig.Hdr.Name, sig.Algorithm)
	}
	plain := bytes.Clone(reply[:len(reply)-dns.Len(sig)])
	binary.BigEndian.PutUint16(plain[10:], binary.BigEndian.Uint16(plain[10:])-1)
	s := scripted.NewSigner(key, algorithm, testSecret, requestMAC)
	s.Time, s.Fudge, s.Error = time.Unix(int64(sig.TimeSigned), 0), sig.Fudge, sig.Error
	s.Other, _ = hex.DecodeString(sig.OtherData)
	s.Sign(plain)
	if got, _ := hex.DecodeString(sig.MAC); !bytes.Equal(got, s.MAC()) {
		t.Errorf("The signature of the reply is wrong: %v", unpack(t, reply))
	}
	if algorithm == dns.HmacMD5 || sig.Error == dns.RcodeBadTime {
		return // miekg/dns does not do md5, and looks at the time
	}
	if err := dns.TsigVerify(bytes.Clone(reply), testSecret, hex.EncodeToString(requestMAC), false); err != nil {
		t.Errorf("The signature of the reply: %v", err)
	}
}

// notifyOf returns a NOTIFY with the SOA of serial, as BIND, Knot and NSD send it, uncompressed.
func notifyOf(serial uint32) *dns.Msg {
	m := new(dns.Msg).SetNotify("example.org.")
	m.Answer = recordsOf([]string{strings.Replace(exampleOrg[0], " 7 ", fmt.Sprintf(" %d ", serial), 1)})
	return m
}

func TestNotifyIsVerifiedWithEveryAlgorithm(t *testing.T) {
	if got := xfr.AlgorithmNames(); len(got) != len(wireNames) {
		t.Fatalf("Algorithms are %v", got)
	}
	for algorithm, name := range wireNames {
		t.Run(algorithm, func(t *testing.T) {
			wantNothingLeft(t)
			addr, _ := keyed(t, algorithm, "")
			withOPT := notifyOf(7)
			withOPT.SetEdns0(1232, true)
			withOPT.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556"}}
			compressed := notifyOf(7)
			compressed.Compress = true
			for what, m := range map[string]*dns.Msg{
				"bare": new(dns.Msg).SetNotify("example.org."), "with SOA": notifyOf(7), "compressed": compressed, "with OPT": withOPT,
			} {
				for _, key := range []string{"notify.key.", "NOTIFY.kEy."} {
					s := scripted.NewSigner(key, name, testSecret, nil)
					reply := sendRaw(t, addr, s.Sign(scripted.Pack(m)))
					r := unpack(t, reply)
					if r.Rcode != dns.RcodeSuccess || !r.Authoritative || r.Id != m.Id || r.Opcode != dns.OpcodeNotify {
						t.Errorf("%s, key %s: %v", what, key, r)
						continue
					}
					verified(t, reply, name, s.MAC())
				}
			}
		})
	}
}

// variant is a NOTIFY in one of the ways to write it.
type variant struct {
	msg []byte
	how string
}

// spellings returns a NOTIFY with the SOA of example.org in the ways senders have: each name behind the first is written
// out, or cut where its end has stood before, with a pointer to the first such place.
func spellings() []variant {
	m := notifyOf(7)
	fixed := scripted.Pack(m)
	numbers := fixed[len(fixed)-20:]
	header := binary.BigEndian.AppendUint16(nil, m.Id)
	header = append(header, 0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0) // NOTIFY, AA
	first := append(header, pack("example.org.")...)
	first = append(first, 0, 6, 0, 1)
	var all []variant
	spell(first, "example.org.", "", func(owner []byte, how1 string) {
		owner = append(owner, 0, 6, 0, 1, 0, 0, 0x0E, 0x10, 0, 0)
		at := len(owner)
		spell(owner, "ns.example.org.", how1+" | ", func(mname []byte, how2 string) {
			spell(mname, "hostmaster.example.org.", how2+" | ", func(rname []byte, how3 string) {
				msg := append(rname, numbers...)
				binary.BigEndian.PutUint16(msg[at-2:], uint16(len(msg)-at))
				all = append(all, variant{msg, how3})
			})
		})
	})
	return all
}

// spell calls f with both ways to append name to msg.
func spell(msg []byte, name, how string, f func(msg []byte, how string)) {
	f(append(bytes.Clone(msg), pack(name)...), how+name)
	for _, cut := range dns.Split(name) {
		for at := 12; at < len(msg); at++ {
			if got, _, err := dns.UnpackDomainName(msg, at); err != nil || got != name[cut:] || msg[at] >= 0xC0 {
				continue
			}
			begin := append(bytes.Clone(msg), pack(name)[:cut]...)
			f(binary.BigEndian.AppendUint16(begin, 0xC000|uint16(at)), how+name[:cut]+">"+strconv.Itoa(at))
			return
		}
	}
}

// pack returns a name on the wire.
func pack(name string) []byte {
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		panic(err)
	}
	return buf[:n]
}

func TestNotifyIsVerifiedHoweverSendersWriteItsNames(t *testing.T) {
	addr, _ := keyed(t, "hmac-md5", "")
	all := spellings()
	if len(all) != 8 {
		t.Fatalf("%d ways to write a NOTIFY, not 2 for each of 3 names", len(all))
	}
	var failed []string
	for _, v := range all {
		s := scripted.NewSigner("notify.key.", dns.HmacMD5, testSecret, nil)
		if r := unpack(t, sendRaw(t, addr, s.Sign(v.msg))); r.Rcode != dns.RcodeSuccess {
			failed = append(failed, v.how)
		}
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d ways to write a NOTIFY are not understood, such as %q", len(failed), len(all), failed[:min(5, len(failed))])
	}
}

// What is wrong with a signature is told apart, as RFC 8945 §5.2 has it.
func TestWrongSignatureIsRejected(t *testing.T) {
	for _, algorithm := range []string{"hmac-md5", "hmac-sha256"} {
		wire := wireNames[algorithm]
		other := wireNames["hmac-sha1"]
		for _, c := range []struct {
			name, key, wire string
			spoil           func(*scripted.Signer)
			code            uint16
		}{
			{"wrong secret", "notify.key.", wire, func(s *scripted.Signer) { s.Secret = []byte("wrong") }, dns.RcodeBadSig},
			{"wrong secret, mixed case", "Notify.Key.", wire, func(s *scripted.Signer) { s.Secret = []byte("wrong") }, dns.RcodeBadSig},
			{"spoiled", "notify.key.", wire, func(s *scripted.Signer) { s.Corrupt = true }, dns.RcodeBadSig},
			{"unknown key", "unknown.key.", wire, func(*scripted.Signer) {}, dns.RcodeBadKey},
			{"other algorithm", "notify.key.", other, func(*scripted.Signer) {}, dns.RcodeBadKey},
		} {
			t.Run(algorithm+" "+c.name, func(t *testing.T) {
				addr, p := keyed(t, algorithm, "")
				s := scripted.NewSigner(c.key, c.wire, testSecret, nil)
				c.spoil(s)
				r := unpack(t, sendRaw(t, addr, s.Sign(scripted.Pack(notifyOf(9)))))
				sig := r.IsTsig()
				if r.Rcode != dns.RcodeNotAuth || sig == nil || sig.Error != c.code || sig.MACSize != 0 || sig.MAC != "" {
					t.Fatalf("Reply %v; want NOTAUTH with TSIG error %d, unsigned", r, c.code)
				}
				if !strings.EqualFold(sig.Hdr.Name, c.key) || !strings.EqualFold(sig.Algorithm, c.wire) {
					t.Errorf("The TSIG record names %s %s", sig.Hdr.Name, sig.Algorithm)
				}
				if p.checks.Load() != 0 {
					t.Error("It started a check")
				}
			})
		}
	}
}

// Truncated MACs, both ways: what is longer than the key wants is taken, what is shorter is BADTRUNC and says so signed, what no
// MAC may be is FORMERR (RFC 8945 §5.2.2.1, §5.2.4).
func TestTruncatedSignatures(t *testing.T) {
	for _, c := range []struct {
		algorithm, wire string
		sent            int // octets of our MAC, at least; as many as the request has
		rcodes          map[int]uint16
	}{
		{"hmac-sha256-192", dns.HmacSHA256, 24, map[int]uint16{32: 0, 31: 0, 24: 0, 23: dns.RcodeBadTrunc, 16: dns.RcodeBadTrunc, 15: dns.RcodeFormatError}},
		{"hmac-sha256", dns.HmacSHA256, 32, map[int]uint16{32: 0, 31: dns.RcodeBadTrunc, 15: dns.RcodeFormatError}},
		{"hmac-md5-80", dns.HmacMD5, 10, map[int]uint16{16: 0, 10: 0, 9: dns.RcodeFormatError}},
	} {
		t.Run(c.algorithm, func(t *testing.T) {
			addr, p := keyed(t, c.algorithm, "")
			for octets, want := range c.rcodes {
				serial := uint32(7)
				if want != 0 {
					serial = 9
				}
				s := scripted.NewSigner("notify.key.", c.wire, testSecret, nil)
				s.Truncate = octets
				raw := sendRaw(t, addr, s.Sign(scripted.Pack(notifyOf(serial))))
				r := unpack(t, raw)
				sig := r.IsTsig()
				if want == dns.RcodeFormatError {
					if r.Rcode != int(want) || sig != nil {
						t.Errorf("%d octets: %v; want FORMERR", octets, r)
					}
					continue
				}
				rcode := dns.RcodeSuccess
				if want != 0 {
					rcode = dns.RcodeNotAuth
				}
				if r.Rcode != rcode || sig == nil || sig.Error != want || int(sig.MACSize) != max(c.sent, octets) {
					t.Errorf("%d octets: %v; want TSIG error %d and %d octets", octets, r, want, max(c.sent, octets))
					continue
				}
				reply := scripted.NewSigner("notify.key.", c.wire, testSecret, s.MAC())
				reply.Time, reply.Fudge, reply.Error, reply.Truncate = time.Unix(int64(sig.TimeSigned), 0), sig.Fudge, sig.Error, max(c.sent, octets)
				plain := bytes.Clone(raw[:len(raw)-dns.Len(sig)])
				binary.BigEndian.PutUint16(plain[10:], binary.BigEndian.Uint16(plain[10:])-1)
				reply.Sign(plain)
				if got, _ := hex.DecodeString(sig.MAC); !bytes.Equal(got, reply.MAC()) {
					t.Errorf("%d octets: the signature of the reply is wrong: %v", octets, r)
				}
			}
			if p.checks.Load() != 0 {
				t.Error("It started a check")
			}
		})
	}
}

// RFC 8945 §5.2.3: BADTIME is signed, repeats the client's time and tells ours.
func TestWrongTimeIsRejectedWithOurs(t *testing.T) {
	for algorithm, wire := range wireNames {
		for _, skew := range []time.Duration{-400 * time.Second, 400 * time.Second} {
			t.Run(fmt.Sprint(algorithm, skew), func(t *testing.T) {
				addr, p := keyed(t, algorithm, "")
				s := scripted.NewSigner("notify.key.", wire, testSecret, nil)
				s.Time = time.Now().Add(skew)
				reply := sendRaw(t, addr, s.Sign(scripted.Pack(notifyOf(9))))
				r := unpack(t, reply)
				sig := r.IsTsig()
				if r.Rcode != dns.RcodeNotAuth || sig == nil || sig.Error != dns.RcodeBadTime {
					t.Fatalf("Reply %v; want NOTAUTH with BADTIME", r)
				}
				verified(t, reply, wire, s.MAC())
				ours, err := hex.DecodeString(sig.OtherData)
				if err != nil || len(ours) != 6 {
					t.Fatalf("Other Data is %q", sig.OtherData)
				}
				if at := binary.BigEndian.Uint64(append([]byte{0, 0}, ours...)); now()-at > 5 {
					t.Errorf("Our time is %d; it tells %d", now(), at)
				}
				if sig.TimeSigned != uint64(s.Time.Unix()) {
					t.Errorf("Time Signed is %d; the request had %d", sig.TimeSigned, s.Time.Unix())
				}
				if p.checks.Load() != 0 {
					t.Error("It started a check")
				}
			})
		}
	}
}

func TestMissingKeyIsRefused(t *testing.T) {
	addr, p := keyed(t, "hmac-sha256", "")
	r := unpack(t, sendRaw(t, addr, scripted.Pack(notifyOf(9))))
	if r.Rcode != dns.RcodeRefused || r.IsTsig() != nil {
		t.Errorf("Reply %v; want REFUSED", r)
	}
	if p.checks.Load() != 0 {
		t.Error("It started a check")
	}
}

// A NOTIFY that is accepted brings the new version.
func TestSignedNotifyBringsTheNewVersion(t *testing.T) {
	addr, p := keyed(t, "hmac-md5", "")
	records := slices.Clone(exampleOrg)
	records[0] = strings.Replace(records[0], " 7 ", " 8 ", 1)
	p.serve(records...)
	s := scripted.NewSigner("notify.key.", dns.HmacMD5, testSecret, nil)
	if r := unpack(t, sendRaw(t, addr, s.Sign(scripted.Pack(notifyOf(8))))); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("Reply %v", r)
	}
	waitServed(t, addr, "example.org.", 8)
}

// With the tsig plugin in front the reply is signed once, by it.
func TestNotifyIsVerifiedBehindTheTSIGPlugin(t *testing.T) {
	for _, require := range []string{"", "require_opcode NOTIFY"} {
		addr, _ := keyed(t, "hmac-sha256", "tsig {\n"+require+"\nsecret other.key. SECRET\n}")
		s := scripted.NewSigner("notify.key.", dns.HmacSHA256, testSecret, nil)
		reply := sendRaw(t, addr, s.Sign(scripted.Pack(notifyOf(7))))
		if r := unpack(t, reply); r.Rcode != dns.RcodeSuccess || len(r.Extra) != 1 {
			t.Fatalf("Reply %v", r)
		}
		verified(t, reply, dns.HmacSHA256, s.MAC())
		other := scripted.NewSigner("other.key.", dns.HmacSHA256, testSecret, nil)
		if r := unpack(t, sendRaw(t, addr, other.Sign(scripted.Pack(notifyOf(7))))); r.Rcode != dns.RcodeRefused {
			t.Errorf("With a key that is nothing to the zone: %v", r)
		}
	}
}

// Two server blocks on one address may have keys of one name: each zone knows its own.
func TestKeysOfOneNameAreToldApart(t *testing.T) {
	p := newPrimaryOf(t, exampleOrg...)
	second := base64.StdEncoding.EncodeToString([]byte("another secret of the same name"))
	block := "%s:%s {\nsecondaryplus {\nprimary " + p.Addr().String() + "\nkey notify.key. hmac-sha256 %s\nallow_notify 127.0.0.1 key notify.key.\n}\n}\n"
	port := unusedPort(t)
	runCoreDNS(t, fmt.Sprintf(block, "example.org", port, "SECRET")+fmt.Sprintf(block, "example.net", port, second))
	for zone, keys := range map[string][2]string{"example.org.": {testSecret, second}, "example.net.": {second, testSecret}} {
		for i, want := range []int{dns.RcodeSuccess, dns.RcodeNotAuth} {
			s := scripted.NewSigner("notify.key.", dns.HmacSHA256, keys[i], nil)
			r := unpack(t, sendRaw(t, "127.0.0.1:"+port, s.Sign(scripted.Pack(new(dns.Msg).SetNotify(zone)))))
			if r.Rcode != want {
				t.Errorf("%s with secret %d: %v", zone, i, r)
			}
		}
	}
}
