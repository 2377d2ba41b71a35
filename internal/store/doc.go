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
// bbolt takes its file to be whole. On one that is not, it follows pages that refer to one another in a circle until the
// stack is full, reads outside of the file, or writes over pages that are still in use. A secondary whose disk has lost one
// sector should lose one zone by it, and transfer that again. So bbolt only writes here, and four parts stand around it;
// each was taken out once, and the test named after it failed:
//
//   - image reads the file by the format that bbolt has documented in its code, with every number checked. It also reads
//     zones out of a file that is damaged elsewhere (TestFlippedBits, TestPagesInACircle).
//   - check goes once through the structure when the file is opened. If that is not whole, the file is read and never
//     written: Damage tells, Replace begins a new one (TestFreePageThatIsInUseIsDamage, TestFlippedBitsOfTheStructure,
//     TestZonesThatWouldBeMissingAreDamage, TestDamagedZoneTakesNoOtherWithIt).
//   - undo puts back what a failed commit has written of bbolt's two first pages. Otherwise a commit that failed in its last
//     sync has happened for whoever opens the file, and may not have for the disk (TestFaultsOfTheFileSystem).
//   - guarded makes errors of the panics and faults of bbolt, which reads the file where it is mapped: it may be damaged
//     while it is open (TestFileIsCutOffWhileItIsOpen).
//
// They are some 550 lines. Checksums alone would not do instead of the first two: they tell that a value is wrong, while
// it is the numbers between the values, which have none, that lead bbolt astray.
//
// Start at Store.
package store
