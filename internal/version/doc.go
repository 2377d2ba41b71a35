// Package version makes versions of zones. A version is one state of a zone's records with where it came from; a Draft is one
// on its way in, and Admit is the one door:
//
//	xfr.Conn ── Begin, Add, Remove, Discard ──> Draft ── Admit ──> gates, in order ──> Version
//	store, change of rules ────────────────────────── Readmit ───> exclusions ───────> Version
//
// The engine transfers through a Draft and publishes what Admit returns; the dry run of `splusctl check` does the same and
// throws it away. The package has no clock, no sockets and no goroutines. Start reading at Admit, then the table of gates.
package version
