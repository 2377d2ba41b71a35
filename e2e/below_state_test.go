//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/control"
)

// below returns what the control API says of the secondaries of a zone, by address.
func (c *console) below(zone string) map[string]control.Secondary {
	c.t.Helper()
	out, _, _ := splusctl(c.t, "--address", c.address, "secondaries", zone, "-o", "json")
	var all []control.Secondary
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		c.t.Fatalf("splusctl secondaries: %v\n%s", err, out)
	}
	byAddress := map[string]control.Secondary{}
	for _, s := range all {
		byAddress[s.Address] = s
	}
	return byAddress
}

// An operator sees which of the servers below has which version: one that follows, one that is not told and has been stopped, and one
// that is dead; and that the one is well again once it has asked.
func TestOperatorSeesHowServersBelowStand(t *testing.T) {
	t.Parallel()
	const zone = peersOrigin
	p := newPlayer(t)
	p.plays(zone, role{records: simple(zone, 1)})
	hub := newSecondary(t)
	c := &console{t: t, address: "unix:" + filepath.Join(hub.Dir, "control")}
	hub.run(t, secondarySpec{Zones: []string{zone}, Block: lines("primary "+p.address, "allow_transfer 127.0.0.0/8", "control "+c.address)})
	hub.serves(t, zone, 1, syncLimit)
	c.wants(c.says(0, "secondaries"), "Nobody is told of new versions")

	hosts := map[string]string{"Knot": "127.0.0.31", "NSD": "127.0.0.32"}
	all := startSpecified(t, hub, zone, func(name string) primarySpec { return primarySpec{Host: hosts[name]} }, belowMakes[1:3]...)
	stopped, follows, dead := all[0], all[1], "127.0.0.33:"+strconv.Itoa(freePort(t))
	hub.Block += "\n" + lines("notify "+follows.addr(), "notify "+dead)
	hub.configure(t)
	hub.reload(t)
	for _, b := range all {
		b.becomes(t, zone, 1)
	}
	stopped.proc.stop(t)
	p.rises(t, hub, zone, role{records: simple(zone, 2)})
	follows.follows(t, zone, 2)

	var now map[string]control.Secondary
	eventually(t, notifyLimit, "the states of the servers below", func() string {
		now = c.below(zone)
		f, s, d := now[follows.addr()], now[hosts["Knot"]], now[dead]
		if f.State != control.SecondaryCurrent || f.Notified.Result != control.NotifyAcknowledged ||
			s.State != control.SecondaryBehind || d.State != control.SecondaryFailing || len(now) != 3 {
			return fmt.Sprintf("%+v", now)
		}
		return ""
	})
	if f := now[follows.addr()]; *f.Has != 2 || !f.BehindAt.IsZero() || f.Sent.Serial != 2 || *f.Notified.Serial != 2 {
		t.Errorf("The one that follows: %+v, sent %+v, told %+v", f, f.Sent, f.Notified)
	}
	if s := now[hosts["Knot"]]; *s.Has != 1 || s.BehindAt.IsZero() || s.Sent.Serial != 1 || s.Sent.Kind != control.AXFRed ||
		s.Notified != nil {
		t.Errorf("The one that is stopped: %+v, sent %+v", s, s.Sent)
	}
	if d := now[dead]; d.Has != nil || d.Notified.Result != control.NotifyUnanswered || d.Notified.Attempts == 0 ||
		d.Notified.FailingSinceAt.IsZero() {
		t.Errorf("The one that is dead: %+v, told %+v", d, d.Notified)
	}
	c.wants(c.says(1, "secondaries"), "127.0.0.33      1        1", "127.0.0.31", "127.0.0.32")
	c.wants(c.says(0, "zone", zone), "Our own secondaries", follows.addr())
	m := scrape(t, hub.Metrics)
	for _, state := range []string{"current", "behind", "failing"} {
		if complaint := m.is(1, "secondaries", "state", state); complaint != "" {
			t.Error(complaint)
		}
	}
	if m.sum("secondaries_behind_seconds", "zone", zone) <= 0 || m.sum("notify_to_served_seconds_count") != 1 {
		t.Error(m.show("secondaries_behind_seconds"), m.show("notify_to_served_seconds_count"))
	}

	stopped.start(t, hub.addr())
	stopped.becomes(t, zone, 2)
	eventually(t, notifyLimit, "the server that was stopped is current", func() string {
		if s := c.below(zone)[hosts["Knot"]]; s.State != control.SecondaryCurrent || *s.Has != 2 || s.Sent.Serial != 2 || !s.BehindAt.IsZero() {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	if n := scrape(t, hub.Metrics).sum("secondaries_behind_seconds", "zone", zone); n != 0 {
		t.Errorf("Somebody is behind for %v s", n)
	}
	if out := c.says(1, "secondaries", zone); strings.Index(out, dead) > strings.Index(out, follows.addr()) {
		t.Errorf("The worst is not the first:\n%s", out)
	}
	hub.proc.stop(t)
	hub.launch(t, zone)
	if s := c.below(zone)[hosts["Knot"]]; s.State != control.SecondaryCurrent || *s.Has != 2 || s.Sent == nil {
		t.Errorf("The one that was stopped, after a restart of the hub: %+v", s)
	}
}
