//go:build linux

package secondaryplus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/secondaryplus/secondaryplus/internal/cookie"
	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// foreignRR returns a record as miekg/dns packs it without a look at its RDATA.
func foreignRR(t testing.TB, rr wire.RR) dns.RR {
	t.Helper()
	owner, _, err := dns.UnpackDomainName(rr.Owner, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := dns.RR_Header{Name: owner, Rrtype: rr.Type, Class: rr.Class, Ttl: rr.TTL, Rdlength: uint16(len(rr.Data))}
	if rr.Type == dns.TypeSOA { // which secondaries and the scripted primary look into
		soa, _, err := dns.UnpackRRWithHeader(h, rr.Data, 0)
		if err != nil {
			t.Fatal(err)
		}
		return soa
	}
	return &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(rr.Data)}
}

// parityLab is one CoreDNS with the same zones on two addresses, with a fast path and without. It is owned by one test.
type parityLab struct {
	fast, plain string // addresses
	names       []wire.Name
	id          uint16 // of the last query
}

// newParityLab serves example.org and random zones made from the seed; before are directives in front of ours.
func newParityLab(t *testing.T, seed int, before string) *parityLab {
	t.Helper()
	lab := &parityLab{}
	zones := map[string][]dns.RR{"example.org.": scripted.Records(exampleOrg...)}
	for i, way := range []scripted.Denial{scripted.Plain, scripted.NSEC, scripted.NSEC3, scripted.Odd, scripted.NSEC} {
		z := scripted.AnyZones(way).Example(10*seed + i)
		origin, _, err := dns.UnpackDomainName(z.Origin, 0)
		if err != nil {
			t.Fatal(err)
		}
		if zones[origin] != nil {
			continue
		}
		soa := slices.IndexFunc(z.Records, func(rr wire.RR) bool { return rr.Type == dns.TypeSOA })
		oracle := scripted.NewOracle(z.Origin, z.Records)
		all := []dns.RR{foreignRR(t, z.Records[soa])}
		for _, rr := range z.Records { // those that a secondary would refuse the zone for are not of interest
			if rr.Type != dns.TypeSOA && oracle.Holds(&rr) {
				all = append(all, foreignRR(t, rr))
			}
		}
		zones[origin] = all
		lab.names = append(lab.names, oracle.Owners()...)
		for _, q := range oracle.Questions() {
			lab.names = append(lab.names, q.Name)
		}
	}
	for _, rr := range zones["example.org."] {
		for _, n := range []string{rr.Header().Name, "x." + rr.Header().Name, "*." + rr.Header().Name} {
			lab.names = append(lab.names, wireName(t, n))
		}
	}
	for _, n := range []string{".", "org.", "example.net.", "badexample.org.", `x\.example.org.`, "b.a.test."} {
		lab.names = append(lab.names, wireName(t, n))
	}
	p := scripted.NewPrimary(t, serveRecords(zones))
	names := strings.Join(slices.Sorted(maps.Keys(zones)), " ")
	var corefile strings.Builder
	for _, b := range []struct {
		addr   *string
		option string
	}{{&lab.fast, "fastpath 2"}, {&lab.plain, "fastpath off"}} {
		port := unusedPort(t)
		*b.addr = "127.0.0.1:" + port
		fmt.Fprintf(&corefile, ".:%s {\nbind 127.0.0.1\n%s\nsecondaryplus %s {\nprimary %s\nconflicts off\n%s\n}\n}\n",
			port, before, names, p.Addr(), b.option)
	}
	runCoreDNS(t, corefile.String())
	waitContents(t)
	waitOpen(t, lab.fast)
	return lab
}

// waitContents waits until every zone of the newest instance has contents.
func waitContents(t testing.TB) {
	t.Helper()
	process.mu.Lock()
	in := process.instances[len(process.instances)-1]
	process.mu.Unlock()
	for _, h := range in.handlers {
		for _, z := range *h.zones.Load() {
			wait(t, fmt.Sprintf("contents of %q", z.origin), func() bool { return z.Contents() != nil })
		}
	}
}

// randomQuery returns a query, mostly one that is answered fast, with the next ID.
func (lab *parityLab) randomQuery(r *rand.Rand) []byte {
	lab.id++
	flags := uint16(r.IntN(2)) << 8
	switch r.IntN(20) {
	case 0:
		flags = uint16(r.Uint32())
	case 1, 2:
		flags |= uint16(r.Uint32()) & 0x0170
	case 3:
		flags |= uint16(r.Uint32()) & 0x0780
	}
	questions, additional := 1, 0
	if r.IntN(60) == 0 {
		questions = []int{0, 2, 3}[r.IntN(3)]
	}
	var body []byte
	for range questions {
		body = lab.appendQuestion(body, r)
	}
	if r.IntN(5) < 3 {
		for range 1 + r.IntN(30)/29 {
			body = appendOPT(body, r)
			additional++
		}
	}
	msg := binary.BigEndian.AppendUint16(nil, lab.id)
	for _, n := range []uint16{flags, uint16(questions), 0, 0, uint16(additional)} {
		msg = binary.BigEndian.AppendUint16(msg, n)
	}
	return append(append(msg, body...), trailing(r)...)
}

// trailing returns what seldom stands behind a message.
func trailing(r *rand.Rand) []byte {
	if r.IntN(60) > 0 {
		return nil
	}
	return make([]byte, 1+r.IntN(700))
}

func (lab *parityLab) appendQuestion(msg []byte, r *rand.Rand) []byte {
	name := slices.Clone(lab.names[r.IntN(len(lab.names))])
	mask := byte(r.Uint32())
	for i := range name { // no length of a label is a letter
		if c := name[i] | 0x20; 'a' <= c && c <= 'z' && r.IntN(2) == 0 && name[i] > 63 {
			name[i] ^= mask & 0x20
		}
	}
	common := []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME, dns.TypeDS, dns.TypeDNSKEY,
		dns.TypeNSEC, dns.TypeRRSIG, dns.TypeHTTPS, dns.TypeSRV, 65280, 65400, dns.TypeANY, dns.TypeDNAME, dns.TypeNSEC3,
	}
	qtype := common[r.IntN(len(common))]
	switch r.IntN(8) {
	case 0, 1:
		qtype = uint16(r.IntN(301))
	case 2:
		qtype = uint16(r.Uint32())
	}
	class := uint16(dns.ClassINET)
	if r.IntN(40) == 0 {
		class = []uint16{dns.ClassCHAOS, dns.ClassANY, dns.ClassNONE, 0, 4096}[r.IntN(5)]
	}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(append(msg, name...), qtype), class)
}

func appendOPT(msg []byte, r *rand.Rand) []byte {
	size := []uint16{0, 100, 512, 513, 1232, 4096, 65535, uint16(r.Uint32()), uint16(r.IntN(1500))}[r.IntN(9)]
	flags := uint16(r.IntN(2)) << 15
	if r.IntN(6) == 0 {
		flags = uint16(r.Uint32())
	}
	version, extended := byte(0), byte(0)
	switch r.IntN(40) {
	case 0:
		version = byte(r.IntN(3))
	case 1:
		extended = byte(r.Uint32())
	}
	var options []byte
	for range max(0, r.IntN(8)-4) {
		code := []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 26946, 65001, 65535}[r.IntN(22)]
		value := make([]byte, []int{0, 1, 2, 4, 8, 16, 24, r.IntN(300)}[r.IntN(8)])
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		if code == dns.EDNS0SUBNET && r.IntN(2) == 0 {
			value = []byte{0, 1, 24, 0, 192, 0, 2}
		}
		options = binary.BigEndian.AppendUint16(options, code)
		options = append(binary.BigEndian.AppendUint16(options, uint16(len(value))), value...)
	}
	msg = append(msg, 0, 0, byte(dns.TypeOPT))
	msg = binary.BigEndian.AppendUint16(msg, size)
	msg = binary.BigEndian.AppendUint16(append(msg, extended, version), flags)
	return append(binary.BigEndian.AppendUint16(msg, uint16(len(options))), options...)
}

// broken returns a message with some fault; its ID stays if it is long enough for one.
func broken(msg []byte, r *rand.Rand) []byte {
	switch r.IntN(5) {
	case 0:
		return msg[:r.IntN(len(msg))]
	case 1:
		return append(msg, make([]byte, 1+r.IntN(20))...)
	case 2:
		msg[2+r.IntN(len(msg)-2)] ^= 1 << r.IntN(8)
	case 3:
		msg[4+r.IntN(8)] = byte(r.IntN(4))
	default:
		for i := 2; i < len(msg); i++ {
			msg[i] = byte(r.Uint32())
		}
	}
	return msg
}

// talk is one client of one server. Its replies are guarded by mu.
type talk struct {
	conn    net.Conn
	mu      sync.Mutex
	replies map[uint16][]byte // by ID
	strange []string
	ended   sync.WaitGroup
}

func newTalk(t testing.TB, addr string) *talk {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d := &talk{conn: c, replies: map[uint16][]byte{}}
	d.ended.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			d.mu.Lock()
			id := binary.BigEndian.Uint16(append(buf[:n:n], 0, 0))
			if n < 2 || d.replies[id] != nil {
				d.strange = append(d.strange, hex.EncodeToString(buf[:n]))
			}
			d.replies[id] = slices.Clone(buf[:n])
			d.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		c.Close()
		d.ended.Wait()
	})
	return d
}

// has reports whether all of these are answered.
func (d *talk) has(ids []uint16) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id uint16) bool { return d.replies[id] == nil })
}

func (d *talk) reply(id uint16) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.replies[id]
}

// essence returns what a reply says, whatever names it has compressed.
func essence(t testing.TB, reply []byte) string {
	t.Helper()
	if reply == nil {
		return "no reply"
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		return fmt.Sprintf("%v: %x", err, reply)
	}
	if o := m.IsEdns0(); o != nil {
		const most = 1232       // the default of max_udp
		if o.UDPSize() < most { // the client's own, see announce
			o.SetUDPSize(most)
		}
		for _, option := range o.Option {
			if c, ok := option.(*dns.EDNS0_COOKIE); ok && len(c.Cookie) == 2*cookie.Len { // without the time and the hash of it
				c.Cookie = c.Cookie[:2*(cookie.ClientLen+4)] + strings.Repeat("0", 2*(cookie.Len-cookie.ClientLen-4))
			}
			if e, ok := option.(*dns.EDNS0_EXPIRE); ok && e.Expire > 0 {
				e.Expire = 1 // without the time
			}
		}
	}
	var s strings.Builder
	fmt.Fprintf(&s, "flags %x counts %x %v\n", reply[2:4], reply[4:12], m.Question)
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			buf := make([]byte, 1<<16)
			n, err := dns.PackRR(rr, buf, 0, nil, false)
			if err != nil {
				t.Errorf("Packing %v: %v", rr, err)
			}
			fmt.Fprintf(&s, "%v %x\n", rr, buf[:n])
		}
		s.WriteString("--\n")
	}
	return s.String()
}

// compare sends queries to both addresses and fails the test for each that is not answered alike.
func (lab *parityLab) compare(t *testing.T, queries [][]byte) {
	t.Helper()
	fast, plain := newTalk(t, lab.fast), newTalk(t, lab.plain)
	const atOnce, patience, maxReported = 50, 400 * time.Millisecond, 8
	for some := range slices.Chunk(queries, atOnce) {
		var ids []uint16
		for _, q := range some {
			for _, d := range []*talk{fast, plain} {
				if _, err := d.conn.Write(q); err != nil {
					t.Fatal(err)
				}
			}
			if len(q) >= wire.HeaderLen && q[2]&0x80 == 0 {
				ids = append(ids, binary.BigEndian.Uint16(q))
			}
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline) && (!fast.has(ids) || !plain.has(ids)); {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(patience) // for replies to what should have none
	for deadline := time.Now().Add(20 * patience); !alike(queries, fast, plain) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	reported := 0
	for _, q := range queries {
		if len(q) < 2 {
			continue
		}
		id := binary.BigEndian.Uint16(q)
		got, want := essence(t, fast.reply(id)), essence(t, plain.reply(id))
		if got == want || serverDecides(q) && rightWithoutServer(fast.reply(id), plain.reply(id)) {
			continue
		}
		m := new(dns.Msg)
		err := m.Unpack(q)
		t.Errorf("Query %x (%v)\n%v\nfast path:\n%s\nCoreDNS:\n%s", q, err, m, got, want)
		if reported++; reported == maxReported {
			break
		}
	}
	for _, d := range []*talk{fast, plain} {
		d.mu.Lock()
		if len(d.strange) > 0 {
			t.Errorf("Replies twice, or without an ID, from %s: %q", d.conn.RemoteAddr(), d.strange)
		}
		d.mu.Unlock()
	}
}

// serverDecides reports whether CoreDNS's own server answers a message without a plugin, or reads it as another than it is.
func serverDecides(q []byte) bool {
	const read = 512
	m := new(dns.Msg)
	if len(q) > read || m.Unpack(q) != nil || len(m.Question) != 1 {
		return true
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		if int(binary.BigEndian.Uint16(q[6+2*i:])) != len(section) {
			return true
		}
	}
	o := m.IsEdns0()
	return o != nil && o.Version() != 0 || m.Question[0].Qclass != dns.ClassINET && malformed(m)
}

// rightWithoutServer reports whether the fast path does with such a message what the server does, with more in the OPT
// record, or better: where the server says FORMERR, SERVFAIL or nothing is wrong, an answer or an error of form.
func rightWithoutServer(fast, plain []byte) bool {
	if fast == nil || plain == nil {
		return fast == nil && plain == nil
	}
	f, p := new(dns.Msg), new(dns.Msg)
	if f.Unpack(fast) != nil || p.Unpack(plain) != nil {
		return false
	}
	switch f.Rcode {
	case dns.RcodeFormatError, dns.RcodeBadVers, p.Rcode:
		return true
	case dns.RcodeServerFailure:
		return false
	}
	return p.Rcode == dns.RcodeFormatError
}

// alike reports whether both have replies to the same queries.
func alike(queries [][]byte, a, b *talk) bool {
	for _, q := range queries {
		if len(q) >= 2 {
			id := binary.BigEndian.Uint16(q)
			if (a.reply(id) == nil) != (b.reply(id) == nil) {
				return false
			}
		}
	}
	return true
}

// fastQueries returns how often a query to a fast path had a result.
func fastQueries(t testing.TB, result string) int {
	t.Helper()
	var m dto.Metric
	if err := metrics().FastpathQueries(result).Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

// waitOpen waits until an address has its fast path.
func waitOpen(t testing.TB, addr string) {
	t.Helper()
	wait(t, "fast path of "+addr, func() bool { return isOpen(addr) })
}

func isOpen(addr string) bool {
	process.mu.Lock()
	defer process.mu.Unlock()
	f := process.fast["dns://"+addr]
	return f != nil && f.sockets != nil
}

// Whatever is asked, both ways answer alike.
func TestFastPathAnswersAsCoreDNS(t *testing.T) {
	const queries = 2500
	for seed := range 4 {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			lab := newParityLab(t, seed, "")
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			answered := fastQueries(t, "answered")
			var all [][]byte
			for range queries {
				q := lab.randomQuery(r)
				if r.IntN(12) == 0 {
					q = broken(q, r)
				}
				all = append(all, q)
			}
			lab.compare(t, append(all, nil))
			if n := fastQueries(t, "answered") - answered; n < queries/4 {
				t.Errorf("%d of %d queries were answered fast; want a quarter", n, queries)
			}
		})
	}
}

// UPDATE is let through by CoreDNS for the server block to refuse, but not with other than one question (RFC 2136 §2.3).
func TestFastPathAcceptsTheMessagesOfCoreDNS(t *testing.T) {
	lab := newParityLab(t, 1, "")
	var all [][]byte
	for opcode := range uint16(16) {
		for questions := range uint16(4) {
			for records := range uint16(4) {
				for section := range 3 {
					lab.id++
					msg := binary.BigEndian.AppendUint16(nil, lab.id)
					msg = binary.BigEndian.AppendUint16(msg, opcode<<11)
					msg = binary.BigEndian.AppendUint16(msg, questions)
					for i := range 3 {
						count := uint16(0)
						if i == section {
							count = records
						}
						msg = binary.BigEndian.AppendUint16(msg, count)
					}
					for range questions {
						msg = append(msg, "\x07example\x03org\x00\x00\x06\x00\x01"...)
					}
					for range records {
						msg = append(msg, "\x01x\x07example\x03org\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x01\x02\x03\x04"...)
					}
					all = append(all, msg)
				}
			}
		}
	}
	lab.compare(t, all)
}

// sample returns what CoreDNS's metrics say about one server: every number by its name and labels.
func sample(t testing.TB, server string) map[string]float64 {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "coredns_dns_") {
			continue
		}
		for _, m := range f.GetMetric() {
			ours, key := false, f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "server" {
					ours = l.GetValue() == server
					continue
				}
				key += fmt.Sprintf(" %s=%q", l.GetName(), l.GetValue())
			}
			if !ours {
				continue
			}
			if h := m.GetHistogram(); h != nil {
				numbers[key+" count"] = float64(h.GetSampleCount())
				if strings.HasSuffix(f.GetName(), "request_size_bytes") {
					numbers[key+" sum"] = h.GetSampleSum()
				}
			} else {
				numbers[key] = m.GetCounter().GetValue()
			}
		}
	}
	return numbers
}

// CoreDNS's metrics count alike, whichever way a query is answered.
func TestFastPathCountsAsCoreDNS(t *testing.T) {
	const queries = 1500
	lab := newParityLab(t, 5, "prometheus 127.0.0.1:"+unusedPort(t))
	r := rand.New(rand.NewPCG(5, 8))
	var all [][]byte
	for len(all) < queries { // the metrics do not count what the server refuses itself, and count octets as read
		q := lab.randomQuery(r)
		if m := new(dns.Msg); !serverDecides(q) && m.Unpack(q) == nil && !malformed(m) && m.Len() == len(q) {
			all = append(all, q)
		}
	}
	answered := fastQueries(t, "answered")
	lab.compare(t, all)
	if n := fastQueries(t, "answered") - answered; n < queries/4 {
		t.Errorf("%d of %d queries were answered fast; want a quarter", n, queries)
	}
	var fast, plain map[string]float64
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if fast, plain = sample(t, "dns://"+lab.fast), sample(t, "dns://"+lab.plain); maps.Equal(fast, plain) {
			break
		}
	}
	if len(plain) < 20 {
		t.Errorf("Only %v is counted", plain)
	}
	for key := range plain {
		if _, ok := fast[key]; !ok {
			t.Errorf("%s is not counted; want %v", key, plain[key])
		}
	}
	for key, n := range fast {
		if n != plain[key] {
			t.Errorf("%s: %v; want %v", key, n, plain[key])
		}
	}
}

// Without the prometheus plugin nothing of a server block is counted.
func TestFastPathCountsNothingUnasked(t *testing.T) {
	lab := newParityLab(t, 6, "errors")
	answered := fastQueries(t, "answered")
	for range 20 {
		exchange(t, "udp", lab.fast, question("www.example.org.", dns.TypeA))
	}
	if fastQueries(t, "answered") == answered {
		t.Error("Nothing was answered fast")
	}
	if got := sample(t, "dns://"+lab.fast); len(got) > 0 {
		t.Errorf("Counted is %v", got)
	}
}

var typeLabel = regexp.MustCompile(` type="[^"]*"`)

// The labels are those CoreDNS would give: the family of the client, and the zone out of all keys of the server block.
func TestFastPathLabelsAsCoreDNS(t *testing.T) {
	one, two := unusedPort(t), unusedPort(t)
	p := newPrimaryOf(t, exampleOrg...)
	runCoreDNS(t, fmt.Sprintf(`example.org:%s wild.example.org:%s {
		prometheus 127.0.0.1:%s
		secondaryplus example.org {
			primary %s
			fastpath
		}
	}`, one, two, unusedPort(t), p.Addr()))
	waitContents(t)
	waitOpen(t, ":"+one)
	const requests = "coredns_dns_requests_total"
	for _, host := range []string{"127.0.0.1", "::1"} {
		before := sample(t, "dns://:"+one)
		addr := net.JoinHostPort(host, one)
		askedFast(t, addr, question("x.wild.example.org.", dns.TypeTXT), true)
		askedFast(t, addr, question("x.wild.example.org.", dns.TypeANY), false)
		counted := map[string]bool{}
		wait(t, "counts", func() bool {
			n := 0.0
			for key, value := range sample(t, "dns://:"+one) {
				if labels, ok := strings.CutPrefix(key, requests); ok && value > before[key] {
					counted[typeLabel.ReplaceAllString(labels, "")] = true
					n += value - before[key]
				}
			}
			return n == 2
		})
		if len(counted) != 1 {
			t.Errorf("%s: the two ways are counted under %v", host, slices.Collect(maps.Keys(counted)))
		}
	}
}
