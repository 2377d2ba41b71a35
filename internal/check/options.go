package check

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/rules"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
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
	key       *xfr.Key // nil for none
	policy    version.Policy
	parent    netip.AddrPort // invalid for none
	self      []wire.Name    // lower case
	timeout   time.Duration
}

// plan reads the options.
func (o Options) plan() (*plan, error) {
	p := &plan{timeout: o.Timeout}
	var err error
	if p.origin, err = parseName(o.Zone); err != nil {
		return nil, fmt.Errorf("zone %q: want its name, such as example.org", o.Zone)
	}
	if err := o.group(p); err != nil {
		return nil, err
	}
	if o.Parent != "" {
		if p.parent, err = corefile.ParseAddr(o.Parent); err != nil {
			return nil, fmt.Errorf("parent %q: %w", o.Parent, err)
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

// group reads what a group of the Corefile has: the primaries, how to speak to them, and how the zone is kept.
func (o Options) group(p *plan) (err error) {
	if n := len(o.Primaries); n < 1 || n > maxPrimaries {
		return fmt.Errorf("%d primaries; want from 1 to %d", n, maxPrimaries)
	}
	options := [][]string{
		{"conflicts", o.Conflicts}, {"max_records", o.MaxRecords}, {"max_size", o.MaxSize}, {"serial_zero", o.SerialZero},
	}
	primary := append([]string{"primary"}, o.Primaries...)
	if p.key, err = o.key(); err != nil {
		return err
	}
	if p.key != nil {
		options = append(options, []string{"key_file", o.KeyFile})
		primary = append(primary, "key", p.key.Name())
	}
	if o.Source != "" {
		primary = append(primary, "source", o.Source)
	}
	g, err := corefile.ReadOptions(append(options, primary)...)
	if err != nil {
		return err
	}
	p.primaries, p.policy = g.Primaries, g.Policy
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
	g, err := corefile.ReadOptions([]string{"key_file", o.KeyFile})
	if err != nil {
		return nil, err
	}
	if o.Key == "" {
		if len(g.Keys) > 1 {
			return nil, fmt.Errorf("key file %s holds %d keys: name the one to use, of %s", o.KeyFile, len(g.Keys), keyNames(g.Keys))
		}
		return g.Keys[0], nil
	}
	if k := g.Key(o.Key); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("key %q: not in %s, which holds %s", o.Key, o.KeyFile, keyNames(g.Keys))
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

// parseName returns a name in lower case.
func parseName(s string) (wire.Name, error) {
	if s == "" {
		return nil, wire.ErrName
	}
	n, err := wire.ParseName(s)
	return wire.AppendLower(nil, n), err
}
