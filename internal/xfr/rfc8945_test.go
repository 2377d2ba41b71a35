package xfr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

const (
	testKey    = "Test_Key."
	testSecret = "c2VjcmV0IG9mIHRoZSB0ZXN0IGtleSwgMzIgb2N0ZXRz"
	hmacSHA256 = "hmac-sha256"
)

// wireNames are the algorithms' names on the wire.
var wireNames = map[string]string{
	"hmac-md5": dns.HmacMD5, "hmac-sha1": dns.HmacSHA1, "hmac-sha224": dns.HmacSHA224,
	hmacSHA256: dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

func newKey(t testing.TB, algorithm string) *xfr.Key {
	t.Helper()
	k, err := xfr.NewKey(testKey, algorithm, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// stream begins the answers to a request signed with hmac-sha256, made by a naive signer and checked by ours.
func stream(t testing.TB) (*dnstest.Signer, *xfr.Stream) {
	t.Helper()
	requestMAC := []byte("any octets do for the request")
	return dnstest.NewSigner(testKey, dns.HmacSHA256, testSecret, requestMAC), xfr.NewStream(newKey(t, hmacSHA256), requestMAC)
}

func plainMessage() []byte {
	m := new(dns.Msg)
	m.SetQuestion("example.", dns.TypeAXFR)
	m.Response = true
	m.Id = testID
	m.Answer = dnstest.Records(soa(5), host("a", "192.0.2.1"))
	m.SetEdns0(1232, false)
	return dnstest.Pack(m)
}

// §4.2, §5.1: our signature is the one that other implementations make, for each algorithm they know.
func TestSignAgreesWithMiekgDNS(t *testing.T) {
	for _, algorithm := range xfr.AlgorithmNames() {
		if algorithm == "hmac-md5" {
			continue // miekg/dns has none; the naive signer does
		}
		t.Run(algorithm, func(t *testing.T) {
			k, msg := newKey(t, algorithm), plainMessage()
			signed, mac := xfr.Sign(bytes.Clone(msg), k, nil, time.Now())
			if err := dns.TsigVerify(signed, testSecret, "", false); err != nil {
				t.Errorf("miekg/dns on our request: %v", err)
			}
			answer, _ := xfr.Sign(bytes.Clone(msg), k, mac, time.Now())
			if err := dns.TsigVerify(answer, testSecret, hex.EncodeToString(mac), false); err != nil {
				t.Errorf("miekg/dns on our answer: %v", err)
			}

			m := new(dns.Msg)
			m.SetNotify("example.")
			m.SetTsig(testKey, wireNames[algorithm], 300, time.Now().Unix())
			theirs, theirMAC, err := dns.TsigGenerate(m, testSecret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			got, err := xfr.VerifyRequest(theirs, k, time.Now())
			if err != nil || hex.EncodeToString(got) != theirMAC {
				t.Errorf("our check of a request of miekg/dns: MAC %x, error %v; want %s", got, err, theirMAC)
			}

			s := xfr.NewStream(k, got)
			for i := range 3 {
				m.SetTsig(testKey, wireNames[algorithm], 300, time.Now().Unix())
				theirs, theirMAC, err = dns.TsigGenerate(m, testSecret, theirMAC, i > 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Verify(theirs); err != nil {
					t.Errorf("our check of answer %d of miekg/dns: %v", i, err)
				}
			}
			if err := s.Finish(); err != nil {
				t.Error(err)
			}
		})
	}
}

// §4.3: the digest is made as the RFC says, step by step, for each algorithm.
func TestSignAgreesWithTheNaiveSigner(t *testing.T) {
	now := time.Unix(1<<33, 0) // past 2^32: Time Signed has 48 bits
	for _, algorithm := range xfr.AlgorithmNames() {
		t.Run(algorithm, func(t *testing.T) {
			k, msg := newKey(t, algorithm), plainMessage()
			naive := dnstest.NewSigner(strings.ToLower(testKey), wireNames[algorithm], testSecret, nil)
			naive.Time = now
			want := naive.Sign(msg)
			got, mac := xfr.Sign(bytes.Clone(msg), k, nil, now)
			if !bytes.Equal(got, want) || !bytes.Equal(mac, naive.MAC()) {
				t.Errorf("signed\n%x\nwant\n%x", got, want)
			}
			if _, err := xfr.VerifyRequest(want, k, now); err != nil {
				t.Errorf("check: %v", err)
			}

			naive = dnstest.NewSigner(testKey, wireNames[algorithm], testSecret, mac)
			naive.Time = now
			s := xfr.NewStream(k, mac)
			for i, signIt := range []bool{true, true, false, false, true} {
				answer := bytes.Clone(msg)
				if signIt {
					answer = naive.Sign(answer)
				} else {
					answer = naive.Skip(answer)
				}
				plain, err := s.VerifyAt(answer, now)
				if err != nil || !bytes.Equal(plain, msg) {
					t.Errorf("message %d: error %v, plain %x; want %x", i, err, plain, msg)
				}
			}
			if err := s.Finish(); err != nil {
				t.Error(err)
			}
		})
	}
}

// knownMACs are the MACs of TestSignKnownAnswer, made by Python's hmac module from the layout of RFC 8945 §4.3.3.
var knownMACs = map[string]string{
	"hmac-md5":    "3b3227bb1ebf91882c299c72e6862d9e",
	"hmac-sha1":   "9497bcdcb91ce3255fd9746f20297e378700aaea",
	"hmac-sha224": "a77f37292ed15794499fc0452c15b360ad43c61a10e62f87c037ef9a",
	hmacSHA256:    "a4b6b6aa31c97d3bc99e69c036b3335ef9f1f6864c5dcff475ecab344fa3b1f9",
	"hmac-sha384": "daa8f65dbf1f07e298ffe9e81bf3eb9f91892e8af4d514a4a7b3670b359daa8e149bb9ba07636481312bfc1f8786a0d4",
	"hmac-sha512": "4bc587d7af107f8bf6218abeeb65e171616281d180c1dd1647efa2bce47df325222f2a8c43e3d7be33227e437880ee6e616a1db69c59ab9efe222187e7360da4",
}

// §4.3.3: known answers, which pin our signer and the naive one.
func TestSignKnownAnswer(t *testing.T) {
	msg, _ := hex.DecodeString("12670000000100000000000007" + "6578616d706c65" + "0000fc0001")
	for algorithm, want := range knownMACs {
		now := time.Unix(1700000000, 0)
		_, mac := xfr.Sign(bytes.Clone(msg), newKey(t, algorithm), nil, now)
		naive := dnstest.NewSigner(testKey, wireNames[algorithm], testSecret, nil)
		naive.Time = now
		naive.Sign(msg)
		if got, other := hex.EncodeToString(mac), hex.EncodeToString(naive.MAC()); got != want || other != want {
			t.Errorf("%s: MAC %s, of the naive signer %s; want %s", algorithm, got, other, want)
		}
	}
}

// §5.3.1: up to 99 messages between signed ones may be unsigned.
func TestUnsignedMessagesBetweenSignedOnes(t *testing.T) {
	sign, s := stream(t)
	msg := plainMessage()
	verify := func(signed []byte, at string) {
		t.Helper()
		if _, err := s.Verify(signed); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
	verify(sign.Sign(msg), "first")
	for range 2 { // the count starts again
		for range xfr.MaxUnsigned {
			verify(sign.Skip(bytes.Clone(msg)), "unsigned")
		}
		verify(sign.Sign(msg), "signed")
	}
	if err := s.Finish(); err != nil {
		t.Error(err)
	}
	if xfr.MaxUnsigned != 99 {
		t.Errorf("limit is %d; the RFC says 99", xfr.MaxUnsigned)
	}
	for range 99 {
		verify(bytes.Clone(msg), "unsigned")
	}
	_, err := s.Verify(bytes.Clone(msg))
	wantReason(t, err, reason.TSIGMissing)
}

// §5.3.1: the first and the last message must be signed.
func TestFirstAndLastMessageMustBeSigned(t *testing.T) {
	_, s := stream(t)
	_, err := s.Verify(plainMessage())
	wantReason(t, err, reason.TSIGMissing)

	sign, s := stream(t)
	wantReason(t, s.Finish(), reason.TSIGMissing)
	for _, msg := range [][]byte{sign.Sign(plainMessage()), sign.Skip(plainMessage())} {
		if _, err := s.Verify(msg); err != nil {
			t.Fatal(err)
		}
	}
	wantReason(t, s.Finish(), reason.TSIGMissing)
}

// §5.3.1: unsigned messages are part of the next digest, so none can be changed, left out, added or moved.
func TestStreamNoticesChanges(t *testing.T) {
	for name, tamper := range map[string]func(msgs [][]byte) [][]byte{
		"changed signed":   func(m [][]byte) [][]byte { m[2][40] ^= 1; return m },
		"changed unsigned": func(m [][]byte) [][]byte { m[1][40] ^= 1; return m },
		"changed ID":       func(m [][]byte) [][]byte { m[1][0] ^= 1; return m },
		"left out":         func(m [][]byte) [][]byte { return append(m[:1], m[2:]...) },
		"twice":            func(m [][]byte) [][]byte { return append(m, bytes.Clone(m[2])) },
		"swapped":          func(m [][]byte) [][]byte { m[0], m[2] = m[2], m[0]; return m },
	} {
		t.Run(name, func(t *testing.T) {
			sign, s := stream(t)
			msgs := tamper([][]byte{sign.Sign(plainMessage()), sign.Skip(plainMessage()), sign.Sign(plainMessage())})
			var err error
			for i := 0; i < len(msgs) && err == nil; i++ {
				_, err = s.Verify(msgs[i])
			}
			wantReason(t, err, reason.TSIGBadSig)
		})
	}
}

// §5.3.1: the first message digests all variables; one that digests the timers only is refused.
func TestFirstMessageDigestsAllVariables(t *testing.T) {
	sign, s := stream(t)
	sign.Timers = true
	_, err := s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, reason.TSIGBadSig)
}

// §5.2.2, §5.4.2: a wrong MAC, and one made with another secret, fail.
func TestWrongMACFails(t *testing.T) {
	sign, s := stream(t)
	sign.Corrupt = true
	_, err := s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, reason.TSIGBadSig)

	sign, s = stream(t)
	sign.Secret = []byte("another secret")
	_, err = s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, reason.TSIGBadSig)
	if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "secret of the test key") {
		t.Errorf("error shows the secret: %v", err)
	}
}

// macLength is an algorithm as its key names it, and the octets of its MACs: sent, and whole.
type macLength struct {
	algorithm, wire string
	sent, whole     int
}

// macLengths are all algorithms with whole MACs, and some with truncated ones.
func macLengths() []macLength {
	all := []macLength{
		{"hmac-md5-80", dns.HmacMD5, 10, 16}, {"hmac-md5.sig-alg.reg.int-96", dns.HmacMD5, 12, 16}, {"hmac-sha1-80", dns.HmacSHA1, 10, 20},
		{"HMAC-SHA1-96", dns.HmacSHA1, 12, 20}, {"hmac-sha224-112", dns.HmacSHA224, 14, 28}, {"hmac-sha256-128", dns.HmacSHA256, 16, 32},
		{"hmac-sha256-136", dns.HmacSHA256, 17, 32}, {"hmac-sha384-192", dns.HmacSHA384, 24, 48}, {"hmac-sha512-256", dns.HmacSHA512, 32, 64},
		{"hmac-sha512-504", dns.HmacSHA512, 63, 64}, {"hmac-sha512-512", dns.HmacSHA512, 64, 64},
	}
	for name, wire := range wireNames {
		size := len(knownMACs[name]) / 2
		all = append(all, macLength{name, wire, size, size})
	}
	return all
}

// §5.2.2.1, §5.2.4: a MAC longer than its hash, or shorter than 10 octets or half of the hash, is none; one below what the
// key wants is BADTRUNC, if it is right as far as it goes; all others pass (CVE-2017-3142, CVE-2017-3143).
func TestLengthOfAMAC(t *testing.T) {
	for _, c := range macLengths() {
		key, request := newKey(t, c.algorithm), []byte("the MAC of the request")
		for size := range c.whole + 3 {
			for _, spoilt := range []bool{false, true} {
				want := reason.Reason("")
				switch {
				case size < max(10, c.whole/2), size > c.whole:
					want = reason.Malformed
				case spoilt:
					want = reason.TSIGBadSig
				case size < c.sent:
					want = reason.TSIGBadTrunc
				}
				signed := func(prior []byte) (msg, mac []byte) {
					s := dnstest.NewSigner(testKey, c.wire, testSecret, prior)
					s.Sign(plainMessage())
					mac = append(bytes.Clone(s.MAC()), 0, 0)[:size]
					if spoilt && size > 0 {
						mac[size-1] ^= 1
					}
					return s.Append(plainMessage(), mac), mac
				}
				msg, mac := signed(nil)
				got, err := xfr.VerifyRequest(msg, key, time.Now())
				if genuine := want == "" || want == reason.TSIGBadTrunc; reason.Of(err) != want || genuine != (got != nil) || genuine && !bytes.Equal(got, mac) {
					t.Errorf("%s, request with %d octets, spoilt %v: %v, MAC %x; want %q", c.algorithm, size, spoilt, err, got, want)
				}
				if want == reason.Malformed {
					want = reason.TSIGBadSig // of an answer; a request gets FORMERR
				}
				msg, _ = signed(request)
				if _, err = xfr.NewStream(key, request).Verify(msg); reason.Of(err) != want {
					t.Errorf("%s, answer with %d octets, spoilt %v: %v; want %q", c.algorithm, size, spoilt, err, want)
				}
			}
		}
	}
}

// §4.3.1: what we send has the configured length, and is digested in that length, message after message.
func TestTruncatedMACsAreSentAndDigested(t *testing.T) {
	for _, c := range macLengths() {
		k := newKey(t, c.algorithm)
		theirs := dnstest.NewSigner(testKey, c.wire, testSecret, nil)
		if c.sent < c.whole {
			theirs.Truncate = c.sent
		}
		now := time.Unix(1700000000, 0)
		theirs.Time = now
		want := theirs.Sign(plainMessage())
		theirs.Key = strings.ToLower(testKey)
		_, mac := xfr.Sign(plainMessage(), k, nil, now)
		if !bytes.Equal(mac, theirs.MAC()) || len(mac) != c.sent {
			t.Errorf("%s: MAC %x; want %x", c.algorithm, mac, theirs.MAC())
		}
		if _, err := xfr.VerifyRequest(want, k, now); err != nil {
			t.Errorf("%s: %v", c.algorithm, err)
		}
		s := xfr.NewStream(k, mac)
		answers := dnstest.NewSigner(testKey, c.wire, testSecret, mac)
		answers.Truncate, answers.Time = theirs.Truncate, now
		for i, skip := range []bool{false, false, true, false} {
			msg := plainMessage()
			if skip {
				msg = answers.Skip(msg)
			} else {
				msg = answers.Sign(msg)
			}
			if _, err := s.VerifyAt(msg, now); err != nil {
				t.Errorf("%s, answer %d: %v", c.algorithm, i, err)
			}
		}
		if err := s.Finish(); err != nil {
			t.Error(err)
		}
	}
}

// §5.3.1: the messages of an answer that we sign are those of the naive signer: all variables in the first, the timers in the
// later ones, each over the MAC before it as that was sent.
func TestSignerAgreesWithTheNaiveSigner(t *testing.T) {
	now := time.Unix(1<<33, 0)
	for _, c := range macLengths() {
		k, requestMAC := newKey(t, c.algorithm), bytes.Repeat([]byte{7}, c.sent)
		naive := dnstest.NewSigner(strings.ToLower(testKey), c.wire, testSecret, requestMAC)
		naive.Time = now
		if c.sent < c.whole {
			naive.Truncate = c.sent
		}
		ours := xfr.NewSigner(k, requestMAC)
		for i := range 3 {
			msg := plainMessage()
			want := naive.Sign(msg)
			got := ours.Sign(bytes.Clone(msg), now)
			if !bytes.Equal(got, want) {
				t.Errorf("%s, message %d: signed\n%x\nwant\n%x", c.algorithm, i, got, want)
			}
			if n := len(got) - len(msg); n != ours.Len() {
				t.Errorf("%s: Len is %d; want %d", c.algorithm, ours.Len(), n)
			}
		}
	}
}

// §5.2.3, §5.2.4: the reply to a genuine request that is too old or too short is signed with the TSIG error.
func TestRejectionIsSigned(t *testing.T) {
	k, now := newKey(t, "hmac-sha256-192"), time.Unix(1700000000, 0)
	for _, c := range []struct {
		octets int
		age    time.Duration
		code   uint16
	}{{32, time.Hour, dns.RcodeBadTime}, {16, time.Hour, dns.RcodeBadTime}, {16, 0, dns.RcodeBadTrunc}} {
		s := dnstest.NewSigner(testKey, dns.HmacSHA256, testSecret, nil)
		s.Time, s.Truncate = now.Add(-c.age), c.octets
		mac, why := xfr.VerifyRequest(s.Sign(plainMessage()), k, now)
		signed := xfr.SignRejection(plainMessage(), k, mac, why, uint64(s.Time.Unix()), now)
		m := new(dns.Msg)
		if err := m.Unpack(signed); err != nil {
			t.Fatal(err)
		}
		sig := m.IsTsig()
		if sig == nil || sig.Error != c.code || int(sig.MACSize) != max(24, c.octets) || (len(sig.OtherData) > 0) != (c.code == dns.RcodeBadTime) {
			t.Fatalf("%v; want error %d", sig, c.code)
		}
		reply := dnstest.NewSigner(strings.ToLower(testKey), dns.HmacSHA256, testSecret, mac)
		reply.Time, reply.Error, reply.Truncate = time.Unix(int64(sig.TimeSigned), 0), sig.Error, int(sig.MACSize)
		reply.Other, _ = hex.DecodeString(sig.OtherData)
		if want := reply.Sign(plainMessage()); !bytes.Equal(signed, want) {
			t.Errorf("%x; want %x", signed, want)
		}
	}
}

// §5.2.3: Time Signed within the fudge passes, one second more does not, and the error says by how much the clocks differ.
func TestTimeIsChecked(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for skew, good := range map[time.Duration]bool{
		300 * time.Second: true, -300 * time.Second: true, 301 * time.Second: false, -301 * time.Second: false, 412 * time.Second: false,
	} {
		sign, s := stream(t)
		sign.Time = now.Add(skew)
		_, err := s.VerifyAt(sign.Sign(plainMessage()), now)
		if good != (err == nil) {
			t.Errorf("skew %s: error %v", skew, err)
		}
		if !good {
			wantReason(t, err, reason.TSIGBadTime)
		}
		if skew == 412*time.Second && !strings.Contains(err.Error(), "clocks differ by 412 s") {
			t.Errorf("error %q does not tell the skew", err)
		}
	}
}

// §5.2.3: the MAC may be right and the time wrong, in a later message too, and at 1970 (Knot 3.0.6).
func TestTimeIsCheckedInEveryMessage(t *testing.T) {
	now := time.Unix(1700000000, 0)
	sign, s := stream(t)
	sign.Time = now
	if _, err := s.VerifyAt(sign.Sign(plainMessage()), now); err != nil {
		t.Fatal(err)
	}
	sign.Time = time.Unix(0, 0)
	_, err := s.VerifyAt(sign.Sign(plainMessage()), now)
	wantReason(t, err, reason.TSIGBadTime)
}

// §5.2.1: key name and algorithm are ours, compared without case.
func TestKeyAndAlgorithmMustBeOurs(t *testing.T) {
	for name, c := range map[string]struct {
		key, algorithm string
		want           reason.Reason
	}{
		"same, other case": {"TEST_KEY.", "HMAC-SHA256.", ""},
		"other key":        {"other_key.", dns.HmacSHA256, reason.TSIGBadKey},
		"other algorithm":  {testKey, dns.HmacSHA512, reason.TSIGBadKey},
	} {
		t.Run(name, func(t *testing.T) {
			sign, s := stream(t)
			sign.Key, sign.Algorithm = c.key, c.algorithm
			_, err := s.Verify(sign.Sign(plainMessage()))
			wantReason(t, err, c.want)
		})
	}
}

// §5.4.1 to §5.4.3, §5.3.2: what the primary reports in the error field is told apart; answers that cannot be signed count.
func TestReportedErrors(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for name, c := range map[string]struct {
		code  uint16
		other []byte
		want  reason.Reason
		text  string
	}{
		"BADSIG":                {dns.RcodeBadSig, nil, reason.TSIGBadSig, "BADSIG"},
		"BADKEY":                {dns.RcodeBadKey, nil, reason.TSIGBadKey, "does not know key test_key."},
		"BADTIME":               {dns.RcodeBadTime, []byte{0, 0, 0x65, 0x53, 0xf2, 0x9c}, reason.TSIGBadTime, "clocks differ by 412 s"},
		"BADTIME, nobody's":     {dns.RcodeBadTime, nil, reason.TSIGBadTime, "BADTIME"},
		"BADTRUNC":              {dns.RcodeBadTrunc, nil, reason.TSIGBadTrunc, "BADTRUNC"},
		"an undefined TSIG one": {999, nil, reason.TSIGBadSig, "999"},
	} {
		for _, mac := range []string{"signed", "unsigned"} {
			t.Run(name+" "+mac, func(t *testing.T) {
				sign, s := stream(t)
				sign.Time, sign.Error, sign.Other = now, c.code, c.other
				msg := sign.Append(plainMessage(), nil)
				if mac == "signed" {
					msg = sign.Sign(plainMessage())
				}
				_, err := s.VerifyAt(msg, now)
				wantReason(t, err, c.want)
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %q does not say %q", err, c.text)
				}
			})
		}
	}
}

// §5.4: an unsigned error to a signed request tells its RCODE, for a primary without TSIG knows no better.
func TestUnsignedRcodeIsTold(t *testing.T) {
	_, s := stream(t)
	m := new(dns.Msg)
	m.Response, m.Rcode = true, dns.RcodeRefused
	_, err := s.Verify(dnstest.Pack(m))
	wantReason(t, err, reason.Refused)
}

// §4.3.2, §5.5: the digest is over the original ID. The ID on the wire stays for the Interpreter to judge.
func TestOriginalIDIsDigested(t *testing.T) {
	sign, s := stream(t)
	signed := sign.Sign(plainMessage())
	signed[0] ^= 0xff // a forwarder gave it another ID
	plain, err := s.Verify(signed)
	if err != nil {
		t.Fatal(err)
	}
	if plain[0] != plainMessage()[0]^0xff {
		t.Error("Verify gave the message its original ID: the Interpreter could not tell a stray message")
	}
}

// §5.2: a request such as a NOTIFY is checked for key, MAC and time, in this order, and its MAC signs the reply.
func TestVerifyRequest(t *testing.T) {
	now := time.Unix(1700000000, 0)
	k := newKey(t, hmacSHA256)
	other, err := xfr.NewKey("other.", hmacSHA256, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := xfr.NewKey(testKey, hmacSHA256, base64.StdEncoding.EncodeToString([]byte("wrong")))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signWith *xfr.Key
		signedAt time.Time
		want     reason.Reason
	}{
		"good":              {k, now, ""},
		"unsigned":          {nil, now, reason.TSIGMissing},
		"other key":         {other, now, reason.TSIGBadKey},
		"other algorithm":   {newKey(t, "hmac-sha1"), now, reason.TSIGBadKey},
		"wrong secret":      {wrong, now, reason.TSIGBadSig},
		"wrong secret, old": {wrong, now.Add(-time.Hour), reason.TSIGBadSig},
		"old":               {k, now.Add(-time.Hour), reason.TSIGBadTime},
	} {
		t.Run(name, func(t *testing.T) {
			msg, mac := plainMessage(), []byte(nil)
			if c.signWith != nil {
				msg, mac = xfr.Sign(msg, c.signWith, nil, c.signedAt)
			}
			before := bytes.Clone(msg)
			got, err := xfr.VerifyRequest(msg, k, now)
			wantReason(t, err, c.want)
			if !bytes.Equal(msg, before) {
				t.Error("the request was changed")
			}
			// RFC 8945 §5.2.3: the reply that says BADTIME is signed over the MAC of the request.
			if signed := c.want == "" || c.want == reason.TSIGBadTime; signed != (got != nil) || signed && !bytes.Equal(got, mac) {
				t.Errorf("MAC %x; want %x if the signature is right", got, mac)
			}
		})
	}
}

// The cost of the check is in the hash: a message makes no garbage.
func TestStreamAllocatesNothing(t *testing.T) {
	sign, s := stream(t)
	const runs = 100
	msgs := make([][]byte, runs+1)
	for i := range msgs {
		msgs[i] = sign.Sign(plainMessage())
	}
	next := 0
	allocs := testing.AllocsPerRun(runs, func() {
		if _, err := s.Verify(msgs[next]); err != nil {
			t.Fatal(err)
		}
		next++
	})
	if allocs > 0 {
		t.Errorf("%v allocations per message", allocs)
	}
}
