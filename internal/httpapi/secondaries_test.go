package httpapi_test

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/serial"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// answering starts somebody who answers NOTIFYs with an RCODE, and returns the address.
func answering(t *testing.T, rcode int) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, rcode))
	}), MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { conn.Close() })
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// secondariesOf waits until the secondaries of a zone are as they should be, and returns them.
func (d *desk) secondariesOf(name string, ok func([]control.Secondary) bool) []control.Secondary {
	d.t.Helper()
	var z *control.Zone
	eventuallyTrue(d.t, "secondaries of "+name, func() bool {
		var err error
		z, err = d.Zone(d.t.Context(), control.Ref{Name: name})
		return err == nil && ok(z.Secondaries)
	})
	return z.Secondaries
}

// What is told of a zone has who is notified and who was seen, with what each of them is known to have, and each change of it.
func TestZoneTellsOfItsSecondaries(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	source := d.serve("example.", 7)
	if all := d.secondariesOf("example.", func([]control.Secondary) bool { return true }); all == nil || len(all) > 0 {
		t.Errorf("Secondaries of a zone without any: %#v; want an empty list", all)
	}
	good, bad := answering(t, dns.RcodeSuccess), answering(t, dns.RcodeRefused)
	d.Announce(map[engine.ZoneID][]notify.Target{{Name: "example."}: {{Addr: good}, {Addr: bad}}})
	result := func(all []control.Secondary, addr string) control.NotifyResult {
		i := slices.IndexFunc(all, func(s control.Secondary) bool { return s.Address == addr })
		if i < 0 || all[i].Notified == nil {
			return ""
		}
		return all[i].Notified.Result
	}
	all := d.secondariesOf("example.", func(all []control.Secondary) bool {
		return result(all, good.String()) == control.NotifyAcknowledged && result(all, bad.String()) == control.NotifyRefused
	})
	refused, knows := all[0], all[1] // the worst first
	if n := refused.Notified; refused.State != control.SecondaryFailing || n.Answer != "REFUSED" || n.Attempts < 1 || n.FailingSinceAt.IsZero() ||
		*n.Serial != 7 || refused.Has != nil {
		t.Errorf("%+v, NOTIFY %+v; want one that fails", refused, n)
	}
	if n := knows.Notified; knows.State != control.SecondaryUnknown || *n.Serial != 7 || n.At.IsZero() || n.Attempts != 0 || knows.Has != nil {
		t.Errorf("%+v, NOTIFY %+v; want one that knows of the version, and may not have it", knows, n)
	}

	id, here := "example.", netip.MustParseAddr("192.0.2.1")
	served := secondary.ServedBy(d.Lookup(engine.ZoneID{Name: id}))
	d.Seen.Asked(id, here, "down.", serial.New(5), served, time.Now())
	behind := d.secondariesOf(id, func(all []control.Secondary) bool { return len(all) == 3 })[1]
	if behind.Address != "192.0.2.1" || behind.Key != "down." || behind.State != control.SecondaryBehind || *behind.Has != 5 ||
		behind.Asked.Serial != 5 || !behind.BehindAt.Equal(served.At) || behind.Sent != nil || behind.Notified != nil {
		t.Errorf("%+v; want one that is behind since %s", behind, served.At)
	}
	d.Seen.Sent(id, here, "down.", xfrout.Sent{At: time.Now(), Serial: serial.New(7), Incremental: true, Octets: 99}, served)
	current := d.secondariesOf(id, func(all []control.Secondary) bool { return all[2].Sent != nil })[2]
	if current.State != control.SecondaryCurrent || *current.Has != 7 || !current.BehindAt.IsZero() ||
		current.Sent.Kind != control.IXFRed || current.Sent.Bytes != 99 || current.Sent.Serial != 7 {
		t.Errorf("%+v, sent %+v; want one that is current", current, current.Sent)
	}
	source.become(dnstest.Serve("", exampleZone(id, 8)...))
	if _, err := d.Refresh(t.Context(), control.Ref{Name: id}); err != nil {
		t.Fatal(err)
	}
	d.await(id, 8)
	d.secondariesOf(id, func(all []control.Secondary) bool {
		i := slices.IndexFunc(all, func(s control.Secondary) bool { return s.Address == "192.0.2.1" })
		return all[i].State == control.SecondaryBehind && all[i].BehindAt.After(served.At)
	})
}

// GET /v1/secondaries has one line for each address over all zones, in pages.
func TestSecondariesInPages(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	for _, name := range []string{"a.example.", "b.example."} {
		d.serve(name, 7)
		served := secondary.ServedBy(d.Lookup(engine.ZoneID{Name: name}))
		for i := range 60 {
			have := serial.New(7)
			if i == 59 && name == "b.example." {
				have = serial.New(6)
			}
			d.Seen.Asked(name, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), "", have, served, time.Now())
		}
	}
	first, err := d.Secondaries(t.Context(), 0, 0)
	if err != nil || len(first.Secondaries) != 50 || first.Matching != 60 || first.Omitted != 0 {
		t.Fatalf("%+v, error %v; want 50 lines of 60", first, err)
	}
	if l := first.Secondaries[0]; l.Address != "192.0.2.59" || l.Zones != 2 || l.Behind != 1 || l.Current != 1 || l.BehindAt.IsZero() {
		t.Errorf("%+v; want the one that is behind first", l)
	}
	if l := first.Secondaries[1]; l.Address != "192.0.2.0" || l.Current != 2 || !l.BehindAt.IsZero() {
		t.Errorf("%+v; want the others by address", l)
	}
	rest, err := d.Secondaries(t.Context(), 50, 500)
	if err != nil || len(rest.Secondaries) != 10 || rest.Offset != 50 {
		t.Errorf("%+v, error %v; want the other 10", rest, err)
	}
	if resp := d.request(http.MethodGet, "/v1/secondaries?limit=501", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("A page of 501 lines: %s", resp.Status)
	}
}
