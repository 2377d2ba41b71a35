package rules

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Violation is one rule broken. It is the error of a version that may not be served.
type Violation struct {
	Rule   reason.Reason
	Detail string // what was found, for a person; what to do is the advice of the rule
	Count  int    // records concerned, at least 1
}

// Error returns the detail; the rule is a label of its own.
func (v *Violation) Error() string { return v.Detail }

// Why returns the rule.
func (v *Violation) Why() reason.Reason { return v.Rule }

// JudgeSOA returns the rule that forbids synchronizing with a primary that has this SOA, nil if none does.
func JudgeSOA(soa wire.SOA, serialZero bool) *Violation {
	if soa.Serial.Uint32() == 0 && !serialZero {
		return &Violation{reason.SerialZero, "SOA serial 0 is outside 1..4294967295", 1}
	}
	return nil
}

// JudgeApex returns why a candidate may not take the place of a version, nil if it may. before is what is served, or was before
// it expired; nil for none.
//
// Every zone has NS records at its apex (RFC 1034 §4.2.1). Losing all of them at once is an accident on the primary or on the
// way, and what it leaves, often an empty zone, is worse for whoever asks than the version before. A first version without
// them is served: Knot and NSD do so, and it takes nothing from anybody.
func JudgeApex(candidate, before *zone.Contents) *Violation {
	if before == nil || !before.HasApexNS() || candidate.HasApexNS() {
		return nil
	}
	return &Violation{reason.ApexNSLost, fmt.Sprintf(
		"the version has no NS records at the apex and %d records in all, the one before has them and %d records",
		candidate.Records(), before.Records()), 1}
}

// Judge returns what is to be said of a candidate that is about to take the place of what is served, nil for nothing.
// refused is nil if it may. s are the timers in force with its SOA.
func Judge(
	candidate, served *zone.Contents, d *zone.Discards, l *zone.Losses, s refresh.Spans,
) (refused *Violation, remarks []Violation) {
	remarks = judgeTimers(candidate.SOA(), s)
	for _, k := range []struct {
		kind zone.DiscardKind
		rule reason.Reason
		what string
	}{
		{zone.OutOfZone, reason.OutOfZone, "outside the zone"},
		{zone.NonIN, reason.NonIN, "of another class than IN"},
		{zone.Malformed, reason.MalformedRecord, "malformed"},
	} {
		if n := d.Count(k.kind); n > 0 {
			remarks = append(remarks, Violation{k.rule, fmt.Sprintf(
				"%d records %s discarded: %s", n, k.what, strings.Join(d.Samples(), ", ")), n})
		}
	}
	if n := candidate.Lacks(); n > 0 && candidate.Signed() {
		// RFC 4035 §3.1.5: a signed zone without some of its records has a broken chain.
		refused = &Violation{reason.SignedBroken, fmt.Sprintf(
			"the zone is signed and %d of its records are malformed: %s",
			n, strings.Join(d.Samples(), ", ")), n}
	}
	if v := judgeSigned(candidate, served, l); refused == nil {
		refused = v
	}
	if candidate.Signed() { // nothing is left out of it
		return refused, remarks
	}
	return refused, append(remarks, lost(l)...)
}

// judgeTimers returns what is to be said of the timers of a SOA, with which s are in force.
func judgeTimers(soa wire.SOA, s refresh.Spans) (remarks []Violation) {
	if _, replaced := refresh.Timer(soa.Refresh); replaced {
		remarks = append(remarks, Violation{reason.RefreshRange, fmt.Sprintf(
			"SOA refresh %d is outside 30..4294967295, so the zone is checked every %s", soa.Refresh, s.Check), 1})
	}
	var detail string
	switch {
	case s.Expire < s.Refresh+s.Retry: // as the configuration limits it
		detail = fmt.Sprintf("of the timers in force, expire %s is below refresh %s and retry %s together: ", s.Expire, s.Refresh, s.Retry)
		if s.Check < s.Refresh {
			detail += fmt.Sprintf("the zone is checked every %s instead, ahead of its expiry", s.Check)
		} else {
			detail += "the zone expires before a failed check is repeated"
		}
	case s.Raised:
		detail = fmt.Sprintf("SOA expire %d is below refresh %s and retry %s together and counts as %s",
			soa.Expire, s.Refresh, s.Retry, s.Expire)
	default:
		return remarks
	}
	return append(remarks, Violation{reason.TimerOrder, detail, 1})
}

// judgeSigned returns why a signed candidate may not be served: records that exclude each other cannot be left out of it,
// but for those that are served already.
func judgeSigned(candidate, served *zone.Contents, l *zone.Losses) *Violation {
	if !candidate.Signed() || candidate.Marked() == 0 {
		return nil
	}
	if l.Fresh() == 0 && (served == nil || served.Marked() == 0) {
		return nil
	}
	for _, v := range lost(l) {
		v.Detail = "the zone is signed, and leaving records out would break it: " + v.Detail + ""
		return &v
	}
	return &Violation{reason.CNAMEAndOther, "the zone is signed now, and leaving records out would break it", 1}
}

// lost returns what is to be said of records that are not served.
func lost(l *zone.Losses) (remarks []Violation) {
	for _, c := range conflictRules {
		if n := l.Count(c.mark); n > 0 {
			remarks = append(remarks, Violation{c.rule, fmt.Sprintf(
				"%d records excluded by others are not served: %s", n,
				strings.Join(l.Samples(c.mark), ", ")), n})
		}
	}
	return remarks
}
