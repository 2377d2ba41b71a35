package xfrout

// The limits that tests stand at the edge of.
const (
	MaxMessage = maxMessage
	MaxSeen    = maxSeen

	MaxWaiting       = maxWaiting
	MaxWaitingForOne = maxWaitingForOne
)

// Narrow has messages of so many octets at most before OPT and TSIG, and looks for records that do not fit again.
func (a *Answer) Narrow(octets int) error {
	a.frame.room = min(a.frame.room, octets)
	return a.check()
}
