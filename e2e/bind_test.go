//go:build e2e

package e2e_test

import "testing"

// bind is a BIND named. It belongs to the goroutine of its test.
type bind struct {
	installed
	ControlPort   int
	ControlSecret string
}

func startBIND(t *testing.T, spec primarySpec) primary { return newBIND(t, spec) }

func newBIND(t *testing.T, spec primarySpec) *bind {
	t.Helper()
	b := &bind{installed: install(t, spec), ControlPort: freePort(t), ControlSecret: "Y29udHJvbCBrZXkgb2YgdGhlIHRlc3Q="}
	if b.AllowTransfer == "" {
		b.AllowTransfer = "any"
		if b.Key != nil {
			b.AllowTransfer = `key "` + b.Key.Name + `"`
		}
	}
	b.configure(t, "rndc.conf", b)
	b.start(t)
	return b
}

func (b *bind) start(t *testing.T) {
	t.Helper()
	b.configure(t, "named.conf", b)
	b.writeZones(t)
	b.run(t, "named", "-g", "-n", "1", "-c", b.path("named.conf"))
}

func (b *bind) publish(t *testing.T, zone, text string) {
	t.Helper()
	b.Zones[zone] = text
	b.writeZones(t)
	b.rndc(t, "reload", zone) // sends the NOTIFY, at once: notify-delay is 0
}

// rndc runs one control command.
func (b *bind) rndc(t *testing.T, command ...string) {
	t.Helper()
	tool(t, "rndc", append([]string{"-c", b.path("rndc.conf")}, command...)...)
}
