package secondaryplus

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
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
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
)

// A token of the tests, which must not be seen anywhere.
const testToken = "0123456789abcdef-of-the-tests"

// certificate makes a certificate for the loopback and writes it and its key.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return write(t, dir, name+".pem", text("CERTIFICATE", der)), write(t, dir, name+".key", text("PRIVATE KEY", raw))
}

func TestControlIsRead(t *testing.T) {
	dir := t.TempDir()
	token := write(t, dir, "token", testToken+"\n")
	cert, key := certificate(t, dir, "a")
	for text, want := range map[string]controlConfig{
		"control 127.0.0.1:9154":                    {network: "tcp", address: "127.0.0.1:9154", host: "127.0.0.1"},
		"control [::1]:9154 token " + token:         {network: "tcp", address: "[::1]:9154", host: "::1", token: testToken},
		"control unix:" + dir + "/s token " + token: {network: "unix", address: dir + "/s", token: testToken},
		"control 192.0.2.1:1 token " + token + " tls " + cert + " " + key: {
			network: "tcp", address: "192.0.2.1:1", host: "192.0.2.1", token: testToken, cert: read(t, cert), key: read(t, key)},
		"control 192.0.2.1:1 tls " + cert + " " + key + " token " + token: {
			network: "tcp", address: "192.0.2.1:1", host: "192.0.2.1", token: testToken, cert: read(t, cert), key: read(t, key)},
	} {
		b, err := parse(caddy.NewTestController("dns", "secondaryplus x.test {\nprimary 192.0.2.1\n"+text+"\n}"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if b.settings.control.value != want {
			t.Errorf("%s: %+v", text, b.settings.control.value)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What would open the server to others, or is not understood, is refused; no error shows a secret.
func TestControlIsRefused(t *testing.T) {
	dir := t.TempDir()
	token := write(t, dir, "token", testToken)
	short := write(t, dir, "short", "tooshort")
	words := write(t, dir, "words", testToken+" "+testToken)
	cert, key := certificate(t, dir, "a")
	other, _ := certificate(t, dir, "b")
	for text, want := range map[string]string{
		"control":                                                "want control ADDRESS",
		"control localhost:9154":                                 "want an IP address and a port",
		"control 9154":                                           "want an IP address and a port",
		"control :9154":                                          "want an IP address and a port",
		"control 127.0.0.1:0":                                    "want an IP address and a port",
		"control unix:s":                                         "the path of the socket is not absolute",
		"control unix:" + dir + "/none/s":                        "is no directory",
		"control 0.0.0.0:9154":                                   "the network could steer the server",
		"control 192.0.2.1:9154":                                 "or 127.0.0.1:9154",
		"control [::]:9154 token " + token:                       "want token FILE and tls CERT KEY",
		"control 192.0.2.1:1 tls " + cert + " " + key:            "want token FILE and tls CERT KEY",
		"control 127.0.0.1:1 token":                              "want control ADDRESS",
		"control 127.0.0.1:1 token " + short:                     "want one word of 16 to 1024 printable",
		"control 127.0.0.1:1 token " + words:                     "want one word of 16 to 1024 printable",
		"control 127.0.0.1:1 token /nowhere":                     "no such file",
		"control 127.0.0.1:1 token " + token + " token " + token: "want control ADDRESS",
		"control 127.0.0.1:1 tls " + cert:                        "want control ADDRESS",
		"control 127.0.0.1:1 tls " + other + " " + key:           "private key does not match",
		"control 127.0.0.1:1 tls " + token + " " + key:           "control tls: ",
		"control 127.0.0.1:1\ncontrol 127.0.0.1:1":               "control is already given",
		"control 127.0.0.1:1\n}\nsecondaryplus y.test {\nprimary 192.0.2.1\ncontrol 127.0.0.1:2":                "control differs from the one at",
		"control 127.0.0.1:1\n}\nsecondaryplus y.test {\nprimary 192.0.2.1\ncontrol 127.0.0.1:1 token " + token: "control differs from the one at",
	} {
		_, err := parse(caddy.NewTestController("dns", "secondaryplus x.test {\nprimary 192.0.2.1\n"+text+"\n}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), testToken) || strings.Contains(err.Error(), "tooshort") || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: the error shows a secret: %v", text, err)
		}
	}
}

func TestTokenFileThatOthersCanRead(t *testing.T) {
	token := write(t, t.TempDir(), "token", testToken)
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := parse(caddy.NewTestController("dns", "secondaryplus x.test {\nprimary 192.0.2.1\ncontrol 127.0.0.1:1 token "+token+"\n}"))
	if err != nil || len(b.warnings) != 1 || !strings.Contains(b.warnings[0], "chmod 600") {
		t.Errorf("%v, warnings %q", err, b.warnings)
	}
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
		cert, key := certificate(t, dir, name)
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
	cert, key := certificate(t, t.TempDir(), "a")
	c := controlConfig{token: testToken, cert: read(t, cert), key: read(t, key)}
	s := &controlServer{Server: httpapi.New(nil, c.options())}
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
	if l, err := (controlConfig{network: "unix", address: path}).listen(); err == nil {
		l.Close()
		t.Error("The socket of a busy process is taken over")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
