// Package fault tells people about zones that no longer follow their primaries: once when it has lasted, again while it
// lasts, before and at expiry, and once when it is over. Zones that fail for the same cause share a message.
//
// A Machine decides: it is told what became of the zones and what time it is, and says what to send. It has no goroutine,
// no clock and no socket. A Notifier owns a Machine, the clock and the sinks.
//
//	Down ─> unannounced ── After, and no more zones join ──> announced ── Every ──> reminded
//	             │ Up: forgotten                                │ ^
//	             v                                           Up v │ Down
//	             -  <──── its recovery is told ──── stays for a while ─── up
//
// At most one message is being sent at a time. What happens meanwhile changes what the next one says, so nothing queues up.
// Start reading at Machine.Step, then pick.go; spans.go has what spreads the messages over time.
package fault
