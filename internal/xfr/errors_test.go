package xfr_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

func TestReasonsAreMetricLabels(t *testing.T) {
	all := xfr.Reasons()
	label := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for i, r := range all {
		if !label.MatchString(string(r)) || slices.Contains(all[:i], r) {
			t.Errorf("reason %q is no label, or stands twice", r)
		}
	}
	all[0] = "changed"
	if xfr.Reasons()[0] == "changed" {
		t.Error("the caller can change the list")
	}
}

func TestReasonOf(t *testing.T) {
	e := &xfr.Error{Reason: xfr.CutOff, Detail: "cut", Err: io.ErrUnexpectedEOF}
	for _, c := range []struct {
		err  error
		want xfr.Reason
	}{
		{nil, ""}, {errors.New("of a receiver"), ""}, {e, xfr.CutOff}, {fmt.Errorf("axfr: %w", e), xfr.CutOff},
	} {
		if got := xfr.ReasonOf(c.err); got != c.want {
			t.Errorf("ReasonOf(%v) = %q; want %q", c.err, got, c.want)
		}
	}
	if e.Error() != "cut: unexpected EOF" || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("error %q", e)
	}
}
