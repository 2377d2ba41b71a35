// Package version makes versions of zones. A version is one state of a zone's records with where it came from; a Draft is one
// on its way in, and Admit is the one door:
//
//	xfr.Conn ── Begin, Add, Remove, Discard ──> Draft ── Admit ──> gates, in order ──> Version ──> Histories.Put, publish
//	store, change of rules ────────────────────────── Readmit ───> exclusions ───────> Version
//
// The engine transfers through a Draft and publishes what Admit returns; the dry run of `splusctl check` does the same and
// throws it away. What leads from one version to the next is in the History of a zone, for secondaries that ask for it and for
// the journal in the store. The package has no clock, no sockets and no goroutines. Start reading at Admit, then at gates.
package version
