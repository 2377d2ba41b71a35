//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// told are what became of the NOTIFYs of a hub to servers below.
func (s *secondary) told(t *testing.T, result string) float64 {
	t.Helper()
	return scrape(t, s.Metrics).sum("notifies_sent_total", "result", result)
}

// toldOnce waits until so many versions were acknowledged, and complains of all else that became of NOTIFYs.
func (s *secondary) toldOnce(t *testing.T, versions int) {
	t.Helper()
	s.counts(t, float64(versions), "notifies_sent_total", "result", "told")
	if n := s.told(t, "told"); n != float64(versions) {
		t.Errorf("%v versions acknowledged; want %d, each by each server below once", n, versions)
	}
	for _, result := range []string{"refused", "unanswered", "bad_answer", "unsent"} {
		if n := s.told(t, result); n != 0 {
			t.Errorf("%v NOTIFYs are %s", n, result)
		}
	}
}

// RFC 1996 §3: servers below are told of each version, by NOTIFYs that are signed where they have to be, and follow by that alone. They
// are told once: a reload and a restart of the hub tell nobody again.
func TestServersBelowFollowByNotify(t *testing.T) {
	t.Parallel()
	for name, signed := range map[string]bool{"unsigned": false, "signed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEditor(9)
			hub := newSecondary(t)
			prim := startDynamicBIND(t, toldBy(hub, editedOrigin, e.text()))
			keys := map[string]*tsigKey{}
			block := []string{"max_records 100000", "allow_transfer 127.0.0.1"}
			for i, m := range belowMakes {
				if signed {
					algorithm := []string{"hmac-sha256", "hmac-sha512", "hmac-md5", "hmac-sha1"}[i%4]
					keys[m.name] = &tsigKey{Name: strings.ToLower(m.name) + "-key", Algorithm: algorithm, Secret: testKey("").Secret}
					block = append(block, keys[m.name].line())
				}
			}
			hub.run(t, secondarySpec{Zones: []string{editedOrigin}, Block: lines(append(block, "primary "+prim.addr())...)})
			hub.serves(t, editedOrigin, 1, syncLimit)
			all := startSpecified(t, hub, editedOrigin, func(name string) primarySpec {
				return primarySpec{Key: keys[name], SignedNotify: signed}
			}, belowMakes...)
			for _, b := range all {
				line := "notify " + b.addr()
				if signed {
					line += " key " + b.Key.Name
				}
				hub.Block += "\n" + line
			}
			hub.configure(t)
			hub.reload(t)
			hub.toldOnce(t, len(all))
			next := func() {
				t.Helper()
				old := e.version
				e.serial++
				e.hosts(1)
				prim.update(t, old, e.version)
				for _, b := range all {
					b.follows(t, editedOrigin, e.serial)
				}
			}
			for range 3 {
				next()
			}
			hub.toldOnce(t, 4*len(all))
			if signed {
				key := fmt.Sprintf("TSIG '%s'", keys["BIND"].Name)
				if log := all[0].proc.log(t); all[0].name != "BIND" || !strings.Contains(log, key) {
					t.Errorf("The log of %s has no %s: the NOTIFYs were not signed\n%s", all[0].name, key, tail(log))
				}
			}
			hub.proc.stop(t)
			hub.launch(t, editedOrigin)
			next()
			hub.toldOnce(t, len(all)) // of what came after the restart
		})
	}
}
