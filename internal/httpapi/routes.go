package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// handler answers a request or returns an error, which is then the answer.
type handler func(s *Server, w http.ResponseWriter, r *request) error

// request is a request that has been routed. It belongs to the goroutine that answers it.
type request struct {
	*http.Request
	name   string     // the segment that stands for {name}, without escapes
	params url.Values // each of them known to the route, with one value
}

// route is one thing that can be asked for. It is a plain value.
type route struct {
	method  string
	pattern string   // its segment {name} stands for any
	params  []string // parameters of the query
	open    bool     // anybody may have it: it tells nothing of the zones
	do      handler
}

// routes returns all there are.
func routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/", nil, true, asset("index.html", "text/html; charset=utf-8")},
		{get, "/page.css", nil, true, asset("page.css", "text/css; charset=utf-8")},
		{get, "/page.js", nil, true, asset("page.js", "text/javascript; charset=utf-8")},
		{get, "/icon.svg", nil, true, asset("icon.svg", "image/svg+xml")},
		{get, "/openapi.json", nil, true, describe},

		{get, "/v1/status", nil, false, status},
		{get, "/v1/zones", []string{"state", "search", "offset", "limit"}, false, zones},
		{get, "/v1/secondaries", []string{"offset", "limit"}, false, allSecondaries},
		{get, "/v1/schedule", []string{"offset", "limit"}, false, schedule},
		{get, "/v1/events", []string{"zone", "variant", "after"}, false, stream},

		{get, "/v1/zones/{name}", []string{"variant"}, false, zoneDetail},
		{get, "/v1/zones/{name}/events", []string{"variant"}, false, zoneEvents},
		{get, "/v1/zones/{name}/export", []string{"variant"}, false, export},
		{post, "/v1/zones/{name}/refresh", []string{"variant"}, false, refreshZone},
		{post, "/v1/zones/{name}/retransfer", []string{"variant"}, false, retransferZone},
		{post, "/v1/zones/{name}/notify", []string{"variant"}, false, notifyZone},
		{post, "/v1/zones/{name}/flush", []string{"variant"}, false, flushZone},
	}
}

// maxPath and maxQuery bound what is looked at of a target: a name in presentation form has at most 1,012 octets, and three
// times that in a URL.
const (
	maxPath  = 4 << 10
	maxQuery = 8 << 10
)

// find returns the route of a request. Where there is none by the method but others by the path, allowed has their methods.
// The path is taken as it came: nothing is cleaned, so nothing means something else than what was looked at.
func find(table []route, r *http.Request) (found *route, name string, allowed []string) {
	path := r.URL.EscapedPath()
	if len(path) > maxPath {
		return nil, "", nil
	}
	for i := range table {
		rt := &table[i]
		segment, ok := match(rt.pattern, path)
		if !ok {
			continue
		}
		if rt.method == r.Method || rt.method == http.MethodGet && r.Method == http.MethodHead {
			return rt, segment, nil
		}
		allowed = append(allowed, rt.method)
		if rt.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	return nil, "", allowed
}

// match reports whether an escaped path is of a pattern, and returns the segment that stands for {name}, unescaped.
func match(pattern, path string) (name string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range got {
		if want[i] == "{name}" {
			var err error
			if name, err = url.PathUnescape(segment); err != nil || name == "" {
				return "", false
			}
		} else if segment != want[i] {
			return "", false
		}
	}
	return name, true
}

// readQuery returns the parameters of a query, of which only the known ones may stand there.
func readQuery(raw string, known []string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, badRequest("query of %d octets: want at most %d", len(raw), maxQuery)
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("query: %s", err)
	}
	for key, values := range q {
		switch {
		case !slices.Contains(known, key) && len(known) == 0:
			return nil, badRequest("parameter %q: want none", key)
		case !slices.Contains(known, key):
			return nil, badRequest("parameter %q: want %s", key, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, badRequest("parameter %s stands there %d times: want it once", key, len(values))
		}
	}
	return q, nil
}
