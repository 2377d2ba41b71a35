//go:build e2e

package e2e_test

import "testing"

// BIND as primary with truncated HMACs (RFC 8945 §5.2.2.1): SOA queries, AXFR, IXFR and signed NOTIFYs work, and a NOTIFY with
// less of its MAC than the key wants is turned away.
func TestTruncatedHMACsWithBIND(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"hmac-md5-80", "hmac-sha1-96", "hmac-sha224-112", "hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			sec, prim, w := notifiedPair(t, startBIND, testKey(algorithm))
			servedAfterNotify(t, sec, prim, w)
		})
	}
}

// Lengths that differ: whoever wants more says BADTRUNC. A key that sends more than the other side wants is no trouble, for an
// answer has as much of its MAC as the request.
func TestTruncatedHMACsOfDifferentLengths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ theirs, ours, reason string }{
		{"hmac-sha256", "hmac-sha256-128", "tsig_bad_trunc"}, {"hmac-sha256-128", "hmac-sha256", ""},
	} {
		t.Run(c.theirs+" there", func(t *testing.T) {
			t.Parallel()
			prim := startBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(1)}, Key: testKey(c.theirs)})
			sec := newSecondary(t)
			sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: linkLines(prim.addr(), testKey(c.ours))})
			if c.reason != "" {
				sec.blocked(t, mixedOrigin, prim.addr(), c.reason)
				return
			}
			sec.serves(t, mixedOrigin, 1, syncLimit)
			sec.normal(t, mixedOrigin, prim.addr())
		})
	}
}
