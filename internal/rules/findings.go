package rules

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// The rules about zones that are served as they are: what they find is said, and changes nothing.
const (
	NoApexNS         Rule = "no_apex_ns"         // no NS records at the apex
	NSWithoutAddress Rule = "ns_without_address" // a name server within the zone that has no address there
	TargetIsAlias    Rule = "target_is_alias"    // NS or MX that point at a CNAME
	BelowCut         Rule = "below_cut"          // records at or below a zone cut that are no part of the delegation, or below a DNAME
	MixedTTL         Rule = "mixed_ttl"          // different TTLs in one RRset
)

// findings say what a Finding of package zone is.
var findings = []struct {
	kind zone.Finding
	rule Rule
	what string
}{
	{zone.NoApexNS, NoApexNS, "no NS records at the apex (RFC 1034 §4.2.1): resolvers may not find the zone; add them on the primary"},
	{zone.NSWithoutAddress, NSWithoutAddress, "%d name servers in the zone have no address there; give them A or AAAA records"},
	{zone.TargetIsAlias, TargetIsAlias, "%d NS or MX records point at a CNAME (RFC 2181 §10.3); name its target instead"},
	{zone.BelowCut, BelowCut, "%d RRsets at or below a zone cut, or below a DNAME, are never answered; take them out, or the cut"},
	{zone.MixedTTL, MixedTTL, "%d RRsets have different TTLs; the lowest is used (RFC 2181 §5.2); give each RRset one"},
}

// FindingRules returns the rules about zones that are served as they are.
func FindingRules() (rules []Rule) {
	for _, f := range findings {
		rules = append(rules, f.rule)
	}
	return rules
}

// Remarks returns what is to be said of what was found in contents.
func Remarks(found *zone.Findings) (remarks []Violation) {
	for _, f := range findings {
		n := found.Count(f.kind)
		if n == 0 {
			continue
		}
		detail := f.what
		if strings.Contains(detail, "%d") {
			detail = fmt.Sprintf(detail, n) + ": " + strings.Join(found.Samples(f.kind), ", ")
		}
		remarks = append(remarks, Violation{f.rule, detail, n})
	}
	return remarks
}
