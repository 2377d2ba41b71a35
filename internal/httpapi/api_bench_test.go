package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/httpapi"
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
	time.Sleep(time.Second) // the engine has its first steps behind it
	for _, path := range []string{"/v1/status", "/v1/zones", "/v1/zones?offset=19950", "/v1/zones?search=9999&limit=500",
		"/v1/schedule"} {
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
