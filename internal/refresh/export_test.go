package refresh

import "unsafe"

// Size returns the octets a machine and its links take, before the allocator rounds them up.
func Size(primaries int) uintptr {
	return unsafe.Sizeof(Machine{}) + uintptr(primaries)*unsafe.Sizeof(link{})
}

// NotifySpan is the pace of NOTIFYs the tests measure against.
const NotifySpan = notifySpan
