package zone

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// ErrNotExact is the error of a difference that does not fit the contents it is applied to (RFC 1995 §4).
var ErrNotExact error = &reason.Error{Reason: reason.IXFRBroken, Detail: "difference does not fit"}

// ErrManyEdits is the error of differences that take more memory than the limit of the size allows for. The whole zone may
// do.
var ErrManyEdits = errors.New("differences touch too many names")

// draftOctets is what an edited owner takes beside its key and records: the draft and its place among the others, then the
// change that is made of it.
const draftOctets = 400

// Editor makes contents from other contents and differences (RFC 1995 §4), which are applied in the order they come in. It
// costs what it touches: pages without an edited owner are shared with the contents it began from, which do not change.
// It is owned by one goroutine.
type Editor struct {
	base   *Contents
	limits Limits
	names  treeEditor
	nsec3  treeEditor

	discards Discards
	marking  *marking // nil: marks stay as they are
	chain    chain    // the differences as they come
	mended   int      // malformed records that are no longer in the primary's version
	key      []byte   // scratch, as is name
	name     []byte
}

// Edit returns an editor that begins with c.
func (c *Contents) Edit(l Limits) *Editor {
	limits := &ownerLimits{Limits: l, origin: c.origin}
	return &Editor{
		base: c, limits: l,
		names: treeEditor{base: &c.names, originLen: len(c.origin), limits: limits, drafts: map[string]*ownerDraft{}},
		nsec3: treeEditor{base: c.nsec3, originLen: len(c.origin), limits: limits, drafts: map[string]*ownerDraft{}},
	}
}

// Exclude has records of edited owners marked that others exclude when the contents are sealed; those that the editor began
// with are what is served now. Call it first.
func (e *Editor) Exclude(x Exclusions) {
	e.marking = &marking{Exclusions: x, origin: e.base.origin, served: e.base}
	e.names.marking = e.marking
}

// Record has the differences kept that come, unless they are more than limit octets together. Call it first.
func (e *Editor) Record(limit int64) { e.chain.limit = limit }

// Differences returns those that have been kept, oldest first, without what no zone can hold; nil where they were too much. The
// first leads from the contents that the editor began with, each of the others on from the one before it.
func (e *Editor) Differences() []*Difference {
	e.chain.finish()
	return e.chain.done
}

// Losses returns the records of edited owners that are not served, once the contents are sealed.
func (e *Editor) Losses() *Losses { return e.marking.result() }

// Discards returns what has been discarded so far: additions that no zone can hold.
func (e *Editor) Discards() *Discards { return &e.discards }

// Malformed takes note of an added record whose RDATA could not be read.
func (e *Editor) Malformed(rr *wire.RR) { e.discards.add(Malformed, rr) }

// RemoveMalformed takes note that a record which could not be read, and so was left out, is removed.
func (e *Editor) RemoveMalformed() { e.mended++ }

// Remove takes a record away; its TTL does not matter. Records that no zone can hold are passed over, as in Add: the
// contents never had them.
func (e *Editor) Remove(rr *wire.RR) error { return e.edit(rr, false) }

// Add puts a record in.
func (e *Editor) Add(rr *wire.RR) error { return e.edit(rr, true) }

func (e *Editor) edit(rr *wire.RR, add bool) error {
	p, key, err := file(e.base.origin, e.key[:0], rr)
	e.key = key
	t := &e.names
	switch {
	case err != nil:
		return err
	case p == inNoTree:
		if add {
			e.discards.add(misfit(e.base.origin, rr), rr)
		}
		return nil
	case p == inNSEC3:
		t = &e.nsec3
	}
	d := t.draft(key)
	if err := e.withinLimits(); err != nil {
		return err
	}
	at, found := d.find(rr)
	switch {
	case add && found:
		return fmt.Errorf("%w: %s %s is added and already there", ErrNotExact, rr.Owner, wire.TypeName(rr.Type))
	case !add && !found:
		return fmt.Errorf("%w: %s %s is removed and not there", ErrNotExact, rr.Owner, wire.TypeName(rr.Type))
	case add:
		if len(d.records) == 0 {
			d.begin(key, rr.Owner)
		}
		if err := d.crowded(at, rr, e.limits.RRset); err != nil {
			return err
		}
		d.insert(at, rr)
		t.memory += int64(draftRecordSize + len(rr.Data))
		if e.chain.wanted() {
			e.chain.add(e.ownerOf(d), rr.Type, rr.TTL, rr.Data)
		}
	default:
		if r := d.records[at]; e.chain.wanted() {
			e.chain.remove(e.ownerOf(d), r.rrtype, r.ttl, d.data[r.start:r.end])
		}
		d.records = slices.Delete(d.records, at, at+1)
	}
	return nil
}

// ownerOf returns the owner of a draft as the contents have it, valid until the next call.
func (e *Editor) ownerOf(d *ownerDraft) wire.Name {
	if len(d.owner) > 0 {
		return d.owner
	}
	e.name = wire.AppendKeyName(e.name[:0], d.key, e.base.origin)
	return e.name
}

// Held returns the octets of memory that the edits take, about. It costs nothing.
func (e *Editor) Held() int64 { return e.edits() + e.chain.memory() }

// edits returns the octets that the edits take without the differences that are kept, which have a limit of their own.
func (e *Editor) edits() int64 { return e.names.memory + e.nsec3.memory }

// withinLimits checks the memory that the edits take: half the size that is allowed, since making pages of them takes as much
// again. Too many records may be taken away again, so of those only the result is checked.
func (e *Editor) withinLimits() error {
	if l := e.limits.Size; l > 0 && e.edits() > l/2+heldSlack {
		return fmt.Errorf("%w for a zone of %d octets at most", ErrManyEdits, l)
	}
	return nil
}

// Seal returns the edited contents. The editor is done for afterwards.
func (e *Editor) Seal() (*Contents, error) {
	e.names.stats, e.nsec3.stats = e.base.namesStats, *e.base.nsec3Stats
	c := &Contents{origin: e.base.origin, names: e.names.seal()}
	nsec3 := e.nsec3.seal()
	c.namesStats = e.names.stats
	c.setNSEC3(nsec3, e.nsec3.stats)
	c.lacks = max(0, e.base.lacks+e.discards.Count(Malformed)-e.mended)
	if err := e.names.limits.err; err != nil {
		return nil, err
	}
	if err := e.limits.check(c.Records(), c.Size()); err != nil {
		return nil, err
	}
	if err := c.sealApex(); err != nil {
		return nil, err
	}
	return c, nil
}

// treeEditor edits one tree. It is owned by its Editor.
type treeEditor struct {
	base      *tree
	originLen int
	drafts    map[string]*ownerDraft // edited owners by key; one without records is removed
	memory    int64                  // octets that the drafts take, about
	stats     stats                  // of the base, then of the result
	limits    *ownerLimits
	marking   *marking // of edited owners; nil for none
}

// draft returns the draft of an owner, begun with what the base has of it.
func (t *treeEditor) draft(key []byte) *ownerDraft {
	if d, ok := t.drafts[string(key)]; ok {
		return d
	}
	d := &ownerDraft{}
	if at, exact := t.base.find(key); exact {
		e := at.at()
		d.load(key, &e)
	} else {
		d.begin(key, nil)
	}
	t.drafts[string(key)] = d
	t.memory += int64(draftOctets+2*len(key)) + d.memory()
	return d
}

// seal returns the edited tree.
func (t *treeEditor) seal() tree {
	if len(t.drafts) == 0 {
		return *t.base
	}
	changes := make([]change, 0, len(t.drafts))
	for _, key := range slices.Sorted(maps.Keys(t.drafts)) {
		changes = append(changes, t.pack([]byte(key)))
	}
	changes = t.uncover(changes)
	for i := range changes {
		if c := &changes[i]; c.sets != nil {
			cover, covered := t.coverOf(c.key)
			flags := ownFlags(c.key, c.sets)
			if covered {
				flags |= flagCovered
			}
			c.body = appendBody(nil, flags, cover, c.owner, c.sets)
		}
	}
	r := rewriter{old: t.base}
	return r.apply(changes)
}

// change is what becomes of one owner.
type change struct {
	key   []byte
	owner wire.Name
	sets  []byte // nil: the owner is gone
	body  []byte // what follows the key in its entry
}

// pack packs the draft of an owner and moves its counts from the old to the new.
func (t *treeEditor) pack(key []byte) change {
	if at, exact := t.base.find(key); exact {
		e := at.at()
		var old ownerDraft
		old.load(key, &e)
		sets, st := old.seal(t.originLen)
		t.stats.sub(st)
		t.stats.sub(steering(key, ownFlags(key, sets)))
	}
	d := t.drafts[string(key)]
	if len(d.records) == 0 {
		return change{key: key}
	}
	d.marking, d.limits = t.marking, t.limits
	sets, st := d.seal(t.originLen)
	t.stats.add(st)
	t.stats.add(steering(key, ownFlags(key, sets)))
	return change{key: key, owner: d.owner, sets: sets}
}

// covers reports whether an owner, as edited, is a cut or has a DNAME.
func (t *treeEditor) covers(key []byte) bool {
	if d, ok := t.drafts[string(key)]; ok {
		return len(d.records) > 0 && ownFlags(key, d.sets)&(flagCut|flagDNAME) != 0
	}
	return t.baseCovers(key)
}

func (t *treeEditor) baseCovers(key []byte) bool {
	at, exact := t.base.find(key)
	if !exact {
		return false
	}
	e := at.at()
	return e.flags&(flagCut|flagDNAME) != 0
}

// coverOf returns the labels of the topmost cut or DNAME above key, and whether there is one.
func (t *treeEditor) coverOf(key []byte) (labels int, covered bool) {
	if t.stats.cuts+t.stats.dnames == 0 {
		return 0, false
	}
	for n := range wire.KeyLabels(key) {
		if t.covers(wire.KeyPrefix(key, n)) {
			return n, true
		}
	}
	return 0, false
}

// uncover adds to the changes, which are in key order, all owners below one that has become a cut or DNAME or has stopped
// being one: their entries say what covers them.
func (t *treeEditor) uncover(changes []change) []change {
	var more []change
	var done []byte // the key below which all owners have been added
	for _, c := range changes {
		if t.covers(c.key) == t.baseCovers(c.key) || done != nil && bytes.HasPrefix(c.key, done) {
			continue
		}
		done = c.key
		at, exact := t.base.find(c.key)
		if exact {
			at.next()
		}
		for ; at.valid(); at.next() {
			e := at.at()
			key := e.appendKey(nil)
			if !bytes.HasPrefix(key, c.key) {
				break
			}
			if _, edited := t.drafts[string(key)]; !edited {
				body := at.tree.nodes[at.node].pages[at.page].body(at.entry)
				more = append(more, change{key: key, owner: e.owner, sets: setsOf(body)})
			}
		}
	}
	if len(more) == 0 {
		return changes
	}
	changes = append(changes, more...)
	slices.SortFunc(changes, func(a, b change) int { return bytes.Compare(a.key, b.key) })
	return changes
}
