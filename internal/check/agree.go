package check

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// agreement returns how the primaries stand to one another.
func agreement(checks []*primaryCheck) []Finding {
	return append(compareSerials(checks), compareVersions(checks)...)
}

// compareSerials looks at the serials that the primaries told, those whose transfer failed as well.
func compareSerials(checks []*primaryCheck) []Finding {
	var told []string
	var first serial.Serial
	equal, undefined := true, false
	for _, c := range checks {
		if c.report.Serial == nil {
			continue
		}
		s := serial.New(uint32(*c.report.Serial))
		if told == nil {
			first = s
		}
		equal = equal && s == first
		undefined = undefined || s.Compare(first) == serial.Incomparable
		told = append(told, fmt.Sprintf("%s has %s", c.primary, s))
	}
	switch {
	case len(told) < 2:
		return []Finding{{Warning, "not_checked", "fewer than two primaries told a serial, so there is nothing to compare", ""}}
	case equal:
		return []Finding{{OK, "serials_agree", fmt.Sprintf("%d primaries have serial %s", len(told), first), ""}}
	}
	detail := "the serials differ: " + strings.Join(told, ", ")
	if undefined {
		detail += "; some are exactly 2^31 apart, so neither is newer (RFC 1982 §3.2)"
	}
	return []Finding{{Problem, "serials_differ", detail,
		"Check again in a minute; if it stays so, find out why a primary does not follow: only the highest serial is taken."}}
}

// compareVersions compares the contents of primaries with equal serials, each with the first that has the serial.
func compareVersions(checks []*primaryCheck) (found []Finding) {
	first := map[serial.Serial]*primaryCheck{}
	equal := 0
	for _, c := range checks {
		if c.contents == nil {
			continue
		}
		s := c.contents.Serial()
		if first[s] == nil {
			first[s] = c
			continue
		}
		d := compareContents(first[s].contents, c.contents)
		if d.count == 0 {
			equal++
			continue
		}
		found = append(found, Finding{Problem, "contents_differ",
			fmt.Sprintf("%s and %s both have serial %s, and %d records differ: %s", first[s].primary, c.primary, s, d.count,
				d.describe(first[s].primary.String(), c.primary.String())),
			"Make the primaries equal and give the zone a higher serial: as it is, what is served depends on who is asked first."})
	}
	if equal > 0 && found == nil {
		found = append(found, Finding{OK, "contents_agree", "equal serials stand for equal records", ""})
	}
	return found
}

// disagreement is how two contents differ. It is a plain value.
type disagreement struct {
	count int         // records that one side has and the other has not, or has with another TTL
	only  [2][]string // the first few that only one side has
	ttl   []string    // the first few with different TTLs
}

func (d *disagreement) sample(list *[]string, rr *wire.RR) {
	d.count++
	if len(*list) < maxSamples {
		*list = append(*list, fmt.Sprintf("%s %s", rr.Owner, wire.TypeName(rr.Type)))
	}
}

// describe returns the differences for a person; a and b are the two sides.
func (d *disagreement) describe(a, b string) string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"only at " + a, d.only[0]}, {"only at " + b, d.only[1]}, {"with another TTL", d.ttl}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// compareContents compares two versions of a zone record by record, whatever their spelling (RFC 4343, RFC 4034 §6.2).
func compareContents(a, b *zone.Contents) (d disagreement) {
	nextA, stopA := iter.Pull(a.All())
	defer stopA()
	nextB, stopB := iter.Pull(b.All())
	defer stopB()
	var order recordOrder
	order.origin = a.Origin()
	ra, okA := nextA()
	rb, okB := nextB()
	for okA || okB {
		var c int
		switch {
		case !okB:
			c = -1
		case !okA:
			c = 1
		default:
			c = order.compare(ra, rb)
		}
		switch {
		case c < 0:
			d.sample(&d.only[0], ra)
		case c > 0:
			d.sample(&d.only[1], rb)
		case ra.TTL != rb.TTL:
			d.sample(&d.ttl, ra)
		}
		if c <= 0 {
			ra, okA = nextA()
		}
		if c >= 0 {
			rb, okB = nextB()
		}
	}
	return d
}

// recordOrder is the order of Contents.All. It keeps its buffers and is not safe for concurrent use.
type recordOrder struct {
	origin     wire.Name
	keyA, keyB []byte
}

func (o *recordOrder) compare(a, b *wire.RR) int {
	if c := cmp.Compare(part(a), part(b)); c != 0 {
		return c
	}
	o.keyA, _ = wire.AppendKey(o.keyA[:0], a.Owner, o.origin)
	o.keyB, _ = wire.AppendKey(o.keyB[:0], b.Owner, o.origin)
	if c := cmp.Or(bytes.Compare(o.keyA, o.keyB), cmp.Compare(a.Type, b.Type)); c != 0 {
		return c
	}
	return wire.CompareRDATA(a.Type, a.Data, b.Data)
}

// part returns in which part of Contents.All a record comes: the SOA, names, owners of NSEC3.
func part(rr *wire.RR) int {
	switch {
	case rr.Type == wire.TypeSOA:
		return 0
	case rr.Type == wire.TypeNSEC3, rr.Type == wire.TypeRRSIG && binary.BigEndian.Uint16(rr.Data) == wire.TypeNSEC3:
		return 2
	default:
		return 1
	}
}
