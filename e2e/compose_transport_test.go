//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/pb"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// transport sends one query in some way.
type transport func(t *testing.T, q *dns.Msg) *dns.Msg

// selfSigned makes a certificate for 127.0.0.1, writes it and its key as cert.pem and key.pem into dir, and returns
// what a client needs to trust it.
func selfSigned(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("Key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "secondary.test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("Certificate: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("Key: %v", err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	writeFile(t, filepath.Join(dir, "cert.pem"), string(cert))
	writeFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
}

// persistent asks over one connection of miekg/dns, "udp", "tcp" or "tcp-tls".
func persistent(t *testing.T, network, addr string, trust *tls.Config) transport {
	t.Helper()
	c := &dns.Client{Net: network, Timeout: queryTimeout, UDPSize: dns.MaxMsgSize, TLSConfig: trust}
	conn, err := c.Dial(addr)
	if err != nil {
		t.Fatalf("Connection over %s: %v", network, err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(t *testing.T, q *dns.Msg) *dns.Msg {
		t.Helper()
		in, _, err := c.ExchangeWithConn(q, conn)
		if err != nil {
			t.Fatalf("%s over %s: %v", q.Question[0].String(), network, err)
		}
		return in
	}
}

// overHTTPS asks with RFC 8484, by GET or POST.
func overHTTPS(t *testing.T, method, addr string, trust *tls.Config) transport {
	t.Helper()
	client := &http.Client{
		Timeout: queryTimeout, Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true},
	}
	t.Cleanup(client.CloseIdleConnections)
	return func(t *testing.T, q *dns.Msg) *dns.Msg {
		t.Helper()
		url, body := "https://"+addr+"/dns-query", []byte(nil)
		if method == http.MethodGet {
			url += "?dns=" + base64.RawURLEncoding.EncodeToString(pack(t, q))
		} else {
			body = pack(t, q)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatalf("DoH: %v", err)
		}
		req.Header.Set("Content-Type", "application/dns-message")
		req.Header.Set("Accept", "application/dns-message")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("DoH: %v", err)
		}
		defer resp.Body.Close()
		all, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("DoH: %s, %v", resp.Status, err)
		}
		in := unpack(t, all)
		freshFor(t, resp, in)
		return in
	}
}

// freshFor checks that an answer may be kept by HTTP caches no longer than its records (RFC 8484 §5.1).
func freshFor(t *testing.T, resp *http.Response, m *dns.Msg) {
	t.Helper()
	var seconds uint32
	if _, err := fmt.Sscanf(resp.Header.Get("Cache-Control"), "max-age=%d", &seconds); err != nil {
		t.Errorf("DoH: Cache-Control %q", resp.Header.Get("Cache-Control"))
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			if seconds > rr.Header().Ttl {
				t.Errorf("DoH: %s is kept for %d s", rr, seconds)
			}
		}
	}
}

// overQUIC asks with RFC 9250: a stream for each query, with ID 0.
func overQUIC(t *testing.T, addr string, trust *tls.Config) transport {
	t.Helper()
	trust = trust.Clone()
	trust.NextProtos = []string{"doq"}
	conn, err := quic.DialAddr(t.Context(), addr, trust, nil)
	if err != nil {
		t.Fatalf("DoQ: %v", err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") }) // RFC 9250 §4.3: DOQ_NO_ERROR
	return func(t *testing.T, q *dns.Msg) *dns.Msg {
		t.Helper()
		stream, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatalf("DoQ: %v", err)
		}
		id := q.Id
		q = q.Copy()
		q.Id = 0 // RFC 9250 §4.2.1
		msg := pack(t, q)
		if _, err := stream.Write(append([]byte{byte(len(msg) >> 8), byte(len(msg))}, msg...)); err != nil {
			t.Fatalf("DoQ: %v", err)
		}
		stream.Close()
		_ = stream.SetReadDeadline(time.Now().Add(queryTimeout))
		all, err := io.ReadAll(stream)
		if err != nil || len(all) < 2 || len(all)-2 != int(all[0])<<8|int(all[1]) {
			t.Fatalf("DoQ: %d octets, %v", len(all), err)
		}
		in := unpack(t, all[2:])
		in.Id = id
		return in
	}
}

// overGRPC asks with CoreDNS's own service.
func overGRPC(t *testing.T, addr string, trust *tls.Config) transport {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		t.Fatalf("Connection over gRPC: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	client := pb.NewDnsServiceClient(conn)
	return func(t *testing.T, q *dns.Msg) *dns.Msg {
		t.Helper()
		in, err := client.Query(t.Context(), &pb.DnsPacket{Msg: pack(t, q)})
		if err != nil {
			t.Fatalf("Query over gRPC: %v", err)
		}
		return unpack(t, in.GetMsg())
	}
}

func pack(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("Message: %v", err)
	}
	return b
}

func unpack(t *testing.T, b []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("Message: %v", err)
	}
	return m
}

// everyTransport starts CoreDNS with a server block for each transport, waits until all of them serve the zones, and
// returns the ways to ask.
func everyTransport(t *testing.T, prim primary, origins ...string) map[string]transport {
	t.Helper()
	sec := newSecondary(t)
	trust := selfSigned(t, sec.Dir)
	addrs, rest := map[string]string{}, ""
	for _, scheme := range []string{"tls://", "https://", "quic://", "grpc://"} {
		b := serverBlock{Scheme: scheme, Port: freePort(t), Beside: "tls cert.pem key.pem", Zones: origins, Primary: prim.addr()}
		addrs[scheme] = loopback(b.Port)
		rest += b.String()
	}
	sec.start(t, secondarySpec{Zones: origins, Block: "primary " + prim.addr(), Rest: rest})
	servesAll(t, sec.addr(), origins...)
	transports := map[string]transport{
		"UDP":      persistent(t, "udp", sec.addr(), nil),
		"TCP":      persistent(t, "tcp", sec.addr(), nil),
		"DoT":      persistent(t, "tcp-tls", addrs["tls://"], trust),
		"DoH GET":  overHTTPS(t, http.MethodGet, addrs["https://"], trust),
		"DoH POST": overHTTPS(t, http.MethodPost, addrs["https://"], trust),
		"DoQ":      overQUIC(t, addrs["quic://"], trust),
		"gRPC":     overGRPC(t, addrs["grpc://"], trust),
	}
	for name, ask := range transports {
		for _, origin := range origins {
			eventually(t, syncLimit, origin+" served over "+name, func() string {
				if m := ask(t, composeQuery(origin, dns.TypeSOA, false)); len(m.Answer) == 0 {
					return dns.RcodeToString[m.Rcode]
				}
				return ""
			})
		}
	}
	return transports
}

// CoreDNS takes QUIC for UDP, by its address: the client's UDP buffer limits the answers, and ANY gets one RRset.
func likeUDP(transport string) bool { return transport == "UDP" || transport == "DoQ" }

func TestAnswersAreTheSameOverEveryTransport(t *testing.T) {
	t.Parallel()
	transports := everyTransport(t, startComposePrimary(t), composeOrigins...)
	tcp := transports["TCP"]
	for name, ask := range transports {
		t.Run(name, func(t *testing.T) {
			for _, origin := range composeOrigins {
				for _, p := range composeProbes {
					for _, do := range []bool{false, true} {
						q := composeQuery(p.at(origin), p.qtype, do)
						want, got := tcp(t, q), ask(t, q)
						if p.qtype == dns.TypeANY && likeUDP(name) {
							want.Answer, want.Extra = oneRRset(want.Answer, do), onlyOPT(want.Extra)
						}
						if diff := cmp.Diff(show(want), show(got)); diff != "" || got.Id != want.Id {
							t.Errorf("%s (-TCP +%s):\n%s", q.Question[0].String(), name, diff)
						}
					}
				}
			}
		})
	}
}

// oneRRset returns the first RRset with its signatures (RFC 8482 §4.1).
func oneRRset(rrs []dns.RR, signed bool) []dns.RR {
	return slices.DeleteFunc(rrs, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return !ok && rr.Header().Rrtype != rrs[0].Header().Rrtype || ok && (!signed || sig.TypeCovered != rrs[0].Header().Rrtype)
	})
}

const largeOrigin = "large.test."

// largeZone has RRsets of nearly 64 KB, of more than a datagram of IPv4 can carry, and of more than 64 KB.
func largeZone() string {
	var b strings.Builder
	b.WriteString(plainZone(largeOrigin, 1, 3, longTimers))
	for owner, octets := range map[string]int{"nearly": 65000, "edge": 65520, "beyond": 70000} {
		octets -= 12 + len(owner) + 1 + len(largeOrigin) + 1 + 4 + 11 // header, question and OPT
		for i := 0; octets > 0; i++ {
			rdata := min(octets-12, 2000)
			octets -= 12 + rdata
			fmt.Fprintf(&b, "%s TXT %s\n", owner, texts255(i, rdata))
		}
	}
	return b.String()
}

// texts255 returns the character strings of a TXT record, the i-th of its RRset, that take so many octets.
func texts255(i, octets int) string {
	var all []string
	for n := 0; octets > 0; n++ {
		s := min(octets-1, 255)
		octets -= 1 + s
		text := strings.Repeat("t", s)
		if n == 0 {
			text = fmt.Sprintf("%0*d", s, i)
		}
		all = append(all, text)
	}
	return `"` + strings.Join(all, `" "`) + `"`
}

// RFC 2181 §9: an RRset goes out whole, or not at all and with TC. Only NSD loads RRsets of more than 64 KB.
func TestLargestAnswersOverEveryTransport(t *testing.T) {
	t.Parallel()
	prim := startNSD(t, primarySpec{Zones: map[string]string{largeOrigin: largeZone()}})
	for name, ask := range everyTransport(t, prim, largeOrigin) {
		t.Run(name, func(t *testing.T) {
			for owner, whole := range map[string]bool{"nearly": name != "UDP", "edge": !likeUDP(name), "beyond": false} {
				q := new(dns.Msg).SetQuestion(owner+"."+largeOrigin, dns.TypeTXT).SetEdns0(dns.MaxMsgSize, false)
				m := ask(t, q)
				if m.Truncated == whole || (len(m.Answer) > 0) != whole || m.Rcode != dns.RcodeSuccess {
					t.Errorf("%s: %s, %d records, TC %v", owner, dns.RcodeToString[m.Rcode], len(m.Answer), m.Truncated)
				}
			}
		})
	}
}
