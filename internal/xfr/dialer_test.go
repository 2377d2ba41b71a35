package xfr_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// stuck is a Dialer that comes to no end.
type stuck struct{}

// DialContext waits until ctx is done.
func (stuck) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A primary's own Dialer is used for all that it is asked, within the limits of time.
func TestDialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := dnstest.NewMemoryPrimary(t, dnstest.Serve("", zoneRecords(3)...))
		p := xfr.Primary{Addr: there.Addr(), Dialer: there}
		q := exampleQuery(t)
		if a, err := (xfr.SOAQuery{Primary: p, Origin: q.Origin}).Ask(t.Context()); err != nil || a.SOA.Serial.Uint32() == 0 {
			t.Errorf("SOA %+v, error %v", a.SOA, err)
		}
		c, err := xfr.Dial(t.Context(), p, xfr.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Transfer(t.Context(), q, new(counter), xfr.DefaultLimits()); err != nil {
			t.Error(err)
		}

		other, began, limits := xfr.Primary{Addr: there.Addr(), Dialer: stuck{}}, time.Now(), xfr.DefaultLimits()
		_, err = xfr.Dial(t.Context(), other, limits)
		wantReason(t, err, reason.Timeout)
		if e, ok := errors.AsType[*xfr.Error](err); !ok || !e.NoConn || time.Since(began) != limits.Connect {
			t.Errorf("Error %v after %s", err, time.Since(began))
		}
		if other.Equal(p) || !p.Equal(p) {
			t.Error("Primaries that are reached in other ways are taken for the same")
		}
	})
}
