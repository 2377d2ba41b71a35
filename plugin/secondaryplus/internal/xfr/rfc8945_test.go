package xfr_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
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
	wantReason(t, err, xfr.TSIGMissing)
}

// §5.3.1: the first and the last message must be signed.
func TestFirstAndLastMessageMustBeSigned(t *testing.T) {
	_, s := stream(t)
	_, err := s.Verify(plainMessage())
	wantReason(t, err, xfr.TSIGMissing)

	sign, s := stream(t)
	wantReason(t, s.Finish(), xfr.TSIGMissing)
	for _, msg := range [][]byte{sign.Sign(plainMessage()), sign.Skip(plainMessage())} {
		if _, err := s.Verify(msg); err != nil {
			t.Fatal(err)
		}
	}
	wantReason(t, s.Finish(), xfr.TSIGMissing)
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
			wantReason(t, err, xfr.TSIGBadSig)
		})
	}
}

// §5.3.1: the first message digests all variables; one that digests the timers only is refused.
func TestFirstMessageDigestsAllVariables(t *testing.T) {
	sign, s := stream(t)
	sign.Timers = true
	_, err := s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, xfr.TSIGBadSig)
}

// §5.2.2, §5.4.2: a wrong MAC, and one made with another secret, fail.
func TestWrongMACFails(t *testing.T) {
	sign, s := stream(t)
	sign.Corrupt = true
	_, err := s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, xfr.TSIGBadSig)

	sign, s = stream(t)
	sign.Secret = []byte("another secret")
	_, err = s.Verify(sign.Sign(plainMessage()))
	wantReason(t, err, xfr.TSIGBadSig)
	if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "secret of the test key") {
		t.Errorf("error shows the secret: %v", err)
	}
}

// §5.2.2.1: a MAC is as long as its hash; no length below or above passes (CVE-2017-3142, CVE-2017-3143).
func TestOnlyWholeMACsPass(t *testing.T) {
	for size := range 34 {
		sign, s := stream(t)
		signed := sign.Sign(plainMessage())
		mac := append(bytes.Clone(sign.MAC()), 0, 0)[:size]
		_, err := s.Verify(sign.Append(plainMessage(), mac))
		if size == 32 {
			if err != nil {
				t.Errorf("a whole MAC: %v (message %x)", err, signed)
			}
			continue
		}
		wantReason(t, err, xfr.TSIGBadSig)
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
			wantReason(t, err, xfr.TSIGBadTime)
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
	wantReason(t, err, xfr.TSIGBadTime)
}

// §5.2.1: key name and algorithm are ours, compared without case.
func TestKeyAndAlgorithmMustBeOurs(t *testing.T) {
	for name, c := range map[string]struct {
		key, algorithm string
		want           xfr.Reason
	}{
		"same, other case": {"TEST_KEY.", "HMAC-SHA256.", ""},
		"other key":        {"other_key.", dns.HmacSHA256, xfr.TSIGBadKey},
		"other algorithm":  {testKey, dns.HmacSHA512, xfr.TSIGBadKey},
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
		want  xfr.Reason
		text  string
	}{
		"BADSIG":                {dns.RcodeBadSig, nil, xfr.TSIGBadSig, "BADSIG"},
		"BADKEY":                {dns.RcodeBadKey, nil, xfr.TSIGBadKey, "does not know key test_key."},
		"BADTIME":               {dns.RcodeBadTime, []byte{0, 0, 0x65, 0x53, 0xf2, 0x9c}, xfr.TSIGBadTime, "clocks differ by 412 s"},
		"BADTIME, nobody's":     {dns.RcodeBadTime, nil, xfr.TSIGBadTime, "BADTIME"},
		"BADTRUNC":              {dns.RcodeBadTrunc, nil, xfr.TSIGBadSig, "BADTRUNC"},
		"an undefined TSIG one": {999, nil, xfr.TSIGBadSig, "999"},
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
	wantReason(t, err, xfr.Refused)
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
		want     xfr.Reason
	}{
		"good":              {k, now, ""},
		"unsigned":          {nil, now, xfr.TSIGMissing},
		"other key":         {other, now, xfr.TSIGBadKey},
		"other algorithm":   {newKey(t, "hmac-sha1"), now, xfr.TSIGBadKey},
		"wrong secret":      {wrong, now, xfr.TSIGBadSig},
		"wrong secret, old": {wrong, now.Add(-time.Hour), xfr.TSIGBadSig},
		"old":               {k, now.Add(-time.Hour), xfr.TSIGBadTime},
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
			if signed := c.want == "" || c.want == xfr.TSIGBadTime; signed != (got != nil) || signed && !bytes.Equal(got, mac) {
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
