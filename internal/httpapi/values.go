package httpapi

import (
	"net/netip"
	"slices"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// What is known of zones, in the values of the API.

func summary(z *watch.Status) control.Summary {
	s := control.Summary{
		Name: z.ID.Name, Variant: z.ID.Variant, Blocks: append([]string{}, z.Blocks...), State: control.State(z.State.String()), Expired: z.Expired, SinceAt: since(z),
		BehindAt: z.BehindAt.UTC(), CheckedAt: z.CheckedAt.UTC(), ExpireAt: z.ExpireAt.UTC(), NextAt: z.NextAt.UTC(),
	}
	if i := slices.IndexFunc(z.Links, isBlocked); i >= 0 && z.State != refresh.ZoneUnknown {
		s.Reason = string(z.Links[i].Reason)
	}
	if c := z.Contents; c != nil {
		s.Served, s.Serial, s.Records, s.Discards = true, number(c.Serial()), c.Records()-c.Marked(), c.Marked()
	}
	if t := z.Transfer; t != nil {
		s.Transfer = &control.Progress{
			Primary: t.Primary.String(), Records: t.Progress.Records.Load(), Bytes: t.Progress.Bytes.Load(), BeganAt: t.Progress.BeganAt.UTC(),
		}
	}
	return s
}

func isBlocked(l refresh.Link) bool { return l.State == refresh.Blocked }

// since returns since when a zone has been in its state: Normal and Blocked since the last of its links is, Degraded since
// the first is Blocked.
func since(z *watch.Status) (at time.Time) {
	wanted := refresh.Blocked
	switch z.State {
	case refresh.ZoneUnknown:
		return at
	case refresh.ZoneNormal:
		wanted = refresh.Normal
	case refresh.ZoneDegraded, refresh.ZoneBlocked:
	}
	for _, l := range z.Links {
		if l.State != wanted || l.SinceAt.IsZero() {
			continue
		}
		if first := z.State == refresh.ZoneDegraded; at.IsZero() || l.SinceAt.Before(at) == first {
			at = l.SinceAt
		}
	}
	return at.UTC()
}

func detail(d *watch.Detail) *control.Zone {
	z := &control.Zone{
		Summary: summary(&d.Status), ServedSOA: soa(d.Contents), SavedSOA: soa(d.Saved),
		Timers:   control.Timers{Refresh: whole(d.Refresh), Retry: whole(d.Retry), Expire: whole(d.Expire)},
		DifferAt: d.DifferAt.UTC(), Failures: d.Failures, RefusedNotifies: int64(d.Refused),
		Links: make([]control.Link, len(d.Links)), Discarded: discarded(d.Contents), Events: newestFirst(d.History),
	}
	if d.Notified.Known {
		z.NotifiedSOA = &control.SOA{Serial: int64(d.Notified.Uint32()), At: d.NotifiedAt.UTC()}
	}
	if d.Contents != nil {
		z.Bytes, z.Signed = d.Contents.Size(), d.Contents.Signed()
	}
	for i := range d.Links {
		z.Links[i] = link(d, i)
	}
	return z
}

func link(d *watch.Detail, i int) control.Link {
	l, p := &d.Links[i], &d.Primaries[i]
	v := control.Link{
		Primary: p.String(), State: control.State(l.State.String()), Damped: l.Damped, Reason: string(l.Reason), Failures: l.Failures,
		SinceAt: l.SinceAt.UTC(), LastOKAt: l.LastOKAt.UTC(), FailedAt: l.FailedAt.UTC(), RetryAt: l.RetryAt.UTC(),
	}
	for _, h := range d.Habits[i] {
		v.Ways = append(v.Ways, control.Way{Name: string(h.Way), Text: h.Way.Text(), TillAt: h.Till.UTC()})
	}
	if p.Key != nil {
		v.Key = p.Key.Name()
	}
	if l.Reason != "" {
		v.Advice = l.Reason.Sentence() + foreignKey(l.Reason, d.Strange[i])
	}
	if l.HasSerial {
		v.Serial = number(l.Serial)
	}
	return v
}

// keyReasons are those that a key may be missing for.
var keyReasons = []reason.Reason{reason.Refused, reason.TSIGMissing, reason.TSIGBadKey}

// foreignKey adds to the advice which key a primary has, where it has named one that is not configured here.
func foreignKey(why reason.Reason, key string) string {
	if key == "" || !slices.Contains(keyReasons, why) {
		return ""
	}
	return " A NOTIFY from its address was signed with key " + key + ", which is not configured here."
}

// soa returns the SOA record of contents, nil without.
func soa(c *zone.Contents) *control.SOA {
	if c == nil {
		return nil
	}
	n := c.SOA()
	v := &control.SOA{
		Serial:  int64(n.Serial.Uint32()),
		Refresh: int64(n.Refresh), Retry: int64(n.Retry), Expire: int64(n.Expire), Minimum: int64(n.Minimum),
	}
	for rr := range c.All() { // the SOA is the first
		primary := wire.FirstName(rr.Data)
		v.Primary, v.Mailbox = primary.String(), wire.FirstName(rr.Data[len(primary):]).String()
		break
	}
	return v
}

// discarded returns what of contents is not served.
func discarded(c *zone.Contents) []control.Discard {
	list := []control.Discard{}
	if c == nil {
		return list
	}
	c.MarkedSets(func(owner wire.Name, set zone.RRset, m zone.Mark) bool {
		list = append(list, control.Discard{
			Name: owner.String(), Type: wire.TypeName(set.Type), Records: set.Count, Rule: string(rules.OfMark(m)),
		})
		return len(list) < control.MaxDiscards
	})
	return list
}

func newestFirst(history []watch.Event) []control.Event {
	list := make([]control.Event, 0, len(history))
	for _, v := range slices.Backward(history[max(0, len(history)-control.MaxEvents):]) {
		list = append(list, event(&v))
	}
	return list
}

func event(v *watch.Event) control.Event {
	e := control.Event{
		ID: v.ID, At: v.At.UTC(), Count: v.Count, Zone: v.Zone.Name, Variant: v.Zone.Variant,
		Kind: control.EventKind(v.Kind), Result: v.Result, Primary: peer(v.Primary, v.Port),
		Records: v.Records, Bytes: v.Bytes, Seconds: v.Took.Seconds(), Text: v.Text,
	}
	switch e.Kind {
	case control.SOAChecked, control.AXFRed, control.IXFRed, control.Confirmed, control.Remarked:
		if v.Result != control.ResultOK {
			e.Advice = reason.Reason(v.Result).Sentence()
		}
	default:
	}
	if v.Count > 1 {
		e.FirstAt = v.FirstAt.UTC()
	}
	if v.From.Known {
		e.From = number(v.From.Serial)
	}
	if v.To.Known {
		e.To = number(v.To.Serial)
	}
	return e
}

// peer returns an address, with its port where it is known.
func peer(addr netip.Addr, port uint16) string {
	switch {
	case !addr.IsValid():
		return ""
	case port == 0:
		return addr.String()
	}
	return netip.AddrPortFrom(addr, port).String()
}

func number(n serial.Serial) *int64 {
	v := int64(n.Uint32())
	return &v
}

// whole returns d in seconds.
func whole(d time.Duration) int64 { return int64(d / time.Second) }
