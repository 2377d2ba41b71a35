//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	rdataSettle = 4 * time.Minute // for a server to have served or refused all zones
	rdataAskers = 8               // questions on the way at a time
)

// rdataRun is one run of all cases: three references, and the server under test twice, through the chain and with the fast path.
// It belongs to the goroutine of its test.
type rdataRun struct {
	plain, signed []*rdataCase // the same cases, in the same order
	primary       *rdataPrimary
	refs          []*reference
	chain, fast   *secondary
	control       string      // the socket of chain
	verdicts      [][]outcome // of each reference, by case
}

// TestRecordsAreServedAsReceived sends the same records to BIND, Knot, NSD and secondaryplus. What one of the others serves, we
// serve with the same octets: from a plain and from a signed zone, through the chain and by the fast path, after AXFR and after
// IXFR, in transfers and in an export that all who take the record can load. The exceptions have their reasons in rdataUnserved.
func TestRecordsAreServedAsReceived(t *testing.T) {
	r := &rdataRun{plain: allRDATACases("c", false), signed: allRDATACases("s", true)}
	r.start(t)
	for i, ref := range r.refs {
		r.verdicts[i] = each(r.plain, func(c *rdataCase) outcome { return verdictOf(ref, c) })
	}
	r.check(t, "r.")
	r.checkExport(t)
	r.update(t)
	r.check(t, "i.")
	if n := scrape(t, r.fast.Metrics).sum("fastpath_queries_total", "result", "answered"); int(n) < len(r.plain) {
		t.Errorf("The fast path answered %v questions", n)
	}
}

// start starts all servers and waits until each has served or refused each zone.
func (r *rdataRun) start(t *testing.T) {
	t.Helper()
	r.primary = startRDATAPrimary(t, r.plain, r.signed)
	texts := map[string]string{}
	for _, c := range r.plain {
		texts[c.origin] = ""
	}
	for _, m := range referenceMakes {
		ref := &reference{installed: install(t, primarySpec{Zones: texts}), make: m}
		ref.start(t, r.primary.addr)
		r.refs = append(r.refs, ref)
	}
	r.verdicts = make([][]outcome, len(r.refs))
	r.chain, r.fast = newSecondary(t), newSecondary(t)
	r.control = filepath.Join(r.chain.Dir, "control")
	r.startOurs(t, r.chain, "transfer {\nto *\n}", "control unix:"+r.control)
	r.startOurs(t, r.fast, "", "fastpath")
	for _, ref := range r.refs {
		ref.settle(t, r.plain)
	}
	r.serve(t, 1)
}

func (r *rdataRun) startOurs(t *testing.T, s *secondary, chain, option string) {
	t.Helper()
	spec := secondarySpec{Chain: chain, Block: lines("primary "+r.primary.addr, "transfers_in 20 20", "soa_rate 10000", option)}
	for _, c := range slices.Concat(r.plain, r.signed) {
		spec.Zones = append(spec.Zones, c.origin)
	}
	s.start(t, spec)
}

// settle waits until the reference serves each zone, or has said in its log that it does not.
func (ref *reference) settle(t *testing.T, cases []*rdataCase) {
	t.Helper()
	left := slices.Clone(cases)
	eventually(t, rdataSettle, ref.make.name+" has all zones or refuses them", func() string {
		refused := map[string]bool{}
		for l := range strings.SplitSeq(ref.proc.log(t), "\n") {
			if rdataRefusal.MatchString(l) {
				refused[rdataZone.FindString(l)] = true
			}
		}
		left = slices.DeleteFunc(left, func(c *rdataCase) bool {
			if refused[strings.TrimSuffix(c.origin, ".")] {
				return true
			}
			_, complaint := serialAt(ref.addr(), c.origin)
			return complaint == ""
		})
		if len(left) == 0 {
			return ""
		}
		return fmt.Sprintf("neither for %d zones, as of %s %s", len(left), left[0].origin, left[0])
	})
}

// rdataRefusal is in the lines that the references write about a zone that they refuse, and rdataZone is its name there.
var (
	rdataRefusal = regexp.MustCompile(`(?i)fail|revert|bad |unexpected|FORMERR|malformed`)
	rdataZone    = regexp.MustCompile(`c\d{4}\.test`)
)

// serve waits until we serve all zones.
func (r *rdataRun) serve(t *testing.T, serial uint32) {
	t.Helper()
	for _, s := range []*secondary{r.chain, r.fast} {
		for _, c := range slices.Concat(r.plain, r.signed) {
			if c.signed && rdataUnserved[c.rrtype][c.text] != "" {
				continue
			}
			eventually(t, time.Minute, fmt.Sprintf("%s serial %d of %s served", c.origin, serial, c), func() string {
				complaint := s.differs(c.origin, serial)
				if complaint == "" {
					return ""
				}
				return complaint + "\n" + strings.Join(regexp.MustCompile(".*"+regexp.QuoteMeta(c.origin)+".*").FindAllString(s.proc.log(t), -1), "\n")
			})
		}
	}
}

// update raises the version of the primary and waits until we have it, by IXFR.
func (r *rdataRun) update(t *testing.T) {
	t.Helper()
	whole := func(s *secondary) float64 {
		return scrape(t, s.Metrics).sum("transfers_total", "type", "axfr", "result", "ok")
	}
	before := whole(r.chain) + whole(r.fast)
	r.primary.second.Store(true)
	for _, c := range slices.Concat(r.plain, r.signed) {
		notify(t, "127.0.0.1", r.chain.addr(), c.origin, nil)
		notify(t, "127.0.0.1", r.fast.addr(), c.origin, nil)
	}
	r.serve(t, 2)
	if n := whole(r.chain) + whole(r.fast) - before; n > 0 {
		t.Errorf("%v zones came by AXFR", n)
	}
}

// verdictOf is what a reference makes of a case. What it does not answer with, it may hold.
func verdictOf(ref *reference, c *rdataCase) outcome {
	if _, complaint := serialAt(ref.addr(), c.origin); complaint != "" {
		return refuses
	}
	anyCase := ref.make.name == "Knot" // it writes names in lower case
	if askable(c.rrtype) {
		return asked(ref.addr(), c, "r."+c.origin, anyCase)
	}
	return transferred(ref.addr(), c, "r."+c.origin, anyCase)
}

// each asks about all cases, some at a time.
func each(cases []*rdataCase, ask func(c *rdataCase) outcome) []outcome {
	results := make([]outcome, len(cases))
	var askers sync.WaitGroup
	for first := range rdataAskers {
		askers.Go(func() {
			for i := first; i < len(cases); i += rdataAskers {
				results[i] = ask(cases[i])
			}
		})
	}
	askers.Wait()
	return results
}

// check asks us for every record and compares with what the references did.
func (r *rdataRun) check(t *testing.T, label string) {
	t.Helper()
	ways := map[string][]outcome{
		"transfer of the plain zone":  each(r.plain, func(c *rdataCase) outcome { return transferred(r.chain.addr(), c, label+c.origin, false) }),
		"transfer of the signed zone": each(r.signed, func(c *rdataCase) outcome { return transferred(r.chain.addr(), c, label+c.origin, false) }),
	}
	for name, s := range map[string]*secondary{"chain": r.chain, "fast path": r.fast} {
		ask := func(c *rdataCase) outcome {
			if !askable(c.rrtype) {
				return ""
			}
			return asked(s.addr(), c, label+c.origin, false)
		}
		ways[name+", plain zone"], ways[name+", signed zone"] = each(r.plain, ask), each(r.signed, ask)
	}
	for i, c := range r.plain {
		for way, results := range ways {
			if complaint := r.judge(i, results[i], strings.Contains(way, "signed")); complaint != "" {
				t.Errorf("%s at %s, %s: %s", c, label+c.origin, way, complaint)
			}
		}
	}
}

// judge complains of our outcome in a case.
func (r *rdataRun) judge(i int, ours outcome, signed bool) (complaint string) {
	c := r.plain[i]
	reason, excepted := rdataUnserved[c.rrtype][c.text]
	theirs := []outcome{r.verdicts[0][i], r.verdicts[1][i], r.verdicts[2][i]}
	kept := slices.ContainsFunc(theirs, func(o outcome) bool { return o == serves || o == asSent })
	only := rdataOnlyHere[c.rrtype][c.text] != ""
	switch {
	case ours == "":
		return ""
	case excepted && reason == allRefuse && kept:
		return fmt.Sprintf("they do not all refuse it: %s", theirs)
	case excepted && signed && ours != refuses, excepted && !signed && ours != discards:
		return fmt.Sprintf("we: %s, although it is malformed: %s", ours, reason)
	case excepted:
		return ""
	case ours != serves && (ours != asSent || !slices.Contains(theirs, asSent)):
		return fmt.Sprintf("we: %s; they: %s", ours, theirs)
	case !kept && !only:
		return fmt.Sprintf("we serve it, but they: %s, and no reason is given", theirs)
	}
	return ""
}

// checkExport loads the exports of all plain zones in each reference that has taken the record in a transfer.
func (r *rdataRun) checkExport(t *testing.T) {
	t.Helper()
	exports := map[string]string{}
	for _, c := range r.plain {
		exports[c.origin] = r.export(t, c.origin)
	}
	for n, ref := range r.refs {
		spec := primarySpec{Zones: map[string]string{}}
		var cases []*rdataCase
		for i, c := range r.plain {
			if r.verdicts[n][i] == serves && rdataUnserved[c.rrtype][c.text] == "" {
				spec.Zones[c.origin] = exports[c.origin]
				cases = append(cases, c)
			}
		}
		addr := startLoader(t, ref.make.name, spec)
		results := each(cases, func(c *rdataCase) outcome {
			anyCase := ref.make.name == "Knot"
			if askable(c.rrtype) {
				return asked(addr, c, "r."+c.origin, anyCase)
			}
			return transferred(addr, c, "r."+c.origin, anyCase)
		})
		for i, o := range results {
			why := rdataUnloadable[ref.make.name][cases[i].rrtype][cases[i].text]
			if (o == serves) != (why == "") {
				t.Errorf("%s, export of %s: %s %q\n%.600s", ref.make.name, cases[i], o, why, exports[cases[i].origin])
			}
		}
	}
}

// startLoader starts a server of a make as the primary of zones, of which it need not load all, and returns its address.
func startLoader(t *testing.T, name string, spec primarySpec) string {
	t.Helper()
	spec.Zones["last.test."] = "last.test. 60 IN SOA a. b. 1 2 3 4 5\nlast.test. 60 IN NS a.\n"
	in := install(t, spec)
	up := func() string {
		_, complaint := serialAt(in.addr(), "last.test.")
		return complaint
	}
	switch name {
	case "BIND":
		b := &bind{installed: in, ControlPort: freePort(t), ControlSecret: "Y29udHJvbCBrZXkgb2YgdGhlIHRlc3Q="}
		b.AllowTransfer = "any"
		b.configure(t, "named.conf", b)
		b.amend(t, "named.conf", "check-integrity no;", "check-integrity no; max-records-per-type 0;")
		in.writeZones(t)
		in.proc = startServer(t, up, in.Dir, "named", "-g", "-n", "1", "-c", in.path("named.conf"))
	case "Knot":
		in.configure(t, "knot.conf", &in)
		in.writeZones(t)
		in.proc = startServer(t, up, in.Dir, "knotd", "-c", in.path("knot.conf"))
	case "NSD":
		in.configure(t, "nsd.conf", &in)
		in.writeZones(t)
		in.proc = startServer(t, up, in.Dir, "nsd", "-d", "-c", in.path("nsd.conf"))
	}
	return in.addr()
}

// export returns the zone file that the control API makes of a zone.
func (r *rdataRun) export(t *testing.T, origin string) string {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.control)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: rdataTimeout}
	resp, err := client.Get("http://localhost/v1/zones/" + origin + "/export")
	if err != nil {
		t.Fatalf("Export: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("Export of %s: %s, %v", origin, resp.Status, err)
	}
	return string(text)
}
