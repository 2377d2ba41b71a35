package version

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// candidate is what the gates look at. It is owned by one goroutine.
type candidate struct {
	*Terms
	kind     xfr.Kind
	soa      wire.SOA
	contents *zone.Contents // nil while only the SOA has come; this and what follows
	discards *zone.Discards
	losses   *zone.Losses
	remarks  []Violation // of gates that let the version pass
}

// stage is when a gate is passed, as one bit.
type stage uint8

const (
	announced stage = 1 << iota // the first SOA of an answer has come
	sealed                      // all records have
	reloaded                    // another policy has come in force since
)

// gates are the conditions of a version, in order.
var gates = [...]struct {
	at   stage
	pass func(c *candidate) error
}{
	{announced | sealed | reloaded, serialAllowed},
	{announced, newer},
	{sealed | reloaded, withinLimits},
	{sealed, keepsApexNS},
	{sealed, timersInOrder},
	{sealed, nothingDiscarded},
	{sealed, nothingExcluded},
}

// pass returns the error of the first gate of a stage that is closed.
func (c *candidate) pass(at stage) error {
	for _, g := range gates {
		if g.at&at == 0 {
			continue
		}
		if err := g.pass(c); err != nil {
			return err
		}
	}
	return nil
}

// remark has something said of the version that concerns so many records.
func (c *candidate) remark(rule reason.Reason, count int, format string, args ...any) {
	c.remarks = append(c.remarks, Violation{rule, fmt.Sprintf(format, args...), count})
}

// serialAllowed refuses serial 0, unless the policy accepts it.
func serialAllowed(c *candidate) error { return c.Policy.CheckSerial(c.soa.Serial) }

// CheckSerial returns why a primary that has this serial is not followed, nil if it is.
func (p *Policy) CheckSerial(n serial.Serial) error {
	if n.Uint32() == 0 && !p.SerialZero {
		return &Violation{reason.SerialZero, "SOA serial 0 is outside 1..4294967295", 1}
	}
	return nil
}

// newer refuses a serial that is not newer than ours (RFC 1982), unless the operator demands it all the same.
func newer(c *candidate) error {
	if c.Served == nil || c.kind == xfr.Current {
		return nil
	}
	theirs, ours := c.soa.Serial, c.Served.Contents.Serial()
	switch order := theirs.Compare(ours); {
	case order == serial.Equal && c.Demand < refresh.Again:
		return ErrSame
	case order == serial.Equal, order == serial.Greater, c.Demand == refresh.Force:
		return nil
	case order == serial.Incomparable:
		return &reason.Error{Reason: reason.SerialUndefined, Detail: NotNewer(theirs, ours)}
	default:
		return &reason.Error{Reason: reason.SerialBehind, Detail: NotNewer(theirs, ours)}
	}
}

// NotNewer says of the serial of a primary how it stands to ours, which it is not newer than.
func NotNewer(theirs, ours serial.Serial) string {
	said := fmt.Sprintf("the primary has serial %s, we serve %s", theirs, ours)
	if theirs.Compare(ours) == serial.Incomparable {
		said += ", exactly 2^31 away: neither is newer (RFC 1982)"
	}
	return said
}

// withinLimits refuses more records or octets than the policy allows.
func withinLimits(c *candidate) error { return c.Policy.limits().Check(c.contents) }

// keepsApexNS refuses a version that has lost the NS records at the apex, unless the operator demands it all the same.
//
// Every zone has NS records at its apex (RFC 1034 §4.2.1). Losing all of them at once is an accident on the primary or on the
// way, and what it leaves, often an empty zone, is worse for whoever asks than the version before. A first version without
// them is served: Knot and NSD do so, and it takes nothing from anybody.
func keepsApexNS(c *candidate) error {
	before := c.Before.contents()
	if c.Demand == refresh.Force || before == nil || !before.HasApexNS() || c.contents.HasApexNS() {
		return nil
	}
	return &Violation{reason.ApexNSLost, fmt.Sprintf(
		"the version has no NS records at the apex and %d records in all, the one before has them and %d records",
		c.contents.Records(), before.Records()), 1}
}

// timersInOrder remarks upon timers of the SOA that are not used as they are. It refuses nothing.
func timersInOrder(c *candidate) error {
	s := c.Policy.Spans(c.soa)
	if _, replaced := refresh.Timer(c.soa.Refresh); replaced {
		c.remark(reason.RefreshRange, 1, "SOA refresh %d is outside 30..4294967295, so the zone is checked every %s", c.soa.Refresh, s.Check)
	}
	switch {
	case s.Expire < s.Refresh+s.Retry: // as the configuration limits it
		follows := "the zone expires before a failed check is repeated"
		if s.Check < s.Refresh {
			follows = fmt.Sprintf("the zone is checked every %s instead, ahead of its expiry", s.Check)
		}
		c.remark(reason.TimerOrder, 1, "of the timers in force, expire %s is below refresh %s and retry %s together: %s",
			s.Expire, s.Refresh, s.Retry, follows)
	case s.Raised:
		c.remark(reason.TimerOrder, 1, "SOA expire %d is below refresh %s and retry %s together and counts as %s",
			c.soa.Expire, s.Refresh, s.Retry, s.Expire)
	}
	return nil
}

// nothingDiscarded remarks upon records that no zone can hold. Without those that are malformed a signed zone has a broken
// chain (RFC 4035 §3.1.5): it is refused.
func nothingDiscarded(c *candidate) error {
	samples := strings.Join(c.discards.Samples(), ", ")
	for _, k := range []struct {
		kind zone.DiscardKind
		rule reason.Reason
		what string
	}{
		{zone.OutOfZone, reason.OutOfZone, "outside the zone"},
		{zone.NonIN, reason.NonIN, "of another class than IN"},
		{zone.Malformed, reason.MalformedRecord, "malformed"},
	} {
		if n := c.discards.Count(k.kind); n > 0 {
			c.remark(k.rule, n, "%d records %s discarded: %s", n, k.what, samples)
		}
	}
	if n := c.contents.Lacks(); n > 0 && c.contents.Signed() {
		return &Violation{reason.SignedBroken, fmt.Sprintf("the zone is signed and %d of its records are malformed: %s", n, samples), n}
	}
	return nil
}

// nothingExcluded remarks upon records that others exclude, which are not served. From a signed zone none can be left out: it is
// refused, unless all of them are served already.
func nothingExcluded(c *candidate) error {
	signed, before := c.contents.Signed(), c.Before.contents()
	if signed && (c.contents.Marked() == 0 || c.losses.Fresh() == 0 && (before == nil || before.Marked() == 0)) {
		return nil
	}
	for _, m := range c.losses.Marks() {
		n := c.losses.Count(m)
		v := Violation{rules.OfMark(m), fmt.Sprintf(
			"%d records excluded by others are not served: %s", n, strings.Join(c.losses.Samples(m), ", ")), n}
		if signed {
			v.Detail = "the zone is signed, and leaving records out would break it: " + v.Detail
			return &v
		}
		c.remarks = append(c.remarks, v)
	}
	if signed {
		return &Violation{reason.CNAMEAndOther, "the zone is signed now, and leaving records out would break it", 1}
	}
	return nil
}
