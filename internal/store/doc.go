// Package store keeps what survives a restart: the contents, journal and state of every zone, in one bbolt file.
//
// It owns the file and nothing else. It starts no goroutine, reads no clock and decides nothing: its one caller says what
// to save together, when to try again after an error, and when to give a damaged file up.
//
// A bucket holds the format, another one a bucket for each zone, small ones inline:
//
//	store > format    u32
//	zones > ID > h    head: serial, digest of the pages, journal entries, origin, summary of the contents
//	             j    sequence u64 | part u32 -> a part of a difference (RFC 1995)
//	             p    page key -> page, as it is in memory
//	             s    state, the caller's own
//	notes > name      a note, the caller's own
//	staging > ID      a zone that is being written whole in several transactions, until it takes its place
//
// Every value ends in a CRC-32C over the zone's ID, its key and itself, so that one which belongs elsewhere is not
// taken for right either; the digest in the head is for values that were right once.
//
// bbolt takes its file to be whole: damage makes it panic, loop or write over what is still good. So it only writes here.
// Reading is done by image, which believes nothing, and a file whose structure is not whole is read but never written:
// Damage tells, Replace begins a new one.
//
// Start at Store.
package store
