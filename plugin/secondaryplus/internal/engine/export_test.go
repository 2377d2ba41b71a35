package engine

import (
	"net/netip"

	"github.com/secondaryplus/secondaryplus/plugin/secondaryplus/internal/xfr"
)

// Admit is Group.admit.
func (g *Group) Admit(from netip.Addr, key *xfr.Key) (Verdict, int) { return g.admit(from, key) }
