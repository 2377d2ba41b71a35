package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// send writes octets to a fresh connection and returns the answer to them.
func (d *desk) send(octets string) (*http.Response, string) {
	d.t.Helper()
	c := d.dial()
	if _, err := io.WriteString(c, octets); err != nil {
		d.t.Fatal(err)
	}
	return answerOf(d.t, bufio.NewReader(c))
}

func answerOf(t testing.TB, from *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// impatient gives clients little time to take an answer.
func impatient(e *secondary.Secondary, o httpapi.Options) *httpapi.Server {
	return httpapi.NewImpatient(e, o, 0, 0, 100*time.Millisecond, 0)
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	for target, status := range map[string]int{
		"/v1/zones/example":                            200,
		"/v1/zones/%65xample.":                         200,
		"/v1/zones/example/":                           404,
		"/v1/zones/":                                   404,
		"/v1/zones//":                                  404,
		"//v1/zones":                                   404,
		"/v1//zones":                                   404,
		"/v1/zones/../status":                          404,
		"/v1/zones/..":                                 400,
		"/v1/zones/%2e%2e":                             400,
		"/v1/zones/%2e%2e/export":                      400,
		"/v1/./status":                                 404,
		"/%76%31/status":                               404,
		"/v1/zones%2Fexample":                          404,
		"/v1/zones/example%2Fexport":                   404, // a name with a slash
		"/v1/zones/example%00":                         400,
		"/v1/zones/example%0a":                         400,
		"/v1/zones/%7f":                                400,
		"/v1/zones/%C3%A9":                             400,
		"/v1/zones/%FF":                                400,
		"/v1/zones/\u00e9":                             400,
		"/v1/zones/%zz":                                400,
		"/v1/zones/%5C":                                400,
		"/v1/zones/%5C25":                              404,
		"/v1/zones/=2E":                                404, // the root, which is not held
		"/v1/zones/" + strings.Repeat("a", 64):         400,
		"/v1/zones/" + strings.Repeat("a", 5000):       404,
		"/v1/zones/example?variant=x":                  404,
		"/v1/zones/example?variant=a&variant=b":        400,
		"/v1/zones/example?sever=x":                    400,
		"/v1/zones/example?variant=%zz":                400,
		"/v1/zones/example?a;b":                        400,
		"/v1/zones?limit=0":                            400,
		"/v1/zones?limit=501":                          400,
		"/v1/zones?limit=500":                          200,
		"/v1/zones?limit=-1":                           400,
		"/v1/zones?limit=1e2":                          400,
		"/v1/zones?offset=99999999999999999999":        400,
		"/v1/zones?state=Broken":                       400,
		"/v1/zones?search=" + strings.Repeat("a", 9e3): 400,
		"/v1/zones?search=%00%ff":                      200,
		"/v1/status?x=1":                               400,
		"/v1/events?after=-1":                          400,
		"/v1/events?after=x":                           400,
		"/v1/events?zone=other":                        404,
		"/v1/events?zone=a..b":                         400,
		"/page/index.html":                             404,
		"/page.css/..":                                 404,
		"/index.html":                                  404,
		"/openapi.json":                                200,
		"http://other.example/v1/status":               421,
		"http://localhost/v1/status":                   200,
	} {
		resp, body := d.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if resp.StatusCode != status {
			t.Errorf("GET %.60s: %s, %.200s; want %d", target, resp.Status, body, status)
		}
		if p := new(control.Problem); resp.StatusCode >= 400 &&
			strings.HasPrefix(resp.Header.Get("Content-Type"), "application/") {
			if json.Unmarshal([]byte(body), p) != nil || p.Status != resp.StatusCode || p.Type != "about:blank" ||
				p.Title == "" || p.Detail == "" {
				t.Errorf("GET %.60s: %s", target, body)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", "/v1/status", 200, ""},
		{"HEAD", "/v1/events", 200, ""},
		{"HEAD", "/v1/zones/example/export", 200, ""},
		{"OPTIONS", "/v1/status", 405, "GET, HEAD"},
		{"OPTIONS", "*", 404, ""},
		{"TRACE", "/v1/status", 405, "GET, HEAD"},
		{"DELETE", "/v1/zones/example", 405, "GET, HEAD"},
		{"PUT", "/v1/zones/example/refresh", 405, "POST"},
		{"GET", "/v1/zones/example/refresh", 405, "POST"},
		{"HEAD", "/v1/zones/example/refresh", 405, "POST"},
		{"POST", "/", 405, "GET, HEAD"},
		{"CONNECT", "/v1/status", 405, "GET, HEAD"},
		{"get", "/v1/status", 405, "GET, HEAD"},
		{"PRI", "*", 404, ""},
	} {
		c2 := d.dial()
		fmt.Fprintf(c2, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", c.method, c.path)
		resp, err := http.ReadResponse(bufio.NewReader(c2), &http.Request{Method: c.method})
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		if resp.StatusCode != c.status || resp.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %s, Allow %q; want %d, %q", c.method, c.path, resp.Status, resp.Header.Get("Allow"), c.status, c.allow)
		}
		resp.Body.Close()
		c2.Close()
	}
}

func TestCommandsOfOtherSitesAreRefused(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	good := []string{"Content-Type", "application/json", control.RequestHeader, "1"}
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{good, 202},
		{slices.Concat(good, []string{"Content-Type", "application/json; charset=utf-8"}), 202},
		{slices.Concat(good, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + d.address}), 202},
		{slices.Concat(good, []string{"Origin", "http://" + d.address}), 202},
		{good[:2], 403},
		{good[2:], 415},
		{slices.Concat(good, []string{"Content-Type", "text/plain"}), 415},
		{slices.Concat(good, []string{"Content-Type", "application/x-www-form-urlencoded"}), 415},
		{slices.Concat(good, []string{"Sec-Fetch-Site", "cross-site"}), 403},
		{slices.Concat(good, []string{"Sec-Fetch-Site", "same-site"}), 403},
		{slices.Concat(good, []string{"Origin", "https://other.example"}), 403},
		{slices.Concat(good, []string{"Origin", "null"}), 403},
		{slices.Concat(good, []string{"Origin", "http://" + d.address + ".other.example"}), 403},
		{slices.Concat(good, []string{"Host", "rebound.example"}), 421},
		{slices.Concat(good, []string{"Host", "127.0.0.1.other.example"}), 421},
	} {
		if resp := d.request(http.MethodPost, "/v1/zones/example/refresh", "", c.headers...); resp.StatusCode != c.status {
			t.Errorf("%v: %s; want %d", c.headers, resp.Status, c.status)
		}
	}
	for _, c := range []struct {
		path    string
		headers []string
		status  int
	}{
		{"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200}, // a link to the page
		{"/v1/zones", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"/v1/zones", []string{"Origin", "https://other.example"}, 403},
		{"/v1/zones", []string{"Sec-Fetch-Site", "none"}, 200},
		{"/v1/zones", []string{"Host", "rebound.example"}, 421},
	} {
		if resp := d.request(http.MethodGet, c.path, "", c.headers...); resp.StatusCode != c.status {
			t.Errorf("GET %s %v: %s; want %d", c.path, c.headers, resp.Status, c.status)
		}
	}
}

func TestHostsThatAreThisOne(t *testing.T) {
	d := newDesk(t, httpapi.Options{Host: "dns.example"}, nil)
	for host, status := range map[string]int{
		"localhost": 200, "LOCALHOST:99": 200, "localhost.": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:9154": 200,
		"[::1]":       200,
		"dns.example": 200, "DNS.example.:443": 200, "192.0.2.1": 421, "0.0.0.0": 421, "dns.example.org": 421,
		"localhost.example":  421,
		"[::ffff:127.0.0.1]": 200,
	} {
		if resp := d.request(http.MethodGet, "/v1/status", "", "Host", host); resp.StatusCode != status {
			t.Errorf("Host %s: %s; want %d", host, resp.Status, status)
		}
	}
	d.server.Configure(httpapi.Options{Host: "192.0.2.1"})
	for host, status := range map[string]int{"192.0.2.1:9154": 200, "192.0.2.2": 421, "dns.example": 421} {
		if resp := d.request(http.MethodGet, "/v1/status", "", "Host", host); resp.StatusCode != status {
			t.Errorf("Host %s: %s; want %d", host, resp.Status, status)
		}
	}
	var lc net.ListenConfig
	path := filepath.Join(t.TempDir(), "s")
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(l) }()
	c, err := control.NewClient(control.Options{Address: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("By a unix socket: %v", err)
	}
	l.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestAnswersSayThatNobodyElseMayUseThem(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	for _, path := range []string{"/", "/v1/status", "/nothing", "/openapi.json"} {
		h := d.request(http.MethodGet, path, "").Header
		for key, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
				"form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Access-Control-Allow-Origin": "", "Set-Cookie": "", "Server": "",
		} {
			if got := h.Get(key); got != want {
				t.Errorf("%s: %s is %q; want %q", path, key, got, want)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	for _, c := range []struct {
		verb, body string
		status     int
	}{
		{"refresh", "", 202},
		{"refresh", "{}", 202},
		{"refresh", " {}\n", 202},
		{"refresh", `{"force":true}`, 400},
		{"refresh", "{}{}", 400},
		{"refresh", "[]", 400},
		{"refresh", "{", 400},
		{"retransfer", "", 202},
		{"retransfer", `{"force":false}`, 202},
		{"retransfer", `{"force":1}`, 400},
		{"retransfer", `{"Force":true,"x":1}`, 400},
		{"retransfer", strings.Repeat("[", httpapi.MaxBody-10), 400},
		{"retransfer", `{"x":` + strings.Repeat(`{"x":`, 700), 400},
		{"retransfer", strings.Repeat(" ", httpapi.MaxBody+10) + "{}", 413},
		{"retransfer", "\x00\xff", 400},
	} {
		resp := d.request(http.MethodPost, "/v1/zones/example/"+c.verb, c.body, "Content-Type", "application/json",
			control.RequestHeader, "1")
		if resp.StatusCode != c.status {
			t.Errorf("%s with %.40q: %s; want %d", c.verb, c.body, resp.Status, c.status)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	head := "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n"
	if resp, _ := d.send(head + "X: " + strings.Repeat("a", 2*httpapi.MaxHeader) + "\r\n\r\n"); resp.StatusCode != 431 {
		t.Errorf("One long header: %s", resp.Status)
	}
	if resp, _ := d.send(head + strings.Repeat("X: a\r\n", httpapi.MaxHeader) + "\r\n"); resp.StatusCode != 431 {
		t.Errorf("Many headers: %s", resp.Status)
	}
	if resp, _ := d.send("GET /" + strings.Repeat("a", 2*httpapi.MaxHeader) +
		" HTTP/1.1\r\nHost: localhost\r\n\r\n"); resp.StatusCode != 431 {
		t.Errorf("A long target: %s", resp.Status)
	}
	for _, bad := range []string{"\r\n\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00", head + "Host: b\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n"} {
		c := d.dial()
		_, _ = io.WriteString(c, bad)
		_ = c.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(c)
		if err != nil || len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") &&
			!strings.HasPrefix(string(answer), "HTTP/1.1 5") {
			t.Errorf("%q is answered by %q, %v", bad, answer, err)
		}
	}
	if _, err := d.Client.Status(t.Context()); err != nil {
		t.Errorf("After all that: %v", err)
	}
}

func TestSlowRequestsAreEnded(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, func(e *secondary.Secondary, o httpapi.Options) *httpapi.Server {
		return httpapi.NewImpatient(e, o, 100*time.Millisecond, 100*time.Millisecond, 0, 0)
	})
	d.serve("example.", 1)
	c := d.dial()
	_, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: local")
	if answer, err := io.ReadAll(c); err != nil || len(answer) > 0 && !strings.Contains(string(answer), " 408 ") {
		t.Errorf("Half a header is answered by %q, %v; want the end", answer, err)
	}
	c = d.dial()
	_, _ = io.WriteString(c, "POST /v1/zones/example/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		control.RequestHeader+": 1\r\nContent-Length: 100\r\n\r\n{")
	if resp, body := answerOf(t, bufio.NewReader(c)); resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("Half a body: %s, %s", resp.Status, body)
	}
}

func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	lines, _, _ := d.subscribe("")
	var dialer net.Dialer
	for i := range 1000 {
		c, err := dialer.DialContext(t.Context(), "tcp", d.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /v1/sta")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), apiPatience)
	defer cancel()
	if _, err := d.Client.Status(ctx); err != nil {
		t.Errorf("A new request: %v", err)
	}
	eventuallyTrue(t, "no more connections than allowed", func() bool { return d.server.Conns() <= httpapi.MaxConns })
	d.serve("example.", 1)
	field(t, lines, "data: ") // who is being served is left alone
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	c := d.dial()
	paths := []string{"/v1/status", "/nothing", "/v1/zones", "/v1/schedule", "/v1/zones/none"}
	for _, p := range paths {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", p)
	}
	from := bufio.NewReader(c)
	for i, want := range []int{200, 404, 200, 200, 404} {
		if resp, _ := answerOf(t, from); resp.StatusCode != want {
			t.Errorf("%s: %s; want %d", paths[i], resp.Status, want)
		}
	}
}

func TestWrongTokensAreLockedOutAndTheRightOneIsNot(t *testing.T) {
	d := newDesk(t, httpapi.Options{Token: "right"}, nil)
	began := time.Now()
	statuses := make(map[int]int)
	for i := range 10_000 {
		resp := d.request(http.MethodGet, "/v1/status", "", "Authorization", fmt.Sprintf("Bearer wrong%d", i))
		statuses[resp.StatusCode]++
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" || resp.StatusCode == 401 &&
			resp.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("Headers of %s: %v", resp.Status, resp.Header)
		}
	}
	most := httpapi.WrongBurst + int(time.Since(began).Seconds()+1)*httpapi.MaxWrong
	if statuses[401] < httpapi.WrongBurst || statuses[401] > most || statuses[401]+statuses[429] != 10_000 {
		t.Errorf("Statuses %v; want %d to %d of 401 and else 429", statuses, httpapi.WrongBurst, most)
	}
	if _, err := d.Client.Status(t.Context()); err != nil {
		t.Errorf("The right token: %v", err)
	}
	for _, header := range []string{"", "right", "Basic right", "Bearer", "Bearer ", "Bearer  right"} {
		if resp := d.request(http.MethodGet, "/v1/status", "", "Authorization", header); resp.StatusCode == 200 {
			t.Errorf("Authorization %q: %s", header, resp.Status)
		}
	}
	for _, path := range []string{"/nothing", "/v1/zones/x", "/v1/events"} {
		if resp := d.request(http.MethodGet, path, ""); resp.StatusCode != 401 {
			t.Errorf("%s without a token: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/", "/page.css", "/page.js", "/icon.svg", "/openapi.json"} {
		if resp := d.request(http.MethodGet, path, "", "Host", "any.example"); resp.StatusCode != 200 {
			t.Errorf("%s without a token: %s; want the page", path, resp.Status)
		}
	}
}

func TestCommandsAreLimited(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	d.serve("example.", 1)
	eventuallyTrue(t, "429", func() bool {
		_, err := d.Client.Flush(t.Context(), control.Ref{Name: "example."})
		return err != nil && problemOf(t, err).Status == 429
	})
}

func TestExportForSlowReadersEnds(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, impatient)
	records := exampleZone("example.", 1)
	for i := range 20_000 {
		records = append(records, fmt.Sprintf("t%d.example. 60 IN TXT %s", i, strings.Repeat("a", 250)))
	}
	p := startSource(t, records...)
	p.become(dnstest.Serve("", records...))
	d.hold("", []*source{p}, "example.")
	d.await("example.", 1)
	for range httpapi.MaxExports {
		fmt.Fprintf(d.dial(), "GET /v1/zones/example/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	eventuallyTrue(t, "exports", func() bool { return d.server.Exports() > 0 })
	eventuallyTrue(t, "the end of all exports", func() bool { return d.server.Exports() == 0 })
	c := d.dial()
	fmt.Fprintf(c, "GET /v1/zones/example/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventuallyTrue(t, "an export that is cut", func() bool { return d.server.Exports() == 1 })
	eventuallyTrue(t, "its end", func() bool { return d.server.Exports() == 0 })
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d octets seem to be all; want it to be seen that they are not", n)
	}
	if err := d.Export(t.Context(), control.Ref{Name: "example."}, io.Discard); err != nil {
		t.Errorf("For a quick reader: %v", err)
	}
}

func TestCloseEndsAll(t *testing.T) {
	d := newDesk(t, httpapi.Options{}, nil)
	lines, _, _ := d.subscribe("")
	field(t, lines, "id: ")
	d.server.Close()
	for lines.Scan() {
	}
	if _, err := d.Client.Status(t.Context()); err == nil {
		t.Error("A closed server answers")
	}
	d.server.Close()
	d.Client, _ = control.NewClient(control.Options{Address: "http://" + d.address})
}
