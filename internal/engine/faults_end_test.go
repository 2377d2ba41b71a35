package engine_test

import (
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// inTrouble returns an engine with a zone whose fault has been told, and how it is configured.
func inTrouble(t *testing.T, path string) (*lab, *actor, *webhook, secondary.Config, *secondary.Attachment) {
	t.Helper()
	l, a, w := startLab(t), newActor(t, serve(example, 1)), newWebhook(t, http.StatusOK)
	c := telling(kept(path, group(a.primary()), example), quick(w))
	at := l.Attach(c)
	l.serves(at.Zone(id(example)), 1)
	a.play(refusing(dns.RcodeRefused))
	poke(at, a, example)
	w.next("fault")
	return l, a, w, c, at
}

// An end of the process as CoreDNS makes it, which lets go of the zones first, forgets nothing that was just told.
func TestEndRightAfterAFaultWasTold(t *testing.T) {
	l, a, w, c, at := inTrouble(t, newFile(t))
	at.Detach()
	l = l.restart()
	poke(l.Attach(c), a, example)
	w.quiet(time.Second)
}

// Another store is told what people have been told.
func TestChangedStoreKnowsWhatWasTold(t *testing.T) {
	l, a, w, c, at := inTrouble(t, newFile(t))
	c.Settings.Store = newFile(t)
	l.Attach(c)
	at.Detach()
	l.saves(example, 1)
	l = l.restart()
	poke(l.Attach(c), a, example)
	w.quiet(time.Second)
}
