package secondaryplus

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What a request for a transfer came to, as a metric label.
const (
	outWhole       = "whole"       // the whole zone was sent
	outIncremental = "incremental" // differences were sent
	outCurrent     = "current"     // the SOA alone was sent
	outFormErr     = "form_error"  // IXFR without the SOA that it begins from
	outNotAuth     = "not_auth"    // for a name that is no zone of ours
	outRefused     = "refused"     // allow_transfer does not let the client
	outUDP         = "udp"         // AXFR over UDP, or over another transport with one message for an answer
	outNotReady    = "not_ready"   // the zone is not transferred yet, or has expired
	outBusy        = "busy"        // as many as transfers_out says run, for placePatience
	outTooLong     = "too_long"    // a record fits into no message
	outFailed      = "failed"      // the connection has failed, or the client read too little for maxStall
)

// maxStall is for how long a message, of at most 64 KiB, may wait for room in the kernel's buffer.
var maxStall = 30 * time.Second

// writeBuffer is how many octets the kernel is to hold for a client; Linux holds twice that, what it needs beside them included. It
// lets a write go on once a third of the buffer is free. Left to itself the buffer grows to 4 MiB, and a client on a slow link, which
// reads all the time, would be taken for one that has stalled.
const writeBuffer = 128 << 10

// placePatience is how long a request waits for a place: less than the 5 s that Knot waits for the first octet.
var placePatience = 4 * time.Second

// limitTransfers puts the limits of the instance in force.
func (in *instance) limitTransfers() {
	t := in.settings.TransfersOut
	in.secondary.Quota.Limit(t.Total, t.PerClient)
}

// transfersOut reports whether somebody may transfer a zone of the server block.
func (b *block) transfersOut() bool {
	return slices.ContainsFunc(b.groups, func(g *group) bool { return len(g.AllowTransfer) > 0 })
}

// warnOfTransfer says who answers where the transfer plugin is there as well: CoreDNS has it in front.
func (s *SecondaryPlus) warnOfTransfer() {
	if s.transfer != nil && s.outgoing {
		log.Warningf("server block of %s: the transfer plugin stands in front of allow_transfer: it answers for the zones that it lists, to "+
			"the addresses behind its to, and refuses IXFR over UDP for all zones; take it out to have keys, quotas and networks", strings.Join(s.keys, " "))
	}
}

// mayTransfer reports whether a client may transfer the zones of a group; key is what its request is signed with, nil for nothing.
// All that a line of allow_transfer says has to hold.
func (g *group) mayTransfer(client netip.Addr, key *xfr.Key) bool {
	_, allowed := g.AllowTransfer.Admits(client, key)
	return allowed
}

// chain returns the differences that lead from the version of a secondary of z to c; none where the whole zone is to be sent.
func (s *SecondaryPlus) chain(z *servedZone, c *zone.Contents, have serial.Serial) []*zone.Difference {
	if z.group.IXFROut == 0 {
		return nil
	}
	since, _ := s.instance.secondary.Since(z.Zone, have)
	return xfrout.Chain(c, since, z.group.IXFROut)
}

// outRequest is one request for a transfer. It is owned by the goroutine of the request.
type outRequest struct {
	*arrival
	s      *SecondaryPlus
	r      *dns.Msg
	sig    signature
	key    *xfr.Key // that it is signed with, nil for none
	mac    []byte
	client netip.Addr
	zone   *servedZone // nil for none of ours
	xfrout.Request
}

// transferOut answers a request for a transfer of z, nil for a name that is no zone of ours.
func (s *SecondaryPlus) transferOut(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, z *servedZone, sig signature) error {
	q := &outRequest{arrival: arrivalOf(ctx, w, r), s: s, r: r, sig: sig, zone: z, Request: requestOf(ctx, w, r)}
	q.key, q.mac = s.replyKey(ctx, sig, q.tsig)
	client, known := remoteAddr(w)
	q.client = client
	var c *zone.Contents
	facts := xfrout.Zone{Ours: z != nil}
	if z != nil {
		c = z.Contents()
		facts.Allowed, facts.Served = known && z.group.mayTransfer(client, q.key), c != nil
		if c != nil {
			facts.Serial = c.Serial()
		}
		if facts.Allowed && q.HasSOA {
			s.instance.secondary.Seen.Asked(z.ID().String(), client, q.keyName(), q.Have, secondary.ServedBy(z.Zone), time.Now())
		}
	}
	result, m := q.plan(facts, c)
	if m == nil {
		result, m = q.stream()
	}
	metrics().TransfersOut(result).Inc()
	if m == nil {
		return nil
	}
	t := topic{class: ratelimit.Error}
	if result == outCurrent {
		t = topic{class: ratelimit.Positive, scope: z.origin, qtype: q.Type}
	}
	return s.send(ctx, w, r, sig, m, t)
}

// plan returns what the request comes to and the reply, nil if records are to be sent.
func (q *outRequest) plan(facts xfrout.Zone, c *zone.Contents) (result string, m *dns.Msg) {
	switch xfrout.Plan(q.Request, facts) {
	case xfrout.FormErr:
		return outFormErr, new(dns.Msg).SetRcode(q.r, dns.RcodeFormatError)
	case xfrout.NotAuth:
		return outNotAuth, failed(q.r, dns.RcodeNotAuth, dns.ExtendedErrorCodeNotAuthoritative, "")
	case xfrout.Refuse:
		warn("zone=%s op=%s-out to=%s: refused, no line of allow_transfer has %s; add one if this is a secondary of yours",
			q.zone.Name(), q.op(), q.client, q.who())
		return outRefused, failed(q.r, dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "")
	case xfrout.NoStream:
		return outUDP, new(dns.Msg).SetRcode(q.r, dns.RcodeRefused)
	case xfrout.NotReady:
		return outNotReady, notReady(q.r)
	case xfrout.TellSOA:
		m = new(dns.Msg).SetReply(q.r)
		m.Authoritative = true
		m.Answer = []dns.RR{soaOf(c)}
		if asksExpire(q.r) {
			q.zone.addExpire(q.r, m)
		}
		return outCurrent, m
	case xfrout.Transfer:
	}
	return "", nil
}

// op names what is asked for in the log.
func (q *outRequest) op() string { return strings.ToLower(dns.TypeToString[q.Type]) }

// keyName names the key that the request is signed with; empty for none.
func (q *outRequest) keyName() string {
	if q.key == nil {
		return ""
	}
	return q.key.Name()
}

// who says who asks.
func (q *outRequest) who() string {
	if q.key == nil {
		return "this address without a key"
	}
	return fmt.Sprintf("this address with key %s (%s)", q.key.Name(), q.key.Algorithm()) // behind tsig it may be another algorithm than ours
}

// stream sends records, and returns what that came to; the reply is nil if anything was sent.
func (q *outRequest) stream() (result string, m *dns.Msg) {
	release, ok := q.s.instance.secondary.Quota.Take(q.client, time.After(placePatience))
	if !ok {
		warn("zone=%s op=%s-out to=%s: put off, as many as transfers_out says run; raise it if they are all wanted", q.zone.Name(), q.op(), q.client)
		return outBusy, failed(q.r, dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many transfers")
	}
	defer release()
	c := q.zone.Contents() // it may have waited meanwhile; from here on it is this version
	if c == nil {
		return outNotReady, notReady(q.r)
	}
	var chain []*zone.Difference
	if q.Type == dns.TypeIXFR {
		chain = q.s.chain(q.zone, c, q.Have)
	}
	a, err := xfrout.NewAnswer(q.head(), c, chain)
	if err != nil {
		log.Errorf("zone=%s op=%s-out to=%s: nothing is sent: %v", q.zone.Name(), q.op(), q.client, err)
		return outTooLong, new(dns.Msg).SetRcode(q.r, dns.RcodeServerFailure)
	}
	began := time.Now()
	err = q.write(a)
	metrics().TransferOutBytes(a.Octets)
	line := "zone=%s op=%s-out to=%s serial=%s rrs=%d bytes=%d took=%.3fs: "
	args := []any{q.zone.Name(), q.op(), q.client, c.Serial(), a.Records, a.Octets, time.Since(began).Seconds()}
	if err != nil {
		log.Warningf(line+"cut off: %s", append(args, lost(err))...)
		return outFailed, nil
	}
	sent := xfrout.Sent{At: time.Now(), Serial: c.Serial(), Incremental: len(chain) > 0, Octets: a.Octets}
	q.s.instance.secondary.Seen.Sent(q.zone.ID().String(), q.client, q.keyName(), sent, secondary.ServedBy(q.zone.Zone))
	if sent.Incremental {
		log.Infof(line+"%d differences sent", append(args, len(chain))...)
		return outIncremental, nil
	}
	log.Infof(line+"whole zone sent", args...)
	return outWhole, nil
}

// lost says why the client could not be written to; who it is, is said beside it.
func lost(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Sprintf("it took too little for %s", maxStall)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

// write writes the messages of an answer. After an error the connection is closed: the client must not take what it has for all.
func (q *outRequest) write(a *xfrout.Answer) error {
	if t, ok := tcpOf(q.conn); ok {
		_ = t.SetWriteBuffer(writeBuffer) // it fails on a closed connection, and so does the write
	}
	for msg := range a.Messages(time.Now) {
		if q.conn != nil {
			_ = q.conn.SetWriteDeadline(time.Now().Add(maxStall)) // it fails on a closed connection, and so does the write
		}
		if _, err := q.w.Write(msg); err != nil {
			discard(q.conn)
			_ = q.w.Close()
			return err
		}
	}
	if q.conn != nil {
		_ = q.conn.SetWriteDeadline(time.Time{})
	}
	return nil
}

// discard has the kernel forget, once a connection is closed, what it holds for a client that does not read.
func discard(c net.Conn) {
	if t, ok := tcpOf(c); ok {
		_ = t.SetLinger(0) // it fails if nothing is held any more
	}
}

// tcpOf returns the TCP connection below c, which may be encrypted; c is nil over UDP.
func tcpOf(c net.Conn) (t *net.TCPConn, ok bool) {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	t, ok = c.(*net.TCPConn)
	return t, ok
}

// head returns what each message has beside records.
func (q *outRequest) head() xfrout.Head {
	name, _ := wire.ParseName(q.r.Question[0].Name) // it is that of a zone
	h := xfrout.Head{ID: q.r.Id, RecursionDesired: q.r.RecursionDesired, Name: name, Type: q.Type, Key: q.key, RequestMAC: q.mac}
	if o := q.r.IsEdns0(); o != nil {
		reply := dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		reply.SetUDPSize(uint16(q.s.maxUDP))
		reply.SetDo(o.Do())
		if asksExpire(q.r) {
			reply.Option = []dns.EDNS0{&dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Expire: q.zone.left(time.Now())}}
		}
		if option := q.s.cookieIn(q.r); option != nil {
			jar, now := q.s.instance.guard.cookies, time.Now()
			reply.Option = append(reply.Option, jar.reply(option, jar.check(option, q.client, now), q.client, now))
		}
		h.OPT = make([]byte, dns.Len(&reply))
		_, _ = dns.PackRR(&reply, h.OPT, 0, nil, false) // there is room
	}
	return h
}

// requestOf returns what a message asks for.
func requestOf(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) xfrout.Request {
	q := r.Question[0]
	req := xfrout.Request{Type: q.Qtype, Class: q.Qclass, Questions: len(r.Question), Single: !streaming(ctx, w)}
	if q.Qtype == dns.TypeIXFR && len(r.Ns) == 1 {
		if soa, ok := r.Ns[0].(*dns.SOA); ok && dns.CanonicalName(soa.Hdr.Name) == dns.CanonicalName(q.Name) {
			req.Have, req.HasSOA = serial.New(soa.Serial), true
		}
	}
	return req
}

// streaming reports whether an answer may have several messages: over TCP and TLS it may, not over UDP, HTTP, QUIC and gRPC as
// CoreDNS speaks them.
func streaming(ctx context.Context, w dns.ResponseWriter) bool {
	if overUDP(w) {
		return false
	}
	server, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	return !ok || strings.HasPrefix(server.Addr, transport.DNS+"://") || strings.HasPrefix(server.Addr, transport.TLS+"://")
}

// replyKey returns the key and the MAC that the messages of an answer are signed with; nil if the request, which has the TSIG
// record t, is not signed. Where the tsig plugin has verified it, the key may be one that only that plugin knows.
func (s *SecondaryPlus) replyKey(ctx context.Context, sig signature, t *dns.TSIG) (*xfr.Key, []byte) {
	if !sig.byTSIG {
		return sig.key, sig.mac
	}
	if t == nil {
		return nil, nil
	}
	mac, _ := hex.DecodeString(t.MAC)
	if sig.key != nil && sig.key.Algorithm().Is(t.Algorithm) {
		return sig.key, mac
	}
	server, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	if !ok {
		return nil, nil
	}
	key, err := xfr.NewKey(t.Hdr.Name, t.Algorithm, server.TsigSecret[dns.CanonicalName(t.Hdr.Name)])
	if err != nil {
		return nil, nil
	}
	return key, mac
}
