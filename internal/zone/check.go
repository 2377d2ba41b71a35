package zone

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// errCheck is the error of contents that are not what they should be: a bug, or memory gone bad.
var errCheck = errors.New("contents are damaged")

// Check verifies the structure: the order of keys over pages and nodes, bounds, prefixes, flags, covers, the order within
// sets, and all counts. It costs about as much as building the contents.
func (c *Contents) Check() error {
	for _, t := range []struct {
		name string
		tree *tree
		want stats
	}{{"names", &c.names, c.namesStats}, {"nsec3", c.nsec3, *c.nsec3Stats}} {
		k := treeCheck{originLen: len(c.origin)}
		if err := k.tree(t.tree); err != nil {
			return fmt.Errorf("%w: %s: %w", errCheck, t.name, err)
		}
		if k.stats != t.want {
			return fmt.Errorf("%w: %s: counts are %+v, recorded are %+v", errCheck, t.name, k.stats, t.want)
		}
	}
	again := Contents{origin: c.origin, names: c.names, nsec3: c.nsec3}
	if err := again.sealApex(); err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	if again.soa != c.soa || again.apex.signed != c.apex.signed || again.apex.denial != c.apex.denial {
		return fmt.Errorf("%w: the apex is not the one recorded", errCheck)
	}
	return nil
}

// treeCheck walks one tree. It is owned by one goroutine.
type treeCheck struct {
	originLen int
	stats     stats
	last      []byte // the key before
	cover     coverTracker
	draft     ownerDraft
}

func (k *treeCheck) tree(t *tree) error {
	if len(t.nodes) != len(t.bounds.ends) {
		return fmt.Errorf("%d nodes with %d bounds", len(t.nodes), len(t.bounds.ends))
	}
	for i, n := range t.nodes {
		if len(n.pages) == 0 || len(n.pages) > maxNode || len(n.pages) != len(n.bounds.ends) {
			return fmt.Errorf("node %d has %d pages and %d bounds", i, len(n.pages), len(n.bounds.ends))
		}
		if i > 0 && bytes.Compare(t.bounds.at(i), k.last) <= 0 {
			return fmt.Errorf("bound of node %d is not above the key before", i)
		}
		for j, p := range n.pages {
			if j > 0 && bytes.Compare(n.bounds.at(j), k.last) <= 0 {
				return fmt.Errorf("bound of page %d.%d is not above the key before", i, j)
			}
			lower := n.bounds.at(j)
			if j == 0 {
				lower = t.bounds.at(i)
			}
			if i == 0 && j == 0 {
				lower = nil // the first page takes everything below too
			}
			if err := k.page(p, lower); err != nil {
				return fmt.Errorf("page %d.%d: %w", i, j, err)
			}
		}
	}
	return nil
}

func (k *treeCheck) page(p page, lower []byte) error {
	if p.count() == 0 {
		return errors.New("no entries")
	}
	if p.count() > 1 && len(p) > maxPage {
		return fmt.Errorf("%d entries in %d octets", p.count(), len(p))
	}
	for i := range p.count() {
		e := p.entry(i)
		key := e.appendKey(nil)
		if i == 0 && bytes.Compare(key, lower) < 0 {
			return fmt.Errorf("first key %q is below its bound %q", key, lower)
		}
		if k.last != nil && bytes.Compare(k.last, key) >= 0 {
			return fmt.Errorf("key %q is not above %q", key, k.last)
		}
		k.last = key
		if err := k.entry(&e, key, p.body(i)); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

// entry packs the owner anew: an entry is right if that gives the same octets.
func (k *treeCheck) entry(e *entry, key, body []byte) error {
	if e.owner != nil {
		again, ok := wire.AppendKey(nil, e.owner, e.owner[len(e.owner)-k.originLen:])
		if !ok || !bytes.Equal(again, key) {
			return fmt.Errorf("the owner as received is %s", e.owner)
		}
	}
	k.draft.load(key, e)
	records := len(k.draft.records)
	sets, st := k.draft.seal(k.originLen)
	if records == 0 || st.records != records {
		return fmt.Errorf("%d records, %d of them different", records, st.records)
	}
	k.stats.add(st)
	flags := ownFlags(key, sets)
	k.stats.add(steering(key, flags))
	if want := k.cover.appendBody(nil, key, flags, e.owner, sets); !bytes.Equal(want, body) {
		return fmt.Errorf("entry is %x, records make it %x", body, want)
	}
	return nil
}
