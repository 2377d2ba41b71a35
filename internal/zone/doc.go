// Package zone holds the contents of a zone: its records, immutable once sealed.
//
// It owns the packed pages, the tree over them, the builder that fills them from a transfer and the lookup that answers
// from them. It never opens a socket, reads a clock or touches a disk, and it knows nothing of primaries, timers or rules
// beyond the limits it is given.
//
// Contents are two ordered trees of pages, one of ordinary owners and one of NSEC3 owners, which do not exist as names
// (RFC 5155 §7.2.8). A page is a few kilobytes of plain bytes:
//
//	page   = count u16 | length of prefix u16 | prefix | count x slot | entries
//	slot   = first two octets of the suffix | offset of the entry u16
//	entry  = length of suffix | suffix | flags u8 | [labels above the cover u8] | [length | owner as received] | sets
//	sets   = number of sets | set ...
//	set    = type u16 | lowest TTL u32 | count | [mark u8] | length of block | block
//	count  = 4 x number of records, + 1 if their TTLs differ, + 2 if they are not served and a mark says why
//	block  = ([TTL u32] | length of RDATA | RDATA) ...
//
// Lengths and numbers without a width are unsigned varints. Prefix and suffix together are the owner's key (see
// wire.AppendKey); entries are in key order, sets in order of type, records in canonical order of RDATA. The garbage
// collector sees one pointer a page, a record costs little more than its RDATA, and an update rewrites only the pages it
// touches.
//
// Start at Builder for the way in and Contents.Lookup for the way out.
package zone
