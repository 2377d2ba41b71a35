package secondaryplus

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/coredns/coredns/plugin/transfer"

	"github.com/secondaryplus/secondaryplus/internal/notify"
)

// recipients are secondaries of our own that one directive, or one entry of the transfer plugin, names. They are immutable.
type recipients struct {
	targets []notify.Target
	entry   bool // of the transfer plugin
}

// entry is one of the transfer plugin: zones, and whom it notifies of them. It is immutable.
type entry struct {
	zones plugin.Zones
	recipients
}

// entries returns the entries of the transfer plugin, nil for none. It keeps them to itself, so its fields are read by their names;
// ok is false where they are not as expected.
func entries(t *transfer.Transfer) (all []entry, ok bool) {
	if t == nil {
		return nil, true
	}
	xfrs := reflect.ValueOf(t).Elem().FieldByName("xfrs")
	if xfrs.Kind() != reflect.Slice {
		return nil, false
	}
	for i := range xfrs.Len() {
		x := reflect.Indirect(xfrs.Index(i))
		zones, ok := listOf(x, "Zones")
		to, ok2 := listOf(x, "to")
		from := x.FieldByName("source")
		if !ok || !ok2 || from.Kind() != reflect.Slice {
			return nil, false
		}
		e := entry{zones: zones, recipients: recipients{entry: true}}
		source, _ := netip.AddrFromSlice(from.Bytes())
		for _, address := range to {
			addr, err := netip.ParseAddrPort(address)
			if err != nil {
				continue // *, which is nobody
			}
			addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
			if !slices.ContainsFunc(e.targets, func(t notify.Target) bool { return t.Addr == addr }) {
				e.targets = append(e.targets, notify.Target{Addr: addr, Source: source.Unmap()})
			}
		}
		all = append(all, e)
	}
	return all, true
}

// listOf returns a field that is a list of strings.
func listOf(x reflect.Value, field string) (list []string, ok bool) {
	v := x.FieldByName(field)
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.String {
		return nil, false
	}
	for i := range v.Len() {
		list = append(list, v.Index(i).String())
	}
	return list, true
}

// recipients returns whom the server block has told of a zone, nil for nobody: those that the directive names, else those of the
// entry that the transfer plugin has for the zone.
func (s *SecondaryPlus) recipients(l *listing) *recipients {
	if len(l.group.Notify) > 0 {
		return &l.group.recipients
	}
	var longest string
	var found *recipients
	for i := range s.entries {
		match := s.entries[i].zones.Matches(l.name)
		if match != "" && (len(match) > len(longest) || len(match) == len(longest) && match > longest) { // as Transfer has it
			longest, found = match, &s.entries[i].recipients
		}
	}
	return found
}

// targetLists has one list for all zones with the same recipients and primaries.
type targetLists map[string][]notify.Target

// one returns whom to tell of the zones of a source: all whom its listings name, each once, but no primary of theirs. What a
// directive says of an address goes before what the transfer plugin has for it; two directives have to say the same.
func (t targetLists) one(s *source) ([]notify.Target, error) {
	key := fmt.Sprintf("%p %v", s.first.group, s.recipients)
	if list, ok := t[key]; ok {
		return list, nil
	}
	var list []notify.Target
	for _, entry := range []bool{false, true} {
		for _, r := range s.recipients {
			if r.entry != entry {
				continue
			}
			for _, target := range r.targets {
				i := slices.IndexFunc(list, func(o notify.Target) bool { return o.Addr == target.Addr })
				switch {
				case i < 0 && !s.first.group.hasPrimary(target.Addr):
					list = append(list, target)
				case i >= 0 && !entry && !list[i].Equal(target):
					return nil, s.first.pos.Errorf("zone %s: notify %v has another key, source or notify_delay elsewhere; want the same in all "+
						"server blocks that share the zone", s.first.name, target.Addr)
				}
			}
		}
	}
	if len(list) > notify.MaxTargets {
		return nil, s.first.pos.Errorf("zone %s: %d secondaries to notify; want at most %d", s.first.name, len(list), notify.MaxTargets)
	}
	t[key] = list
	return list, nil
}

// hasPrimary reports whether an address is that of a primary: it has what it would be told of.
func (g *group) hasPrimary(addr netip.AddrPort) bool {
	for _, p := range g.Primaries {
		if p.Addr == addr {
			return true
		}
	}
	return false
}

// warnOfOwn says which addresses of notify lines are those of the server block itself: it is no primary of its zones, and refuses what
// it is told.
func (s *SecondaryPlus) warnOfOwn(b *block) {
	if s.config.Transport != transport.DNS {
		return
	}
	var own []netip.Addr
	for _, host := range s.config.ListenHosts {
		own = append(own, addressesOf(host)...)
	}
	warned := map[netip.AddrPort]bool{}
	for _, g := range b.groups {
		for _, t := range g.Notify {
			if warned[t.Addr] || g.hasPrimary(t.Addr) || strconv.Itoa(int(t.Addr.Port())) != s.config.Port || !slices.Contains(own, t.Addr.Addr()) {
				continue
			}
			warned[t.Addr] = true
			log.Warningf("server block of %s: notify %s is an address of this server block itself, which refuses the NOTIFY; take it out",
				strings.Join(s.keys, " "), t.Addr)
		}
	}
}

// addressesOf returns the addresses that a server listens on for a host: those of all interfaces if that is empty or 0.0.0.0 or ::.
func addressesOf(host string) (all []netip.Addr) {
	addr, err := netip.ParseAddr(host)
	if err == nil && !addr.IsUnspecified() {
		return []netip.Addr{addr}
	}
	networks, _ := net.InterfaceAddrs() // without them there is nothing to compare with, and nobody is warned
	for _, n := range networks {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// tell takes over whom a plan has told of which zone. Nobody is told before a server of the instance serves: who hears of a version
// comes to fetch it. in.mu is held.
func (in *instance) tell(p *plan) {
	in.targets = p.targets
	if in.serving.Load() {
		in.secondary.Announce(in.targets)
	}
}

// beginToTell has secondaries told, now that a server serves.
func (in *instance) beginToTell() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.attachment != nil && !in.stopped {
		in.secondary.Announce(in.targets)
	}
}
