package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// lateUDP is how late an answer to a SOA query is that did not come to the first datagram.
const lateUDP = 2 * time.Second

// primaryCheck is the check of one primary. It is owned by the goroutine that runs it, and read by others only afterwards.
type primaryCheck struct {
	plan     *plan
	primary  xfr.Primary
	report   Primary
	contents *zone.Contents // of the dry run, also if the rules refuse them; nil without
	hint     bool           // the SOA query has failed, the first finding, and a transfer would do
}

// run asks for the SOA, for the zone, and for its differences, as long as that makes sense.
func (c *primaryCheck) run(ctx context.Context) {
	c.report.Address = c.primary.String()
	if c.primary.Key != nil {
		c.report.Key = c.primary.Key.Name()
	}
	if !c.querySOA(ctx) {
		return
	}
	if c.transfer(ctx); c.contents != nil {
		c.askDifferences(ctx)
	}
}

func (c *primaryCheck) found(f ...Finding) { c.report.Findings = append(c.report.Findings, f...) }

// querySOA asks for the SOA, and reports whether a transfer is worth a try.
func (c *primaryCheck) querySOA(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.plan.timeout)
	defer cancel()
	elapsed := stopwatch()
	repeated := false
	answer, err := xfr.SOAQuery{Primary: c.primary, Origin: c.plan.origin, Pace: func(context.Context) error {
		repeated = true
		return nil // one check is no crowd
	}}.Ask(ctx)
	soa := answer.SOA
	took := elapsed()
	c.report.SOASeconds = took.Seconds()
	if err != nil {
		c.hint = xfr.MayTransfer(err)
		c.found(failure(Problem, "SOA query", err))
		return c.hint || reason.Of(err) != reason.Timeout // else TCP is dead as well
	}
	c.report.Serial = number(soa.Serial)
	if repeated && took >= lateUDP {
		c.found(Finding{
			Warning, "udp_lost",
			fmt.Sprintf("the SOA came only after %.1f s: the first question over UDP had no answer", took.Seconds()),
			"Check that UDP gets through to the primary and back; every refresh of the zone begins with it.",
		})
	}
	if err := c.plan.policy.CheckSerial(soa.Serial); err != nil {
		c.found(failure(Problem, "SOA query", err))
		return false
	}
	c.found(Finding{OK, "soa", fmt.Sprintf("serial %s, in %.3f s", soa.Serial, took.Seconds()), ""})
	return true
}

// transfer is the dry run: the whole zone, admitted and thrown away.
func (c *primaryCheck) transfer(ctx context.Context) {
	draft := version.NewDraft(version.Terms{Origin: c.plan.origin, Policy: &c.plan.policy})
	elapsed := stopwatch()
	result, err := c.ask(ctx, xfr.Query{Origin: c.plan.origin}, draft)
	took := elapsed()
	t := &Transfer{Records: result.Records, Received: result.Bytes, Messages: result.Messages, Seconds: took.Seconds()}
	c.report.Transfer = t
	if result.SOA != (wire.SOA{}) {
		c.report.Serial = number(result.SOA.Serial)
	}
	var remarks []version.Violation
	if err == nil {
		c.contents, remarks, err = admit(draft)
	}
	if c.contents != nil {
		t.Records, t.Size = c.contents.Records(), c.contents.Size()
		t.Signed, t.NotServed = c.contents.Signed(), c.contents.Marked()
	}
	t.Discarded = draft.Discarded()
	if t.Accepted = err == nil; t.Accepted {
		if c.hint {
			c.report.Findings[0].Severity = Warning // the zone is followed by transfers alone
		}
		c.found(Finding{OK, "axfr", fmt.Sprintf("the zone would be accepted: serial %s, %d records, %d octets, in %.3f s",
			c.contents.Serial(), t.Records, t.Size, took.Seconds()), ""})
	} else {
		t.Refused = string(reason.Of(err))
		c.found(failure(Problem, "AXFR", err))
	}
	for _, v := range remarks {
		c.found(Finding{Warning, string(v.Rule), v.Detail, v.Rule.Sentence()})
	}
}

// askDifferences asks for the differences since the serial before that of the zone (RFC 1995). Whatever comes of it, the
// zone can be followed: the engine asks for all of it where there are no differences.
func (c *primaryCheck) askDifferences(ctx context.Context) {
	have := c.contents.SOA()
	have.Serial = serial.New(have.Serial.Uint32() - 1)
	result, err := c.ask(ctx, xfr.Query{Origin: c.plan.origin, Have: &have}, differences{})
	c.report.IXFR = answerTo(result, err)
	asked := fmt.Sprintf("IXFR from serial %s", have.Serial)
	switch c.report.IXFR {
	case Incremental:
		c.found(Finding{OK, "ixfr", fmt.Sprintf("%s: differences, %d records", asked, result.Records), ""})
	case WholeZone:
		c.found(Finding{OK, "ixfr_whole_zone",
			asked + ": the whole zone, so IXFR is understood and there is no history from that serial",
			"If it stays so after the next change, let the primary keep a journal of differences."})
	case UpToDate:
		c.found(Finding{Warning, "ixfr_up_to_date",
			asked + ": nothing newer, although the zone is at " + c.contents.Serial().String(), reason.BadResponse.Sentence()})
	case SOAOnly:
		c.found(Finding{Warning, "ixfr_soa_only",
			asked + ": the newer SOA alone; every change costs a wait and then the whole zone", reason.BadResponse.Sentence()})
	case IXFRRefused, IXFRFailed:
		f := failure(Warning, asked, err)
		f.What = "ixfr_" + strings.TrimPrefix(f.What, "ixfr_")
		f.Detail += "; every change costs the whole zone"
		c.found(f)
	}
}

// answerTo says what came of an IXFR.
func answerTo(result xfr.Result, err error) IXFR {
	switch why := reason.Of(err); {
	case errors.Is(err, errWholeZone):
		return WholeZone
	case err == nil && result.Kind == xfr.Current:
		return UpToDate
	case err == nil:
		return Incremental
	case result.Kind == xfr.Undecided && result.Records == 1 && (why == reason.Timeout || why == reason.CutOff):
		return SOAOnly
	case why == reason.Refused, why == reason.NotAuthoritative, why == reason.NotImplemented, why == reason.FormatError:
		return IXFRRefused
	default:
		return IXFRFailed
	}
}

// ask asks one question on a connection of its own.
func (c *primaryCheck) ask(ctx context.Context, q xfr.Query, recv xfr.Receiver) (xfr.Result, error) {
	l := c.plan.wireLimits()
	q.NoOPT = true // whether the primary minds one is found out in service
	conn, err := xfr.Dial(ctx, c.primary, l)
	if err != nil {
		return xfr.Result{}, err
	}
	defer conn.Close()
	return conn.Transfer(ctx, q, recv, l)
}

// wireLimits returns the limits of a transfer on the wire.
func (p *plan) wireLimits() xfr.Limits {
	l := xfr.DefaultLimits()
	l.Connect, l.Idle, l.Total = min(l.Connect, p.timeout), min(l.Idle, p.timeout), min(l.Total, p.timeout)
	return l.ForVersion(p.policy.MaxRecords, p.policy.MaxSize)
}
