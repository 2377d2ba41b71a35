package check

import (
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// remarkAdvice says what to do about rules that stop nothing, and so have no advice as reasons of a Blocked link. The rules
// that are in neither table say it themselves.
var remarkAdvice = map[rules.Rule]string{
	rules.OutOfZone:        adviceClean,
	rules.NonIN:            adviceClean,
	rules.Malformed:        adviceClean,
	rules.TimerOrder:       "Raise EXPIRE above REFRESH and RETRY together, to days.",
	rules.NSWithoutAddress: "Give each of them an A or AAAA record.",
}

const adviceClean = "Take the records out of the zone on the primary, or leave them: the rest is served."

// failure returns the finding of a step that failed with err, which names the rule or the reason.
func failure(s Severity, step string, err error) Finding {
	what := nameOf(err)
	return Finding{Severity: s, What: what, Detail: step + ": " + err.Error(), Advice: fault.Advice(what)}
}

// nameOf returns the rule or the reason of an error.
func nameOf(err error) string {
	if rule, ok := rules.Of(err); ok {
		return string(rule)
	}
	if r := xfr.ReasonOf(err); r != "" {
		return string(r)
	}
	return "other"
}

// adviceOn returns what to do about what a rule remarks.
func adviceOn(rule rules.Rule) string {
	if slices.Contains(rules.ConflictRules(), rule) {
		return fault.Advice(string(rule))
	}
	return remarkAdvice[rule]
}
