//go:build e2e

package e2e_test

import "testing"

// nsd is an NSD. It belongs to the goroutine of its test.
type nsd struct{ installed }

func startNSD(t *testing.T, spec primarySpec) primary {
	t.Helper()
	n := &nsd{install(t, spec)}
	n.start(t)
	return n
}

func (n *nsd) start(t *testing.T) {
	t.Helper()
	n.configure(t, "nsd.conf", n)
	n.writeZones(t)
	n.run(t, "nsd", "-d", "-c", n.path("nsd.conf"))
}

func (n *nsd) publish(t *testing.T, zone, text string) {
	t.Helper()
	n.Zones[zone] = text
	n.writeZones(t)
	tool(t, "nsd-control", "-c", n.path("nsd.conf"), "reload", zone) // sends the NOTIFY when the serial is new
}
