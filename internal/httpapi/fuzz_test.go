package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// FuzzTarget sends requests with any method and target. Each is answered with JSON, and where it is refused, with a
// problem that is the client's.
func FuzzTarget(f *testing.F) {
	for method, target := range map[string]string{
		"GET": "/v1/zones/example.?variant=inside", "POST": "/v1/zones/a%2Fb/refresh",
		"HEAD": "/v1/events?zone=a&after=1",
		"PUT":  `/v1/zones/%5C046/export`, "OPTIONS": "*", "TRACE": "/v1/zones?offset=1&limit=2&state=normal&search=%00",
		"X": "//..//%2e",
	} {
		f.Add(method, target)
		f.Add("GET", target)
	}
	e := secondary.New(&quietLog{}, watch.NewMetrics())
	f.Cleanup(e.Close)
	s := httpapi.New(e, httpapi.Options{})
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.HasPrefix(u.Path, "/v1/events") && method == http.MethodGet {
			t.Skip("net/http refuses it, or it would go on")
		}
		r := &http.Request{Method: method, URL: u, Host: "localhost", Header: http.Header{}, Body: http.NoBody, RequestURI: target}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		p := new(control.Problem)
		if media := w.Header().Get("Content-Type"); w.Code >= 400 &&
			(media != "application/problem+json" || json.Unmarshal(w.Body.Bytes(), p) != nil || p.Status != w.Code || w.Code >= 500) {
			t.Errorf("%q %q: %d with %s: %s", method, target, w.Code, media, w.Body)
		}
	})
}
