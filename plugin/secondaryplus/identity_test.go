package secondaryplus

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// Server blocks with the same settings share a zone: the primary sees one transfer, and one NOTIFY brings both up to date.
func TestServerBlocksShareAZone(t *testing.T) {
	wantNothingLeft(t)
	p, one, two := newPrimaryOf(t, exampleOrg...), unusedPort(t), unusedPort(t)
	runCoreDNS(t, serverBlock("example.org", one, p, "max_records 99")+serverBlock("example.org", two, p, "max_records 99"))
	waitServed(t, "127.0.0.1:"+one, "example.org.", 7)
	waitServed(t, "127.0.0.1:"+two, "example.org.", 7)
	if n := p.transfers.Load(); n != 1 {
		t.Errorf("The primary sees %d transfers; want 1", n)
	}
	status := engineNow().Status()
	want := []string{"dns://:" + one, "dns://:" + two}
	slices.Sort(want)
	if len(status) != 1 || !slices.Equal(status[0].Blocks, want) {
		t.Errorf("Zones %+v; want one, in the server blocks %q", status, want)
	}
}

// Two views of one address are two server blocks: a name in both is one zone or two, as the settings say.
func TestViewsTellZonesApart(t *testing.T) {
	wantNothingLeft(t)
	p := newPrimaryOf(t, exampleOrg...)
	q := newPrimaryOf(t, append([]string{strings.Replace(exampleOrg[0], " 7 ", " 9 ", 1)}, exampleOrg[1:]...)...)
	port := unusedPort(t)
	block := func(view, expr string, p *primaryOf) string {
		return fmt.Sprintf("example.org:%s {\nview %s {\nexpr %s\n}\nsecondaryplus {\nprimary %s\n}\n}\n", port, view, expr, p.Addr())
	}
	instance := runCoreDNS(t, block("tcp", "proto() == 'tcp'", p)+block("rest", "true", q))
	addr := "127.0.0.1:" + port
	for network, serial := range map[string]uint32{"tcp": 7, "udp": 9} {
		wait(t, fmt.Sprint("serial ", serial, " over ", network), func() bool {
			r := exchange(t, network, addr, question("example.org.", dns.TypeSOA))
			return len(r.Answer) == 1 && r.Answer[0].(*dns.SOA).Serial == serial
		})
	}
	var variants []string
	for _, s := range engineNow().Status() {
		variants = append(variants, s.ID.Variant+" "+strings.Join(s.Blocks, ","))
	}
	if want := []string{"rest dns://:" + port + " view=rest", "tcp dns://:" + port + " view=tcp"}; !slices.Equal(variants, want) {
		t.Errorf("Zones %q; want %q", variants, want)
	}
	stopCoreDNS(t, instance)
	runCoreDNS(t, block("tcp", "proto() == 'tcp'", p)+block("rest", "true", p))
	waitServed(t, addr, "example.org.", 7)
	if n := len(engineNow().Status()); n != 1 {
		t.Errorf("%d zones of one source; want 1", n)
	}
}

// served is a server block that has example.org from a primary. It is a plain value.
type served struct {
	port, primary int
	view, option  string
}

// planOf returns the plan of an instance with these server blocks, the directives of which are ten lines apart.
func planOf(t *testing.T, blocks ...served) (*plan, error) {
	t.Helper()
	in := &instance{}
	for i, s := range blocks {
		c := caddy.NewTestController("dns", fmt.Sprintf("%ssecondaryplus example.org {\nprimary 127.0.0.1:%d\n%s\n}",
			strings.Repeat("\n", 10*i), s.primary, s.option))
		b, err := parse(c)
		if err != nil {
			t.Fatal(err)
		}
		in.handlers = append(in.handlers, &SecondaryPlus{server: fmt.Sprintf("dns://:%d view=%s", s.port, s.view), view: s.view})
		in.blocks = append(in.blocks, b)
	}
	return in.plan()
}

// Zones of one name are told apart by what the operator says of them, and by nothing else.
func TestIdentityOfZones(t *testing.T) {
	for name, c := range map[string]struct {
		blocks []served
		want   []string // variants
	}{
		"one":                             {[]served{{1, 1, "", ""}}, []string{""}},
		"one, in a view":                  {[]served{{1, 1, "in", ""}}, []string{""}},
		"the same settings":               {[]served{{1, 1, "", ""}, {2, 1, "", ""}}, []string{""}},
		"the same settings, in views":     {[]served{{1, 1, "in", ""}, {1, 1, "out", ""}}, []string{""}},
		"another primary, in a view":      {[]served{{1, 1, "in", ""}, {1, 2, "", ""}}, []string{"", "in"}},
		"another primary, in two views":   {[]served{{1, 1, "in", ""}, {1, 2, "out", ""}}, []string{"in", "out"}},
		"variants":                        {[]served{{1, 1, "", "variant a"}, {2, 2, "", "variant b"}, {3, 1, "", "variant a"}}, []string{"a", "b"}},
		"a variant with equal settings":   {[]served{{1, 1, "", "variant a"}, {2, 1, "", ""}}, []string{"", "a"}},
		"a variant wins over the view":    {[]served{{1, 1, "in", "variant a"}, {1, 2, "out", ""}}, []string{"a", "out"}},
		"other limits, in a view":         {[]served{{1, 1, "in", "max_records 7"}, {1, 1, "out", ""}}, []string{"in", "out"}},
		"fallthrough is of no matter":     {[]served{{1, 1, "", "fallthrough"}, {2, 1, "", ""}}, []string{""}},
		"two share, and one is in a view": {[]served{{1, 1, "", ""}, {1, 2, "in", ""}, {2, 1, "", ""}}, []string{"", "in"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := planOf(t, c.blocks...)
			if err != nil {
				t.Fatal(err)
			}
			got, blocks := []string{}, 0
			for id, z := range p.zones {
				got, blocks = append(got, id.Variant), blocks+len(z.Blocks)
			}
			if slices.Sort(got); !slices.Equal(got, c.want) || blocks != len(c.blocks) {
				t.Errorf("Variants %q in %d server blocks; want %q in %d", got, blocks, c.want, len(c.blocks))
			}
		})
	}
}

// What the operator leaves open is an error that names both lines.
func TestZonesThatCannotBeToldApart(t *testing.T) {
	const open = "Testfile:11 - Error during parsing: zone example.org. is already listed at Testfile:1, with other settings; " +
		"want the same settings, another view, or variant NAME"
	for _, c := range []struct {
		one, two served
		want     string
	}{
		{served{1, 1, "", ""}, served{2, 2, "", ""}, open},
		{served{1, 1, "", "max_records 7"}, served{2, 1, "", ""}, open},
		{served{1, 1, "in", ""}, served{2, 2, "in", ""}, open},
		{served{1, 1, "", "variant in"}, served{2, 2, "in", ""}, open},
		{served{1, 1, "", "variant a"}, served{2, 2, "", "variant a"}, "has variant a at Testfile:1, with other settings"},
		{served{1, 1, "", ""}, served{1, 1, "", ""}, "on the same address"},
	} {
		if _, err := planOf(t, c.one, c.two); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v\n%v\nwant %s", c, err, c.want)
		}
	}
}

// A changed plan is a difference.
func TestChangesOfAPlan(t *testing.T) {
	g, h := &engine.Group{}, &engine.Group{}
	id := func(name string) engine.ZoneID { return engine.ZoneID{Name: name} }
	from := &plan{zones: map[engine.ZoneID]engine.ZoneConfig{
		id("same."): {Group: g, Order: 1}, id("other."): {Group: g}, id("gone."): {Group: g}, id("moved."): {Group: g, Blocks: []string{"a"}},
	}}
	to := &plan{zones: map[engine.ZoneID]engine.ZoneConfig{
		id("same."): {Group: g}, id("other."): {Group: h}, id("new."): {Group: g}, id("moved."): {Group: g, Blocks: []string{"b"}},
	}}
	c := to.changes(from)
	if len(c.Zones) != 3 || c.Zones[id("other.")].Group != h || c.Zones[id("new.")].Group != g || c.Zones[id("moved.")].Group != g ||
		!slices.Equal(c.Gone, []engine.ZoneID{id("gone.")}) {
		t.Errorf("Changes %+v", c)
	}
}
