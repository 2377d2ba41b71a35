package secondaryplus

import (
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"
)

// A name that is an alias exists: where it leads to nothing, that is the answer, and nobody else is asked (RFC 6604 §2).
func TestAliasToNothingDoesNotFallThrough(t *testing.T) {
	p, port := newPrimaryOf(t, append(slices.Clone(exampleOrg), "lost.example.org. 60 IN CNAME gone.example.org.")...), unusedPort(t)
	runCoreDNS(t, serverBlock("example.org", port, p, "fallthrough"))
	addr := "127.0.0.1:" + port
	waitServed(t, addr, "example.org.", 7)
	r := exchange(t, "udp", addr, question("lost.example.org.", dns.TypeA))
	if r.Rcode != dns.RcodeNameError || len(r.Answer) != 1 {
		t.Errorf("Reply is\n%v", r)
	}
}

// Two server blocks on one address would answer for each other's zone.
func TestZoneTwiceOnOneAddressIsRefused(t *testing.T) {
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	both := serverBlock("example.org", port, p, "") + strings.ReplaceAll(serverBlock("org", port, p, ""), "secondaryplus", "secondaryplus example.org")
	instance, err := caddy.Start(input(both))
	if err == nil {
		stopCoreDNS(t, instance)
		t.Fatal("It starts")
	}
	if !strings.Contains(err.Error(), "zone example.org. is already listed at") {
		t.Errorf("Error is %v", err)
	}
}
