package secondaryplus

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/engine"
)

// spoil changes everything in a reply, as a careless plugin might.
func spoil(m *dns.Msg) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for i, rr := range section {
			rr.Header().Name, rr.Header().Ttl, rr.Header().Class = "spoiled.", 1, dns.ClassCHAOS
			switch rr := rr.(type) {
			case *dns.A:
				for j := range rr.A {
					rr.A[j] = 255
				}
			case *dns.SOA:
				rr.Ns, rr.Serial = "spoiled.", 0
			case *dns.TXT:
				rr.Txt[0] = "spoiled"
			case *dns.NS:
				rr.Ns = "spoiled."
			case *dns.CNAME:
				rr.Target = "spoiled."
			}
			section[i] = nil
		}
		_ = append(section, &dns.A{}) //nolint:gocritic // must not reach the next reply
	}
}

// Whatever other plugins do to a reply, the zone and other replies stay as they are, also while a new version comes.
func TestRepliesBelongToTheirQuery(t *testing.T) {
	const versions, readers = 5, 8
	p := newPrimaryOf(t, exampleOrg...)
	in := newInstance(t, fmt.Sprintf("secondaryplus example.org {\nprimary %s\n}", p.Addr()))
	h := in.handlers[0]
	z := h.zone("example.org.")
	wait(t, "contents", func() bool { return z.Contents() != nil })
	questions := []*dns.Msg{
		question("www.example.org.", dns.TypeA), question("none.example.org.", dns.TypeA), question("host.sub.example.org.", dns.TypeA),
		question("x.wild.example.org.", dns.TypeTXT), question("alias.example.org.", dns.TypeA), question("example.org.", dns.TypeSOA),
	}
	want := make([][]string, len(questions))
	for i, r := range questions[:5] {
		m, _ := ask(t, h, r)
		want[i] = append(texts(m.Answer), texts(m.Extra)...)
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				i := n % len(questions)
				m, _ := ask(t, h, questions[i].Copy())
				if got := append(texts(m.Answer), texts(m.Extra)...); want[i] != nil && !slices.Equal(got, want[i]) {
					t.Errorf("%s: %q; want %q", questions[i].Question[0].Name, got, want[i])
					return
				}
				spoil(m)
				if n%50 == 0 {
					c, err := h.Transfer("example.org.", 0)
					if err != nil {
						t.Error(err)
						return
					}
					for batch := range c {
						spoil(&dns.Msg{Answer: batch})
					}
				}
			}
		})
	}
	for serial := range uint32(versions) {
		records := slices.Clone(exampleOrg)
		records[0] = strings.Replace(records[0], " 7 ", fmt.Sprintf(" %d ", 8+serial), 1)
		p.serve(records...)
		z.Notify(engine.Notification{From: netip.MustParseAddr("127.0.0.1")})
		wait(t, fmt.Sprintf("serial %d", 8+serial), func() bool { return z.Contents().Serial().Uint32() == 8+serial })
	}
	close(done)
	all.Wait()
	if err := z.Contents().Check(); err != nil {
		t.Error(err)
	}
}
