package httpapi

import (
	"cmp"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/keep"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The bounds of pages.
const (
	defaultLimit = 50
	maxLimit     = 500
	maxOffset    = 10_000_000
	maxSearch    = 1012 // octets: those of the longest name in presentation form
)

// A survey is good for surveyShare times what it took to make: however many ask, it takes no more than that part of the time. Of
// few zones it is as of now.
const surveyShare = 10

// survey is how all zones stand, taken anew when it is asked for and too old. It is safe for concurrent use.
type survey struct {
	mu     sync.Mutex
	until  time.Time      // it is good; guarded by mu
	zones  []ranked       // in the order of pages; read-only once it is here; guarded by mu
	counts control.Counts // guarded by mu

	unsaved int // zones whose contents the store has not; guarded by mu
}

// ranked is a zone with what orders it. It is a plain value.
type ranked struct {
	*watch.Brief
	urgency int
	prefix  uint64 // the first octets of the name: nearly always they tell
}

func rank(z *watch.Brief) ranked {
	var first [8]byte
	copy(first[:], z.ID.Name)
	return ranked{z, urgency(z), binary.BigEndian.Uint64(first[:])}
}

// before orders zones: those that need attention first, then by name.
func (z ranked) before(o ranked) int {
	switch {
	case z.urgency != o.urgency:
		return z.urgency - o.urgency
	case z.prefix != o.prefix:
		return cmp.Compare(z.prefix, o.prefix)
	}
	return cmp.Or(strings.Compare(z.ID.Name, o.ID.Name), strings.Compare(z.ID.Variant, o.ID.Variant))
}

// take returns how all zones stand. The zones are shared and read-only.
func (s *survey) take(w *watch.Watch) ([]ranked, control.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew(w)
	return s.zones, s.counts
}

// notSaved returns how many zones are served with contents that the store has not.
func (s *survey) notSaved(w *watch.Watch) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew(w)
	return s.unsaved
}

// renew looks at all zones unless that was done a moment ago; mu is held.
func (s *survey) renew(w *watch.Watch) {
	began := time.Now()
	if began.Before(s.until) {
		return
	}
	unsaved := 0
	all := w.Briefs()
	zones := make([]ranked, len(all))
	counts := control.Counts{Total: len(all)}
	for i := range all {
		z := &all[i]
		zones[i] = rank(z)
		switch z.State {
		case refresh.ZoneNormal:
			counts.Normal++
		case refresh.ZoneDegraded:
			counts.Degraded++
		case refresh.ZoneBlocked:
			counts.Blocked++
		case refresh.ZoneUnknown:
			counts.Unknown++
		}
		if !z.Served {
			counts.NotServed++
		} else if !z.Saved {
			unsaved++
		}
		if z.Behind {
			counts.Behind++
		}
	}
	slices.SortFunc(zones, ranked.before)
	now := time.Now()
	s.zones, s.counts, s.unsaved, s.until = zones, counts, unsaved, now.Add(surveyShare*now.Sub(began))
}

// urgency orders zones by how much they need attention, the most first.
func urgency(z *watch.Brief) int {
	switch {
	case !z.Served:
		return 0
	case z.State == refresh.ZoneBlocked:
		return 1
	case z.Behind:
		return 2
	case z.State == refresh.ZoneDegraded:
		return 3
	case z.State == refresh.ZoneUnknown:
		return 4
	}
	return 5
}

// filters are the values of the parameter state of /v1/zones.
func filters() map[string]func(*watch.Brief) bool {
	return map[string]func(*watch.Brief) bool{
		"":          func(*watch.Brief) bool { return true },
		"normal":    func(z *watch.Brief) bool { return z.State == refresh.ZoneNormal },
		"degraded":  func(z *watch.Brief) bool { return z.State == refresh.ZoneDegraded },
		"blocked":   func(z *watch.Brief) bool { return z.State == refresh.ZoneBlocked },
		"unknown":   func(z *watch.Brief) bool { return z.State == refresh.ZoneUnknown },
		"notserved": func(z *watch.Brief) bool { return !z.Served },
		"behind":    func(z *watch.Brief) bool { return z.Behind },
	}
}

func status(s *Server, w http.ResponseWriter, _ *request) error {
	o, load := s.settings.Load(), s.secondary.Load()
	_, counts := s.survey.take(s.secondary.Watch)
	return answer(w, http.StatusOK, &control.Overview{
		Host: s.host, Version: o.Version, StartedAt: o.StartedAt.UTC(), Zones: counts, Store: s.store(s.secondary.Store()),
		Transfers: control.Transfers{Running: load.Running, Waiting: load.Waiting, Limit: load.Limit},
	})
}

// store returns how the store stands.
func (s *Server) store(l keep.Status) control.Store {
	if l.Path == "" {
		return control.Store{State: control.StoreOff}
	}
	v := control.Store{State: control.StoreOK, Path: l.Path, Error: l.Failure, SinceAt: l.FailedAt.UTC(), Unsaved: s.survey.notSaved(s.secondary.Watch)}
	if l.Failure != "" {
		v.State = control.StoreFailing
	}
	return v
}

func zones(s *Server, w http.ResponseWriter, r *request) error {
	offset, limit, err := r.page()
	if err != nil {
		return err
	}
	matches := filters()[r.params.Get("state")]
	search := strings.ToLower(r.params.Get("search"))
	switch {
	case matches == nil:
		return badRequest("state %q: want normal, degraded, blocked, unknown, notserved or behind", r.params.Get("state"))
	case len(search) > maxSearch:
		return badRequest("search of %d octets: want at most %d", len(search), maxSearch)
	}
	all, counts := s.survey.take(s.secondary.Watch)
	var wanted []engine.ZoneID
	answered := control.ZonePage{Zones: []control.Summary{}, Offset: offset, Counts: counts}
	for _, z := range all {
		if matches(z.Brief) && strings.Contains(z.ID.Name, search) {
			if answered.Matching++; answered.Matching > offset && len(wanted) < limit {
				wanted = append(wanted, z.ID)
			}
		}
	}
	for _, z := range s.secondary.Statuses(wanted) {
		answered.Zones = append(answered.Zones, summary(&z))
	}
	return answer(w, http.StatusOK, &answered)
}

func zoneDetail(s *Server, w http.ResponseWriter, r *request) error {
	d, err := s.detail(r)
	if err != nil {
		return err
	}
	z := detail(d)
	z.Secondaries = secondariesOf(s.secondary.Below(d.ID))
	return answer(w, http.StatusOK, z)
}

func zoneEvents(s *Server, w http.ResponseWriter, r *request) error {
	d, err := s.detail(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, &control.EventPage{Events: newestFirst(d.History)})
}

func (s *Server) detail(r *request) (*watch.Detail, error) {
	id, err := s.zone(r)
	if err != nil {
		return nil, err
	}
	d, err := s.secondary.Detail(id)
	return &d, err
}

func schedule(s *Server, w http.ResponseWriter, r *request) error {
	offset, limit, err := r.page()
	if err != nil {
		return err
	}
	all := s.secondary.Schedule()
	some := all[min(offset, len(all)):min(offset+limit, len(all))]
	answered := control.SchedulePage{Appointments: make([]control.Appointment, len(some)), Matching: len(all), Offset: offset}
	for i, a := range some {
		answered.Appointments[i] = control.Appointment{At: a.At.UTC(), Name: a.Zone.Name, Variant: a.Zone.Variant, Why: a.Why}
	}
	return answer(w, http.StatusOK, &answered)
}

// page returns which part of a list is wanted.
func (r *request) page() (offset, limit int, err error) {
	if offset, err = r.number("offset", 0, 0, maxOffset); err == nil {
		limit, err = r.number("limit", defaultLimit, 1, maxLimit)
	}
	return offset, limit, err
}

// number returns a parameter that is a number, or what stands for its absence.
func (r *request) number(key string, absent, least, most int) (int, error) {
	text := r.params.Get(key)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badRequest("%s %q: want a number from %d to %d", key, text, least, most)
	}
	return n, nil
}

// zone returns the zone that a request names. The error is a refusal or one of watch.Watch.Find.
func (s *Server) zone(r *request) (engine.ZoneID, error) {
	name, err := parseName(r.name)
	if err != nil {
		return engine.ZoneID{}, err
	}
	return s.secondary.Find(name, r.params.Get("variant"))
}

// parseName returns a name as ZoneID has it.
func parseName(text string) (string, error) {
	if text == control.RootName {
		return ".", nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", badRequest("name %q: want printable ASCII; other letters in the form with xn--, other octets as \\DDD", text)
	}
	name, err := wire.ParseName(text)
	if err != nil {
		return "", badRequest("name: %s", err)
	}
	return wire.Name(wire.AppendLower(nil, name)).String(), nil
}
