package zone

import (
	"bytes"
	"slices"
)

// A page or node that is rewritten and left with less than a quarter, or a half, of its limit joins a neighbor, so that
// deletions do not leave a trail of small ones.
const (
	smallPage = maxPage / 4
	smallNode = maxNode / 2
)

// rewriter makes a tree from another one and changes. It is owned by one goroutine.
type rewriter struct {
	old        *tree
	nodes      []*node // of the new tree, and their bounds
	nodeBounds [][]byte

	// Of the node that is being rewritten.
	pages  []page
	bounds [][]byte
}

// apply returns the tree with the changes, which are in key order, made.
func (r *rewriter) apply(changes []change) tree {
	if len(r.old.nodes) == 0 {
		var w pageWriter
		for i := range changes {
			w.change(&changes[i])
		}
		w.flush()
		return newTree(w.pages, w.bounds)
	}
	for i, n := range r.old.nodes {
		var here []change
		here, changes = route(changes, r.old.bounds, i)
		if len(here) == 0 {
			r.keep(n, r.old.bounds.at(i))
			continue
		}
		r.rewriteNode(n, here)
		r.emit(r.old.bounds.at(i))
	}
	return tree{bounds: newFences(r.nodeBounds), nodes: r.nodes}
}

// route returns the changes that belong to item i of a run with these bounds, and those that belong behind it.
func route(changes []change, bounds *fences, i int) (here, behind []change) {
	if i+1 == len(bounds.ends) {
		return changes, nil
	}
	next := bounds.at(i + 1)
	n, _ := slices.BinarySearchFunc(changes, next, func(c change, key []byte) int { return bytes.Compare(c.key, key) })
	return changes[:n], changes[n:]
}

// keep takes a node over as it is.
func (r *rewriter) keep(n *node, bound []byte) {
	r.nodes, r.nodeBounds = append(r.nodes, n), append(r.nodeBounds, bound)
}

// rewriteNode collects the pages of a node with its changes made.
func (r *rewriter) rewriteNode(n *node, changes []change) {
	r.pages, r.bounds = r.pages[:0], r.bounds[:0]
	for j := 0; j < len(n.pages); j++ {
		var here []change
		here, changes = route(changes, n.bounds, j)
		bound := n.bounds.at(j)
		if len(here) == 0 {
			r.pages, r.bounds = append(r.pages, n.pages[j]), append(r.bounds, bound)
			continue
		}
		w := pageWriter{limit: evenLimit(n.pages[j], here)}
		w.merge(n.pages[j], here)
		for j+1 < len(n.pages) && w.joins(n.pages[j+1]) {
			j++
			here, changes = route(changes, n.bounds, j)
			w.limit = maxPage
			w.merge(n.pages[j], here)
		}
		w.flush()
		if len(w.pages) > 0 {
			w.bounds[0] = bound // what sorted behind it before still does
		}
		r.pages, r.bounds = append(r.pages, w.pages...), append(r.bounds, w.bounds...)
	}
}

// emit makes nodes of the collected pages; bound is that of the node they come from.
func (r *rewriter) emit(bound []byte) {
	if last := len(r.nodes) - 1; last >= 0 && len(r.pages)+len(r.nodes[last].pages) <= smallNode {
		n := r.nodes[last]
		all := make([][]byte, 0, smallNode)
		for i := range n.pages {
			all = append(all, n.bounds.at(i))
		}
		if len(r.bounds) > 0 {
			r.bounds[0] = bound
		}
		r.nodes[last] = newNode(append(slices.Clone(n.pages), r.pages...), append(all, r.bounds...))
		return
	}
	nodes := (len(r.pages) + maxNode - 1) / maxNode
	for ; nodes > 0; nodes-- {
		n := (len(r.pages) + nodes - 1) / nodes
		r.keep(newNode(r.pages[:n], r.bounds[:n]), bound)
		if r.pages, r.bounds = r.pages[n:], r.bounds[n:]; len(r.bounds) > 0 {
			bound = r.bounds[0]
		}
	}
}

// evenLimit returns the page size that divides a page and its changes into pages of the same size: a full page that grows
// becomes two halves with room for more.
func evenLimit(p page, changes []change) int {
	total := len(p)
	for i := range changes {
		total += len(changes[i].key) + len(changes[i].body)
	}
	if total <= maxPage {
		return maxPage
	}
	pages := (total + maxPage - 1) / maxPage
	return min(maxPage, total/pages+maxPage/16)
}

// joins reports whether what has been written of a small page fits next to the page behind it.
func (w *pageWriter) joins(next page) bool {
	open := len(w.keys) + len(w.bodies)
	return len(w.pages) == 0 && open < smallPage && open+len(next) <= maxPage
}

// merge adds the entries of p with changes made.
func (w *pageWriter) merge(p page, changes []change) {
	var key []byte
	for i := range p.count() {
		e := p.entry(i)
		key = e.appendKey(key[:0])
		for len(changes) > 0 && bytes.Compare(changes[0].key, key) < 0 {
			w.change(&changes[0])
			changes = changes[1:]
		}
		if len(changes) > 0 && bytes.Equal(changes[0].key, key) {
			w.change(&changes[0])
			changes = changes[1:]
			continue
		}
		w.add(key, p.body(i))
	}
	for i := range changes {
		w.change(&changes[i])
	}
}

// change adds the owner of a change, unless it is gone.
func (w *pageWriter) change(c *change) {
	if c.body != nil {
		w.add(c.key, c.body)
	}
}
