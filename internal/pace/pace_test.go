package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Unsigned NOTIFYs claim half of the rate, and none of them waits for longer than maxHintWait.
func TestHints(t *testing.T) {
	p, now := New(), time.Now()
	p.Limit(2)
	var last time.Duration
	claimed := 0
	for ; claimed < 10_000; claimed++ {
		after, ok := p.Hint(now)
		if !ok {
			break
		}
		last = after
	}
	if want := int(maxHintWait/time.Second) + 1; claimed != want || last != maxHintWait {
		t.Errorf("%d claim a turn, the last after %s; want %d, %s", claimed, last, want, maxHintWait)
	}
	if after, ok := p.Hint(now.Add(time.Second)); !ok || after != maxHintWait {
		t.Errorf("A second later: after %s, %v; who was turned away has no turn", after, ok)
	}
}

// Messages after the first take half of the rate, and leave the rest to queries that come later.
func TestRepeatsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		p.Limit(10)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		repeats, firsts := 0, 0
		go func() {
			for p.WaitRepeat(ctx) == nil {
				repeats++
			}
		}()
		for p.Wait(ctx) == nil {
			firsts++
		}
		synctest.Wait()
		if repeats > 52 || firsts < 48 || repeats+firsts > 112 {
			t.Errorf("%d repeats, %d first messages in 10 s", repeats, firsts)
		}
	})
}
