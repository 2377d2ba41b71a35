package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/serial"
)

// BenchmarkManyZones asks for pages of 20,000 zones, each time with all of them looked at anew.
func BenchmarkManyZones(b *testing.B) {
	const zones = 20_000
	d := newDesk(b, httpapi.Options{}, nil)
	d.config.Settings.SOARate = 1 // the primary is not what is measured
	names := make([]string, zones)
	for i := range names {
		names[i] = fmt.Sprintf("zone%d.example.", i)
	}
	d.hold("", []*source{startSource(b), startSource(b)}, names...)
	told := map[engine.ZoneID][]notify.Target{}
	for i, name := range names {
		id := engine.ZoneID{Name: name}
		told[id] = []notify.Target{{Addr: netip.MustParseAddrPort("127.0.0.1:1")}, {Addr: netip.MustParseAddrPort("127.0.0.2:1")}}
		d.Seen.Asked(name, netip.AddrFrom4([4]byte{127, 0, 0, byte(i % 250)}), "", serial.New(1), nil, time.Now())
	}
	d.Announce(told)
	time.Sleep(time.Second) // the engine has its first steps behind it
	for _, path := range []string{"/v1/status", "/v1/zones", "/v1/zones?offset=19950", "/v1/zones?search=9999&limit=500",
		"/v1/schedule", "/v1/secondaries"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				d.server.Forget()
				w := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, http.NoBody)
				r.Host = "localhost"
				if d.server.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
	}
	b.Run("watch.Status", func(b *testing.B) {
		for b.Loop() {
			d.Watch.Status()
		}
	})
	b.Run("watch.Briefs", func(b *testing.B) {
		for b.Loop() {
			d.Briefs()
		}
	})
}
