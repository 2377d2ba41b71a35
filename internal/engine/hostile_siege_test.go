package engine_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/allow"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// What hostile or broken primaries do, and the tests that play it. Those of other packages look at the same stream without
// an engine around it.
//
//	HP1  endless or huge AXFR       TestHostilePrimaryChangesNothing, TestTransferHasATotalTime
//	HP2  endless IXFR               TestFailedIXFRFallsBackToAXFR, TestIXFRInCirclesEnds
//	HP3  slow drip                  TestDrippingPrimaryIsGivenUp, xfr.TestDrippingPrimaryIsTooSlow
//	HP4  stump                      TestHostilePrimaryChangesNothing, TestStumpInAnswerToIXFRIsNotServed,
//	                                TestVersionThatLosesItsApexNSIsRefused
//	HP5  SOA of another owner       TestHostilePrimaryChangesNothing
//	HP6  SOA in the middle          TestAnswerThatGoesOnBehindItsSOAIsRefused, TestSOAInTheMiddleSpoilsNoOtherTransfer
//	HP7  SOA too short              TestBrokenSOAIsRefused
//	HP8  non-IN records             TestUnfitRecordsAreDiscardedAndCounted, TestAnswerOfAnotherClassIsRefused
//	HP9  out-of-zone owners         TestUnfitRecordsAreDiscardedAndCounted
//	HP10 first SOA unlike last      TestHostilePrimaryChangesNothing
//	HP11 bad TSIG                   TestHostilePrimaryChangesNothing, TestOddSignaturesAreRefused, xfr.TestTSIGRecordInTheWrongPlaceOrForm
//	HP12 unsigned runs              TestRunsOfUnsignedMessages
//	HP13 huge RRset, many types     TestHugeRRsetAndManyTypesAreRefused, TestHugeRRsetIsServedWhereAllowed
//	HP14 chains and loops           TestChainsAndLoopsAreAnsweredAtOnce, zone.TestCNAMEChainHasALimit
//	HP15 malformed RDATA            TestMalformedRDATAOfEveryFormIsDiscarded, TestRDATAPastTheMessageIsRefused,
//	                                wire.TestRDATAMustHaveTheLayoutOfItsType, wire.FuzzRDATA
//	HP16 odd NSEC3                  TestOddNSEC3IsAnswered, TestSignatureOfDNSKEYRemovedByIXFR, zone.TestManyIterationsAreNotComputed
//	HP17 differences that do not fit TestFailedIXFRFallsBackToAXFR, TestTwoVersionsInQuickSuccession, TestContentsAreTheSameHoweverTheyCame
//	HP18 odd serials                TestHostilePrimaryChangesNothing, TestSerialHalfwayRoundIsHeld, TestOlderSerialIsNotTakenBeforeExpiry, TestSerialWraps
//	HP19 odd SOA timers             TestOddTimersDoNotSpin, TestSmallRefreshIsNotKeptTo
//	HP20 odd headers                TestHostilePrimaryChangesNothing, TestWrongHeadersAreRefused, TestFlagsWithoutMeaningAreOverlooked,
//	HP21 empty and tiny messages    TestEmptyMessagesAreRefused, TestOneRecordAMessageIsTaken
//	HP22 compression                TestBrokenCompressionIsRefused, wire.TestPointersToPointersAreBounded
//	HP23 broken catalog             there are no catalogs yet
//	HP24 TLS                        there is no TLS yet
//	HP25 disk                       store.TestFaultsOfTheFileSystem, store.TestKilledProcesses, TestDamagedFileIsReplaced, e2e.TestFullDisk
//	HP26 black holes and resets     TestHostilePrimaryChangesNothing, TestDeadPrimariesDelayNobody, TestThousandZonesOfABadPrimaryDelayNobody,
//	                                TestManySilentPrimariesDelayNobody

const (
	bystander = "bystander.test."

	// notifyLimit is how soon a zone of a living primary follows its NOTIFY, whatever happens to the others.
	notifyLimit = time.Second
)

// siege is an engine with a zone of an attacker and one of a primary that does nothing wrong, both served with serial 1. It
// is used by one test.
type siege struct {
	*lab
	attacker, friend *actor
	zone, other      *engine.Zone
	key              *xfr.Key // of the attacker; nil for none
}

// besiege starts a siege; change, which may be nil, changes the limits of the attacker's zone.
func besiege(t *testing.T, key *xfr.Key, change func(*engine.Group)) *siege {
	t.Helper()
	return besiegeWithin(t, xfr.DefaultLimits(), key, change)
}

// besiegeWithin is besiege with limits of time for transfers.
func besiegeWithin(t *testing.T, limits xfr.Limits, key *xfr.Key, change func(*engine.Group)) *siege {
	t.Helper()
	s := &siege{lab: startLab(t), attacker: newSocketActor(t, serve(example, 1)), friend: newSocketActor(t, serve(bystander, 1)), key: key}
	s.SetLimits(limits)
	p := s.attacker.primary()
	p.Key = key
	g := group(p)
	if change != nil {
		change(g)
	}
	at := s.Attach(extend(config(g, example), group(s.friend.primary()), bystander))
	s.zone, s.other = at.Zone(id(example)), at.Zone(id(bystander))
	s.serves(s.zone, 1)
	s.serves(s.other, 1)
	return s
}

// notify tells the engine that the attacker has something new.
func (s *siege) notify() {
	s.t.Helper()
	if v := announce(s.zone, s.attacker, s.key); v != allow.Accepted {
		s.t.Fatalf("NOTIFY of the attacker: verdict %d", v)
	}
}

// announce sends a NOTIFY of a serial that is newer than what is served.
func announce(z *engine.Zone, from *actor, key *xfr.Key) allow.Verdict {
	return z.Notify(engine.Notification{From: from.Addr().Addr(), Key: key, Serial: serial.New(served(z) + 1), HasSerial: true})
}

// bystanderFollows fails the test unless the other zone follows its NOTIFY in time.
func (s *siege) bystanderFollows(to uint32) {
	s.t.Helper()
	s.friend.play(serve(bystander, to))
	begin := time.Now()
	announce(s.other, s.friend, nil)
	s.serves(s.other, to)
	if took := time.Since(begin); took > notifyLimit {
		s.t.Errorf("The zone of another primary follows its NOTIFY after %s; want less than %s", took, notifyLimit)
	}
}

// shows fails the test unless log and metrics come to tell why the link is Blocked.
func (s *siege) shows(h *hostility) {
	s.t.Helper()
	s.blocked(example, 0, h.reason)
	line := s.logged("warning zone="+example, "serial=1", h.log, "next attempt in", "old contents served until")
	if s.key != nil && (!strings.Contains(line, "key="+s.key.Name()) || strings.Contains(line, secret)) {
		s.t.Errorf("The line does not name the key, or shows its secret: %s", line)
	}
	if h.metric != nil && s.metric(h.metric[0], h.metric[1:]...) < 1 {
		s.t.Errorf("Nothing is counted as %q", h.metric)
	}
	if s.metric("link_state", "zone", example) != 0 || s.metric("link_blocked", "zone", example, "reason", h.reason) != 1 {
		s.t.Error("The metrics do not show the blocked link")
	}
}

// withstands plays an attack: what was served stays served, the reason is shown, the zone of another primary is not held up,
// and the attacker's is served again as soon as it mends its ways.
func withstands(t *testing.T, h *hostility) {
	t.Helper()
	var key *xfr.Key
	if h.key {
		key = newKey(t, keyName, secret)
	}
	withstandsWithin(t, besiege(t, key, h.group), h)
}

func withstandsWithin(t *testing.T, s *siege, h *hostility) {
	t.Helper()
	before := s.zone.Contents()
	s.attacker.play(h.script)
	s.notify()
	s.bystanderFollows(2)
	s.shows(h)
	if s.zone.Contents() != before {
		t.Error("What was served is not served any more")
	}
	s.attacker.play(serve(example, 3))
	s.notify()
	s.serves(s.zone, 3)
	s.eventually("the link Normal again", func() bool { return s.link(example, 0).State == refresh.Normal })
}

// withstandsAll plays attacks side by side, and looks for what they leave behind.
func withstandsAll(t *testing.T, attacks []hostility) {
	t.Helper()
	byName := make(map[string]hostility, len(attacks))
	for _, h := range attacks {
		byName[h.name] = h
	}
	together(t, byName, func(t *testing.T, h hostility) { withstands(t, &h) })
}

// together runs a test for each case, all at a time however few processors there are: they mostly wait. It fails if they leave
// anything behind.
func together[C any](t *testing.T, cases map[string]C, test func(t *testing.T, c C)) {
	t.Helper()
	wantNothingLeft(t)
	var running sync.WaitGroup
	for name, c := range cases {
		running.Go(func() {
			t.Run(name, func(t *testing.T) { test(t, c) })
		})
	}
	running.Wait()
}

// transfersCounted is the metric that counts transfers with a result.
func transfersCounted(result string) []string { return []string{"transfers_total", "result", result} }

// violationsCounted is the metric that counts breaches of a rule.
func violationsCounted(rule string) []string { return []string{"rule_violations_total", "rule", rule} }

// messages is the script of a primary that answers transfers with what f makes, message by message.
func messages(f func(r dnstest.Request) [][]byte) dnstest.Handler {
	return spoiling(example, 2, func(r dnstest.Request, w *dnstest.Writer) { w.SendRaw(f(r)...) })
}
