package httpapi_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

func TestStatusAndZonesTellHowAllStands(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := newDesk(t, httpapi.Options{Version: "1.2.3", StartedAt: started}, nil)
	d.serve("b.example.", 7)
	refuses := startSource(t)
	d.hold("", []*source{refuses}, "z.example.", "a.example.")
	eventuallyTrue(t, "two zones Blocked", func() bool {
		o, err := d.Client.Status(t.Context())
		return err == nil && o.Zones.Blocked == 2
	})
	o, err := d.Client.Status(t.Context())
	if want := (control.Counts{Total: 3, Normal: 1, Blocked: 2, NotServed: 2}); err != nil || o.Zones != want {
		t.Errorf("Counts are %+v, %v; want %+v", o.Zones, err, want)
	}
	if o.Version != "1.2.3" || !o.StartedAt.Equal(started) || o.Transfers.Limit != 20 {
		t.Errorf("Overview is %+v", o)
	}
	for _, c := range []struct {
		query control.ZoneQuery
		want  string // names; matching
	}{
		{control.ZoneQuery{}, "a.example. z.example. b.example.; 3"},
		{control.ZoneQuery{Limit: 1}, "a.example.; 3"},
		{control.ZoneQuery{Offset: 1, Limit: 1}, "z.example.; 3"},
		{control.ZoneQuery{Offset: 9}, "; 3"},
		{control.ZoneQuery{State: "blocked"}, "a.example. z.example.; 2"},
		{control.ZoneQuery{State: "notserved"}, "a.example. z.example.; 2"},
		{control.ZoneQuery{State: "normal"}, "b.example.; 1"},
		{control.ZoneQuery{State: "unknown"}, "; 0"},
		{control.ZoneQuery{State: "behind"}, "; 0"},
		{control.ZoneQuery{Search: "A.Ex"}, "a.example.; 1"},
		{control.ZoneQuery{Search: "refused"}, "; 0"},
	} {
		page, err := d.Zones(t.Context(), c.query)
		if err != nil {
			t.Errorf("%+v: %v", c.query, err)
			continue
		}
		var names []string
		for _, z := range page.Zones {
			names = append(names, z.Name)
		}
		if got := fmt.Sprintf("%s; %d", strings.Join(names, " "), page.Matching); got != c.want || page.Counts.Total != 3 {
			t.Errorf("%+v: %s of %d; want %s", c.query, got, page.Counts.Total, c.want)
		}
	}
}

func TestZoneTellsAllOfAZone(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	records := append(exampleZone("example.", 5), "alias.example. 60 IN CNAME ns.example.", "alias.example. 60 IN TXT excluded")
	good, bad := startSource(t, records...), startSource(t)
	bad.become(func(r dnstest.Request, w *dnstest.Writer) { w.Send(r.Rcode(dns.RcodeServerFailure)) })
	d.hold("", []*source{bad, good}, "example.")
	d.await("example.", 5)
	var z *control.Zone
	eventuallyTrue(t, "link to the bad primary Blocked", func() bool {
		var err error
		z, err = d.Zone(t.Context(), control.Ref{Name: "EXAMPLE"})
		return err == nil && z.Links[0].State == control.Blocked && z.Links[1].State == control.Normal
	})
	want := &control.SOA{
		Serial: 5, Primary: "ns.example.", Mailbox: "hostmaster.example.", Refresh: 3600, Retry: 600, Expire: 86400, Minimum: 60,
	}
	if z.ServedSOA == nil || *z.ServedSOA != *want {
		t.Errorf("Served SOA is %+v; want %+v", z.ServedSOA, want)
	}
	if z.State != control.Degraded || !z.Served || z.Records != 4 || z.Discards != 1 || z.Reason != "servfail" || z.SinceAt.IsZero() {
		t.Errorf("Summary is %+v", z.Summary)
	}
	if lost := []control.Discard{{Name: "alias.example.", Type: "CNAME", Records: 1,
		Rule: "cname_and_other_data"}}; !slices.Equal(z.Discarded, lost) {
		t.Errorf("Discarded are %+v; want %+v", z.Discarded, lost)
	}
	if z.Timers != (control.Timers{Refresh: 3600, Retry: 600, Expire: 86400}) {
		t.Errorf("Timers are %+v", z.Timers)
	}
	l := z.Links[0]
	if l.Primary != bad.Addr().String() || l.Reason != "servfail" || !strings.Contains(l.Advice, "has the zone loaded") ||
		l.FailedAt.IsZero() {
		t.Errorf("Blocked link is %+v", l)
	}
	if l := z.Links[1]; l.Serial == nil || *l.Serial != 5 || l.Advice != "" {
		t.Errorf("Normal link is %+v", l)
	}
	if !slices.IsSortedFunc(z.Events, func(a, b control.Event) int { return int(int64(b.ID) - int64(a.ID)) }) ||
		len(z.Events) < 2 {
		t.Errorf("Events are %+v; want some, newest first", z.Events)
	}
	page, err := d.Events(t.Context(), control.Ref{Name: "example."})
	if err != nil || len(page.Events) == 0 || page.Events[len(page.Events)-1].ID != z.Events[len(z.Events)-1].ID {
		t.Errorf("Events are %+v, %v; want those of the zone", page, err)
	}
}

func TestNamesOfZonesInAnyForm(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := startSource(t)
	d.hold("", []*source{p}, ".", "example.", "0/25.2.0.192.in-addr.arpa.", `a\ b.example.`)
	for _, name := range []string{".", "example", "ExAmPlE.", `\101xample`, "0/25.2.0.192.in-addr.arpa", `A\032B.example.`,
		`a\ b.example`} {
		if _, err := d.Zone(t.Context(), control.Ref{Name: name}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, status := range map[string]int{
		"other.": 404, "a..b": 400, "..": 400, strings.Repeat("a", 64) + ".": 400, strings.Repeat("a.", 128): 400,
		"é.example.": 400, "a\x00b.": 400,
		"a\nb.": 400, "a b\x7f.": 400,
	} {
		_, err := d.Zone(t.Context(), control.Ref{Name: name})
		if p := problemOf(t, err); p.Status != status {
			t.Errorf("%q: %v; want %d", name, p, status)
		}
	}
}

func TestNameWithSeveralVariants(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := startSource(t, exampleZone("example.", 1)...)
	d.hold("inside", []*source{p}, "example.")
	d.hold("outside", []*source{p}, "example.")
	_, err := d.Zone(t.Context(), control.Ref{Name: "example."})
	if problem := problemOf(t, err); problem.Status != 409 || !strings.Contains(problem.Detail, "inside") ||
		!strings.Contains(problem.Detail, "outside") {
		t.Errorf("Without a variant: %v; want 409 with both", problem)
	}
	z, err := d.Zone(t.Context(), control.Ref{Name: "example.", Variant: "outside"})
	if err != nil || z.Variant != "outside" || !slices.Equal(z.Blocks, []string{apiBlock}) {
		t.Errorf("With a variant: %+v, %v", z, err)
	}
	if _, err := d.Refresh(t.Context(), control.Ref{Name: "example.", Variant: "none"}); problemOf(t, err).Status != 404 {
		t.Errorf("With another variant: %v; want 404", err)
	}
}

func TestRefreshAsksNow(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := d.serve("example.", 1)
	p.become(dnstest.Serve("", exampleZone("example.", 2)...))
	done, err := d.Refresh(t.Context(), control.Ref{Name: "example."})
	if err != nil || done.EventID == 0 {
		t.Fatalf("Refresh: %+v, %v", done, err)
	}
	z := d.await("example.", 2)
	if !slices.ContainsFunc(z.Events, func(e control.Event) bool {
		return e.ID == done.EventID && e.Kind == control.Commanded && e.Text == "refresh" && e.Result == control.ResultTaken
	}) {
		t.Errorf("Events are %+v; want the command with ID %d", z.Events, done.EventID)
	}
}

func TestRetransferOfTheSameSerialIsAnAXFR(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := d.serve("example.", 1)
	p.become(dnstest.Serve("", append(exampleZone("example.", 1), "new.example. 60 IN A 192.0.2.9")...))
	p.requests()
	done, err := d.Retransfer(t.Context(), control.Ref{Name: "example."}, false)
	if err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "the new record", func() bool {
		z, err := d.Zone(t.Context(), control.Ref{Name: "example."})
		return err == nil && z.Records == 4 && z.Events[0].Kind == control.AXFRed && z.Events[0].ID > done.EventID
	})
	if asked := p.requests(); !strings.Contains(asked, "AXFR") || strings.Contains(asked, "IXFR") {
		t.Errorf("The primary was asked for %s; want AXFR and no IXFR", asked)
	}
}

func TestForcedRetransferTakesALowerSerial(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := d.serve("example.", 10)
	p.become(dnstest.Serve("", exampleZone("example.", 9)...))
	if _, err := d.Retransfer(t.Context(), control.Ref{Name: "example."}, false); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "a refused version", func() bool {
		z, err := d.Zone(t.Context(), control.Ref{Name: "example."})
		return err == nil && z.Links[0].Reason == "serial_behind"
	})
	d.await("example.", 10)
	if _, err := d.Retransfer(t.Context(), control.Ref{Name: "example."}, true); err != nil {
		t.Fatal(err)
	}
	d.await("example.", 9)
}

func TestNotifyTellsOurSecondaries(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	told := make(chan string, 100)
	d.Tell(engine.ObserverFunc(func(f *engine.Fact) {
		if f.Kind == engine.Published || f.Kind == engine.Retold {
			told <- f.Zone.Name()
		}
	}))
	d.serve("example.", 1)
	<-told // of the first version
	_, err := d.Notify(t.Context(), control.Ref{Name: "example."})
	p, ok := errors.AsType[*control.Problem](err)
	if !ok || p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Detail, "there is nobody to notify of example.") {
		t.Fatalf("Nobody to notify: %v", err)
	}
	if z, err := d.Zone(t.Context(), control.Ref{Name: "example."}); err != nil || len(z.Secondaries) != 0 || len(told) > 0 {
		t.Errorf("%+v, error %v", z, err)
	}
	d.Announce(map[engine.ZoneID][]notify.Target{{Name: "example."}: {
		{Addr: netip.MustParseAddrPort("127.0.0.1:1")}, {Addr: netip.MustParseAddrPort("127.0.0.1:2")},
	}})
	if z, err := d.Zone(t.Context(), control.Ref{Name: "example."}); err != nil || len(z.Secondaries) != 2 {
		t.Errorf("%+v, error %v", z, err)
	}
	if _, err := d.Notify(t.Context(), control.Ref{Name: "example."}); err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-told:
		if name != "example." {
			t.Errorf("Told of %s", name)
		}
	case <-time.After(apiPatience):
		t.Error("Nobody was told")
	}
}

func TestFlushEndsBackOff(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := startSource(t)
	d.hold("", []*source{p}, "example.")
	link := func() control.Link {
		z, err := d.Zone(t.Context(), control.Ref{Name: "example."})
		if err != nil {
			t.Fatal(err)
		}
		return z.Links[0]
	}
	eventuallyTrue(t, "back-off", func() bool { return !link().RetryAt.IsZero() })
	if _, err := d.Client.Flush(t.Context(), control.Ref{Name: "example."}); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "the end of back-off", func() bool { return link().RetryAt.IsZero() })
}

func TestExportIsTheZoneFile(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	records := append(exampleZone("example.", 5), `$x.example. 60 IN TXT "a;b" "\"c\\"`,
		"alias.example. 60 IN CNAME ns.example.", "alias.example. 60 IN A 192.0.2.7")
	d.hold("", []*source{startSource(t, records...)}, "example.")
	d.await("example.", 5)
	var file bytes.Buffer
	if err := d.Export(t.Context(), control.Ref{Name: "example"}, &file); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	parser := dns.NewZoneParser(bytes.NewReader(file.Bytes()), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		got = append(got, packed(t, rr))
	}
	for _, rr := range dnstest.Records(records...) {
		want = append(want, packed(t, rr))
	}
	slices.Sort(got)
	slices.Sort(want)
	if parser.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("Records are %q, %v; want %q in\n%s", got, parser.Err(), want, &file)
	}
	resp := d.request(http.MethodGet, "/v1/zones/example/export", "")
	if got := resp.Header.Get("Content-Disposition"); got != `attachment; filename="example.zone"` ||
		resp.Header.Get("Content-Type") != "text/dns" {
		t.Errorf("Headers are %v", resp.Header)
	}
}

// packed returns a record on the wire.
func packed(t testing.TB, rr dns.RR) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		t.Fatalf("%s: %v", rr, err)
	}
	return string(buf[:n])
}

// Whatever a primary sends, its line in a zone file is read as the same record, and as nothing else.
func TestLinesAreTheRecords(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rr := dnstest.Zones().Draw(rt, "zone").Record().Draw(rt, "record")
		if rr.Class != wire.ClassIN {
			rt.Skip("not of a class that is kept")
		}
		if rr.Type = rapid.SampledFrom([]uint16{rr.Type, dns.TypeNSEC3, 65280}).Draw(rt, "type"); rr.Type == dns.TypeNSEC3 {
			hash := rapid.SliceOfN(rapid.Byte(), 1, 30).Draw(rt, "hash")
			rr.Data = append([]byte{1, 0, 0, 1, 0, byte(len(hash))}, hash...)
		}
		if complaint := misread(&rr, httpapi.Line(&rr)); complaint != "" {
			rt.Fatal(complaint)
		}
	})
}

// misread complains unless a line of a zone file is read as the record, and as nothing else. miekg/dns looks into the octets
// of RFC 3597 §5, too, and so does not read them all.
func misread(rr *wire.RR, line string) (complaint string) {
	if _, generic, ok := strings.Cut(line, "\tIN\tTYPE"); ok {
		if want := fmt.Sprintf("%d\t\\# %d %x\n", rr.Type, len(rr.Data), rr.Data); generic != want {
			return fmt.Sprintf("%.200q; want %.200q", generic, want)
		}
		return ""
	}
	parser := dns.NewZoneParser(strings.NewReader(line), "", "")
	got, ok := parser.Next()
	if !ok || strings.Count(line, "\n") != 1 {
		return fmt.Sprintf("%.200q: %v", line, parser.Err())
	}
	buf := make([]byte, 1<<17)
	n, err := dns.PackRR(got, buf, 0, nil, false)
	want := append(rr.Owner.Clone(), binary.BigEndian.AppendUint16(nil, rr.Type)...)
	want = binary.BigEndian.AppendUint16(want, rr.Class)
	want = binary.BigEndian.AppendUint32(want, rr.TTL)
	want = binary.BigEndian.AppendUint16(want, uint16(len(rr.Data)))
	want = append(want, rr.Data...)
	if err != nil || !bytes.Equal(buf[:n], want) {
		return fmt.Sprintf("%.200q is read as\n%.200x, %v; want\n%.200x", line, buf[:n], err, []byte(want))
	}
	return ""
}

// allTypes is a type bitmap with every type in it.
func allTypes() (bitmap []byte) {
	for window := range 256 {
		bitmap = append(append(bitmap, byte(window), 32), bytes.Repeat([]byte{0xFF}, 32)...)
	}
	return bitmap
}

// FuzzLines exports whatever RDATA can be delimited. A line costs in proportion to the RDATA: none is longer than a number for
// each bit of it.
func FuzzLines(f *testing.F) {
	for rrtype, list := range map[uint16][]string{
		dns.TypeTXT:   {"", "\x00", "\x01a\x00", strings.Repeat("\x00", 4096)},
		dns.TypeDS:    {"\xec\x45", "\xec\x45\x05\x01"},
		dns.TypeRRSIG: {strings.Repeat("\x00", 19), "\x01\x05" + strings.Repeat("\x00", 16) + "\x00s", "\x00\x01" + strings.Repeat("\xff", 16) + "\x00s"},
		dns.TypeNSEC:  {"\x00", "\x00\x00\x00", "\x00\x00\x01\x40\x00\x01\x40", "\x00" + string(allTypes()), "\x00" + string(allTypes()[:1020])},
		dns.TypeNSEC3: {"\x01\x00\x00\x01\x00\x14" + strings.Repeat("a", 20) + "\x00\x01\x40", "\x01"},
		dns.TypeSVCB:  {"\x00\x01\x00\x00\x08\x00\x00", "\x00\x01\x00\x00\x03\x00\x02\x01\xbb", "\x00\x01\x00\xff\xff\x00\x00"},
		dns.TypeCAA:   {"\x00\x05issue\x22\x5c\x00\xff", "\x00\x00", "\x00\x05issue" + strings.Repeat("a", 1050)},
		dns.TypeURI:   {"\x00\x01\x00\x01\x5c\x22", "\x00"},
		dns.TypeLOC:   {"\x01", "\x00" + strings.Repeat("\xff", 15)},
		0:             {"\x00"},
	} {
		for _, data := range list {
			f.Add(rrtype, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, rrtype uint16, data []byte) {
		const head, perBit = 40, 10 // name, TTL, class and type; " TYPE65280"
		rr := wire.RR{Owner: wire.Name("\x01a\x00"), Type: rrtype, Class: wire.ClassIN, TTL: 60}
		msg := append(make([]byte, wire.HeaderLen), rr.Owner...)
		msg = append(binary.BigEndian.AppendUint16(msg, rrtype), 0, 1, 0, 0, 0, 60)
		msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(data))), data...)
		var r wire.Reader
		if _, err := r.Reset(msg); err != nil || len(data) > 1<<14 || r.Next(&rr) != nil {
			t.Skip("malformed, or longer than anything of interest")
		}
		line := httpapi.Line(&rr)
		if complaint := misread(&rr, line); complaint != "" {
			t.Fatal(complaint)
		}
		if len(line) > head+8*perBit*len(rr.Data) || len(rr.Data) > 1024 && len(line) > head+2*len(rr.Data) {
			t.Fatalf("%d octets of RDATA make a line of %d", len(rr.Data), len(line))
		}
	})
}

// BenchmarkLineOfAllTypes is what the largest type bitmaps cost: the one that is spelled out, and all types.
func BenchmarkLineOfAllTypes(b *testing.B) {
	for name, bitmap := range map[string][]byte{"spelled": allTypes()[:1020], "all": allTypes()} {
		rr := wire.RR{Owner: wire.Name("\x01a\x00"), Type: dns.TypeNSEC, Class: wire.ClassIN, Data: append([]byte{0}, bitmap...)}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				httpapi.Line(&rr)
			}
		})
	}
}

func TestExportWithoutContents(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	p := startSource(t)
	d.hold("", []*source{p}, "example.")
	if err := d.Export(t.Context(), control.Ref{Name: "example."}, &bytes.Buffer{}); problemOf(t, err).Status != 404 {
		t.Errorf("Export: %v; want 404", err)
	}
}

func TestScheduleIsInOrder(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	for i := range 3 {
		d.serve(fmt.Sprintf("z%d.example.", i), 1)
	}
	page, err := d.Client.Schedule(t.Context(), 1, 2)
	if err != nil || page.Matching != 3 || page.Offset != 1 || len(page.Appointments) != 2 {
		t.Fatalf("Schedule is %+v, %v; want 2 of 3", page, err)
	}
	if a := page.Appointments; a[0].At.After(a[1].At) || a[0].Why == "" || a[0].Variant != "" {
		t.Errorf("Appointments are %+v", a)
	}
	if page, err := d.Client.Schedule(t.Context(), 1000, 0); err != nil || len(page.Appointments) != 0 {
		t.Errorf("Schedule beyond its end is %+v, %v", page, err)
	}
}
