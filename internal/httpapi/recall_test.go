package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// Whoever asks for an export of a zone that is still to be read gets it, and does not wait for others.
func TestExportOfZoneThatIsStillToCome(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 7)
	read := d.Lookup(engine.ZoneID{Name: "example."})
	config := engine.ZoneConfig{Origin: read.Origin(), Group: read.Standing().Group}
	zones := map[engine.ZoneID]engine.ZoneConfig{{Name: "example.", Variant: "late"}: config}
	for i := range 200 {
		name := fmt.Sprintf("a%03d.test.", i)
		origin, err := wire.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		zones[engine.ZoneID{Name: name}] = engine.ZoneConfig{Origin: origin, Group: config.Group}
	}
	a, disk, started := d.Engine.Attach(zones), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(started)
		a.Start(func(z *engine.Zone) engine.Found {
			if z.Name() != "example." {
				<-disk
				return engine.Found{}
			}
			c, now := read.Contents(), time.Now()
			return engine.Found{Contents: c, State: refresh.Saved{
				SOA: c.SOA(), CheckedAt: now, ExpireAt: now.Add(time.Hour), NextAt: now.Add(time.Hour),
			}}
		})
	}()
	defer func() {
		close(disk)
		<-started
		a.Detach()
	}()
	if resp := d.request(http.MethodGet, "/v1/zones/example/export?variant=late", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("Status %d", resp.StatusCode)
	}
}
