package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// What registries allow of hosts of a domain's own. The general limits are those that Alibaba Cloud publishes for its custom
// DNS hosts, and they are common; registries may allow less.
const (
	maxHosts     = 13
	maxHostsCN   = 6
	maxAddresses = 13 // of one host
	maxHostName  = 80 // characters, without the final dot
	maxLevelsCN  = 3  // labels of a host's name: no fourth-level name
	minServers   = 2  // RFC 2182 §5
)

// checkGlue looks at the name servers that lie within the zone: without their addresses at the parent nobody finds them.
func (p *plan) checkGlue(s *servers, from *primaryCheck) *Glue {
	g := &Glue{Primary: from.report.Address, Serial: *number(from.contents.Serial()), Hosts: []Host{}}
	hosts := s.within()
	for _, name := range hosts {
		g.Hosts = append(g.Hosts, Host{Name: name.String(), Addresses: texts(s.of(name))})
	}
	if n := len(s.names); n == 1 {
		g.found(Warning, "one_name_server", "the zone has one name server: "+s.names[0].String(),
			fmt.Sprintf("Have at least %d, in different places (RFC 2182 §5).", minServers))
	}
	if len(hosts) == 0 {
		g.found(OK, "glue", "no name server of the zone lies within it: there is nothing to register", "")
		return g
	}
	g.limits(s.origin, len(hosts))
	for _, name := range hosts {
		g.name(s.origin, name)
		g.addresses(s, name)
	}
	if !slices.ContainsFunc(g.Findings, func(f Finding) bool { return f.Severity == Problem }) {
		g.found(OK, "glue", fmt.Sprintf("hosts to register at the parent: %d, with all their addresses", len(hosts)), "")
	}
	return g
}

func (g *Glue) found(s Severity, what, detail, advice string) {
	g.Findings = append(g.Findings, Finding{s, what, detail, advice})
}

// limits looks at how many hosts there are, and where.
func (g *Glue) limits(origin wire.Name, hosts int) {
	limit, whose := maxHosts, "a domain"
	switch tld(origin) {
	case "cn":
		limit, whose = maxHostsCN, "a .cn domain"
	case "hk":
		g.found(Warning, "glue_hk", "Alibaba Cloud does not register hosts of .hk domains",
			"If that is the registrar, take name servers outside the zone.")
	}
	if hosts > limit {
		g.found(Problem, "glue_hosts",
			fmt.Sprintf("%d name servers lie within the zone; %s may have at most %d such hosts", hosts, whose, limit),
			"Take name servers outside the zone for the rest.")
	}
}

// name looks at how a host is called.
func (g *Glue) name(origin, name wire.Name) {
	text := strings.TrimSuffix(name.String(), ".")
	if name.Equal(origin) {
		g.found(Problem, "glue_name", fmt.Sprintf("host %s: is the zone itself; a host has to be below it", text),
			"Give it a name of its own.")
	}
	odd := strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
	switch {
	case odd:
		g.found(Problem, "glue_name", fmt.Sprintf("host %s: a host name has only letters, digits, dots and hyphens", text), "")
	case len(text) > maxHostName:
		g.found(Problem, "glue_name",
			fmt.Sprintf("host %s: %d characters; at most %d are allowed", text, len(text), maxHostName), "")
	case strings.HasPrefix(text, "-"), strings.HasSuffix(text, "-"):
		g.found(Problem, "glue_name", fmt.Sprintf("host %s: begins or ends with a hyphen", text), "")
	}
	if n := name.Labels(); tld(origin) == "cn" && n > maxLevelsCN {
		g.found(Warning, "glue_level", fmt.Sprintf(
			"host %s: Alibaba Cloud takes no fourth-level name as a host of a .cn domain; this one has %d levels", text, n),
			"If that is the registrar, take a shorter name or one outside the zone.")
	}
}

// addresses looks at the addresses of a host.
func (g *Glue) addresses(s *servers, name wire.Name) {
	addrs := s.of(name)
	switch {
	case s.aliases[string(name)]:
		g.found(Problem, "glue_alias", fmt.Sprintf("host %s: is a CNAME (RFC 2181 §10.3)", name),
			"Give it A or AAAA records instead.")
	case len(addrs) == 0:
		g.found(Problem, "glue_no_address",
			fmt.Sprintf("host %s: has no address in the zone; it has to have from 1 to %d", name, maxAddresses),
			"Add its A or AAAA record on the primary.")
	case len(addrs) > maxAddresses:
		g.found(Problem, "glue_addresses",
			fmt.Sprintf("host %s: has %d addresses; at most %d can be registered", name, len(addrs), maxAddresses),
			"Take some of them out of the zone.")
	}
	if i := slices.IndexFunc(addrs, notPublic); i >= 0 {
		g.found(Warning, "glue_not_public", fmt.Sprintf("host %s: %s cannot be reached from everywhere", name, addrs[i]),
			"Use public addresses, unless the zone is for an inner network.")
	}
}

// notPublic reports whether an address is of no use to the rest of the world.
func notPublic(a netip.Addr) bool { return a.IsPrivate() || !a.IsGlobalUnicast() }

// tld returns the last label of a name in lower case, "" for the root.
func tld(name wire.Name) string {
	labels := strings.Split(strings.TrimSuffix(name.String(), "."), ".")
	return labels[len(labels)-1]
}
