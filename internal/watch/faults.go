package watch

import (
	"fmt"
	"slices"
	"sync"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// followed is what the notifier was told of a zone that a primary has confirmed.
const followed = "followed"

// FaultMemory keeps what people have been told over a restart. Its functions are safe for concurrent use and wait for nothing.
type FaultMemory struct {
	Load func() []byte
	Save func([]byte)
}

// Faults tells a notifier of zones that cannot follow their primaries. It is safe for concurrent use. Its lock may be taken
// with that of the engine held, and not the other way round.
type Faults struct {
	log    Logger
	memory FaultMemory

	mu       sync.Mutex              // guards what follows
	notifier *fault.Notifier         // made once somebody is to be told; nil before
	trouble  map[*engine.Zone]string // what the notifier was told last; no entry for nothing
}

// NewFaults returns an observer that tells nobody, until Configure.
func NewFaults(log Logger, m FaultMemory) *Faults {
	return &Faults{log: log, memory: m, trouble: map[*engine.Zone]string{}}
}

// Configure says whom to tell, and looks at all zones when there is somebody for the first time.
func (o *Faults) Configure(s fault.Settings, zones []*engine.Zone) {
	o.mu.Lock()
	fresh := o.notifier == nil && len(s.URLs) > 0
	if fresh {
		o.notifier = fault.NewNotifier(o.log, o.memory.Load(), func(state []byte) error {
			o.memory.Save(state)
			return nil
		}, faultNames)
	}
	n := o.notifier
	o.mu.Unlock()
	if n == nil {
		return
	}
	if err := n.Configure(s); err != nil {
		o.log.Warningf("fault_notify: %v", err) // the parser has accepted it
	}
	if fresh {
		for _, z := range zones {
			o.mu.Lock()
			o.look(z)
			o.mu.Unlock()
		}
	}
}

// Keep lets go of zones that were told of by an earlier process and are not configured any more.
func (o *Faults) Keep(configured func(engine.ZoneID) bool) {
	o.mu.Lock()
	n := o.notifier
	o.mu.Unlock()
	if n == nil {
		return
	}
	for _, key := range n.Zones() {
		if id, _ := engine.ZoneIDOf([]byte(key)); !configured(id) {
			n.Gone(key)
		}
	}
}

// Observe looks at a zone after each step of its machine.
func (o *Faults) Observe(f *engine.Fact) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch f.Kind {
	case engine.Stepped:
		o.look(f.Zone)
	case engine.Removed:
		delete(o.trouble, f.Zone)
		if o.notifier != nil {
			o.notifier.Gone(faultKey(f.Zone))
		}
	default:
	}
}

// look tells the notifier whether a zone is in trouble, unless it knows. o.mu is held.
func (o *Faults) look(z *engine.Zone) {
	if o.notifier == nil || z.Gone() {
		return
	}
	s := z.Standing()
	links := s.Machine().Links()
	blocked := stoppedBy(s.Machine(), links)
	switch was := o.trouble[z]; {
	case len(blocked) > 0:
		if trouble := fmt.Sprint(s.State(), blocked, s.Group.Primaries); trouble != was {
			o.trouble[z] = trouble
			o.notifier.Down(faultKey(z), faultStatus(s, links, blocked))
		}
	case was != followed && slices.ContainsFunc(links, answers):
		o.trouble[z] = followed
		o.notifier.Up(faultKey(z))
	}
}

// Counts returns what became of the messages, by the label of the sink.
func (o *Faults) Counts() map[string]fault.Count {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notifier == nil {
		return nil
	}
	return o.notifier.Counts()
}

// Close ends the notifier, which saves what people have been told.
func (o *Faults) Close() {
	o.mu.Lock()
	n := o.notifier
	o.notifier, o.trouble = nil, map[*engine.Zone]string{}
	o.mu.Unlock()
	if n != nil {
		n.Close()
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
func faultStatus(of *engine.Standing, links []refresh.Link, reasons []reason.Reason) fault.Status {
	m := of.Machine()
	soa, has := m.SOA()
	s := fault.Status{
		HasContents: has, Expired: m.State() == refresh.Expired, Serial: soa.Serial.Uint32(), ExpireAt: m.ExpireAt(),
		Expire: m.ExpireAt().Sub(m.CheckedAt()),
	}
	for i, why := range reasons {
		if why == "" {
			continue
		}
		s.Links = append(s.Links, fault.Link{Primary: of.Group.Primaries[i].Addr.String(), Reason: why})
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

// faultKey returns what tells a zone apart from others that people are told of, also over a restart.
func faultKey(z *engine.Zone) string { return string(z.ID().Octets()) }

// faultNames returns what messages call zones, given by their keys.
func faultNames(keys []string) []string {
	all := make([]string, len(keys))
	for i, key := range keys {
		id, _ := engine.ZoneIDOf([]byte(key))
		all[i] = id.Name
		if id.Variant != "" {
			all[i] += " variant " + id.Variant // sinks have few characters in common
		}
	}
	return all
}
