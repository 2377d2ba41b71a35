package store

// check is one walk over the structure of a file: every page below the first one not in use is a meta, lists free
// pages, is free, or is referred to once. That is what bbolt relies on when it reuses and frees pages. What the leaves
// of zones hold is for Load to judge. It is owned by one goroutine.
type check struct {
	image *image
	seen  bitmap
	count uint64
}

// check verifies the structure. The pages that are free are not read as anything else from then on.
func (m *image) check() error {
	c := check{image: m, seen: newBitmap(m.meta.high)}
	if m.pages < m.meta.high {
		return damagef("is cut off behind %d of %d pages", m.pages, m.meta.high)
	}
	for id := range uint64(2) {
		if err := c.see(id, 0); err != nil {
			return err
		}
	}
	free, err := c.freelist(m.meta.freelist)
	if err != nil {
		return err
	}
	m.free = free
	if err := c.page(m.meta.root, 0, 0); err != nil {
		return err
	}
	if c.count != m.meta.high {
		return damagef("%d pages of %d are neither in use nor free", m.meta.high-c.count, m.meta.high)
	}
	return nil
}

// see takes note of a page and those it overflows to.
func (c *check) see(id, overflow uint64) error {
	for ; ; id++ {
		if id >= c.image.meta.high || c.seen.has(id) {
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
func (c *check) freelist(id uint64) (bitmap, error) {
	p, err := c.image.read(id, 0, false)
	if err != nil {
		return nil, err
	}
	if kindOf(p) != freeFlag {
		return nil, damagef("page %d does not list free pages", id)
	}
	if err := c.see(id, overflowOf(p)); err != nil {
		return nil, err
	}
	list, n := p[pageHeader:], uint64(countOf(p))
	if n == manyPages {
		n, list = u64(list), list[8:]
	}
	if n > uint64(len(list)/8) {
		return nil, damagef("page %d: %d free pages do not fit", id, n)
	}
	free := newBitmap(c.image.meta.high)
	for ; n > 0; n, list = n-1, list[8:] {
		if err := c.see(u64(list), 0); err != nil {
			return nil, err
		}
		free.add(u64(list))
	}
	return free, nil
}

// How deep buckets lie in one another: the root, the one of all zones, one for each zone.
const zoneLevel = 2

// page takes note of a page of a bucket and of what is below it; level is that of the bucket.
func (c *check) page(id uint64, depth, level int) error {
	p, err := c.image.read(id, depth, true)
	if err != nil {
		return err
	}
	if err := c.see(id, overflowOf(p)); err != nil {
		return err
	}
	switch kind := kindOf(p); {
	case kind == leafFlag && level == zoneLevel:
		return nil
	case kind != leafFlag && kind != branchFlag:
		return damagef("page %d is neither branch nor leaf", id)
	}
	if p, err = c.image.read(id, depth, false); err != nil {
		return err
	}
	for i := range countOf(p) {
		e, err := elementAt(p, i)
		if err != nil {
			return err
		}
		if err := c.element(p, &e, depth, level); err != nil {
			return err
		}
	}
	return nil
}

// element takes note of what an entry refers to.
func (c *check) element(p []byte, e *element, depth, level int) error {
	if kindOf(p) == branchFlag {
		return c.page(e.child, depth+1, level)
	}
	if !e.bucket {
		return nil
	}
	t, err := nested(e.value, depth+1)
	if err != nil || t.inline != nil {
		return err
	}
	return c.page(t.root, t.depth, level+1)
}
