package zone

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
)

// maxNode is the number of pages a node holds at most. Publishing an update copies one node for each page it touches, a
// lookup searches the bounds of two nodes; both stay small between a single page and a hundred million records.
const maxNode = 128

// tree is an ordered sequence of pages, two levels deep. It is immutable and safe for concurrent use; an update makes a
// new tree that shares every untouched page and node.
type tree struct {
	bounds *fences // of the nodes
	nodes  []*node
}

// node is a run of pages. It is immutable.
type node struct {
	bounds *fences // of the pages
	pages  []page
}

// fences are the lower bounds of a run of pages or nodes. Immutable once the run is complete. A search compares eight octets
// at a time, which lie back to back, and looks at whole bounds only where those are equal.
type fences struct {
	prefix int      // octets that all bounds but the first, which is never compared, begin with
	heads  []uint64 // of each bound, the octets behind the prefix
	keys   []byte   // the bounds, back to back
	ends   []uint32
}

// noFences are those of nothing, soleFences those of a page or node that is the only one. Most zones have no others, so they
// share them. They are read-only.
var noFences, soleFences = &fences{}, &fences{heads: []uint64{0}, ends: []uint32{0}}

func (f *fences) at(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = f.ends[i-1]
	}
	return f.keys[start:f.ends[i]]
}

// newFences returns the fences of these bounds, which are in order.
func newFences(bounds [][]byte) *fences {
	switch {
	case len(bounds) == 0:
		return noFences
	case len(bounds) == 1 && len(bounds[0]) == 0:
		return soleFences
	}
	f := &fences{}
	size := 0
	for _, b := range bounds {
		size += len(b)
	}
	if n := len(bounds); n > 1 {
		f.prefix = commonPrefix(bounds[1], bounds[n-1])
	}
	f.heads, f.keys, f.ends = make([]uint64, 0, len(bounds)), make([]byte, 0, size), make([]uint32, 0, len(bounds))
	for i, b := range bounds {
		f.keys = append(f.keys, b...)
		f.ends = append(f.ends, uint32(len(f.keys)))
		if i == 0 {
			b = nil
		}
		f.heads = append(f.heads, head8(b[min(f.prefix, len(b)):]))
	}
	return f
}

// search returns the last of the run whose bound is not above key; the first one takes everything below it too.
func (f *fences) search(key []byte) int {
	low, high := 1, len(f.ends)
	if high <= 1 {
		return 0
	}
	if prefix := f.at(1)[:f.prefix]; !bytes.HasPrefix(key, prefix) {
		if bytes.Compare(key, prefix) < 0 {
			return 0
		}
		return high - 1
	}
	want := head8(key[f.prefix:])
	for low < high {
		mid := int(uint(low+high) >> 1)
		h := f.heads[mid]
		if h < want || h == want && bytes.Compare(f.keys[f.ends[mid-1]:f.ends[mid]], key) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// head8 returns the first eight octets of b as a number that orders as they do, 0 standing for those it does not have.
func head8(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var h uint64
	for i, c := range b {
		h |= uint64(c) << (56 - 8*i)
	}
	return h
}

// newTree returns the tree over pages in order; bounds[i] separates page i from the one before.
func newTree(pages []page, bounds [][]byte) tree {
	var nodes []*node
	var nodeBounds [][]byte
	for len(pages) > 0 {
		n := min(len(pages), maxNode)
		nodeBounds = append(nodeBounds, bounds[0])
		nodes = append(nodes, newNode(pages[:n], bounds[:n]))
		pages, bounds = pages[n:], bounds[n:]
	}
	return tree{bounds: newFences(nodeBounds), nodes: nodes}
}

func newNode(pages []page, bounds [][]byte) *node {
	return &node{pages: slices.Clone(pages), bounds: newFences(bounds)}
}

// cursor is a place in a tree: an entry, or the end. It is a plain value for one goroutine.
type cursor struct {
	tree              *tree
	node, page, entry int
}

// find returns the place of the first entry whose key is not below key, and whether it is equal.
func (t *tree) find(key []byte) (cursor, bool) {
	c := cursor{tree: t}
	if len(t.nodes) == 0 {
		return c, false
	}
	c.node = t.bounds.search(key)
	n := t.nodes[c.node]
	c.page = n.bounds.search(key)
	var exact bool
	c.entry, exact = n.pages[c.page].search(key)
	c.settle()
	return c, exact
}

// settle moves a cursor that stands behind the last entry of its page to the entry that follows.
func (c *cursor) settle() {
	for c.valid() && c.entry >= c.tree.nodes[c.node].pages[c.page].count() {
		c.entry = 0
		if c.page++; c.page == len(c.tree.nodes[c.node].pages) {
			c.page = 0
			c.node++
		}
	}
}

func (c *cursor) valid() bool { return c.node < len(c.tree.nodes) }

func (c *cursor) at() entry { return c.tree.nodes[c.node].pages[c.page].entry(c.entry) }

func (c *cursor) next() {
	c.entry++
	c.settle()
}

// before returns the place in front of c; ok is false at the beginning of the tree.
func (c cursor) before() (_ cursor, ok bool) {
	if c.entry > 0 {
		c.entry--
		return c, true
	}
	switch {
	case c.valid() && c.page > 0:
		c.page--
	case c.node > 0:
		c.node--
		c.page = len(c.tree.nodes[c.node].pages) - 1
	default:
		return c, false
	}
	c.entry = c.tree.nodes[c.node].pages[c.page].count() - 1
	return c, true
}

// allPages iterates over the tree's pages in key order.
func (t *tree) allPages() iter.Seq[page] {
	return func(yield func(page) bool) {
		for _, n := range t.nodes {
			for _, p := range n.pages {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// all iterates over the tree's entries in key order.
func (t *tree) all() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, n := range t.nodes {
			for _, p := range n.pages {
				for i := range p.count() {
					if !yield(p.entry(i)) {
						return
					}
				}
			}
		}
	}
}
