package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math/bits"
	"sort"
)

// The layout of a bbolt file, format 2. Numbers are in the order of the machine that wrote it.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	elementLen  = 16 // leaf: flags, pos, length of key, length of value; branch: pos, length of key, page u64
	bucketLen   = 16 // root u64, sequence u64; an inline bucket has root 0 and a page behind it
	metaLen     = 64 // magic, version, page size, flags, root bucket, freelist u64, high u64, txid u64, checksum u64
	metaEnd     = pageHeader + metaLen
	branchFlag  = 0x01
	leafFlag    = 0x02
	metaFlag    = 0x04
	freeFlag    = 0x10
	bucketFlag  = 0x01
	minPage     = 1 << 10
	maxPage     = 1 << 16
	manyPages   = 0xFFFF // a freelist of so many or more has its length in front
	firstCommit = 2      // the first transaction behind those that begin a file
)

// maxDepth is how deep pages may lie below one another. The trees of 2^48 pages are not so deep.
const maxDepth = 32

// u16, u32 and u64 read numbers.
var u16, u32, u64 = binary.NativeEndian.Uint16, binary.NativeEndian.Uint32, binary.NativeEndian.Uint64

// meta says where everything in the file is. A plain value.
type meta struct {
	pageSize int
	root     uint64 // page of the root bucket
	freelist uint64 // page that lists the free ones
	high     uint64 // the first page that is not in use
	txid     uint64
}

// parseMeta reads a meta page, and reports whether it has the mark of one and whether it is right.
func parseMeta(p []byte) (m meta, marked, valid bool) {
	b := p[pageHeader:metaEnd]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaLen-8])
	m = meta{pageSize: int(u32(b[8:])), root: u64(b[16:]), freelist: u64(b[32:]), high: u64(b[40:]), txid: u64(b[48:])}
	marked = u32(b) == boltMagic
	valid = marked && u32(b[4:]) == boltVersion && u64(b[metaLen-8:]) == h.Sum64() && m.pageSize >= minPage &&
		m.pageSize <= maxPage && bits.OnesCount(uint(m.pageSize)) == 1
	return m, marked, valid
}

// readMeta returns the newer one of the file's two metas that is right, and reports whether the file looks like bbolt's.
func readMeta(file io.ReaderAt) (m meta, bolt bool, err error) {
	found := false
	take := func(offset int64) error {
		var p [metaEnd]byte
		if n, err := file.ReadAt(p[:], offset); err != nil {
			if errors.Is(err, io.EOF) {
				bolt = bolt || offset == 0 && beginsBolt(p[:n])
				return nil
			}
			return err
		}
		other, marked, valid := parseMeta(p[:])
		bolt = bolt || marked
		if valid && (offset == 0 || int64(other.pageSize) == offset) && (!found || other.txid > m.txid) {
			m, found = other, true
		}
		return nil
	}
	if err := take(0); err != nil {
		return m, bolt, err
	}
	for size := int64(minPage); size <= maxPage; size <<= 1 {
		if found && int64(m.pageSize) != size {
			continue
		}
		if err := take(size); err != nil {
			return m, bolt, err
		}
	}
	if !found {
		return m, bolt, damagef("neither of its two first pages is right")
	}
	return m, bolt, nil
}

// beginsBolt reports whether a file that ends within the first meta begins like bbolt's: it has been cut off, and what it
// had is lost. An empty one is new.
func beginsBolt(p []byte) bool {
	var first [pageHeader + 4]byte // page 0, a meta
	binary.NativeEndian.PutUint16(first[8:], metaFlag)
	binary.NativeEndian.PutUint32(first[pageHeader:], boltMagic)
	return len(p) > 0 && bytes.HasPrefix(p, first[:min(len(p), len(first))])
}

// image reads a bbolt file and believes nothing it reads: whatever the octets are, the result is what is there or an error,
// after a bounded number of steps. It is owned by one goroutine.
type image struct {
	file  io.ReaderAt
	meta  meta
	pages uint64 // in the file

	suspect bool // the structure of the file is known not to be whole

	levels [maxDepth]level // the pages being read, below one another
}

// level is the buffer of a depth and the page it holds: zones whose buckets are beside one another are found by the same
// pages.
type level struct {
	buffer []byte
	page   []byte // in the buffer; nil for none
	txid   uint64 // of the version it is of
}

func newImage(file io.ReaderAt, size int64, m meta) *image {
	return &image{file: file, meta: m, pages: min(m.high, uint64(size)/uint64(m.pageSize))}
}

// bitmap is a set of pages.
type bitmap []uint64

func newBitmap(n uint64) bitmap         { return make(bitmap, (n+63)/64) }
func (b bitmap) has(i uint64) bool      { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitmap) add(i uint64)           { b[i/64] |= 1 << (i % 64) }
func kindOf(p []byte) uint16            { return u16(p[8:]) }
func countOf(p []byte) int              { return int(u16(p[10:])) }
func overflowOf(p []byte) uint64        { return uint64(u32(p[12:])) }
func (m *image) offset(id uint64) int64 { return int64(id) * int64(m.meta.pageSize) }

// read returns a page and what overflows from it, in the buffer of its depth.
func (m *image) read(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, damagef("page %d: %d levels deep", id, depth)
	}
	if id < 2 || id >= m.pages {
		return nil, damagef("page %d is referred to and not in use", id)
	}
	l := &m.levels[depth]
	if l.txid == m.meta.txid && l.page != nil && u64(l.page) == id {
		return l.page, nil
	}
	l.page = nil
	p := l.grow(m.meta.pageSize)
	if _, err := m.file.ReadAt(p, m.offset(id)); err != nil {
		return nil, damagef("page %d: %v", id, err)
	}
	overflow := overflowOf(p)
	if u64(p) != id || overflow >= m.pages-id {
		return nil, damagef("page %d says it is page %d and %d more", id, u64(p), overflow)
	}
	if overflow > 0 {
		p = l.grow(m.meta.pageSize * int(overflow+1))
		if _, err := m.file.ReadAt(p, m.offset(id)); err != nil {
			return nil, damagef("page %d: %v", id, err)
		}
	}
	l.page, l.txid = p, m.meta.txid
	return p, nil
}

// grow returns the buffer with this length.
func (l *level) grow(size int) []byte {
	if cap(l.buffer) < size {
		l.buffer = make([]byte, size)
	}
	return l.buffer[:size]
}

// element is one entry of a page, as views into it.
type element struct {
	key, value []byte
	at         int    // where in the page the key begins; the value is behind it
	child      uint64 // of a branch
	bucket     bool   // of a leaf: the value is a bucket
}

// elementAt returns entry i of a branch or leaf.
func elementAt(p []byte, i int) (e element, err error) {
	at := pageHeader + i*elementLen
	if at+elementLen > len(p) {
		return e, damagef("page %d: %d entries do not fit", u64(p), countOf(p))
	}
	b := p[at:]
	pos, keyLen, valueLen := uint64(u32(b)), uint64(u32(b[4:])), uint64(0)
	if kindOf(p) == leafFlag {
		e.bucket = u32(b)&bucketFlag != 0
		pos, keyLen, valueLen = uint64(u32(b[4:])), uint64(u32(b[8:])), uint64(u32(b[12:]))
	} else {
		e.child = u64(b[8:])
	}
	if keyLen == 0 || pos+keyLen+valueLen > uint64(len(b)) {
		return e, damagef("page %d: entry %d goes past its end", u64(p), i)
	}
	e.at, e.key, e.value = at+int(pos), b[pos:pos+keyLen], b[pos+keyLen:pos+keyLen+valueLen]
	return e, nil
}

// tree is where the entries of a bucket are. A plain value; inline is a view into a page.
type tree struct {
	root   uint64
	depth  int    // the depth its pages begin at
	inline []byte // the page of an inline bucket
}

// nested returns the bucket in an entry that was read at a depth.
func nested(value []byte, depth int) (tree, error) {
	if len(value) < bucketLen {
		return tree{}, damagef("bucket of %d octets", len(value))
	}
	if root := u64(value); root != 0 {
		return tree{root: root, depth: depth}, nil
	}
	inline := value[bucketLen:]
	if len(inline) < pageHeader || kindOf(inline) != leafFlag {
		return tree{}, damagef("inline bucket without a page")
	}
	return tree{inline: inline, depth: depth}, nil
}

// scan goes over the entries of a bucket in key order. It is a value for one use.
type scan struct {
	image *image
	from  []byte // the first key wanted
	visit func(e element, depth int) (more bool, err error)
	steps uint64 // pages read
}

// scan visits the entries of a bucket whose keys are not below from, in order, until a visit wants no more or fails.
// depth is one that a bucket in the entry can be read at.
func (m *image) scan(t tree, from []byte, visit func(e element, depth int) (bool, error)) error {
	s := scan{image: m, from: from, visit: visit}
	var err error
	if t.inline != nil {
		_, err = s.leaf(t.inline, t.depth)
	} else {
		_, err = s.page(t.root, t.depth)
	}
	return err
}

func (s *scan) page(id uint64, depth int) (more bool, err error) {
	if s.steps++; s.steps > s.image.pages {
		return false, damagef("page %d: pages refer to one another in a circle", id)
	}
	p, err := s.image.read(id, depth)
	switch {
	case err != nil:
		return false, err
	case kindOf(p) == leafFlag:
		return s.leaf(p, depth+1)
	case kindOf(p) == branchFlag:
		return s.branch(p, depth)
	}
	return false, damagef("page %d is neither branch nor leaf", id)
}

func (s *scan) branch(p []byte, depth int) (more bool, err error) {
	first := sort.Search(countOf(p)-1, func(i int) bool {
		e, err := elementAt(p, i+1)
		return err != nil || bytes.Compare(e.key, s.from) > 0
	})
	for i := first; i < countOf(p); i++ {
		e, err := elementAt(p, i)
		if err != nil {
			return false, err
		}
		if more, err := s.page(e.child, depth+1); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

func (s *scan) leaf(p []byte, depth int) (more bool, err error) {
	for i := range countOf(p) {
		e, err := elementAt(p, i)
		if err != nil {
			return false, err
		}
		if bytes.Compare(e.key, s.from) < 0 {
			continue
		}
		if more, err := s.visit(e, depth); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// find returns the bucket of this name in another one, and whether there is one.
func (m *image) find(t tree, name []byte) (found tree, ok bool, err error) {
	err = m.scan(t, name, func(e element, depth int) (bool, error) {
		if !bytes.Equal(e.key, name) {
			return false, nil
		}
		if !e.bucket {
			return false, damagef("%q is no bucket", name)
		}
		var err error
		found, err = nested(e.value, depth)
		ok = err == nil
		return false, err
	})
	return found, ok, err
}

// root returns the root bucket.
func (m *image) root() tree { return tree{root: m.meta.root} }
