package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
)

// values are the values of the API that are objects.
var values = []any{
	control.Counts{}, control.Overview{}, control.Store{}, control.Transfers{}, control.Summary{}, control.Progress{}, control.ZonePage{},
	control.Zone{},
	control.SOA{}, control.Timers{}, control.Link{}, control.Way{}, control.Secondary{}, control.Asked{}, control.Sent{},
	control.NotifyOut{}, control.SecondaryLine{}, control.SecondaryPage{}, control.Discard{}, control.Event{}, control.EventPage{},
	control.Appointment{},
	control.SchedulePage{}, control.Command{}, control.Done{}, control.Problem{},
}

// schema is what the tests look at of a schema.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Format     string
	Enum       []string
	Required   []string
	Properties map[string]schema
	Items      *schema
	AllOf      []schema
}

// description is what the tests look at of openapi.json.
type description struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		Parameters []struct {
			Ref      string `json:"$ref"`
			Name, In string
		}
		Responses map[string]any
	}
	Components struct{ Schemas map[string]schema }
}

func readDescription(t *testing.T) (d description) {
	t.Helper()
	if err := json.Unmarshal(httpapi.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	return d
}

func TestDescriptionHasTheRoutes(t *testing.T) {
	d := readDescription(t)
	described := make(map[[2]string][]string)
	for path, methods := range d.Paths {
		for method, op := range methods {
			params := []string{}
			for _, p := range op.Parameters {
				if p.In == "query" {
					params = append(params, p.Name)
				}
			}
			described[[2]string{strings.ToUpper(method), path}] = params
			posted := slices.ContainsFunc(op.Parameters, func(p struct {
				Ref      string `json:"$ref"`
				Name, In string
			}) bool {
				return p.Ref == "#/components/parameters/Request"
			})
			if posted != (method == "post") || len(op.Responses) == 0 {
				t.Errorf("%s %s: parameters %+v, responses %v", method, path, op.Parameters, op.Responses)
			}
		}
	}
	routes := httpapi.Routes()
	for route, params := range described {
		if known, ok := routes[route]; !ok || !sameSet(known, params) {
			t.Errorf("Described: %v with %q; the route has %q, %t", route, params, known, ok)
		}
	}
	for route := range routes {
		page := !strings.HasPrefix(route[1], "/v1/") && route[1] != "/openapi.json"
		if _, ok := described[route]; !ok && !page {
			t.Errorf("Not described: %v", route)
		}
	}
}

func TestDescriptionHasTheValues(t *testing.T) {
	schemas := readDescription(t).Components.Schemas
	names := []string{"State", "StoreState", "SecondaryState", "NotifyResult", "EventKind"}
	for _, v := range values {
		typ := reflect.TypeOf(v)
		names = append(names, typ.Name())
		described := flatten(schemas, schemas[typ.Name()])
		fields := make(map[string]reflect.StructField)
		for _, f := range reflect.VisibleFields(typ) {
			if !f.Anonymous {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				fields[name] = f
			}
		}
		for name, f := range fields {
			p, ok := described.Properties[name]
			if want := kindOf(f.Type); !ok || kindOfSchema(schemas, p) != want {
				t.Errorf("%s.%s is described as %q; want %q", typ.Name(), name, kindOfSchema(schemas, p), want)
			}
			optional := strings.Contains(f.Tag.Get("json"), ",omit") || typ == reflect.TypeFor[control.Command]()
			if slices.Contains(described.Required, name) == optional {
				t.Errorf("%s.%s is optional: %t; the description says otherwise", typ.Name(), name, optional)
			}
		}
		for name := range described.Properties {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s.%s is described, but there is none", typ.Name(), name)
			}
		}
	}
	if got := slices.Collect(maps.Keys(schemas)); !sameSet(got, names) {
		t.Errorf("Schemas are %q; want %q", got, names)
	}
	if got := schemas["State"].Enum; !sameSet(got, []string{string(control.Normal), string(control.Degraded),
		string(control.Blocked), string(control.Unknown)}) {
		t.Errorf("States are %q", got)
	}
	if got := schemas["StoreState"].Enum; !sameSet(got, []string{string(control.StoreOK), string(control.StoreFailing),
		string(control.StoreOff)}) {
		t.Errorf("States of the store are %q", got)
	}
	for name, want := range map[string][]string{
		"SecondaryState": {string(control.SecondaryCurrent), string(control.SecondaryBehind), string(control.SecondaryFailing),
			string(control.SecondaryUnknown)},
		"NotifyResult": {string(control.NotifyAcknowledged), string(control.NotifyWaiting), string(control.NotifyUnanswered),
			string(control.NotifyRefused), string(control.NotifyBadAnswer), string(control.NotifyNone)},
	} {
		if got := schemas[name].Enum; !sameSet(got, want) {
			t.Errorf("%s is one of %q; want %q", name, got, want)
		}
	}
	source, err := os.ReadFile("../../control/types.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{}
	for _, m := range regexp.MustCompile(`EventKind += "(\w+)"`).FindAllSubmatch(source, -1) {
		if kind := string(m[1]); kind != string(control.Lost) { // which is no event of a zone
			kinds = append(kinds, kind)
		}
	}
	if got := schemas["EventKind"].Enum; !sameSet(got, kinds) {
		t.Errorf("Kinds of events are %q; want %q", got, kinds)
	}
}

// flatten returns an object with the properties of those it is made of.
func flatten(schemas map[string]schema, s schema) schema {
	all := schema{Properties: map[string]schema{}, Required: s.Required}
	maps.Copy(all.Properties, s.Properties)
	for _, part := range s.AllOf {
		if name, ok := strings.CutPrefix(part.Ref, "#/components/schemas/"); ok {
			part = schemas[name]
		}
		part = flatten(schemas, part)
		maps.Copy(all.Properties, part.Properties)
		all.Required = append(all.Required, part.Required...)
	}
	return all
}

// kindOf names a Go type as kindOfSchema does a schema.
func kindOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case t.PkgPath() == "time":
		return "string date-time"
	case t.PkgPath() != "":
		return t.Name()
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.String:
		return "string"
	}
	return "integer"
}

func kindOfSchema(schemas map[string]schema, s schema) string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		if _, known := schemas[name]; known {
			return name
		}
		return "unknown " + name
	}
	if s.Type == "array" && s.Items != nil {
		return "array of " + kindOfSchema(schemas, *s.Items)
	}
	return strings.TrimSpace(s.Type + " " + s.Format)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestDescriptionIsServed(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	resp := d.request(http.MethodGet, "/openapi.json", "")
	if resp.ContentLength != int64(len(httpapi.OpenAPI())) || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %d octets of %s", resp.Status, resp.ContentLength, resp.Header.Get("Content-Type"))
	}
	for path, media := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
		"/icon.svg": "image/svg+xml",
	} {
		if resp := d.request(http.MethodGet, path, ""); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != media ||
			resp.ContentLength == 0 {
			t.Errorf("%s: %s, %d octets of %s", path, resp.Status, resp.ContentLength, resp.Header.Get("Content-Type"))
		}
	}
}
