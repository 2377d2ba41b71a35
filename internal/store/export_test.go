package store

// What tests must know of the file.
const (
	BoltPage      = boltPage
	FormatVersion = formatVersion
)

// SetMaxHeld changes the limit of what a commit holds, not during one. Below what a zone takes it is written in several
// transactions.
func (s *Store) SetMaxHeld(n int64) { s.maxHeld = n }
