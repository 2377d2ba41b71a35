package zone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The keys of pages outside of memory begin with the tree they are of.
const (
	namesPages = iota
	nsec3Pages
	treeCount
)

// Pages iterates over what has to change where the pages of since are kept for those of c to be there: each page that
// since does not have under the same key, and nil for each key that is gone. With since nil these are all pages of c.
// It costs what has changed between the two.
//
// Keys come in order, and once each. A key is an octet for the tree and a lower bound of the owner keys in the page, so
// that keys in order give the tree back. Key and page are read-only; the key is valid until the next one.
func (c *Contents) Pages(since *Contents) iter.Seq2[[]byte, []byte] {
	if since == nil {
		since = &noContents
	}
	return func(yield func(key, octets []byte) bool) {
		key := make([]byte, 1, 1+wire.MaxKey)
		save := func(bound []byte, _, is page) bool { return yield(append(key, bound...), is) }
		key[0] = namesPages
		if changedPages(&since.names, &c.names, save) {
			key[0] = nsec3Pages
			changedPages(since.nsec3, c.nsec3, save)
		}
	}
}

// boundPage is a page and what all its keys are not below.
type boundPage struct {
	bound []byte
	page  page
}

// changedPages visits, in order, the bounds that do not have the same page in both trees; the page of a tree that does not
// have the bound is nil. It ends when a visit returns false, and reports whether none did.
func changedPages(old, cur *tree, visit func(bound []byte, was, is page) bool) bool {
	gone, come := unshared(old, cur)
	for len(gone) > 0 || len(come) > 0 {
		var was, is boundPage
		var order int
		switch {
		case len(gone) == 0:
			order = 1
		case len(come) == 0:
			order = -1
		default:
			order = bytes.Compare(gone[0].bound, come[0].bound)
		}
		if order <= 0 {
			was, gone = gone[0], gone[1:]
		}
		if order >= 0 {
			is, come = come[0], come[1:]
		}
		if order == 0 && &was.page[0] == &is.page[0] {
			continue
		}
		bound := is.bound
		if order < 0 {
			bound = was.bound
		}
		if !visit(bound, was.page, is.page) {
			return false
		}
	}
	return true
}

// unshared returns, in order, the pages of the nodes that two trees do not share. A node has the same bound wherever it is.
func unshared(a, b *tree) (ofA, ofB []boundPage) {
	for i, j := 0, 0; i < len(a.nodes) || j < len(b.nodes); {
		var order int
		switch {
		case i == len(a.nodes):
			order = 1
		case j == len(b.nodes):
			order = -1
		default:
			order = bytes.Compare(a.bounds.at(i), b.bounds.at(j))
		}
		if order == 0 && a.nodes[i] == b.nodes[j] {
			i, j = i+1, j+1
			continue
		}
		if order <= 0 {
			ofA = a.appendPages(ofA, i)
			i++
		}
		if order >= 0 {
			ofB = b.appendPages(ofB, j)
			j++
		}
	}
	return ofA, ofB
}

// appendPages appends the pages of node i. The first has the bound of the node: its own is never compared, so that keys may
// have come in below it.
func (t *tree) appendPages(dst []boundPage, i int) []boundPage {
	n := t.nodes[i]
	dst = slices.Grow(dst, len(n.pages))
	bound := t.bounds.at(i)
	for j, p := range n.pages {
		if j > 0 {
			bound = n.bounds.at(j)
		}
		dst = append(dst, boundPage{bound, p})
	}
	return dst
}

// pageCount returns the number of pages.
func (t *tree) pageCount() (count int) {
	for _, n := range t.nodes {
		count += len(n.pages)
	}
	return count
}

// Summary returns what Restore needs beside the pages: the counts, which would otherwise have to be made anew from records.
func (c *Contents) Summary() []byte {
	b := appendCounts(nil, &c.names, &c.namesStats)
	b = appendCounts(b, c.nsec3, c.nsec3Stats)
	return binary.AppendUvarint(b, uint64(c.lacks))
}

func appendCounts(b []byte, t *tree, s *stats) []byte {
	for _, n := range []int{t.pageCount(), s.records, int(s.bytes), s.cuts, s.dnames, s.wildcards, s.marked} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// counts reads numbers of a summary one after the other. It is owned by one call of Restore.
type counts struct {
	rest []byte
	err  error
}

func (n *counts) next() int {
	v, size := binary.Uvarint(n.rest)
	if size <= 0 {
		n.err = fmt.Errorf("%w: summary is cut off", errCheck)
		return 0
	}
	n.rest = n.rest[size:]
	return int(v)
}

func (n *counts) stats() stats {
	return stats{records: n.next(), bytes: int64(n.next()), cuts: n.next(), dnames: n.next(), wildcards: n.next(), marked: n.next()}
}

// Restore returns the contents of the zone at origin, which is lower case, that have this summary and these pages, in the
// order of Pages. What it is given need not outlive the call. Pages are taken to be what Pages once gave, whose octets
// whoever kept them has to vouch for; one that is missing, out of place or there twice is an error.
func Restore(origin wire.Name, summary []byte, pages iter.Seq2[[]byte, []byte]) (*Contents, error) {
	n := counts{rest: summary}
	var trees [treeCount]treeRestorer
	c := &Contents{origin: origin.Clone()}
	trees[namesPages].want = n.next()
	c.namesStats = n.stats()
	trees[nsec3Pages].want = n.next()
	nsec3Stats := n.stats()
	c.lacks = n.next()
	if n.err != nil {
		return nil, n.err
	}
	for key, octets := range pages {
		if len(key) == 0 || key[0] >= treeCount || len(octets) <= pageHeader {
			return nil, fmt.Errorf("%w: page %x of %d octets", errCheck, key, len(octets))
		}
		if err := trees[key[0]].add(key[1:], octets); err != nil {
			return nil, err
		}
	}
	names, err := trees[namesPages].tree()
	nsec3, errNSEC3 := trees[nsec3Pages].tree()
	if err = errors.Join(err, errNSEC3); err != nil {
		return nil, err
	}
	c.names = names
	c.setNSEC3(nsec3, nsec3Stats)
	if err := c.sealApex(); err != nil {
		return nil, fmt.Errorf("%w: %w", errCheck, err)
	}
	return c, nil
}

// treeRestorer collects the pages of one tree. It is owned by one call of Restore.
type treeRestorer struct {
	want   int // pages
	pages  []page
	bounds [][]byte
}

func (r *treeRestorer) add(bound, octets []byte) error {
	if n := len(r.bounds); n > 0 && bytes.Compare(bound, r.bounds[n-1]) <= 0 {
		return fmt.Errorf("%w: page %x behind page %x", errCheck, bound, r.bounds[n-1])
	}
	r.pages, r.bounds = append(r.pages, slices.Clone(octets)), append(r.bounds, slices.Clone(bound))
	return nil
}

func (r *treeRestorer) tree() (tree, error) {
	if len(r.pages) != r.want {
		return tree{}, fmt.Errorf("%w: %d pages where %d were kept", errCheck, len(r.pages), r.want)
	}
	return newTree(r.pages, r.bounds), nil
}
