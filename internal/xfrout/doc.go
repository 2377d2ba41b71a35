// Package xfrout is one conversation with a secondary of ours: what a request for a transfer is answered with (RFC 5936,
// RFC 1995), the messages of the answer, and who is transferring at the moment.
//
// It opens no socket and reads no clock. Plan decides, Chain finds the differences, an Answer makes messages in wire form, one
// at a time, straight from the pages of a zone: none is held in memory but the one that is being sent. What a primary has sent
// is sent on, whatever rules have left out of the answers to queries.
package xfrout
