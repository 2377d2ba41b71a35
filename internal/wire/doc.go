// Package wire reads DNS messages without making objects of them: names, records and the layout of RDATA.
//
// It owns the byte forms everything below the CoreDNS adapter works in: uncompressed names and RDATA, and the canonical
// key that sorts owners the way DNSSEC does. It opens no socket and keeps no state between messages. Start at Reader.
package wire
