package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/secondaryplus/secondaryplus/control"
)

// dial returns a client of a server whose handler is h.
func dial(t *testing.T, h http.HandlerFunc) *control.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return client(t, control.Options{Address: s.URL, Token: "secret"})
}

func client(t *testing.T, o control.Options) *control.Client {
	t.Helper()
	c, err := control.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRequestsAreWhatTheServerWants(t *testing.T) {
	var got string
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s|%s|%s|%s", r.Method, r.RequestURI, body, r.Header.Get("Authorization"),
			r.Header.Get("Content-Type"),
			r.Header.Get(control.RequestHeader))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	})
	zone := control.Ref{Name: "0/25.example.", Variant: "inside"}
	for want, call := range map[string]func(context.Context) error{
		"GET /v1/status |Bearer secret||": func(ctx context.Context) error { _, err := c.Status(ctx); return err },
		"GET /v1/zones |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Zones(ctx,
				control.ZoneQuery{})
			return err
		},
		"GET /v1/zones?limit=4&offset=3&search=a%26b&state=blocked |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Zones(ctx, control.ZoneQuery{State: "blocked", Search: "a&b", Offset: 3, Limit: 4})
			return err
		},
		"GET /v1/zones/0%2F25.example.?variant=inside |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Zone(ctx, zone)
			return err
		},
		"GET /v1/zones/=2E/events |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Events(ctx, control.Ref{Name: "."})
			return err
		},
		"GET /v1/schedule?offset=1 |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Schedule(ctx, 1,
				0)
			return err
		},
		"GET /v1/secondaries?limit=5&offset=7 |Bearer secret||": func(ctx context.Context) error {
			_, err := c.Secondaries(ctx, 7, 5)
			return err
		},
		"POST /v1/zones/a/refresh |Bearer secret|application/json|1": func(ctx context.Context) error {
			_, err := c.Refresh(ctx, control.Ref{Name: "a"})
			return err
		},
		"POST /v1/zones/a/notify |Bearer secret|application/json|1": func(ctx context.Context) error {
			_, err := c.Notify(ctx, control.Ref{Name: "a"})
			return err
		},
		"POST /v1/zones/a/flush |Bearer secret|application/json|1": func(ctx context.Context) error {
			_, err := c.Flush(ctx, control.Ref{Name: "a"})
			return err
		},
		`POST /v1/zones/a/retransfer {"force":true}|Bearer secret|application/json|1`: func(ctx context.Context) error {
			_, err := c.Retransfer(ctx, control.Ref{Name: "a"}, true)
			return err
		},
	} {
		if err := call(t.Context()); err != nil || got != want {
			t.Errorf("Request %s, %v; want %s", got, err, want)
		}
	}
}

func TestErrorsTellAnswersFromSilence(t *testing.T) {
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		problem int // 0: the error is none
	}{
		"problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"title":"Conflict","status":200,"detail":"two blocks"}`)
		}, 409},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `<html>`)
		}, 0},
		"another server": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, 0},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusFound)
		}, 0},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"host":`)
		}, 0},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
					return
				}
			}
		}, 0},
	} {
		_, err := dial(t, c.answer).Status(t.Context())
		p, ok := errors.AsType[*control.Problem](err)
		if err == nil || ok != (c.problem > 0) || ok && p.Status != c.problem {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error %q has the token", name, err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := client(t, control.Options{Address: "http://" + l.Addr().String()}).Status(t.Context()); err == nil {
		t.Error("Nobody answers well")
	}
}

func TestWrongOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []control.Options{
		{}, {Address: "localhost:9154"}, {Address: "unix:run/s"}, {Address: "ftp://a"}, {Address: "http://"},
		{Address: "http://u:p@a"},
		{Address: "http://a?b"}, {Address: "http://a", CA: file}, {Address: "https://a", CA: file}, {Address: "https://a",
			CA: file + "x"},
		{Address: "http://a", Token: "a\nb"}, {Address: "http://a", Token: "a b"}, {Address: "http://a", Token: "é"},
	} {
		if _, err := control.NewClient(o); err == nil || o.Token != "" && strings.Contains(err.Error(), o.Token) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestTLSAndUnixSockets(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(control.Overview{Host: r.URL.Path})
	})
	s := httptest.NewTLSServer(answer)
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	if o, err := client(t, control.Options{Address: s.URL + "/dns/", CA: ca}).Status(t.Context()); err != nil ||
		o.Host != "/dns/v1/status" {
		t.Errorf("With the CA: %+v, %v", o, err)
	}
	if _, err := client(t, control.Options{Address: s.URL}).Status(t.Context()); err == nil {
		t.Error("A server of an unknown CA is believed")
	}
	path := filepath.Join(t.TempDir(), "s")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	u := httptest.NewUnstartedServer(answer)
	u.Listener.Close()
	u.Listener = l
	u.Start()
	defer u.Close()
	if o, err := client(t, control.Options{Address: "unix:" + path}).Status(t.Context()); err != nil || o.Host != "/v1/status" {
		t.Errorf("By a unix socket: %+v, %v", o, err)
	}
}

func TestExportThatIsCutIsAnError(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/dns")
		fmt.Fprint(w, "a")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	var got bytes.Buffer
	if err := c.Export(t.Context(), control.Ref{Name: "a."}, &got); err == nil || got.String() != "a" {
		t.Errorf("Export: %q, %v; want an error behind what came", &got, err)
	}
}

func TestFollowComesBackWithTheLatestID(t *testing.T) {
	var asked atomic.Int32
	var queries [3]string
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		queries[n-1] = r.URL.RawQuery
		switch n {
		case 1:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w,
				"id: 6\n\n:\n\nid: 7\ndata: {\"id\":7,\"zone\":\"a.\"}\n\nevent: lost\ndata: {}\n\nid: 9\ndata: {\"id\":9}\n\nid: 10\ndata: {")
		case 2:
			w.WriteHeader(http.StatusBadGateway) // as a proxy does while the server is restarted
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "{}")
		}
	})
	var got []string
	err := c.Follow(t.Context(), "a.", 0, func(e control.Event) error {
		got = append(got, fmt.Sprint(e.ID, e.Kind))
		return nil
	})
	if p, ok := errors.AsType[*control.Problem](err); !ok || p.Status != http.StatusNotFound {
		t.Errorf("Follow: %v; want the problem that ends it", err)
	}
	if fmt.Sprint(got) != "[7 0lost 9]" {
		t.Errorf("Events are %q", got)
	}
	if queries != [3]string{"zone=a.", "after=9&zone=a.", "after=9&zone=a."} {
		t.Errorf("Queries are %q", queries)
	}
}
