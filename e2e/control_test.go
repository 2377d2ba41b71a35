//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// console is splusctl with the control API of a secondary.
type console struct {
	t       *testing.T
	address string
}

// newConsole starts a secondary of a BIND whose zone has this serial, and returns all three once it is served.
func newConsole(t *testing.T, serial uint32) (*console, *secondary, *bind) {
	t.Helper()
	prim := newBIND(t, primarySpec{Zones: map[string]string{mixedOrigin: mixedZone(serial)}})
	sec := newSecondary(t)
	socket := "unix:" + filepath.Join(sec.Dir, "control")
	sec.start(t, secondarySpec{Zones: []string{mixedOrigin}, Block: "primary " + prim.addr() + "\ncontrol " + socket})
	sec.serves(t, mixedOrigin, serial, syncLimit)
	return &console{t: t, address: socket}, sec, prim
}

// says runs a command, wants the exit code, and returns what it prints.
func (c *console) says(code int, args ...string) string {
	c.t.Helper()
	out, complaints, got := splusctl(c.t, append([]string{"--address", c.address}, args...)...)
	if got != code {
		c.t.Errorf("splusctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, complaints)
	}
	return out + complaints
}

// wants fails the test unless the text has all of the words.
func (c *console) wants(text string, words ...string) {
	c.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			c.t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// An operator finds out why a zone is Blocked, mends it, and has it synchronized, from a command line.
func TestOperatorMendsABlockedZone(t *testing.T) {
	t.Parallel()
	c, sec, prim := newConsole(t, 5)
	c.wants(c.says(0, "status"), "Normal")
	c.wants(c.says(0, "zones"), mixedOrigin, "Normal")

	prim.stop(t)
	c.says(1, "refresh", mixedOrigin, "--wait", "--timeout", "60s")
	c.wants(c.says(1, "zone", mixedOrigin), "Blocked", "unreachable", "Check that the primary runs")
	c.wants(c.says(0, "zones", "--state", "blocked"), mixedOrigin)
	if complaint := sec.differs(mixedOrigin, 5); complaint != "" {
		t.Error(complaint)
	}

	prim.Zones[mixedOrigin] = newer(6)
	prim.start(t)
	c.says(0, "refresh", mixedOrigin, "--wait")
	sec.serves(t, mixedOrigin, 6, notifyLimit)
	c.wants(c.says(0, "zone", mixedOrigin), "Normal", "6")
}

// A primary whose serial went back is followed only where the operator forces it.
func TestOperatorForcesALowerSerial(t *testing.T) {
	t.Parallel()
	c, sec, prim := newConsole(t, 50)
	prim.stop(t)
	prim.Zones[mixedOrigin] = newer(7)
	prim.start(t)
	c.says(1, "retransfer", mixedOrigin, "--wait", "--timeout", "60s")
	c.wants(c.says(1, "zone", mixedOrigin), "serial_behind")
	c.says(0, "retransfer", mixedOrigin, "--force", "--wait")
	sec.serves(t, mixedOrigin, 7, notifyLimit)

	var export []string
	for l := range strings.Lines(c.says(0, "export", mixedOrigin)) {
		if !strings.HasPrefix(l, ";") {
			export = append(export, l)
		}
	}
	answersWith(t, sec.addr(), mixedOrigin, parse(t, export))
	if got, want := len(export), len(axfr(t, prim.addr(), mixedOrigin, nil)); got != want {
		t.Errorf("The export has %d records, the transfer %d", got, want)
	}
	c.says(4, "zone", "nowhere.test.")
}
