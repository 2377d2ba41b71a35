package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// Every reason that a link can be Blocked for has advice of its own.
func TestThereIsAdviceForEveryReason(t *testing.T) {
	reasons := slices.Concat([]string{"other"}, refresh.Reasons())
	for _, r := range xfr.Reasons() {
		reasons = append(reasons, string(r))
	}
	only := slices.Concat(rules.FindingRules(), // those that stop nothing
		[]rules.Rule{rules.RefreshRange, rules.TimerOrder, rules.OutOfZone, rules.NonIN, rules.Malformed})
	for _, r := range rules.All() {
		if !slices.Contains(only, r) {
			reasons = append(reasons, string(r))
		}
	}
	if len(reasons) < 30 {
		t.Fatalf("Reasons are %q; there are more", reasons)
	}
	none := fault.Advice("no such reason")
	for _, r := range reasons {
		if a := fault.Advice(r); a == none || !strings.HasSuffix(a, ".") {
			t.Errorf("Advice for %s is %q; want some of its own", r, a)
		}
	}
}
