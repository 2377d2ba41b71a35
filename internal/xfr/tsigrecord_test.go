package xfr_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// §5.1, §5.2: TSIG is the last record, the only one, of class ANY and TTL 0 (CVE-2016-7074).
func TestTSIGRecordInTheWrongPlaceOrForm(t *testing.T) {
	for name, make := range map[string]func(sign *dnstest.Signer, msg []byte) []byte{
		"twice":    func(sign *dnstest.Signer, msg []byte) []byte { return sign.Append(sign.Sign(msg), sign.MAC()) },
		"not last": func(sign *dnstest.Signer, msg []byte) []byte { return behind(sign.Sign(msg)) },
		"in the answer": func(sign *dnstest.Signer, msg []byte) []byte {
			signed := sign.Sign(bare(msg))
			signed[7], signed[11] = 1, 0
			return signed
		},
		"class IN":    func(sign *dnstest.Signer, msg []byte) []byte { return poke(sign.Sign(msg), len(msg)+10+2+1, 1) },
		"TTL 1":       func(sign *dnstest.Signer, msg []byte) []byte { return poke(sign.Sign(msg), len(msg)+10+4+3, 1) },
		"TTL 2^31":    func(sign *dnstest.Signer, msg []byte) []byte { return poke(sign.Sign(msg), len(msg)+10+4, 0x80) },
		"MAC too far": func(sign *dnstest.Signer, msg []byte) []byte { return poke(sign.Sign(msg), len(msg)+10+10+13+8, 0xff) },
		"other data too far": func(sign *dnstest.Signer, msg []byte) []byte {
			signed := sign.Sign(msg)
			return poke(signed, len(signed)-1, 1)
		},
		"algorithm compressed": func(sign *dnstest.Signer, msg []byte) []byte { return poke(sign.Sign(msg), len(msg)+10+10, 0xc0) },
	} {
		t.Run(name, func(t *testing.T) {
			sign, s := stream(t)
			_, err := s.Verify(make(sign, plainMessage()))
			wantReason(t, err, reason.Malformed)

			sign, _ = stream(t)
			_, err = xfr.VerifyRequest(make(sign, plainMessage()), newKey(t, hmacSHA256), time.Now())
			wantReason(t, err, reason.Malformed)
		})
	}
}

// No MAC covers octets behind the TSIG record, and nobody reads them: they are cut off with it.
func TestOctetsBehindTheTSIGRecordAreCutOff(t *testing.T) {
	for _, rest := range [][]byte{{0}, make([]byte, 1000), {0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0}} {
		sign, s := stream(t)
		for range 3 {
			plain, err := s.Verify(append(sign.Sign(plainMessage()), rest...))
			if err != nil || !bytes.Equal(plain, plainMessage()) {
				t.Fatalf("%d octets: error %v, plain %x", len(rest), err, plain)
			}
		}
		request := dnstest.NewSigner(testKey, hmacSHA256, testSecret, nil)
		if _, err := xfr.VerifyRequest(append(request.Sign(plainMessage()), rest...), newKey(t, hmacSHA256), time.Now()); err != nil {
			t.Errorf("%d octets behind a request: %v", len(rest), err)
		}
	}
}

// behind puts an OPT record behind the last record.
func behind(msg []byte) []byte {
	msg[11]++
	return append(msg, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0)
}

// bare returns the header and question of msg.
func bare(msg []byte) []byte {
	msg = bytes.Clone(msg[:12+9+4])
	clear(msg[6:12])
	return msg
}

func poke(msg []byte, at int, b byte) []byte {
	msg[at] = b
	return msg
}

// §4.2 says the name of the key is in wire form; some primaries compress it.
func TestCompressedKeyName(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion(testKey, dns.TypeAXFR)
	m.Id, m.Response = testID, true
	msg := dnstest.Pack(m)
	sign, s := stream(t)
	signed := sign.Sign(msg)
	signed = append(append(signed[:len(msg):len(msg)], 0xc0, 12), signed[len(msg)+10:]...)
	if plain, err := s.Verify(signed); err != nil || !bytes.Equal(plain, msg) {
		t.Errorf("error %v, plain %x", err, plain)
	}
	for name, to := range map[string]byte{"itself": byte(len(msg)), "forward": byte(len(msg) + 10)} {
		sign, s := stream(t)
		bad := append(append(sign.Sign(msg)[:len(msg):len(msg)], 0xc0, to), sign.Sign(msg)[len(msg)+10:]...)
		if _, err := s.Verify(bad); reason.Of(err) != reason.Malformed {
			t.Errorf("pointer to %s: %v", name, err)
		}
	}
}

// Cut anywhere, a signed message never passes.
func TestCutSignedMessagesFail(t *testing.T) {
	sign, _ := stream(t)
	whole := sign.Sign(plainMessage())
	for n := range whole {
		_, s := stream(t)
		if _, err := s.Verify(bytes.Clone(whole[:n])); err == nil {
			t.Fatalf("%d of %d octets pass", n, len(whole))
		}
	}
}
