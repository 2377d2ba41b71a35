package wire

// The parts of RDATA reading that tests reach without a whole message around them.
var AppendRDATA = appendRDATA

// Limits that tests go up to and over.
const (
	MaxRDATA    = maxRDATA
	MaxPointers = maxPointers
)
