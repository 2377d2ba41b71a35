// Package refresh decides how one zone stays in step with its primaries: whom to ask, when to transfer and from whom, when
// to give up serving (RFC 1034 §4.3.5, RFC 1996, RFC 1982).
//
// It owns the state of the zone's timers and of its links. It starts no goroutine, opens no socket, reads no clock and no
// disk and writes no log: a Machine is told what happened and what time it is, and answers with what to do.
//
//	         Started, timer, NOTIFY
//	┌─ rest ──────────────────────────> asking the sender ──┐ newer: transfer
//	│   ^  ^                              │ not newer,       │
//	│   │  │ nothing left to do           │ failed, silent   v
//	│   │  └───────────────────────── asking the others <─> transferring
//	│   │                                 ^  first useful answer + graceSpan
//	│   └── late answer, newer ───────────┘
//	└── NOTIFY in a round: one pending check, run when the round has ended
//
// A round is one refresh: the SOA checks of the primaries and the transfers that follow from them. At most one is running
// and one pending, however many requests arrive. Start reading at Machine.Step, then round.go.
package refresh
