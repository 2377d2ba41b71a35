package zone

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Mark says why a record is in the contents and not served. What a number means is for the Exclusions to say; 0 is no mark.
type Mark uint8

// OwnerSet is one RRset of an owner, to be looked at beside the others. It is a plain value, valid during the call.
type OwnerSet struct {
	Type    uint16
	Records [][]byte // RDATA in canonical order (RFC 4034 §6.3); at least one
	Served  bool     // the owner has this type in what is served now

	// Incumbents are the indices of the records that are served now, ascending.
	Incumbents []int
}

// WholeSet is the Index of a loss that an RRset suffers with all its records.
const WholeSet = -1

// Loss is a record or an RRset that is not to be served. It is a plain value.
type Loss struct {
	Type  uint16
	Index int // of the record in OwnerSet.Records, or WholeSet
	Mark  Mark
	Known bool // it is served now beside what it loses to
}

// Exclusions say which records of one owner exclude each other. Records that are not served stay in the contents: differences,
// the store and transfers out have them. Their functions are safe for concurrent use.
type Exclusions struct {
	// Concerns reports whether an RRset of the type can be one side of a loss; owners without one are not looked at.
	Concerns func(apex bool, rrtype uint16) bool

	// Losses returns what is not to be served of an owner, nil for nothing. It keeps none of its arguments.
	Losses func(apex bool, sets []OwnerSet) []Loss
}

// Losses are the records of one version that are not served. Owned by whoever owns the builder or editor.
type Losses struct {
	counts  map[Mark]int
	samples map[Mark][]string
	fresh   int // of them that are not Known
}

// Marks returns the marks that records have, in order.
func (l *Losses) Marks() []Mark { return slices.Sorted(maps.Keys(l.counts)) }

// Count returns how many records have the mark.
func (l *Losses) Count(m Mark) int { return l.counts[m] }

// Samples returns owner and type of the first few with the mark.
func (l *Losses) Samples(m Mark) []string { return l.samples[m] }

// Fresh returns how many of all of them are conflicts that are not in what is served now.
func (l *Losses) Fresh() int { return l.fresh }

func (l *Losses) add(owner wire.Name, loss Loss, records int) {
	if l.counts == nil {
		l.counts, l.samples = map[Mark]int{}, map[Mark][]string{}
	}
	l.counts[loss.Mark] += records
	if !loss.Known {
		l.fresh += records
	}
	if len(l.samples[loss.Mark]) < maxSamples {
		l.samples[loss.Mark] = append(l.samples[loss.Mark], fmt.Sprintf("%s %s", owner, wire.TypeName(loss.Type)))
	}
}

// marking is Exclusions at work on one version. It is owned by one goroutine.
type marking struct {
	Exclusions
	origin wire.Name
	served *Contents // now; nil for nothing
	losses Losses
}

// result returns what is not served; nothing without exclusions.
func (m *marking) result() *Losses {
	if m == nil {
		return &Losses{}
	}
	return &m.losses
}

// mark marks the records of a draft, which are in order and without duplicates.
func (m *marking) mark(d *ownerDraft) {
	for i := range d.records {
		d.records[i].mark = 0
	}
	if !m.concerned(d) {
		return
	}
	sets, firsts := m.sets(d)
	for _, loss := range m.Losses(len(d.key) == 0, sets) {
		i, ok := slices.BinarySearchFunc(sets, loss.Type, func(s OwnerSet, t uint16) int { return cmp.Compare(s.Type, t) })
		if !ok {
			continue
		}
		from, to := firsts[i], firsts[i]+len(sets[i].Records)
		if loss.Index != WholeSet {
			from = firsts[i] + loss.Index
			to = from + 1
		}
		for k := from; k < to; k++ {
			d.records[k].mark = loss.Mark
		}
		m.losses.add(wire.AppendKeyName(nil, d.key, m.origin), loss, to-from)
	}
}

// concerned reports whether there may be anything to mark.
func (m *marking) concerned(d *ownerDraft) bool {
	if len(d.records) < 2 {
		return false
	}
	last := uint16(0)
	for i := range d.records {
		if t := d.records[i].rrtype; t != last {
			last = t
			if m.Concerns(len(d.key) == 0, t) {
				return true
			}
		}
	}
	return false
}

// sets returns the RRsets of a draft but for signatures, in order of type, and the index of the first record of each. It goes
// over the draft and what is served now once: both are in order.
func (m *marking) sets(d *ownerDraft) (sets []OwnerSet, firsts []int) {
	count, octets := len(d.records), len(d.data)
	m.appendServed(d)
	own, now := d.records[:count], d.records[count:]
	d.records, d.data = own, d.data[:octets]
	rest := now
	for i := range own {
		r := &own[i]
		if r.rrtype == wire.TypeRRSIG {
			continue
		}
		if n := len(sets); n == 0 || sets[n-1].Type != r.rrtype {
			sets, firsts = append(sets, OwnerSet{Type: r.rrtype}), append(firsts, i)
		}
		s := &sets[len(sets)-1]
		for len(rest) > 0 && d.compare(rest[0], *r) < 0 {
			rest = rest[1:]
		}
		if len(rest) > 0 && d.compare(rest[0], *r) == 0 {
			s.Incumbents = append(s.Incumbents, len(s.Records))
		}
		s.Records = append(s.Records, d.data[r.start:r.end:r.end])
	}
	i := 0
	for _, r := range now {
		for i < len(sets) && sets[i].Type < r.rrtype {
			i++
		}
		if i < len(sets) && sets[i].Type == r.rrtype {
			sets[i].Served = true
		}
	}
	return sets, firsts
}

// appendServed adds the records that are served now of the owner of a draft, in order.
func (m *marking) appendServed(d *ownerDraft) {
	if m.served == nil {
		return
	}
	at, exact := m.served.names.find(d.key)
	if !exact {
		return
	}
	e, count := at.at(), len(d.records)
	d.append(&e)
	now := slices.DeleteFunc(d.records[count:], func(r draftRecord) bool { return r.mark != 0 })
	d.records = d.records[:count+len(now)]
}

// Marked returns how many records are not served.
func (c *Contents) Marked() int { return c.namesStats.marked + c.nsec3Stats.marked }

// MarkedSets calls yield with each RRset that is not served, its owner and its mark, until it returns false. It looks at
// every owner unless there are none.
func (c *Contents) MarkedSets(yield func(owner wire.Name, s RRset, m Mark) bool) {
	if c.Marked() == 0 {
		return
	}
	for e := range c.names.all() {
		for s := range e.all() {
			if s.mark == 0 {
				continue
			}
			if !yield(wire.AppendKeyName(nil, e.appendKey(nil), c.origin), s, s.mark) {
				return
			}
		}
	}
}

// WithMarks returns the same records marked anew, by x or, with nil, not at all; served is what is served now.
func (c *Contents) WithMarks(x *Exclusions, served *Contents) (*Contents, *Losses) {
	b := NewBuilder(c.origin, Limits{})
	if x != nil {
		b.Exclude(*x, served)
	}
	for rr := range c.All() {
		if err := b.Add(rr); err != nil {
			panic(err) // it was added before
		}
	}
	again, err := b.Seal()
	if err != nil {
		panic(err)
	}
	again.lacks = c.lacks
	return again, b.Losses()
}
