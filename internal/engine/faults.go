package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// followed is Zone.trouble of a zone that a primary has confirmed.
const followed = "followed"

// faultsNote names what people have been told in the store.
const faultsNote = "faults"

// observe looks at a zone after each step of its machine: is it in trouble that people should hear of, and do its primaries
// agree. e.mu is held.
func (e *Engine) observe(z *Zone, now time.Time) {
	links := z.machine().Links()
	e.observeLinks(z, links)
	e.observeDifference(z, links, now)
	if e.faults == nil {
		return
	}
	blocked := stoppedBy(z.machine(), links)
	switch {
	case len(blocked) > 0:
		trouble := fmt.Sprint(z.machine().State(), blocked, z.group().Primaries)
		if trouble != z.trouble {
			z.trouble = trouble
			e.faults.Down(z.id.key(), z.faultStatus(links, blocked))
		}
	case z.trouble != followed && slices.ContainsFunc(links, answers):
		z.trouble = followed
		e.faults.Up(z.id.key())
	}
}

// answers reports whether the primary of a link answers correctly. Damping is for what is shown: a zone whose link flaps is
// followed while it can be, and the notifier has a damping of its own.
func answers(l refresh.Link) bool { return l.State == refresh.Normal || l.Damped }

// stoppedBy returns the reasons that keep a zone from following its primaries, by link; nil if one can be followed: when no
// primary answers correctly, or when one has a newer version and none that has it does.
func stoppedBy(m *refresh.Machine, links []refresh.Link) []reason.Reason {
	reasons := make([]reason.Reason, len(links))
	soa, _ := m.SOA()
	newer := func(l refresh.Link) bool {
		return m.State() == refresh.Current && l.HasSerial && l.Serial.Newer(soa.Serial)
	}
	ahead := slices.ContainsFunc(links, newer)
	for i, l := range links {
		if l.State == refresh.Blocked && !answers(l) {
			reasons[i] = l.Reason
		} else if !ahead || newer(l) {
			return nil
		}
	}
	return reasons
}

// faultStatus returns what is to be told of a zone in trouble.
func (z *Zone) faultStatus(links []refresh.Link, reasons []reason.Reason) fault.Status {
	m := z.machine()
	soa, has := m.SOA()
	s := fault.Status{
		HasContents: has, Expired: m.State() == refresh.Expired, Serial: soa.Serial.Uint32(), ExpireAt: m.ExpireAt(),
		Expire: m.ExpireAt().Sub(m.CheckedAt()),
	}
	for i, why := range reasons {
		if why == "" {
			continue
		}
		s.Links = append(s.Links, fault.Link{Primary: z.group().Primaries[i].Addr.String(), Reason: why})
		at := links[i].SinceAt
		if at.Before(links[i].LastOKAt) {
			at = links[i].FailedAt // it was shown as Blocked before, and was not
		}
		if at.After(s.SinceAt) {
			s.SinceAt = at // only the last of them to fail left the zone without any
		}
	}
	return s
}

// key returns what tells the zone apart from others that people are told of, also over a restart.
func (id ZoneID) key() string { return string(id.octets()) }

// faultNames returns what messages call zones, given by their keys.
func faultNames(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		id, _ := savedIDOf([]byte(key))
		names[i] = id.Name
		if id.Variant != "" {
			names[i] += " variant " + id.Variant // sinks have few characters in common
		}
	}
	return names
}

// observeDifference says so, once, when the primaries have had different serials for longer than a refresh. e.mu is held.
func (e *Engine) observeDifference(z *Zone, links []refresh.Link, now time.Time) {
	at := z.machine().DifferAt()
	if at.IsZero() {
		z.differ = false
		return
	}
	soa, _ := z.machine().SOA()
	refreshSpan, _ := refresh.Timer(soa.Refresh)
	if z.differ || now.Sub(at) < refreshSpan {
		return
	}
	z.differ = true
	var serials []string
	for i, l := range links {
		if l.HasSerial {
			serials = append(serials, fmt.Sprintf("%s has %s", z.group().Primaries[i], l.Serial))
		}
	}
	e.log.Warningf(
		"zone=%s: its primaries have had different serials since %s: %s; see whether one has stopped following the others",
		z.id, at.Format(time.RFC3339), strings.Join(serials, ", "))
}

// tellFaults says whom to tell of faults from now on, and reports whether the zones have to be looked at for it. e.mu is held.
func (e *Engine) tellFaults(s FaultSettings) (fresh bool) {
	if e.faults == nil && s.URLs == "" {
		return false
	}
	if e.faults == nil {
		e.faults, fresh = fault.NewNotifier(e.log, e.keeper.faultState(), e.saveFaults, faultNames), true
	}
	settings := fault.Settings{After: s.After, Every: s.Every, Host: e.host}
	if s.URLs != "" {
		settings.URLs = strings.Split(s.URLs, "\n")
	}
	if err := e.faults.Configure(settings); err != nil {
		e.log.Errorf("fault_notify: %v", err) // the parser has accepted it
	}
	return fresh
}

// forgetFaults lets go of zones that are no longer configured. e.mu is held.
func (e *Engine) forgetFaults() {
	if e.faults == nil {
		return
	}
	for _, key := range e.faults.Zones() {
		if id, _ := savedIDOf([]byte(key)); e.zones.find(id) == nil {
			e.faults.Gone(key)
		}
	}
}

// closeFaults ends the notifier, which saves what people have been told. e.configuring is held.
func (e *Engine) closeFaults() {
	e.mu.Lock()
	faults := e.faults
	e.faults = nil
	e.mu.Unlock()
	if faults != nil {
		faults.Close()
	}
}

// saveFaults keeps what people have been told. It is called by the notifier.
func (e *Engine) saveFaults(state []byte) error {
	if k := e.currentKeeper(); k != nil {
		k.mu.Lock()
		k.faults, k.told = state, state
		k.mu.Unlock()
		signal(k.wake)
	}
	return nil
}

// faultCounts returns what became of the messages, by sink.
func (e *Engine) faultCounts() map[string]fault.Count {
	e.mu.Lock()
	faults := e.faults
	e.mu.Unlock()
	if faults == nil {
		return nil
	}
	return faults.Counts()
}

// faultState returns what people were told before the process started.
func (k *keeper) faultState() []byte {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.told
}
