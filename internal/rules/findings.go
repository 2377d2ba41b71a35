package rules

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

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
