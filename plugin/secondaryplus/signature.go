package secondaryplus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/coredns/coredns/plugin/tsig"
	"github.com/miekg/dns"
	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// signature is what the TSIG of a request came to. It is owned by the goroutine of the request.
type signature struct {
	key     *xfr.Key // verified; nil if the request is not signed
	mac     []byte   // of the request; the reply is signed over it
	server  bool     // CoreDNS's server has verified the request, and can sign the reply
	byTSIG  bool     // the tsig plugin stands in front: it has verified the request and signs the reply
	err     error    // the request is signed, and the signature does not hold
	genuine bool     // the key and the MAC are right; wrong is the time, or the length of the MAC
	advice  string   // what to do about err, where that does not say it
	foreign string   // the key and its algorithm, where they are not of the zone
}

// shareKeys gives CoreDNS's server the keys it does not know yet, so that it verifies messages signed with them, and a tsig
// plugin in the same block lets them pass. It looks keys up by name alone; whoever has a name first keeps it.
func shareKeys(conf *dnsserver.Config, keys []*xfr.Key) {
	if conf.TsigSecret == nil {
		conf.TsigSecret = make(map[string]string)
	}
	for _, k := range keys {
		if _, taken := conf.TsigSecret[k.Name()]; !taken {
			conf.TsigSecret[k.Name()] = k.Secret()
		}
	}
}

// checkSignature verifies the TSIG of a request against the keys of its zone.
//
// CoreDNS's server verifies before any plugin sees the message, but knows neither hmac-md5 nor a key name in another case,
// and one secret for each name. What it has verified is taken as verified; for the rest the octets of the message are put
// together again and verified here, as long as left has readings.
func (s *SecondaryPlus) checkSignature(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, keys []*xfr.Key, left *rate.Limiter) signature {
	if name, ok := tsig.ValidatedKeyName(ctx); ok && r.IsTsig() == nil {
		i := slices.IndexFunc(keys, func(k *xfr.Key) bool { return k.Name() == dns.CanonicalName(name) && s.shared(ctx, k) })
		if i < 0 {
			return signature{byTSIG: true} // signed, with a key that is nothing to this zone
		}
		return signature{key: keys[i], byTSIG: true}
	}
	t := r.IsTsig()
	if t == nil {
		return signature{}
	}
	sig := unknownKey(t, keys)
	for _, k := range keys {
		if k.Name() != dns.CanonicalName(t.Hdr.Name) || !k.Algorithm().Is(t.Algorithm) {
			continue
		}
		mac, server, err := s.verify(ctx, w, r, k, left)
		if err == nil {
			return signature{key: k, mac: mac, server: server}
		}
		if sig = (signature{err: err}); reason.Of(err) == reason.TSIGBadSig {
			sig.advice = "; compare the secret of the key on both sides"
		}
		if mac != nil {
			sig.genuine, sig.key, sig.mac = true, k, mac
		}
	}
	metrics().TSIGFailed(reason.Of(sig.err))
	return sig
}

// maxShown is how much of a name that a stranger chose is shown, in octets.
const maxShown = 64

// unknownKey returns what a signature comes to that is made with none of the keys.
func unknownKey(t *dns.TSIG, keys []*xfr.Key) signature {
	shown := func(name string) string { return name[:min(len(name), maxShown)] }
	sig := signature{foreign: fmt.Sprintf("%q (%q)", shown(t.Hdr.Name), shown(t.Algorithm))}
	detail := "it is signed with key " + sig.foreign + ", which is not configured here"
	sig.advice = "; add it with key or key_file, or let the sender sign with a key that is"
	for _, k := range keys {
		if k.Name() == dns.CanonicalName(t.Hdr.Name) {
			detail, sig.advice = detail+" with this algorithm", fmt.Sprintf("; the key is %s here: use one algorithm on both sides", k.Algorithm())
		}
	}
	sig.err = &xfr.Error{Reason: reason.TSIGBadKey, Detail: detail}
	return sig
}

// verify verifies a request signed with the name and algorithm of k, and reports whether the server has done it. The MAC it
// returns is not nil if the signature holds, whatever its time and length. The server takes whole MACs only.
func (s *SecondaryPlus) verify(
	ctx context.Context, w dns.ResponseWriter, r *dns.Msg, k *xfr.Key, left *rate.Limiter,
) (mac []byte, server bool, err error) {
	t := r.IsTsig()
	status := w.TsigStatus()
	mac, _ = hex.DecodeString(t.MAC)
	switch {
	case t.Hdr.Name != k.Name(), errors.Is(status, dns.ErrKeyAlg), !k.Algorithm().Whole(mac), !s.shared(ctx, k):
		mac, err = verifyAgain(r, t, k, left, time.Now())
		return mac, false, err
	case status == nil:
		return mac, true, nil
	case errors.Is(status, dns.ErrTime):
		return mac, true, xfr.ClocksDiffer(time.Now(), t.TimeSigned)
	default:
		return nil, true, xfr.BadSignature(k)
	}
}

// shared reports whether the secret that CoreDNS's server has under a key's name is the key's own.
func (s *SecondaryPlus) shared(ctx context.Context, k *xfr.Key) bool {
	server, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	return ok && k.HasSecret(server.TsigSecret[k.Name()])
}

// replyFudge is how many seconds a client's clock may differ from ours (RFC 8945 §10).
const replyFudge = 300

// signer returns the name of the key that the reply is signed with, empty for none.
func (sig signature) signer(ctx context.Context) string {
	if sig.key != nil {
		return sig.key.Name()
	}
	name, _ := tsig.ValidatedKeyName(ctx)
	return name
}

// write writes the reply to a verified request, signed if the request was (RFC 8945 §5.3).
func (s *SecondaryPlus) write(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, sig signature, m *dns.Msg) error {
	s.announce(ctx, w, r, m)
	if sig.key == nil || sig.byTSIG {
		return w.WriteMsg(m)
	}
	addOPT(r, m)
	if sig.server && signsReplies(ctx) && !sig.key.Algorithm().Truncated() {
		m.SetTsig(sig.key.Name(), r.IsTsig().Algorithm, replyFudge, time.Now().Unix())
		return w.WriteMsg(m)
	}
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	signed, _ := xfr.Sign(packed, sig.key, sig.mac, time.Now())
	_, err = w.Write(signed)
	return err
}

// addOPT gives a reply that is about to be signed its OPT record, which CoreDNS would put behind the signature.
func addOPT(r, m *dns.Msg) {
	if o := r.IsEdns0(); o != nil && m.IsEdns0() == nil {
		m.SetEdns0(o.UDPSize(), o.Do())
	}
}

// signsReplies reports whether the server of a request signs replies: over DNS and DoT it does.
func signsReplies(ctx context.Context) bool {
	server, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	if !ok {
		return false
	}
	return strings.HasPrefix(server.Addr, transport.DNS+"://") || strings.HasPrefix(server.Addr, transport.TLS+"://")
}

// announce has CoreDNS's server, which makes the OPT record of the reply m out of the request's, say what we take over UDP,
// and no flag but DO (RFC 6891 §6.1.4). It stays so, as with the bufsize plugin: DoH, QUIC and some plugins write m later.
//
// The server also shortens m by that number, and compresses it where it is longer. So a client that takes less over UDP than
// we do keeps its own number, unless m is sure to be short enough without that.
func (s *SecondaryPlus) announce(ctx context.Context, w dns.ResponseWriter, r, m *dns.Msg) {
	o := r.IsEdns0()
	if o == nil || overUDP(w) && !datagrams(ctx) {
		return
	}
	size := o.UDPSize()
	if !overUDP(w) || int(size) >= s.maxUDP || s.exact && plainLen(m)+optLen(o, s.nsid) <= max(int(size), dns.MinMsgSize) {
		o.SetUDPSize(uint16(s.maxUDP))
	}
	o.Hdr.Ttl &= flagDO
}

// plainLen returns the octets of a message without compression.
func plainLen(m *dns.Msg) int {
	plain := *m
	plain.Compress = false
	return plain.Len()
}

// flagDO is DO in the TTL of an OPT record (RFC 3225 §3).
const flagDO = 1 << 15

// datagrams reports whether the server of a request speaks plain DNS: what comes by QUIC and HTTP/3 has a UDP address, too.
func datagrams(ctx context.Context) bool {
	server, ok := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	return !ok || strings.HasPrefix(server.Addr, transport.DNS+"://")
}

// readingsFor returns the readings that there are for a request about z, nil for no zone of ours, which is no NOTIFY.
func readingsFor(w dns.ResponseWriter, qtype uint16, z *servedZone) *rate.Limiter {
	client, known := remoteAddr(w)
	if !known || z == nil || !isTransfer(qtype) {
		return strangerReadings
	}
	if listed, _ := z.group.AllowTransfer.Admits(client, nil); !listed {
		return strangerReadings
	}
	return readings
}

// putOff replies to a request for whose signature there was no time. Over UDP it does not: an honest client asks again.
func (s *SecondaryPlus) putOff(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) error {
	if overUDP(w) && datagrams(ctx) {
		return nil
	}
	return s.write(ctx, w, r, signature{}, failed(r, dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many signatures"))
}

// reject writes the reply to a request whose signature does not hold (RFC 8945 §5.2): NOTAUTH with the TSIG error, unsigned
// unless key and MAC are right; FORMERR for a MAC of a length that none has.
func (s *SecondaryPlus) reject(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, sig signature) error {
	m := new(dns.Msg).SetRcode(r, dns.RcodeNotAuth)
	s.announce(ctx, w, r, m)
	addOPT(r, m)
	t := r.IsTsig()
	if sig.genuine {
		packed, err := m.Pack()
		if err != nil {
			return err
		}
		_, err = w.Write(xfr.SignRejection(packed, sig.key, sig.mac, sig.err, t.TimeSigned, time.Now()))
		return err
	}
	if reason.Of(sig.err) == reason.Malformed {
		m.Rcode = dns.RcodeFormatError
		return w.WriteMsg(m)
	}
	code := uint16(dns.RcodeBadSig)
	if reason.Of(sig.err) == reason.TSIGBadKey {
		code = dns.RcodeBadKey
	}
	m.Extra = append(m.Extra, &dns.TSIG{
		Hdr:       dns.RR_Header{Name: dns.Fqdn(t.Hdr.Name), Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: dns.Fqdn(t.Algorithm), TimeSigned: t.TimeSigned, Fudge: t.Fudge, OrigId: r.Id, Error: code,
	})
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = w.Write(packed)
	return err
}
