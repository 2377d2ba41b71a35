//go:build e2e

package e2e_test

import "testing"

// knot is a Knot DNS knotd. It belongs to the goroutine of its test.
type knot struct{ installed }

func startKnot(t *testing.T, spec primarySpec) primary {
	t.Helper()
	k := &knot{install(t, spec)}
	k.start(t)
	return k
}

func (k *knot) start(t *testing.T) {
	t.Helper()
	k.configure(t, "knot.conf", k)
	k.writeZones(t)
	k.run(t, "knotd", "-c", k.path("knot.conf"))
}

func (k *knot) publish(t *testing.T, zone, text string) {
	t.Helper()
	k.Zones[zone] = text
	k.writeZones(t)
	tool(t, "knotc", "-c", k.path("knot.conf"), "zone-reload", zone) // sends the NOTIFY when the serial is new
}
