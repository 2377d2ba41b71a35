package keep

import (
	"testing"
	"time"
)

// What is saved are times, however far away; EXPIRE may be 136 years (RFC 1035 §3.3.13).
func TestSavedTimesAreKept(t *testing.T) {
	for _, want := range []time.Time{{}, time.Unix(0, 0), time.Now(), time.Date(2300, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		read, err := decodeState(state{ExpireAt: want, SourceAt: want}.encode())
		for _, got := range []time.Time{read.ExpireAt, read.SourceAt} {
			if err != nil || got.Sub(want).Abs() > time.Millisecond || got.IsZero() != want.IsZero() {
				t.Errorf("%v is read as %v, %v", want, got, err)
			}
		}
	}
}

// A start has the state of every zone saved: when that is over, memory is given back as well.
func TestMemoryIsGivenBackAfterManyStates(t *testing.T) {
	k := keeper{states: manyStates, garbageAt: time.Now()}
	if wait := k.tidy(); wait <= quietSpan || k.states != manyStates {
		t.Errorf("While states are saved: wait %s, %d states left", wait, k.states)
	}
	k.garbageAt = time.Now().Add(-time.Hour)
	if k.tidy(); k.states != 0 {
		t.Errorf("Long after it %d states are left", k.states)
	}
}

// Memory is given back once for a burst, after it.
func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	k := keeper{garbage: maxGarbage, garbageAt: time.Now()}
	if wait := k.tidy(); wait <= 0 || k.garbage != maxGarbage {
		t.Errorf("In the middle of a burst: wait %s, %d octets left", wait, k.garbage)
	}
	k.garbageAt = time.Now().Add(-time.Hour)
	if k.tidy(); k.garbage != 0 {
		t.Errorf("Long after it %d octets are left", k.garbage)
	}
}
