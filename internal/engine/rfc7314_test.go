package engine_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/host"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// minding is the script of a primary that treats transfers with an OPT record so, and does right by all others.
func minding(zone string, serial uint32, treat dnstest.Handler) dnstest.Handler {
	good := serve(zone, serial)
	return func(r dnstest.Request, w *dnstest.Writer) {
		if transfer(r) && r.Msg.IsEdns0() != nil {
			treat(r, w)
			return
		}
		good(r, w)
	}
}

// RFC 6891 §6.2.2, §7: a primary that minds the OPT record of a transfer is asked without, first and when there is a newer version.
// What took two tries twice is a way; where it cost nothing but a connection it is none, as such a connection may break by chance.
func TestPrimaryThatMindsOPTInTransfers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		treat dnstest.Handler
		most  time.Duration
	}{
		"FORMERR": {refusing(dns.RcodeFormatError), 0},
		"NOTIMP":  {refusing(dns.RcodeNotImplemented), 0},
		"BADVERS": {func(r dnstest.Request, w *dnstest.Writer) {
			m := r.Rcode(dns.RcodeBadVers)
			m.SetEdns0(1232, false)
			w.Send(m)
		}, 0},
		"closes":    {func(_ dnstest.Request, w *dnstest.Writer) { w.CloseConn() }, 0},
		"is silent": {func(dnstest.Request, *dnstest.Writer) {}, 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				a := newActor(t, minding(example, 1, c.treat))
				z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
				for serial := uint32(1); serial < 4; serial++ {
					began, asked := time.Now(), a.transfers()
					a.play(minding(example, serial, c.treat))
					if serial > 1 {
						z.Notify(engine.Notification{From: a.Addr().Addr()})
					}
					for served(z) != serial {
						time.Sleep(time.Second)
						synctest.Wait()
						if time.Since(began) > c.most+5*time.Second {
							t.Fatalf("Serial %d is not served after %v", serial, time.Since(began))
						}
					}
					known := l.habit(example, host.WayNoOPT)
					if known != (serial > 1) {
						t.Errorf("After serial %d: known is %v", serial, known)
					}
					if n := a.transfers() - asked; serial == 3 && n != 1 {
						t.Errorf("%d questions to one that is known", n)
					}
				}
				if k := l.link(example, 0); k.State != refresh.Normal {
					t.Errorf("Link %+v", k)
				}
			})
		})
	}
}

// A primary that says FORMERR to whatever it is asked is not taken for one that minds the OPT record.
func TestFormErrToAllIsNoWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		a := newActor(t, refusing(dns.RcodeFormatError))
		l.Attach(config(group(a.primary()), example))
		l.blocked(example, 0, "format_error")
		time.Sleep(time.Hour)
		if l.habit(example, host.WayNoOPT) {
			t.Error("It is known for a way")
		}
	})
}

// holder is the script of a secondary that holds a zone until some time, as it says (RFC 7314 §3.2).
type holder struct {
	till atomic.Int64 // Unix nanoseconds
}

func (h *holder) hold(d time.Duration) { h.till.Store(time.Now().Add(d).UnixNano()) }

func (h *holder) serve(zone string, serial uint32) dnstest.Handler {
	records := version(zone, serial)
	return func(r dnstest.Request, w *dnstest.Writer) {
		m := r.Reply(records[0])
		if transfer(r) {
			m = r.Reply(append(records, records[0])...)
		}
		m.SetEdns0(1232, false)
		left := max(0, time.Until(time.Unix(0, h.till.Load()))/time.Second)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EXPIRE{Expire: uint32(left)}}
		w.Send(m)
	}
}

// RFC 7314 §4: the zone is served no longer than its source serves it, however often that confirms it; and what a source has let
// expire is neither taken nor confirmed.
func TestZoneExpiresWithItsSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		var h holder
		a := newActor(t, h.serve(example, 7))
		h.hold(2 * time.Hour)
		z := l.Attach(config(group(a.primary()), example)).Zone(id(example))
		l.serves(z, 7)
		end := time.Unix(0, h.till.Load())
		for time.Now().Before(end) {
			z.Notify(engine.Notification{From: a.Addr().Addr()})
			time.Sleep(time.Minute)
			synctest.Wait()
			if at := z.Standing().Machine().ExpireAt(); at.After(end) || at.Before(end.Add(-2*time.Second)) {
				t.Fatalf("The zone expires %v after its source", at.Sub(end))
			}
		}
		if z.Contents() != nil {
			t.Error("The zone outlives its source")
		}
		l.blocked(example, 0, "expired_there")
		asked := a.transfers()
		time.Sleep(time.Hour)
		if z.Contents() != nil || a.transfers() != asked {
			t.Errorf("Contents %v; %d transfers of what has expired there", z.Contents(), a.transfers()-asked)
		}
		h.hold(3 * time.Hour) // it hears from its own source again
		z.Notify(engine.Notification{From: a.Addr().Addr()})
		l.serves(z, 7)
		if left := time.Until(z.Standing().Machine().ExpireAt()); left > 3*time.Hour {
			t.Errorf("The zone expires in %v", left)
		}
	})
}

// A datagram with the question may be lost. The answer without it, which says nothing of the expiry, does not put it off, nor does it
// after a restart.
func TestLostQuestionDoesNotPutOffExpiry(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*lab) *lab{"same process": func(l *lab) *lab { return l }, "restart": (*lab).restart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := startLab(t)
				var h holder
				a := newActor(t, h.serve(example, 7))
				h.hold(2 * time.Hour)
				c := kept(newFile(t), group(a.primary()), example)
				z := l.Attach(c).Zone(id(example))
				l.serves(z, 7)
				before := z.Standing().Machine()
				a.play(func(r dnstest.Request, w *dnstest.Writer) {
					if r.Msg.IsEdns0() == nil {
						serve(example, 7)(r, w)
					}
				})
				z = restart(l).Attach(c).Zone(id(example))
				z.Notify(engine.Notification{From: a.Addr().Addr()})
				time.Sleep(10 * time.Second)
				synctest.Wait()
				after := z.Standing().Machine()
				if !after.CheckedAt().After(before.CheckedAt()) || after.ExpireAt().Sub(before.ExpireAt()).Abs() > time.Millisecond {
					t.Errorf("Checked at %v, then %v; expires at %v, then %v", before.CheckedAt(), after.CheckedAt(), before.ExpireAt(), after.ExpireAt())
				}
			})
		})
	}
}
