package secondaryplus

import (
	"reflect"
	"sync"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/transfer"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// notifier tells our own secondaries of new versions (RFC 1996 §3.1), through the transfer plugin, which knows them. That
// takes seconds for each one that does not answer, so a goroutine of its own does it, one zone after the other; versions
// that come meanwhile are merged. Safe for concurrent use.
type notifier struct {
	wake chan struct{}   // holds one
	done <-chan struct{} // closed when the instance ends

	mu      sync.Mutex
	pending map[*engine.Zone]struct{} // guarded by mu; at most the zones there are
}

func newNotifier(done <-chan struct{}) *notifier {
	return &notifier{wake: make(chan struct{}, 1), done: done, pending: map[*engine.Zone]struct{}{}}
}

// published takes note of a new version. It never blocks.
func (n *notifier) published(z *engine.Zone) {
	n.mu.Lock()
	n.pending[z] = struct{}{}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run sends until the notifier is done.
func (n *notifier) run(handlers []*SecondaryPlus) {
	for {
		select {
		case <-n.done:
			return
		case <-n.wake:
		}
		n.mu.Lock()
		batch := n.pending
		n.pending = map[*engine.Zone]struct{}{}
		n.mu.Unlock()
		for z := range batch {
			for _, h := range handlers {
				if h.answersFor(z) && !n.send(h, z.Name()) {
					return
				}
			}
		}
	}
}

// answersFor reports whether it is this server block that serves a zone: several blocks have one address, each with
// secondaries of its own. A version may be published before its zone is handed out; the lock waits for that.
func (s *SecondaryPlus) answersFor(z *engine.Zone) bool {
	s.instance.mu.Lock()
	defer s.instance.mu.Unlock()
	return s.serves(z)
}

// serves reports whether the zones handed out to this server block have z among them.
func (s *SecondaryPlus) serves(z *engine.Zone) bool {
	served := s.zone(z.Name())
	return served != nil && served.Zone == z
}

// secondaries returns how many addresses are notified of a zone. It takes no lock.
func (in *instance) secondaries(z *engine.Zone) (n int) {
	for _, h := range in.handlers {
		if h.transfer != nil && h.serves(z) {
			n += targets(h.transfer, z.Name())
		}
	}
	return n
}

// targets returns how many addresses the transfer plugin notifies of a zone. It keeps that to itself, so its fields are read
// by their names, as Transfer.Notify does: where they are not as expected, there is said to be one.
func targets(t *transfer.Transfer, zone string) (n int) {
	const unknown = 1
	longest := ""
	all := reflect.ValueOf(t).Elem().FieldByName("xfrs")
	if all.Kind() != reflect.Slice {
		return unknown
	}
	for i := range all.Len() {
		x := reflect.Indirect(all.Index(i))
		zones, to := listOf(x, "Zones"), listOf(x, "to")
		match := plugin.Zones(zones).Matches(zone)
		if match == "" || len(match) < len(longest) || len(match) == len(longest) && match <= longest {
			continue
		}
		longest, n = match, 0
		for _, address := range to {
			if address != "*" {
				n++
			}
		}
	}
	return n
}

// listOf returns a field that is a list of strings.
func listOf(x reflect.Value, field string) (list []string) {
	if v := x.FieldByName(field); v.Kind() == reflect.Slice {
		for i := range v.Len() {
			list = append(list, v.Index(i).String())
		}
	}
	return list
}

// send notifies the secondaries of one zone and reports whether to go on.
func (n *notifier) send(h *SecondaryPlus, zone string) bool {
	select {
	case <-n.done:
		return false
	default:
	}
	if h.transfer == nil {
		return true
	}
	if err := h.transfer.Notify(zone); err != nil {
		log.Warningf("zone=%s op=notify-out: %v; the secondaries there will find the new version at their next refresh", zone, err)
	}
	return true
}
