package xfr_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

func TestReasonOf(t *testing.T) {
	e := &xfr.Error{Reason: reason.CutOff, Detail: "cut", Err: io.ErrUnexpectedEOF}
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{nil, ""}, {errors.New("of a receiver"), reason.Other}, {e, reason.CutOff}, {fmt.Errorf("axfr: %w", e), reason.CutOff},
	} {
		if got := reason.Of(c.err); got != c.want {
			t.Errorf("Of(%v) = %q; want %q", c.err, got, c.want)
		}
	}
	if e.Error() != "cut: unexpected EOF" || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("error %q", e)
	}
}
