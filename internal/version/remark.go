package version

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// Violation is one rule broken. It is the error of a version that may not be served, or a remark on one that may.
type Violation struct {
	Rule   reason.Reason
	Detail string // what was found, for a person; what to do is the advice of the rule
	Count  int    // records concerned, at least 1
}

// Error returns the detail; the rule is a label of its own.
func (v *Violation) Error() string { return v.Detail }

// Why returns the rule.
func (v *Violation) Why() reason.Reason { return v.Rule }

// findings say what a Finding of package zone is. These rules are about zones that are served as they are.
var findings = []struct {
	kind zone.Finding
	rule reason.Reason
	what string
}{
	{zone.NoApexNS, reason.NoApexNS, "no NS records at the apex (RFC 1034 §4.2.1)"},
	{zone.NSWithoutAddress, reason.NSWithoutAddress, "%d name servers in the zone have no address there"},
	{zone.TargetIsAlias, reason.TargetIsAlias, "%d NS or MX records point at a CNAME (RFC 2181 §10.3)"},
	{zone.BelowCut, reason.BelowCut, "%d RRsets at or below a zone cut, or below a DNAME, are never answered"},
	{zone.MixedTTL, reason.MixedTTL, "%d RRsets have different TTLs; the lowest is used (RFC 2181 §5.2)"},
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
