package xfr_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// RFC 7314 §2, §4: SOA, IXFR and AXFR queries ask with an option that is empty.
func TestQueriesAskWhenThePrimaryGivesTheZoneUp(t *testing.T) {
	asks := func(m *dns.Msg) bool {
		o := m.IsEdns0()
		if o == nil || len(o.Option) != 1 {
			return false
		}
		e, ok := o.Option[0].(*dns.EDNS0_EXPIRE)
		return ok && e.Empty
	}
	have := &wire.SOA{Serial: serial.New(1)}
	for _, q := range []xfr.Query{{Origin: mustName(t, "example.")}, {Origin: mustName(t, "example."), Have: have}} {
		var m dns.Msg
		if err := m.Unpack(q.Message()); err != nil || !asks(&m) {
			t.Errorf("%v, error %v", &m, err)
		}
		q.NoOPT = true
		if err := m.Unpack(q.Message()); err != nil || m.IsEdns0() != nil {
			t.Errorf("Without OPT: %v, error %v", &m, err)
		}
	}
	var asked atomic.Bool
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		asked.Store(asks(r.Msg))
		w.Send(r.Reply(soa(5)))
	})
	if _, err := xfr.QuerySOA(t.Context(), xfr.Primary{Addr: p.Addr()}, mustName(t, "example."), unpaced); err != nil || !asked.Load() {
		t.Errorf("The SOA query asks: %v; error %v", asked.Load(), err)
	}
}

// told is an answer with an OPT record that has this option.
func told(m *dns.Msg, o dns.EDNS0) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: []byte{1, 2}}, o}
	return m
}

func expires(seconds uint32) dns.EDNS0 { return &dns.EDNS0_EXPIRE{Expire: seconds} }

// expireCases are what the option of an answer whose SOA has an EXPIRE of 1209600 comes to.
var expireCases = map[string]struct {
	option dns.EDNS0
	left   time.Duration // 0: it says nothing
	want   reason.Reason
}{
	"a secondary's, RFC 7314 §3.2":       {expires(600), 600 * time.Second, ""},
	"a primary's, §3.1: that of its SOA": {expires(1209600), 0, ""},
	"more than the SOA's":                {expires(1<<32 - 1), (1<<32 - 1) * time.Second, ""},
	"expired":                            {expires(0), 0, reason.ExpiredThere},
	"empty":                              {&dns.EDNS0_EXPIRE{Empty: true}, 0, ""},
	"of another length":                  {&dns.EDNS0_LOCAL{Code: dns.EDNS0EXPIRE, Data: []byte{0, 0, 0, 0, 9}}, 0, ""},
	"another option":                     {&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{0, 0, 0, 0}}, 0, ""},
}

// RFC 7314 §4: the option counts from when the question was asked, in the answers to all three.
func TestAnswersTellWhenThePrimaryGivesTheZoneUp(t *testing.T) {
	for name, c := range expireCases {
		t.Run(name, func(t *testing.T) {
			answer := soa(5)
			p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
				if r.Msg.Question[0].Qtype == dns.TypeAXFR {
					w.Send(told(r.Reply(answer), c.option), told(r.Reply(answer), expires(1))) // the first message counts
					return
				}
				w.Send(told(r.Reply(answer), c.option))
			})
			check := func(what string, began time.Time, at time.Time, err error) {
				t.Helper()
				wantReason(t, err, c.want)
				switch {
				case c.left == 0 && !at.IsZero():
					t.Errorf("%s: until %v", what, at)
				case c.left != 0 && (at.Before(began.Add(c.left)) || at.After(time.Now().Add(c.left))):
					t.Errorf("%s: until %v, %v after it was asked", what, at, at.Sub(began))
				}
			}
			primary, origin := xfr.Primary{Addr: p.Addr()}, mustName(t, "example.")
			began := time.Now()
			a, err := xfr.SOAQuery{Primary: primary, Origin: origin, Pace: unpaced}.Ask(t.Context())
			check("SOA", began, a.ExpireAt, err)
			if c.want != "" && xfr.MayTransfer(err) {
				t.Error("What has expired may be transferred")
			}
			for _, have := range []*wire.SOA{nil, {Serial: serial.New(5)}} {
				began = time.Now()
				conn, err := xfr.Dial(t.Context(), primary, xfr.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				res, err := conn.Transfer(t.Context(), xfr.Query{Origin: origin, Have: have}, &recorder{}, xfr.DefaultLimits())
				conn.Close()
				check("transfer", began, res.ExpireAt, err)
			}
		})
	}
}

// RFC 7314 §3.1: an EXPIRE of 0 in the SOA is that of a primary, and its copy has not expired.
func TestPrimaryWithAnExpireOfZeroHasNotExpired(t *testing.T) {
	p := dnstest.NewPrimary(t, func(r dnstest.Request, w *dnstest.Writer) {
		w.Send(told(r.Reply("example. 3600 IN SOA ns host 5 3600 900 0 300"), expires(0)))
	})
	a, err := xfr.SOAQuery{Primary: xfr.Primary{Addr: p.Addr()}, Origin: mustName(t, "example."), Pace: unpaced}.Ask(t.Context())
	if err != nil || !a.ExpireAt.IsZero() {
		t.Errorf("%+v, error %v", a, err)
	}
}

// RFC 6891 §6.1.3: an RCODE above 15 is found behind the records of a message, too.
func TestExtendedRcodeBehindRecords(t *testing.T) {
	c := axfr(t)
	m := c.message(soa(5), host("a", "192.0.2.1"))
	m.SetEdns0(1232, false)
	m.Rcode = dns.RcodeBadVers
	_, err := c.x.Message(dnstest.Pack(m))
	wantReason(t, err, reason.BadRcode)
}
