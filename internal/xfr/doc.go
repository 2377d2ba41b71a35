// Package xfr is one conversation with one primary: a SOA query (QuerySOA) or a zone transfer (Conn).
//
// It owns the connection, its limits, the TSIG of what goes out and comes in, and the reading of AXFR and IXFR answers.
// It keeps nothing between conversations, starts no goroutine that outlives a call, and knows no zone: a Receiver takes
// what the primary says, and decides what to do with it.
//
//	Conn.Transfer: connection > message > Stream (TSIG) > Interpreter > Receiver
//
// Each of the four can be driven alone. Only conn.go, soa.go and tsig.go read the clock.
package xfr
