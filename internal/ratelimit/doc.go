// Package ratelimit bounds how many answers of one kind a client network gets over UDP, where the address of a client may be
// forged: an answer is larger than its query, and whoever forges the address of a victim has us send it. It follows Response
// Rate Limiting as BIND, Knot and NSD have it. Answers are told apart by class and by what they are about, so that a flood of
// one kind costs its victim only answers of that kind; and of those, every second one leaves as a truncated answer that makes
// a true client ask again over TCP.
//
// The package has no socket and reads no clock.
package ratelimit
