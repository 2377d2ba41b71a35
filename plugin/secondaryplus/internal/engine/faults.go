package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/store"
)

// followed is Zone.trouble of a zone that a primary has confirmed.
const followed = "followed"

// faultsID names what people have been told in the store. It is no ZoneID: those have a NUL.
const faultsID = "faults"

// observe looks at a zone after each step of its machine: is it in trouble that people should hear of, and do its primaries
// agree. e.mu is held.
func (e *Engine) observe(z *Zone, now time.Time) {
	links := z.machine.Links()
	e.observeDifference(z, links, now)
	if e.faults == nil {
		return
	}
	blocked := stoppedBy(z.machine, links)
	switch {
	case len(blocked) > 0:
		trouble := fmt.Sprint(z.machine.State(), blocked, z.group.Primaries)
		if trouble != z.trouble {
			z.trouble = trouble
			e.faults.Down(z.id.title(), z.faultStatus(links, blocked))
		}
	case z.trouble != followed && slices.ContainsFunc(links, func(l refresh.Link) bool { return l.State == refresh.Normal }):
		z.trouble = followed
		e.faults.Up(z.id.title())
	}
}

// stoppedBy returns the reasons that keep a zone from following its primaries, by link; nil if one can be followed: when all
// links are Blocked, or when a primary has a newer version and each one that has it is.
func stoppedBy(m *refresh.Machine, links []refresh.Link) []string {
	reasons := make([]string, len(links))
	ahead := !m.BehindAt().IsZero()
	soa, _ := m.SOA()
	for i, l := range links {
		newer := l.HasSerial && l.Serial.Newer(soa.Serial)
		if l.State == refresh.Blocked {
			reasons[i] = l.Reason
		} else if !ahead || newer {
			return nil
		}
	}
	return reasons
}

// faultStatus returns what is to be told of a zone in trouble.
func (z *Zone) faultStatus(links []refresh.Link, reasons []string) fault.Status {
	m := z.machine
	soa, has := m.SOA()
	s := fault.Status{
		HasContents: has, Expired: m.State() == refresh.Expired, Serial: soa.Serial.Uint32(), ExpireAt: m.ExpireAt(),
		Expire: m.ExpireAt().Sub(m.CheckedAt()),
	}
	for i, reason := range reasons {
		if reason == "" {
			continue
		}
		s.Links = append(s.Links, fault.Link{Primary: z.group.Primaries[i].Addr.String(), Reason: reason})
		if at := links[i].SinceAt; at.After(s.SinceAt) {
			s.SinceAt = at // only the last of them to fail left the zone without any
		}
	}
	return s
}

// title returns what messages call the zone.
func (id ZoneID) title() string {
	if _, view, ok := strings.Cut(id.Block, " view="); ok {
		return id.Name + " (view " + view + ")"
	}
	return id.Name
}

// observeDifference says so, once, when the primaries have had different serials for longer than a refresh. e.mu is held.
func (e *Engine) observeDifference(z *Zone, links []refresh.Link, now time.Time) {
	at := z.machine.DifferAt()
	if at.IsZero() {
		z.differ = false
		return
	}
	soa, _ := z.machine.SOA()
	refreshSpan, _ := refresh.Timer(soa.Refresh)
	if z.differ || now.Sub(at) < refreshSpan {
		return
	}
	z.differ = true
	var serials []string
	for i, l := range links {
		if l.HasSerial {
			serials = append(serials, fmt.Sprintf("%s has %s", z.group.Primaries[i], l.Serial))
		}
	}
	e.log.Warningf("zone=%s: its primaries have had different serials since %s: %s; see whether one has stopped following the others",
		z.name, at.Format(time.RFC3339), strings.Join(serials, ", "))
}

// tellFaults says whom to tell of faults from now on, and forgets zones that are no longer configured. e.mu is held.
func (e *Engine) tellFaults(s FaultSettings) {
	if e.faults == nil && s.URLs == "" {
		return
	}
	if e.faults == nil {
		e.faults = fault.NewNotifier(e.log, e.keeper.faultState(), e.saveFaults)
		for _, z := range e.zones {
			e.observe(z, time.Now())
		}
	}
	settings := fault.Settings{After: s.After, Every: s.Every, Host: e.host}
	if s.URLs != "" {
		settings.URLs = strings.Split(s.URLs, "\n")
	}
	if err := e.faults.Configure(settings); err != nil {
		e.log.Errorf("fault_notify: %v", err) // the parser has accepted it
	}
}

// forgetFaults lets go of zones that are no longer configured. e.mu is held.
func (e *Engine) forgetFaults() {
	if e.faults == nil {
		return
	}
	told := e.faults.Zones()
	if len(told) == 0 {
		return
	}
	titles := make(map[string]bool, len(e.zones))
	for id := range e.zones {
		titles[id.title()] = true
	}
	for _, name := range told {
		if !titles[name] {
			e.faults.Gone(name)
		}
	}
}

// saveFaults keeps what people have been told. It is called by the notifier.
func (e *Engine) saveFaults(state []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k := e.keeper; k != nil {
		k.faults = state
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

// faultState returns what people were told before the process started. Engine.mu is held.
func (k *keeper) faultState() []byte {
	if k == nil {
		return nil
	}
	for _, s := range k.known {
		if string(s.ID) == faultsID {
			return s.State
		}
	}
	return nil
}

// collectFaults returns what people have been told, if that is to be saved. Engine.mu is held.
func (k *keeper) collectFaults(batch []saving) []saving {
	if k.faults == nil {
		return batch
	}
	v := saving{id: ZoneID{Name: faultsID}, change: store.Change{ID: []byte(faultsID), State: k.faults}}
	k.faults = nil
	return append(batch, v)
}
