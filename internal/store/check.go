package store

import "bytes"

// check is one walk over the structure of a file: no page is referred to twice, or is both free and in use; every key is
// where a search for it goes; no entry is missing in a page; and there are buckets where they should be.
// That is what bbolt relies on when it writes, reuses and frees pages. What values say is checked by Load. It is owned
// by one goroutine.
type check struct {
	image *image
	seen  bitmap
	count uint64 // pages in seen
}

// check verifies the structure.
func (m *image) check() error {
	if m.pages < m.meta.high {
		return damagef("is cut off behind %d of %d pages", m.pages, m.meta.high)
	}
	c := check{image: m, seen: newBitmap(m.pages)}
	for id := range uint64(2) {
		if err := c.see(id, 0); err != nil {
			return err
		}
	}
	if err := c.freelist(m.meta.freelist); err != nil {
		return err
	}
	if err := c.tree(m.root(), 0); err != nil {
		return err
	}
	if c.count != m.meta.high { // a reference that leads to a page of an earlier commit leaves out the right one
		return damagef("%d pages of %d are neither in use nor free", m.meta.high-c.count, m.meta.high)
	}
	return nil
}

// checkZone verifies the structure of one zone, where that of the file is known not to be whole.
func (m *image) checkZone(t tree) error {
	if !m.suspect {
		return nil
	}
	c := check{image: m, seen: newBitmap(m.pages)}
	return c.tree(t, zoneLevel)
}

// see takes note of a page and those it overflows to.
func (c *check) see(id, overflow uint64) error {
	for ; ; id++ {
		if id >= c.image.pages || c.seen.has(id) {
			return damagef("page %d is referred to twice, or is both free and in use", id)
		}
		c.seen.add(id)
		c.count++
		if overflow == 0 {
			return nil
		}
		overflow--
	}
}

// freelist takes note of the free pages and of those that list them.
func (c *check) freelist(id uint64) error {
	p, err := c.image.read(id, 0)
	if err != nil {
		return err
	}
	if kindOf(p) != freeFlag {
		return damagef("page %d does not list free pages", id)
	}
	if err := c.see(id, overflowOf(p)); err != nil {
		return err
	}
	list, n := p[pageHeader:], uint64(countOf(p))
	if n == manyPages {
		n, list = u64(list), list[8:]
	}
	if n > uint64(len(list)/8) {
		return damagef("page %d: %d free pages do not fit", id, n)
	}
	for ; n > 0; n, list = n-1, list[8:] {
		if err := c.see(u64(list), 0); err != nil {
			return err
		}
	}
	return nil
}

// How deep buckets lie in one another: the root, the one of all zones, one for each zone.
const zoneLevel = 2

// tree looks through a bucket; level is how deep it lies in others.
func (c *check) tree(t tree, level int) error {
	r := keyRange{level: level}
	if t.inline == nil {
		return c.page(t.root, t.depth, r)
	}
	if len(t.inline) > pageHeader && countOf(t.inline) == 0 {
		return damagef("inline bucket of %d octets without entries", len(t.inline))
	}
	return c.entries(t.inline, t.depth, r)
}

// keyRange is what the keys of a page have to be within. Its bounds are views into the pages above.
type keyRange struct {
	level     int    // of the bucket
	low, high []byte // not below and below; nil for anything
}

func (r *keyRange) holds(key []byte) bool {
	return bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}

// page takes note of a page of a bucket and looks through it.
func (c *check) page(id uint64, depth int, r keyRange) error {
	p, err := c.image.read(id, depth)
	if err != nil {
		return err
	}
	if err := c.see(id, overflowOf(p)); err != nil {
		return err
	}
	if kind := kindOf(p); kind != leafFlag && kind != branchFlag || countOf(p) == 0 {
		return damagef("page %d is neither branch nor leaf, or empty", id)
	}
	return c.entries(p, depth+1, r)
}

// entries looks through the entries of a page. What is below it begins at depth. bbolt writes entries back to back, so that
// one which has changed its place or its length, or is not counted any more, leaves a gap.
func (c *check) entries(p []byte, depth int, r keyRange) error {
	at := pageHeader + countOf(p)*elementLen
	var next element
	for i := range countOf(p) {
		e := next
		var err error
		if i == 0 {
			if e, err = elementAt(p, 0); err != nil {
				return err
			}
		}
		below := keyRange{level: r.level, low: e.key, high: r.high}
		if i+1 < countOf(p) {
			if next, err = elementAt(p, i+1); err != nil {
				return err
			}
			below.high = next.key
		}
		if e.at != at || !r.holds(e.key) || !below.holds(e.key) {
			return damagef("page %d: entry %d is out of place", u64(p), i)
		}
		at += len(e.key) + len(e.value)
		if err := c.element(kindOf(p) == branchFlag, &e, depth, below); err != nil {
			return err
		}
	}
	return nil
}

// element looks through what an entry refers to.
func (c *check) element(branch bool, e *element, depth int, below keyRange) error {
	switch {
	case branch:
		return c.page(e.child, depth, below)
	case below.level == zoneLevel && (e.bucket || !knownKey(e.key)):
		return damagef("%q does not belong in a zone", e.key)
	case !e.bucket:
		return nil
	}
	t, err := nested(e.value, depth)
	if err != nil {
		return err
	}
	return c.tree(t, below.level+1)
}
