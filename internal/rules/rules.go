package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Rule names one rule, in logs and as a metric label.
type Rule string

// The rules. Those of the first block stop a synchronization, those of the second only change or leave out something.
const (
	SerialZero  Rule = "serial_zero"   // SOA serial outside 1..2^32-1
	MaxRecords  Rule = "max_records"   // more records than allowed
	MaxSize     Rule = "max_size"      // more octets than allowed
	SOAOwner    Rule = "soa_owner"     // a SOA that is not at the apex
	SOAMismatch Rule = "soa_mismatch"  // the first SOA of a transfer unlike the last
	BadApex     Rule = "bad_apex"      // no SOA at the apex, or several
	ApexNSLost  Rule = "apex_ns_lost"  // no NS at the apex, where the version before has them
	SignedZone  Rule = "signed_broken" // a signed zone from which a record would have to be left out
	RRsetSize   Rule = "rrset_size"    // more records in an RRset than allowed
	NameTypes   Rule = "name_types"    // more types at a name than allowed

	RefreshRange Rule = "refresh_range" // SOA refresh outside 30..2^32-1
	OutOfZone    Rule = "out_of_zone"   // a record whose owner is not within the zone
	NonIN        Rule = "non_in_class"  // a record of another class than IN
	Malformed    Rule = "malformed"     // a record whose RDATA cannot be delimited, or that BIND, Knot and NSD all refuse
	TimerOrder   Rule = "timer_order"   // expire below refresh and retry together, as they are in force
)

// All returns every rule.
func All() []Rule {
	return slices.Concat([]Rule{SerialZero, MaxRecords, MaxSize, SOAOwner, SOAMismatch, BadApex, ApexNSLost, SignedZone, RRsetSize, NameTypes,
		RefreshRange, TimerOrder, OutOfZone, NonIN, Malformed}, ConflictRules(), FindingRules())
}

// Violation is one rule broken. It is the error of a version that may not be served.
type Violation struct {
	Rule   Rule
	Detail string // what was found and what to do, for a person
	Count  int    // records concerned, at least 1
}

// Error returns the detail; the rule is a label of its own.
func (v *Violation) Error() string { return v.Detail }

// JudgeSOA returns the rule that forbids synchronizing with a primary that has this SOA, nil if none does.
func JudgeSOA(soa wire.SOA, serialZero bool) *Violation {
	if soa.Serial.Uint32() == 0 && !serialZero {
		return &Violation{SerialZero, "SOA serial 0 is outside 1..4294967295: give the zone another serial, or set serial_zero accept", 1}
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
	return &Violation{ApexNSLost, fmt.Sprintf(
		"the version has no NS records at the apex and %d records in all, the one before has them and %d records: add them on the primary, or have it taken all the same by splusctl retransfer --force",
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
		rule Rule
		what string
	}{
		{zone.OutOfZone, OutOfZone, "outside the zone"},
		{zone.NonIN, NonIN, "of another class than IN"},
		{zone.Malformed, Malformed, "malformed"},
	} {
		if n := d.Count(k.kind); n > 0 {
			remarks = append(remarks, Violation{k.rule, fmt.Sprintf(
				"%d records %s discarded; take them out on the primary: %s", n, k.what, strings.Join(d.Samples(), ", ")), n})
		}
	}
	if n := candidate.Lacks(); n > 0 && candidate.Signed() {
		// RFC 4035 §3.1.5: a signed zone without some of its records has a broken chain.
		refused = &Violation{SignedZone, fmt.Sprintf(
			"the zone is signed and %d of its records are malformed: %s; correct them on the primary and sign the zone again",
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
		remarks = append(remarks, Violation{RefreshRange, fmt.Sprintf(
			"SOA refresh %d is outside 30..4294967295, so the zone is checked every %s; correct it on the primary", soa.Refresh, s.Check), 1})
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
		detail = fmt.Sprintf("SOA expire %d is below refresh %s and retry %s together and counts as %s; raise it on the primary",
			soa.Expire, s.Refresh, s.Retry, s.Expire)
	default:
		return remarks
	}
	return append(remarks, Violation{TimerOrder, detail, 1})
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
		v.Detail = "the zone is signed, and leaving records out would break it: " + v.Detail + "; mend the zone, or set conflicts off"
		return &v
	}
	return &Violation{CNAMEAndOther, "the zone is signed now, and leaving records out would break it; mend the zone, or set conflicts off", 1}
}

// lost returns what is to be said of records that are not served.
func lost(l *zone.Losses) (remarks []Violation) {
	for _, c := range conflictRules {
		if n := l.Count(c.mark); n > 0 {
			remarks = append(remarks, Violation{c.rule, fmt.Sprintf(
				"%d records excluded by others are not served; keep one side on the primary: %s", n,
				strings.Join(l.Samples(c.mark), ", ")), n})
		}
	}
	return remarks
}

// Of returns the rule that an error of a builder or of a transfer stands for; ok is false for failures that are none.
func Of(err error) (_ Rule, ok bool) {
	if v, ok := errors.AsType[*Violation](err); ok {
		return v.Rule, true
	}
	for _, c := range []struct {
		err  error
		rule Rule
	}{
		{zone.ErrTooManyRecords, MaxRecords},
		{zone.ErrTooBig, MaxSize},
		{zone.ErrLargeRRset, RRsetSize},
		{zone.ErrManyTypes, NameTypes},
		{zone.ErrSOAOwner, SOAOwner},
		{zone.ErrNoSOA, BadApex},
		{zone.ErrManySOAs, BadApex},
	} {
		if errors.Is(err, c.err) {
			return c.rule, true
		}
	}
	switch xfr.ReasonOf(err) {
	case xfr.SOAOwner:
		return SOAOwner, true
	case xfr.SOAMismatch:
		return SOAMismatch, true
	case xfr.TooManyRecords:
		return MaxRecords, true
	case xfr.TooBig:
		return MaxSize, true
	default:
		return "", false
	}
}
