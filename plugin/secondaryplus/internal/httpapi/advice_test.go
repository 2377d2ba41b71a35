package httpapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
)

// Every reason that a link can be Blocked for has advice of its own.
func TestThereIsAdviceForEveryReason(t *testing.T) {
	reasons := slices.Concat([]string{"other"}, refreshReasons(t))
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

// refreshReasons returns the values of the constants of package refresh that are reasons.
func refreshReasons(t *testing.T) (reasons []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../refresh/link.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Reason") {
			reason, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, reason)
		}
		return true
	})
	if len(reasons) < 5 {
		t.Fatalf("Reasons of package refresh are %q; there are more", reasons)
	}
	return reasons
}
