package check

import (
	"fmt"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// modes say what the deployments are, for people.
var modes = map[DeploymentMode]string{
	Backup:        "backup: our servers are not among the name servers, so they keep a copy and are asked nothing",
	SecondaryOnly: "secondary only: our servers alone are name servers, and the primary is hidden",
	Both:          "both: our servers and others are name servers, and resolvers ask all of them",
	Undecided:     "undecided: the zone has no NS records at its apex",
}

// checkMode looks at who answers for the zone. It rests on the NS records at the apex, on the addresses that the zone itself
// has for these names, and on the addresses of the primaries as given: no name outside the zone is resolved.
func (p *plan) checkMode(s *servers, parent *Parent) *Mode {
	others := minus(s.names, p.self)
	ours := minus(s.names, others)
	m := &Mode{Mode: modeOf(s.names, p.self), MName: s.mname.String(), Ours: texts(ours), Others: texts(others)}
	severity := OK
	if m.Mode == Undecided {
		severity = Problem
	}
	m.found(severity, "mode_"+string(m.Mode), modes[m.Mode]+" (by the NS records of the zone and the names given as ours)", "")
	p.checkOurs(m, s, ours)
	if m.Mode == SecondaryOnly {
		p.checkHidden(m, s)
	} else {
		p.checkVisible(m, s, others)
	}
	if m.Mode != Backup && contains(p.self, s.mname) {
		m.found(Warning, "mname_is_ours", fmt.Sprintf("the SOA names %s, which is ours, as the primary: a primary that notifies "+
			"by the NS records leaves it out (RFC 1996 §2.1), and dynamic updates go to it (RFC 2136 §4)", s.mname),
			"Let the primary notify it by its address, or name the primary in the SOA.")
	}
	if parent != nil && len(parent.NameServers) > 0 {
		m.compareParent(p.self, parent)
	}
	return m
}

func (m *Mode) found(s Severity, what, detail, advice string) {
	m.Findings = append(m.Findings, Finding{s, what, detail, advice})
}

// modeOf returns the deployment that these name servers make, if those called self are ours.
func modeOf(names, self []wire.Name) DeploymentMode {
	others := len(minus(names, self))
	switch {
	case len(names) == 0:
		return Undecided
	case others == len(names):
		return Backup
	case others == 0:
		return SecondaryOnly
	default:
		return Both
	}
}

// checkOurs looks at our names.
func (p *plan) checkOurs(m *Mode, s *servers, ours []wire.Name) {
	for _, name := range p.self {
		listed := contains(ours, name)
		if !listed && m.Mode != Backup {
			m.found(Warning, "self_not_listed",
				fmt.Sprintf("%s is ours and not among the name servers: it is asked nothing", name),
				"Add its NS record, if it is to answer.")
		}
		if at, ok := p.primaryAt(s, name); ok {
			m.found(Problem, "self_is_primary",
				fmt.Sprintf("%s is given as ours, and the zone has the address of primary %s for it", name, at),
				"Correct the address in the zone, or the name given as ours.")
		}
		if !name.Within(s.origin) || len(s.of(name)) > 0 {
			continue
		}
		severity := Warning
		if listed {
			severity = Problem // nobody finds it
		}
		m.found(severity, "self_without_address", fmt.Sprintf("%s is ours, lies in the zone and has no address there", name),
			"Add its A or AAAA record on the primary.")
	}
}

// checkHidden looks at whether a primary that is no name server is hidden in earnest.
func (p *plan) checkHidden(m *Mode, s *servers) {
	if contains(s.names, s.mname) {
		return // it is ours, which is said elsewhere
	}
	if at, ok := p.primaryAt(s, s.mname); ok {
		m.found(Warning, "primary_published", fmt.Sprintf("the SOA names %s, and the zone has the address of primary %s for it: "+
			"it is no name server, and everybody can find it", s.mname, at),
			"Take the address out of the zone, or let a firewall keep all but the secondaries away.")
		return
	}
	m.found(OK, "primary_hidden",
		fmt.Sprintf("the SOA names %s, which is no name server; that is as it should be with a hidden primary", s.mname), "")
}

// checkVisible looks at the name servers that are not ours: one of them should be the primary.
func (p *plan) checkVisible(m *Mode, s *servers, others []wire.Name) {
	if len(others) == 0 {
		return
	}
	var found, unknown []string
	for _, name := range others {
		at, ok := p.primaryAt(s, name)
		switch {
		case ok:
			found = append(found, fmt.Sprintf("%s is primary %s", name, at))
		case len(s.of(name)) == 0:
			unknown = append(unknown, name.String())
		}
	}
	switch {
	case len(found) > 0:
		m.found(OK, "primary_visible", strings.Join(found, ", "), "")
	case contains(others, s.mname):
		m.found(OK, "primary_visible", fmt.Sprintf("%s, which the SOA names as the primary, is a name server; whether it is one "+
			"of the primaries given, the zone does not tell", s.mname), "")
	case len(unknown) > 0:
		m.found(Warning, "primary_unknown", "whether a primary is among the name servers the zone does not tell: it has no "+
			"address of "+strings.Join(unknown, ", "), "Compare their addresses with those of the primaries.")
	default:
		m.found(Warning, "primary_not_listed", "no name server has the address of a primary given: those that are not ours are "+
			"other secondaries, or the primaries have other addresses here than for the public",
			"Check that somebody keeps "+list(others)+" up to date.")
	}
}

// compareParent says whether the parent's delegation makes another deployment: resolvers begin with that.
func (m *Mode) compareParent(self []wire.Name, parent *Parent) {
	var names []wire.Name
	for _, text := range parent.NameServers {
		if n, err := parseName(text); err == nil {
			names = append(names, n)
		}
	}
	if at := modeOf(names, self); at != m.Mode {
		m.found(Warning, "mode_differs", fmt.Sprintf("by the parent's NS records it is %s: resolvers begin with those", modes[at]),
			"Make parent and zone equal.")
	}
}
