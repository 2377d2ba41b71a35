package reason_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

func TestTable(t *testing.T) {
	all := reason.All()
	for i, r := range all {
		if slices.Contains(all[:i], r) {
			t.Errorf("%s is in the table twice", r)
		}
		if !regexp.MustCompile(`^[a-z_]{1,32}$`).MatchString(string(r)) {
			t.Errorf("%q is no label", r)
		}
		if r != reason.Other && r.Advice() == reason.Other.Advice() {
			t.Errorf("%s has no advice of its own", r)
		}
		for _, text := range []string{r.What(), r.Advice()} {
			if text == "" || text[0] < 'a' || text[0] > 'z' || strings.HasSuffix(text, ".") || len(text) > 230 {
				t.Errorf("%s: %q; want a short clause", r, text)
			}
		}
	}
}

func TestClasses(t *testing.T) {
	for r, want := range map[reason.Reason]struct {
		class   reason.Class
		refuses bool
	}{
		reason.Timeout:       {reason.Silence, false},
		reason.Local:         {reason.Host, false},
		reason.Refused:       {reason.Answer, false},
		reason.MaxRecords:    {reason.Rule, true},
		reason.SeveralCNAMEs: {reason.Conflict, true},
		reason.OutOfZone:     {reason.Remark, false},
		"no such reason":     {reason.Answer, false},
	} {
		if r.Class() != want.class || r.Refuses() != want.refuses {
			t.Errorf("%s: class %d, refuses %t; want %+v", r, r.Class(), r.Refuses(), want)
		}
	}
}

func TestAllOfAClass(t *testing.T) {
	n := len(reason.All(reason.Answer, reason.Host, reason.Silence)) + len(reason.All(reason.Rule, reason.Conflict, reason.Remark))
	if all := reason.All(); n != len(all) || !slices.Contains(reason.All(reason.Host), reason.Local) {
		t.Errorf("%d reasons in the classes, %d in all", n, len(all))
	}
}

func TestSentence(t *testing.T) {
	if got, want := reason.TSIGBadTime.Sentence(), "Set the clocks of both sides right, by NTP."; got != want {
		t.Errorf("Sentence is %q; want %q", got, want)
	}
}

func TestOf(t *testing.T) {
	e := &reason.Error{Reason: reason.GaveWay, Detail: "slow"}
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{nil, ""}, {errors.New("x"), reason.Other}, {e, reason.GaveWay}, {fmt.Errorf("transfer: %w", e), reason.GaveWay},
	} {
		if got := reason.Of(c.err); got != c.want {
			t.Errorf("Of(%v) is %q; want %q", c.err, got, c.want)
		}
	}
}
