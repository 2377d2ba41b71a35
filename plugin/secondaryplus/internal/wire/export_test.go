package wire

// The parts of RDATA reading that tests reach without a whole message around them.
var AppendRDATA = appendRDATA

// Limits that tests go up to and over.
const (
	MaxRDATA    = maxRDATA
	MaxValue    = maxValue
	MaxPointers = maxPointers
)

// Known reports whether rrtype has a layout of its own.
func Known(rrtype uint16) bool { return layoutOf(rrtype).fields != nil }
