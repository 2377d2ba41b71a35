package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

const example = "example."

// hostility is a primary that has served version 1 well and then does something else.
type hostility struct {
	name   string
	script dnstest.Handler
	key    bool                // the primary has a key
	group  func(*engine.Group) // changes the limits
	reason string              // of the link, afterwards
	log    string              // part of the line, beside the reason a person can act on
	metric []string            // what counts it: name, label, value...
}

// stream answers a transfer of version 2 with messages that hold record(0), record(1) and so on, and never ends.
func stream(record func(i int) string) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(r.Reply(version(example, 2)...))
		const perMessage = 100
		for i := 0; ; i += perMessage {
			records := make([]string, perMessage)
			for j := range records {
				records[j] = record(i + j)
			}
			if !w.SendRaw(dnstest.Pack(r.Reply(records...))) {
				return
			}
		}
	}
}

// signing is the script of a primary that has version 2 and signs with what change makes of the right signer.
func signing(change func(*dnstest.Signer)) dnstest.Handler {
	return func(r dnstest.Request, w *dnstest.Writer) {
		s := r.Signer(secret)
		change(s)
		records := version(example, 2)
		if transfer(r) {
			records = append(records, records[0])
		} else {
			records = records[:1]
		}
		w.SendRaw(s.Sign(dnstest.Pack(r.Reply(records...))))
	}
}

// unknownKey is the script of a primary that does not know any key (RFC 8945 §5.2.1).
func unknownKey(r dnstest.Request, w *dnstest.Writer) {
	s := r.Signer(secret)
	s.Error = dns.RcodeBadKey
	w.SendRaw(s.Append(dnstest.Pack(r.Rcode(dns.RcodeNotAuth)), nil))
}

func wrongID(r dnstest.Request, w *dnstest.Writer) {
	m := r.Reply(append(version(example, 2), soa(example, 2))...)
	m.Id++
	w.Send(m)
}

// after returns records of version 2 with others before the closing SOA.
func after(others ...string) []string {
	return append(append(version(example, 2), others...), soa(example, 2))
}

// brokenStreams are primaries whose transfers do not come to a good end.
func brokenStreams() []hostility {
	transfers := func(result string) []string { return []string{"transfers_total", "result", result} }
	cut := func(end func(*dnstest.Writer)) dnstest.Handler {
		return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
			w.Send(r.Reply(version(example, 2)...))
			end(w)
		})
	}
	return []hostility{
		{name: "truncated", script: cut((*dnstest.Writer).CloseConn), reason: "cut_off", log: "before the closing SOA", metric: transfers("cut_off")},
		{name: "reset", script: cut((*dnstest.Writer).Reset), reason: "cut_off", metric: transfers("cut_off")},
		{
			name: "reset before the answer", reason: "cut_off", metric: transfers("cut_off"),
			script: spoiling(example, 2, func(_ dnstest.Request, w *dnstest.Writer) { w.Reset() }),
		},
		{name: "wrong ID", script: spoiling(example, 2, wrongID), reason: "bad_response", log: "message ID", metric: transfers("bad_response")},
		{
			name: "transfer refused", script: spoiling(example, 2, refusing(dns.RcodeRefused)),
			reason: "refused", log: "let the primary allow transfers", metric: transfers("refused"),
		},
		{
			name: "transfer SERVFAIL", script: spoiling(example, 2, refusing(dns.RcodeServerFailure)),
			reason: "servfail", log: "SERVFAIL", metric: transfers("servfail"),
		},
		{
			name: "transfer NOTAUTH", script: spoiling(example, 2, refusing(dns.RcodeNotAuth)),
			reason: "not_authoritative", log: "NOTAUTH", metric: transfers("not_authoritative"),
		},
		{name: "REFUSED", script: refusing(dns.RcodeRefused), reason: "refused", metric: []string{"soa_queries_total", "result", "refused"}},
		{name: "SERVFAIL", script: refusing(dns.RcodeServerFailure), reason: "servfail", metric: []string{"soa_queries_total", "result", "servfail"}},
		{
			name: "NOTAUTH", script: refusing(dns.RcodeNotAuth), reason: "not_authoritative",
			metric: []string{"soa_queries_total", "result", "not_authoritative"},
		},
		{
			name: "silence", script: silent, reason: "timeout", log: "the primary sent nothing for",
			metric: []string{"soa_queries_total", "result", "timeout"},
		},
		{
			name: "garbage", reason: "malformed", metric: transfers("malformed"),
			script: spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) {
				m := dnstest.Pack(r.Reply(after()...))
				w.SendRaw(m[:len(m)-1])
			}),
		},
	}
}

// brokenRules are primaries whose version 2 breaks a rule.
func brokenRules() []hostility {
	violations := func(rule string) []string { return []string{"rule_violations_total", "rule", rule} }
	return []hostility{
		{
			name: "endless", script: spoiling(example, 2, stream(func(i int) string { return fmt.Sprintf("h%d.example. 60 IN A 192.0.2.1", i) })),
			reason: "max_records", log: "more than", metric: violations("max_records"),
		},
		{
			name: "endless repetition", script: spoiling(example, 2, stream(func(int) string { return "h.example. 60 IN A 192.0.2.1" })),
			reason: "max_records", log: "more than", metric: violations("max_records"),
		},
		{
			name: "endless beside the zone", script: spoiling(example, 2, stream(func(i int) string { return fmt.Sprintf("h%d.test. 60 IN A 192.0.2.1", i) })),
			reason: "max_records", log: "more than", metric: violations("max_records"),
		},
		{
			name: "too big", group: func(g *engine.Group) { g.MaxRecords, g.MaxSize = 0, 100_000 },
			script: spoiling(example, 2, stream(func(i int) string {
				return fmt.Sprintf("h%d.example. 60 IN TXT %s", i, strings.Repeat("x", 200))
			})),
			reason: "max_size", log: "larger than", metric: violations("max_size"),
		},
		{
			name: "too big by repetition", group: func(g *engine.Group) { g.MaxRecords, g.MaxSize = 0, 100_000 },
			script: spoiling(example, 2, stream(func(int) string { return "h.example. 60 IN TXT " + strings.Repeat("x", 200) })),
			reason: "max_size", log: "larger than", metric: violations("max_size"),
		},
		{name: "serial 0", script: serve(example, 0), reason: "serial_zero", log: "outside 1..4294967295", metric: violations("serial_zero")},
		{
			name: "serial 0 in the transfer", script: spoiling(example, 2, answering(append(version(example, 0), soa(example, 0))...)),
			reason: "serial_zero", log: "outside 1..4294967295", metric: violations("serial_zero"),
		},
		{
			name: "first SOA unlike last", script: spoiling(example, 2, answering(append(version(example, 2), soa(example, 3))...)),
			reason: "soa_mismatch", log: "changed during the transfer", metric: violations("soa_mismatch"),
		},
		{
			name: "SOA of another owner", script: spoiling(example, 2, answering(after(soa("sub.example.", 2))...)),
			reason: "soa_owner", log: "SOA of sub.example.", metric: violations("soa_owner"),
		},
		{
			name: "SOA of another zone", script: spoiling(example, 2, answering(append([]string{soa("test.", 2)}, after()...)...)),
			reason: "soa_owner", log: "SOA of test.", metric: violations("soa_owner"),
		},
		{
			name: "signed zone with malformed RDATA", reason: "signed_broken", log: "malformed: bad.example. A", metric: violations("signed_broken"),
			script: spoiling(example, 2, misshaping(after("example. 60 IN DNSKEY 257 3 13 aGVsbG8="), "bad.example.")),
		},
	}
}

// brokenSignatures are primaries with which the key does not work.
func brokenSignatures() []hostility {
	tsig := func(reason string) []string { return []string{"tsig_failures_total", "reason", reason} }
	late := func(s *dnstest.Signer) { s.Time = time.Now().Add(-400 * time.Second) }
	other := func(s *dnstest.Signer) { s.Secret = []byte("another secret") }
	return []hostility{
		{name: "wrong secret", key: true, script: signing(other), reason: "tsig_bad_sig", log: "the secrets of key " + keyName, metric: tsig("bad_sig")},
		{
			name: "wrong secret in the transfer", key: true, script: spoiling(example, 2, signing(other)),
			reason: "tsig_bad_sig", log: "the secrets of key " + keyName, metric: tsig("bad_sig"),
		},
		{name: "unknown key", key: true, script: unknownKey, reason: "tsig_bad_key", log: "BADKEY", metric: tsig("bad_key")},
		{
			name: "unknown key in the transfer", key: true, script: spoiling(example, 2, unknownKey),
			reason: "tsig_bad_key", log: "BADKEY", metric: tsig("bad_key"),
		},
		{name: "clock", key: true, script: signing(late), reason: "tsig_bad_time", log: "clocks differ by 40", metric: tsig("bad_time")},
		{
			name: "clock in the transfer", key: true, script: spoiling(example, 2, signing(late)),
			reason: "tsig_bad_time", log: "clocks differ by 40", metric: tsig("bad_time"),
		},
		{
			name: "unsigned", key: true, script: spoiling(example, 2, answering(after()...)),
			reason: "tsig_missing", log: "not signed with key", metric: tsig("missing"),
		},
	}
}

// Whatever a primary does, what was served stays served, somebody is told, and nothing is left behind.
func TestHostilePrimaryChangesNothing(t *testing.T) {
	t.Parallel()
	for _, h := range append(append(brokenStreams(), brokenRules()...), brokenSignatures()...) {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, serve(example, 1))
				p := a.primary()
				if h.key {
					p.Key = newKey(t, keyName, secret)
				}
				g := group(p)
				if h.group != nil {
					h.group(g)
				}
				z := l.Attach(config(g, example)).Zone(id(example))
				l.serves(z, 1)
				before := z.Contents()
				if s := l.link(example, 0); s.State != refresh.Normal {
					t.Fatalf("Link is %v before the primary turns bad", s.State)
				}
				a.play(h.script)
				z.Notify(engine.Notification{From: a.Addr().Addr(), Key: p.Key})
				l.blocked(example, 0, h.reason)
				line := l.logged("warning zone=example.", "primary="+p.String(), "serial=1", h.log, "next attempt in", "old contents served until")
				if h.key && !strings.Contains(line, "key="+keyName) {
					t.Errorf("The line does not name the key: %s", line)
				}
				if got := l.metric(h.metric[0], h.metric[1:]...); got < 1 {
					t.Errorf("Metric %v is %v", h.metric, got)
				}
				if l.metric("link_state", "zone", example) != 0 || l.metric("link_blocked", "zone", example, "reason", h.reason) != 1 {
					t.Errorf("The metrics do not show the blocked link")
				}
				if z.Contents() != before {
					t.Error("What was served is not served any more")
				}
			})
		})
	}
}

// A first transfer that fails leaves the zone without contents, with its reason.
func TestHostilePrimaryIsNeverServed(t *testing.T) {
	t.Parallel()
	for _, h := range append(brokenStreams(), brokenRules()...) {
		if h.name == "silence" {
			continue // the transfer would wait a minute; see TestCloseEndsATransferThatHangs
		}
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, h.script)
				g := group(a.primary())
				if h.group != nil {
					h.group(g)
				}
				z := l.Attach(config(g, example)).Zone(id(example))
				l.blocked(example, 0, h.reason)
				l.logged("warning zone=example.", "serial=none", h.log)
				l.eventually("Settled", l.Settled)
				if z.Contents() != nil {
					t.Error("The zone is served")
				}
			})
		})
	}
}
