// Package check asks what an operator asks before a zone goes into the Corefile, and after: can each primary be reached,
// does the key work, do the serials agree, does IXFR work, would the zone be accepted, and are the name servers at its apex
// those that the parent has and the deployment wants.
//
// It changes nothing, here or elsewhere: the transfer is a dry run whose records are thrown away. It owns no protocol and no
// rule: those are the ones the engine uses. It reads no Corefile.
//
// Start reading at Run in check.go; report.go is what comes out.
package check
