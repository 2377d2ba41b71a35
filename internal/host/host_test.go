package host

import (
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// A host that is silent is down at once, for longer with each failure; an answer of any kind ends that.
func TestSilenceIsAnOutage(t *testing.T) {
	var h Host
	now := time.Now()
	for _, span := range []time.Duration{downFirst, 2 * downFirst, 4 * downFirst} {
		if !h.Note(now, slowFailure, reason.Timeout) {
			t.Fatal("Not down")
		}
		if h.Note(now, slowFailure, reason.Timeout) {
			t.Error("One outage counts twice")
		}
		if why, down := h.Down(now.Add(span - 1)); !down || why != reason.Timeout {
			t.Errorf("After %s: down %v, %s", span-1, down, why)
		}
		if now = now.Add(span); h.isDown(now) {
			t.Errorf("Down for longer than %s", span)
		}
	}
	if first, second := h.Skip(), h.Skip(); first != 1 || second != 2 {
		t.Errorf("Skipped %d, %d", first, second)
	}
	if h.Note(now, 0, reason.Refused); h.failures != 0 || h.Skip() != 1 {
		t.Errorf("%d failures after an answer", h.failures)
	}
	now = now.Add(time.Hour)
	for range 20 {
		h.Note(now, slowFailure, reason.Timeout)
		now = h.downUntil
	}
	if h.Note(now, slowFailure, reason.Timeout); !h.downUntil.Equal(now.Add(downMax)) {
		t.Errorf("Down for %s", h.downUntil.Sub(now))
	}
}

// Failures that come at once count as an outage, of shorter time, only when there are many of them.
func TestRefusalsAreAnOutage(t *testing.T) {
	var h Host
	now := time.Now()
	for n := range maxRefusals {
		if h.Note(now, 0, reason.Unreachable) {
			t.Fatalf("Down after %d refusals", n+1)
		}
	}
	if !h.Note(now, 0, reason.Unreachable) || !h.downUntil.Equal(now.Add(refusedFirst)) {
		t.Errorf("Down for %s", h.downUntil.Sub(now))
	}
}

// What says nothing of the host changes nothing; nor does silence about one zone while another is answered.
func TestHostThatLives(t *testing.T) {
	var h Host
	now := time.Now()
	for _, why := range []reason.Reason{reason.Canceled, reason.Local} {
		if h.Note(now, time.Hour, why) {
			t.Errorf("Down for %s", why)
		}
	}
	h.Note(now, 0, "")
	if h.Note(now.Add(time.Second), 2*time.Second, reason.Timeout) {
		t.Error("Down although it has answered meanwhile")
	}
}

func name(t *testing.T, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A host is asked about another zone than the one it is silent about, and by one at a time.
func TestWitness(t *testing.T) {
	var h Host
	a, b := name(t, "a.test."), name(t, "b.test.")
	if w, busy := h.AskAbout(a); w.Origin != nil || busy {
		t.Errorf("Nothing is known: %v, busy %v", w, busy)
	}
	h.AnsweredSOA(Witness{Origin: a}, false, time.Now())
	if w, busy := h.AskAbout(a); w.Origin != nil || busy {
		t.Errorf("Only the zone itself: %v, busy %v", w, busy)
	}
	h.AnsweredSOA(Witness{Origin: b}, false, time.Now())
	h.AnsweredSOA(Witness{Origin: b}, false, time.Now())
	if w, busy := h.AskAbout(b); !w.Origin.Equal(a) || busy {
		t.Errorf("%v, busy %v", w, busy)
	}
	if _, busy := h.AskAbout(a); !busy {
		t.Error("Two ask at a time")
	}
	if h.Asked(); h.asking {
		t.Error("Busy once it has been asked")
	}
}

// That a host answers no query with OPT takes two answers in a row to learn. Of a host that has answered one of late it is chance:
// where a tenth of all datagrams are lost, two such answers in a row come about once in 40 checks.
func TestNoOPTIsLearntFromTwoAnswers(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		plain []bool
		learn bool
	}{
		{[]bool{true}, false},
		{[]bool{true, true}, true},
		{[]bool{true, false, true}, false},
		{[]bool{false, true, true, true, true}, false},
	} {
		var h Host
		for _, noOPT := range c.plain {
			h.AnsweredSOA(Witness{}, noOPT, now)
			h.Transferred(false, now)
		}
		if h.Ways.Has(WayNoOPT, now) != c.learn {
			t.Errorf("%v: %v", c.plain, h.Ways)
		}
		h = Host{}
		for _, noOPT := range c.plain {
			h.Transferred(noOPT, now)
			h.AnsweredSOA(Witness{}, false, now)
		}
		if h.Ways.Has(WayNoOPT, now) != c.learn {
			t.Errorf("Transfers, %v: %v", c.plain, h.Ways)
		}
	}
}

// A host that has not answered a query with OPT for as long as a way counts may have another way now. What it answers to queries
// without OPT, as it is known for that, says nothing of those with it.
func TestNoOPTIsLearntAgain(t *testing.T) {
	now := time.Now()
	var h Host
	answers := func(noOPT ...bool) bool {
		for _, plain := range noOPT {
			h.Transferred(plain, now)
		}
		return h.Ways.Has(WayNoOPT, now)
	}
	answers(false)
	now = now.Add(waySpan)
	if !answers(true, true) {
		t.Error("A change of its ways is not learnt")
	}
	if !answers(false) {
		t.Error("It is forgotten before its time")
	}
	now = now.Add(waySpan)
	if answers() || !answers(true, true) {
		t.Error("It is not learnt again once its time has passed")
	}
}
