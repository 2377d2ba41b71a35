// Package engine keeps zones in step with their primaries.
//
//	NOTIFY ── Zone.Notify ──┐
//	start, schedule ────────┤
//	                        v
//	            refresh.Machine.Step ──> QuerySOA ──> soaTurns ──────> xfr.SOAQuery ──────┐
//	                        ^        └─> Transfer ──> transferTurns ─> fetch.Fetch, publish
//	                        └──────────────────── what came of it <───────────────────────┘
//
// One mutex, Engine.mu, guards every state machine, the schedule and the lanes; it is held for steps of microseconds and
// never while waiting for a network or building contents. What queries read, a zone's contents, is one atomic pointer.
//
// What happens is told as facts to observers, see Fact: they save zones, keep histories, count, log and tell people. The engine
// knows none of them.
//
// Engine.Attach takes zones and returns an Attachment; zones belong to the engine and live as long as an attachment holds them,
// so a new configuration takes over the zones of the old one with all they have.
// Start reading at Engine.Attach, then Engine.perform.
package engine
