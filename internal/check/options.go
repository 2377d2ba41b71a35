package check

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

const (
	maxPrimaries = 16 // of one check, all of whose zones are held at the same time
	maxSelf      = 64 // names of ours
	maxTimeout   = 24 * time.Hour
)

// Options say what to check. They are a plain value; texts are as a person gives them, and mean what the options of the
// Corefile of the like names mean.
type Options struct {
	Zone       string        // its name; the final dot may be missing
	Primaries  []string      // IP addresses with an optional port; from 1 to 16
	KeyFile    string        // as key_file has it; empty for no key
	Key        string        // the name of the key in KeyFile; may be empty if there is only one
	Source     string        // local IP address to speak from; empty leaves the choice to the system
	Conflicts  string        // rfc, alibaba or off
	MaxRecords string        // a number, or unlimited
	MaxSize    string        // octets, with an optional K, M or G
	SerialZero string        // stop or accept
	Parent     string        // IP address, with an optional port, of a name server of the parent zone; empty not to ask
	Self       []string      // the names under which our servers stand in NS records; none not to look at the deployment
	Timeout    time.Duration // of each step: a SOA query, a transfer, the question to the parent
}

// DefaultOptions returns options with the defaults of the Corefile, without a zone and primaries.
func DefaultOptions() Options {
	return Options{
		Conflicts: rules.ConflictsRFC.String(), MaxRecords: "10000", MaxSize: "256M", SerialZero: "stop",
		Timeout: 30 * time.Second,
	}
}

// plan is Options as read. It is immutable once made.
type plan struct {
	origin    wire.Name // lower case
	primaries []xfr.Primary
	key       *xfr.Key       // nil for none
	policy    version.Policy // without limits of timers: those of the Corefile are not known here
	parent    netip.AddrPort // invalid for none
	self      []wire.Name    // lower case
	timeout   time.Duration
}

// defaultPolicy is in force where options say nothing else.
var defaultPolicy = version.Policy{
	MaxRecords: zone.DefaultLimits.Records, MaxSize: zone.DefaultLimits.Size, MaxRRset: zone.DefaultLimits.RRset, MaxTypes: zone.DefaultLimits.Types,
}

// plan reads the options.
func (o Options) plan() (*plan, error) {
	p := &plan{policy: defaultPolicy, timeout: o.Timeout}
	var err error
	if p.origin, err = parseName(o.Zone); err != nil {
		return nil, fmt.Errorf("zone %q: want its name, such as example.org", o.Zone)
	}
	if err := o.primaries(p); err != nil {
		return nil, err
	}
	if err := o.rules(p); err != nil {
		return nil, err
	}
	if o.Parent != "" {
		if p.parent, err = xfr.ParseAddr(o.Parent); err != nil {
			return nil, fmt.Errorf("parent %q: want %s", o.Parent, xfr.WantAddr)
		}
	}
	if len(o.Self) > maxSelf {
		return nil, fmt.Errorf("%d names of our own; want at most %d", len(o.Self), maxSelf)
	}
	for _, s := range o.Self {
		name, err := parseName(s)
		if err != nil {
			return nil, fmt.Errorf("self %q: want the name of a server, as NS records have it", s)
		}
		p.self = append(p.self, name)
	}
	if p.timeout <= 0 || p.timeout > maxTimeout {
		return nil, fmt.Errorf("timeout %s: want more than 0 and at most %s", p.timeout, maxTimeout)
	}
	return p, nil
}

// primaries reads the primaries and how to speak to them.
func (o Options) primaries(p *plan) (err error) {
	if p.key, err = o.key(); err != nil {
		return err
	}
	var source netip.Addr
	if o.Source != "" {
		if source, err = netip.ParseAddr(o.Source); err != nil || source.IsUnspecified() || source.IsMulticast() {
			return fmt.Errorf("source %q: want an IP address of this machine, without a port", o.Source)
		}
		source = source.Unmap()
	}
	if n := len(o.Primaries); n < 1 || n > maxPrimaries {
		return fmt.Errorf("%d primaries; want from 1 to %d", n, maxPrimaries)
	}
	for _, s := range o.Primaries {
		addr, err := xfr.ParseAddr(s)
		switch {
		case err != nil:
			return fmt.Errorf("primary %q: want %s", s, xfr.WantAddr)
		case source.IsValid() && source.Is4() != addr.Addr().Is4():
			return fmt.Errorf("source %v for primary %v: want both to be IPv4 or both IPv6", source, addr)
		case slices.ContainsFunc(p.primaries, func(q xfr.Primary) bool { return q.Addr == addr }):
			return fmt.Errorf("primary %q: want every primary once", s)
		}
		p.primaries = append(p.primaries, xfr.Primary{Addr: addr, Key: p.key, Source: source})
	}
	return nil
}

// key returns the key to use, nil for none.
func (o Options) key() (*xfr.Key, error) {
	if o.KeyFile == "" {
		if o.Key != "" {
			return nil, fmt.Errorf("key %q without a key file: want the file that holds it", o.Key)
		}
		return nil, nil
	}
	keys, err := xfr.ReadKeyFile(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if o.Key == "" {
		if len(keys) > 1 {
			return nil, fmt.Errorf("key file %s holds %d keys: name the one to use, of %s", o.KeyFile, len(keys), keyNames(keys))
		}
		return keys[0], nil
	}
	if name, err := parseName(o.Key); err == nil {
		for _, k := range keys {
			if k.Name() == name.String() {
				return k, nil
			}
		}
	}
	return nil, fmt.Errorf("key %q: not in %s, which holds %s", o.Key, o.KeyFile, keyNames(keys))
}

// keyNames lists keys for a person; of many, the first.
func keyNames(keys []*xfr.Key) string {
	var names []string
	for _, k := range keys[:min(len(keys), maxSamples)] {
		names = append(names, k.Name())
	}
	if len(keys) > maxSamples {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// rules reads what the zone will be judged by.
func (o Options) rules(p *plan) (err error) {
	if p.policy.Conflicts, err = rules.ParseConflicts(o.Conflicts); err != nil {
		return err
	}
	if p.policy.MaxRecords = 0; o.MaxRecords != "unlimited" {
		n, err := strconv.Atoi(o.MaxRecords)
		if err != nil || n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("max-records %q: want a whole number of at least 1, or unlimited", o.MaxRecords)
		}
		p.policy.MaxRecords = n
	}
	if p.policy.MaxSize, err = zone.ParseSize(o.MaxSize); err != nil {
		return fmt.Errorf("max-size %q: want %s", o.MaxSize, zone.WantSize)
	}
	switch o.SerialZero {
	case "stop":
	case "accept":
		p.policy.SerialZero = true
	default:
		return fmt.Errorf("serial-zero %q: want stop or accept", o.SerialZero)
	}
	return nil
}

// parseName returns a name in lower case.
func parseName(s string) (wire.Name, error) {
	if s == "" {
		return nil, wire.ErrName
	}
	n, err := wire.ParseName(s)
	return wire.AppendLower(nil, n), err
}
