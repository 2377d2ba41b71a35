package secondaryplus

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/corefile"
	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
)

// A token of the tests, which must not be seen anywhere.
const testToken = "0123456789abcdef-of-the-tests"

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// asked returns what the control API says of its zones, and the error.
func asked(t *testing.T, o control.Options) (*control.ZonePage, error) {
	t.Helper()
	c, err := control.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Zones(ctx, control.ZoneQuery{})
}

// status returns the HTTP status of a problem, 0 if err is none.
func status(err error) int {
	if p, ok := errors.AsType[*control.Problem](err); ok {
		return p.Status
	}
	return 0
}

// A reload keeps the listener and the requests under way; who may ask is what the newest Corefile says, also after one that failed.
func TestControlOverReloads(t *testing.T) {
	wantNothingLeft(t)
	dir := t.TempDir()
	token := write(t, dir, "token", testToken)
	p, port, at := newPrimaryOf(t, exampleOrg...), unusedPort(t), "127.0.0.1:"+unusedPort(t)
	running := begin(t, serverBlock("example.org", port, p, "control "+at))
	open := control.Options{Address: "http://" + at}
	closed := control.Options{Address: "http://" + at, Token: testToken}
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	if page, err := asked(t, open); err != nil || len(page.Zones) != 1 || page.Zones[0].State != control.Normal {
		t.Fatalf("%+v, %v", page, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := new(http.Transport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if err := restart(t, running, serverBlock("example.org", port, p, "max_records 500\ncontrol "+at)); err != nil {
		t.Fatal(err)
	}
	c, err := control.NewClient(open)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(ctx, control.Ref{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	if !streams(stream, "refresh") {
		t.Error("A stream of before the reload does not go on")
	}

	if err := restart(t, running, serverBlock("example.org", port, p, "control "+at+" token "+token)); err != nil {
		t.Fatal(err)
	}
	if _, err := asked(t, open); status(err) != http.StatusUnauthorized {
		t.Errorf("Without the new token: %v", err)
	}
	if _, err := asked(t, closed); err != nil {
		t.Errorf("With the new token: %v", err)
	}
	if err := restart(t, running, serverBlock("example.org", port, p, "control "+at)+occupied(t)); err == nil {
		t.Fatal("A reload onto an occupied port did not fail")
	}
	if _, err := asked(t, open); status(err) != http.StatusUnauthorized {
		t.Errorf("After a failed reload without the token: %v", err)
	}
	if err := restart(t, running, serverBlock("example.org", port, p, "")); err != nil {
		t.Fatal(err)
	}
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7) // the query lets the old instance go
	if _, err := asked(t, closed); err == nil || status(err) != 0 {
		t.Errorf("After control was taken away: %v", err)
	}
}

// streams reports whether an event with the text comes.
func streams(r *http.Response, text string) bool {
	found := make(chan bool, 1)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buf)
			if all = append(all, buf[:n]...); bytes.Contains(all, []byte(text)) || err != nil {
				found <- err == nil
				return
			}
		}
	}()
	select {
	case ok := <-found:
		return ok
	case <-time.After(time.Minute):
		return false
	}
}

// TLS begins, changes its certificate and ends with a reload.
func TestControlWithTLS(t *testing.T) {
	wantNothingLeft(t)
	dir := t.TempDir()
	token := write(t, dir, "token", testToken)
	p, port, at := newPrimaryOf(t, exampleOrg...), unusedPort(t), "127.0.0.1:"+unusedPort(t)
	running := begin(t, serverBlock("example.org", port, p, "control "+at))
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	for _, name := range []string{"a", "b"} {
		cert, key := scripted.Certificate(t, dir, name)
		if err := restart(t, running, serverBlock("example.org", port, p, "control "+at+" token "+token+" tls "+cert+" "+key)); err != nil {
			t.Fatal(err)
		}
		waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
		if _, err := asked(t, control.Options{Address: "https://" + at, Token: testToken, CA: cert}); err != nil {
			t.Errorf("Certificate %s: %v", name, err)
		}
		if _, err := asked(t, control.Options{Address: "http://" + at, Token: testToken}); err == nil {
			t.Error("It answers without TLS")
		}
	}
}

// A unix socket is for its owner alone; one that a crash has left is replaced, one in use is not.
func TestControlOnUnixSocket(t *testing.T) {
	wantNothingLeft(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "control")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	corefile := serverBlock("example.org", port, p, "control unix:"+path)
	if i, err := caddy.Start(input(corefile)); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("Start on a socket in use: %v, %v", i, err)
	}
	left.Close()
	begin(t, corefile)
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if page, err := asked(t, control.Options{Address: "unix:" + path}); err != nil || len(page.Zones) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// A port that is taken keeps the server from starting and the reload from replacing what runs.
func TestControlPortTaken(t *testing.T) {
	wantNoMore(t, "sockets", func() int { return 0 })
	p, port := newPrimaryOf(t, exampleOrg...), unusedPort(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	running := begin(t, serverBlock("example.org", port, p, ""))
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
	err = restart(t, running, serverBlock("example.org", port, p, "control "+l.Addr().String()))
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Reload: %v", err)
	}
	waitServed(t, "127.0.0.1:"+port, "example.org.", 7)
}

// While a reload puts a configuration in force, the one before holds: nobody is answered without TLS in between.
func TestControlIsNeverWithoutTLS(t *testing.T) {
	cert, key := scripted.Certificate(t, t.TempDir(), "a")
	c := corefile.Control{Token: testToken, Cert: read(t, cert), Key: read(t, key)}
	s := &controlServer{Server: httpapi.New(nil, controlOptions(c))}
	s.adopt(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			s.adopt(c)
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			if s.certificate.Load() == nil {
				t.Fatal("There is no certificate")
			}
		}
	}
}

// A socket of which it cannot be told whether somebody listens on it is left where it is.
func TestControlLeavesSocketsOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("unix", path) // takes the only place in the queue
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if l, err := listenControl(corefile.Control{Network: "unix", Address: path}); err == nil {
		l.Close()
		t.Error("The socket of a busy process is taken over")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
