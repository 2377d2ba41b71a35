// Package notify tells our own secondaries of new versions (RFC 1996 §3).
//
// Machine decides what to send to whom and when. It has no goroutine, no clock and no socket, so its tests are scripts: it is told
// of zones, versions and answers, and hands out messages that are ready to be sent. Sender has the sockets and runs one.
//
//	Sender.Published ── Machine.Publish ── errand ── turn of its peer ── Machine.Next ── UDP | TCP
//	                                         ^                                             │
//	       told, refused, or tried again ────┴────────── Machine.Receive ──────────────────┘
//
// There is one errand for each zone and target. It goes on until the target has answered for the version that is served, and only
// the newest version matters. What each target has acknowledged is handed out as octets, to be kept over a restart.
package notify
