package watch

import (
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// newsSpan is for how long a NOTIFY counts as what a version comes of. Behind that it was another failure that lasted.
const newsSpan = time.Hour

// news is what NOTIFYs have told of and is not served yet: the first of them and the latest. Guarded by Watch.mu, as its record is.
type news struct{ first, latest rumor }

// rumor is what one NOTIFY has told. It is a plain value.
type rumor struct {
	from   netip.Addr
	at     time.Time
	serial Serial
}

// ahead reports whether a serial is newer than another (RFC 1982); one that is not known is newer than none.
func ahead(a Serial, b serial.Serial) bool { return a.Known && a.Newer(b) }

// heard takes note of a NOTIFY while a version is served, if one is. One that tells of it, or of an older one, is no news.
func (r *record) heard(n *engine.Notification, served Serial, at time.Time) {
	told := rumor{n.From, at, Serial{n.Serial, n.HasSerial}}
	if told.serial.Known && served.Known && !ahead(told.serial, served.Serial) {
		return
	}
	if r.news == nil || at.Sub(r.news.first.at) > newsSpan {
		r.news = &news{first: told}
	}
	r.news.latest = told
}

// fulfilled returns how long ago a NOTIFY has told of a version that is served now; ok is false if none has.
func (r *record) fulfilled(n serial.Serial, at time.Time) (took time.Duration, ok bool) {
	w := r.news
	if w == nil || ahead(w.first.serial, n) {
		return 0, false
	}
	r.news = nil
	if ahead(w.latest.serial, n) {
		r.news = &news{w.latest, w.latest}
	}
	took = at.Sub(w.first.at)
	return took, took <= newsSpan
}

// denied forgets the news if the primary that told it says itself that it has no version newer than the one served.
func (r *record) denied(a *engine.Attempt, served Serial) {
	if r.news != nil && a.Err == nil && a.Version == nil && served.Known &&
		a.Primary.Addr.Addr().Unmap() == r.news.first.from && !ahead(known(a.After.Serial), served.Serial) {
		r.news = nil
	}
}

// served returns the serial that is served, if one is.
func (v *view) served() Serial {
	if c := v.standing.Contents(); c != nil {
		return known(c.Serial())
	}
	return Serial{}
}
