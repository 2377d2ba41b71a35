package secondaryplus

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// What a NOTIFY came to, as a metric label.
const (
	notifyAccepted    = "accepted"
	notifyUnsigned    = "unsigned"     // from a primary with a key, and not signed with that: a hint
	notifyRefused     = "refused"      // the sender is not allowed
	notifyKeyRequired = "key_required" // the sender has to sign, and did not or with another key
	notifyBadTSIG     = "bad_tsig"     // the signature does not hold
	notifyUnknownType = "unknown_type" // not about a SOA
	notifyDropped     = "dropped"      // no time was left for it, or to find out whether the signature holds; or the zone has not started
)

// notified takes a NOTIFY for z, replies and returns at once: a refresh follows in its own time (RFC 1996 §4.7).
func (s *SecondaryPlus) notified(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, z *servedZone) (int, error) {
	from, ok := remoteAddr(w)
	if !ok || !z.MayNotify(from) {
		turnAway(z, engine.Refusal{
			From: from, Result: notifyRefused,
			Text: "neither a primary nor in allow_notify; list the address in allow_notify if it may send them",
		})
		return notifyResult(notifyRefused), w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeRefused))
	}
	if r.Question[0].Qtype != dns.TypeSOA {
		// RFC 1996 §3.7 leaves room for other types; none is defined.
		return notifyResult(notifyUnknownType), w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeNotImplemented))
	}
	sig := s.checkSignature(ctx, w, r, z.group.Keys, readings)
	switch {
	case errors.Is(sig.err, errBusy):
		// No reply: an honest sender tries again (RFC 1996 §3.6).
		warn("zone=%s op=notify from=%s: dropped, %s; its sender tries again; if there are many, see who sends them", z.Name(), from, sig.err)
		return notifyResult(notifyDropped), nil
	case sig.err != nil:
		turnAway(z, engine.Refusal{From: from, Result: string(reason.Of(sig.err)), Text: sig.err.Error() + sig.advice, Key: sig.foreign})
		return notifyResult(notifyBadTSIG), s.reject(ctx, w, r, sig)
	}
	n := engine.Notification{From: from, Key: sig.key}
	n.Serial, n.HasSerial = hinted(r)
	m := new(dns.Msg).SetReply(r) // RFC 1996 §4.7: QR, AA, same ID, question copied
	m.Authoritative = true
	result := notifyAccepted
	switch z.Notify(n) {
	case allow.Accepted:
	case allow.Hinted:
		result = notifyUnsigned
	case allow.KeyRequired:
		turnAway(z, engine.Refusal{
			From: from, Result: notifyKeyRequired,
			Text: "it must be signed with the key that allow_notify has for this address; let the sender sign it, or list the address without a key",
		})
		result, m = notifyKeyRequired, new(dns.Msg).SetRcode(r, dns.RcodeRefused)
	case allow.Dropped:
		why := "too many wait; its sender tries again; if there are many, see who sends them"
		if !z.Standing().Machine().Started() {
			why = "the zone has not started yet; its sender tries again"
		}
		warn("zone=%s op=notify from=%s: dropped, %s", z.Name(), from, why)
		return notifyResult(notifyDropped), nil
	case allow.NotAllowed:
		result, m = notifyRefused, new(dns.Msg).SetRcode(r, dns.RcodeRefused)
	}
	return notifyResult(result), s.write(ctx, w, r, sig, m)
}

// turnAway notes and logs that a NOTIFY is turned away, why and what to do.
func turnAway(z *servedZone, r engine.Refusal) {
	z.Refuse(r)
	warn("zone=%s op=notify from=%s: refused, %s", z.Name(), r.From, r.Text)
}

// refusals lets a few lines about refused NOTIFYs pass, then one in a time: anybody can send them. The metric counts all.
var refusals = rate.Sometimes{First: 20, Interval: time.Second}

// warn logs that a NOTIFY was refused.
func warn(format string, v ...any) {
	refusals.Do(func() { log.Warningf(format, v...) })
}

// notifyResult counts a NOTIFY, and returns the code that says the reply has been written.
func notifyResult(result string) int {
	metrics().NotifyReceived(result)
	return dns.RcodeSuccess
}

// hinted returns the serial that a NOTIFY carries (RFC 1996 §3.7: an unsecure hint).
func hinted(r *dns.Msg) (serial.Serial, bool) {
	if len(r.Answer) == 1 {
		if soa, ok := r.Answer[0].(*dns.SOA); ok {
			return serial.New(soa.Serial), true
		}
	}
	return serial.Serial{}, false
}

// remoteAddr returns the client's address.
func remoteAddr(w dns.ResponseWriter) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(w.RemoteAddr().String())
	return ap.Addr().Unmap().WithZone(""), err == nil
}
