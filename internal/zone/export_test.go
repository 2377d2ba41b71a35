package zone

import "github.com/secondaryplus/secondaryplus/internal/wire"

// The limits that tests must know.
const (
	MaxChain        = maxChain
	MaxAddressNames = maxAddressNames
	MaxNode         = maxNode
	MaxPage         = maxPage
	MaxSamples      = maxSamples
)

// Set returns the RRset of one owner and type as it is in the zone, occluded or not.
func (c *Contents) Set(owner wire.Name, rrtype uint16) (RRset, bool) {
	key, within := wire.AppendKey(nil, owner, c.origin)
	if !within {
		return RRset{}, false
	}
	t := &c.names
	if rrtype == wire.TypeNSEC3 {
		t = c.nsec3
	}
	at, exact := t.find(key)
	if !exact {
		return RRset{}, false
	}
	e := at.at()
	return e.set(rrtype, 0)
}
