package store

// What tests must know of the file.
const (
	BoltPage      = boltPage
	FormatVersion = formatVersion
)
