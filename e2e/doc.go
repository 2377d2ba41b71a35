// Package e2e tests the built CoreDNS binary against real primaries: BIND, Knot DNS, NSD and PowerDNS.
//
// It holds tests only, behind the build tag e2e. Each test starts the servers it needs on free loopback ports with
// everything they write below one temporary directory, and stops them by process id. The binary is ../coredns, or
// what SPLUS_BINARY names. A server that is not installed fails its tests; `make deps` installs them all.
//
//	go test -tags e2e ./e2e/...
//
// Start reading in secondary_test.go (the server under test) and primary_test.go (what a primary can do); the tests
// are in the files named after what they are about.
package e2e
