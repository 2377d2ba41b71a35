package httpapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// maxAddresses is how many addresses of our own secondaries have a line.
const maxAddresses = 20_000

// roll is how all our own secondaries stand, called anew when it is asked for and too old, as a survey is. It is safe for concurrent use.
type roll struct {
	mu      sync.Mutex
	until   time.Time     // it is good; guarded by mu
	lines   []*below.Line // in the order of pages; read-only once it is here; guarded by mu
	omitted int           // pairs without a line; guarded by mu
}

// call returns how all secondaries stand, and how many pairs have no line. The lines are shared and read-only.
func (r *roll) call(of *secondary.Secondary) ([]*below.Line, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := time.Now()
	if began.Before(r.until) {
		return r.lines, r.omitted
	}
	lines := below.Lines{Most: maxAddresses}
	of.AllBelow(func(_ engine.ZoneID, all []below.Secondary) {
		for i := range all {
			lines.Add(&all[i])
		}
	})
	r.lines, r.omitted = lines.Sorted(), lines.Omitted
	now := time.Now()
	r.until = now.Add(surveyShare * now.Sub(began))
	return r.lines, r.omitted
}

func allSecondaries(s *Server, w http.ResponseWriter, r *request) error {
	offset, limit, err := r.page()
	if err != nil {
		return err
	}
	all, omitted := s.roll.call(s.secondary)
	some := all[min(offset, len(all)):min(offset+limit, len(all))]
	answered := control.SecondaryPage{
		Secondaries: make([]control.SecondaryLine, len(some)), Offset: offset, Matching: len(all), Omitted: omitted,
	}
	for i, l := range some {
		answered.Secondaries[i] = control.SecondaryLine{
			Address: l.Addr.String(), Zones: l.Zones(), Current: l.States[below.Current], Behind: l.States[below.Behind],
			Failing: l.States[below.Failing], Unknown: l.States[below.Unknown],
			BehindAt: l.LateAt.UTC(), SentAt: l.SentAt.UTC(), AnswerAt: l.ToldAt.UTC(),
		}
	}
	return answer(w, http.StatusOK, &answered)
}

// secondariesOf returns how the secondaries of a zone stand, at most control.MaxSecondaries.
func secondariesOf(all []below.Secondary) []control.Secondary {
	list := []control.Secondary{}
	for i := range all[:min(len(all), control.MaxSecondaries)] {
		list = append(list, secondaryOf(&all[i]))
	}
	return list
}

// secondaryOf returns how a secondary of a zone stands.
func secondaryOf(o *below.Secondary) control.Secondary {
	v := control.Secondary{
		Address: peer(o.Addr.Addr(), o.Addr.Port()), Key: o.Key(), State: control.SecondaryState(o.State), BehindAt: o.LateAt().UTC(),
	}
	if o.Told != nil {
		v.Notified = notifyOut(o.Told)
	}
	seen := o.Seen
	if seen == nil {
		return v
	}
	if has, known := seen.Has(); known {
		v.Has = number(has)
	}
	if !seen.AskedAt.IsZero() {
		v.Asked = &control.Asked{Serial: int64(seen.Asked.Uint32()), At: seen.AskedAt.UTC()}
	}
	if t := seen.Sent; !t.At.IsZero() {
		v.Sent = &control.Sent{Serial: int64(t.Serial.Uint32()), At: t.At.UTC(), Kind: control.AXFRed, Bytes: t.Octets}
		if t.Incremental {
			v.Sent.Kind = control.IXFRed
		}
	}
	return v
}

// notifyOut returns what a secondary was told last, and what it says to it.
func notifyOut(t *notify.Status) *control.NotifyOut {
	v := &control.NotifyOut{Attempts: t.Attempts, FailingSinceAt: t.FailedAt.UTC()}
	if t.Rcode > 0 {
		v.Answer = t.RcodeName()
	}
	if t.Telling || t.HasTold {
		v.Serial = number(t.Serial)
	}
	switch {
	case !t.Telling && t.HasTold:
		v.Result, v.At = control.NotifyAcknowledged, t.ToldAt.UTC()
		return v
	case !t.Telling:
		v.Result = control.NotifyNone
		return v
	case t.Failure != "":
		v.Result, v.Answer = control.NotifyBadAnswer, string(t.Failure)
	case t.FailedAt.IsZero():
		v.Result = control.NotifyWaiting
	case t.Refuses():
		v.Result = control.NotifyRefused
	default:
		v.Result = control.NotifyUnanswered
	}
	v.At = t.SentAt.UTC()
	return v
}
