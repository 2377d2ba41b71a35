package engine_test

import (
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// NOTIFYs that the engine has no time for are dropped, so that their senders try again; refused ones leave room for others.
func TestInboxOfNotifiesIsBounded(t *testing.T) {
	l := newLab(t)
	a := newActor(t, serve(example, 1))
	z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
	l.serves(z, 1)
	release := l.Hold()
	for range engine.MaxNotices {
		z.Refuse(engine.Refusal{From: a.Addr().Addr(), Result: "refused"})
	}
	if n := l.Notices(); n != engine.MaxNotices/2 {
		t.Errorf("%d refused ones wait; want %d", n, engine.MaxNotices/2)
	}
	n := engine.Notification{From: a.Addr().Addr()}
	for i := range engine.MaxNotices/2 + 1 {
		if got, last := z.Notify(n), i == engine.MaxNotices/2; (got == allow.Dropped) != last || !last && got != allow.Accepted {
			t.Fatalf("NOTIFY %d: %v", i, got)
		}
	}
	release()
	l.acts()
	if got := z.Notify(n); got != allow.Accepted {
		t.Errorf("A NOTIFY after that: %v", got)
	}
}
