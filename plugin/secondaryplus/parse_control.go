package secondaryplus

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const controlUsage = "control ADDRESS [token FILE] [tls CERT KEY]"

// The length of a token, in octets. A shorter one can be guessed.
const (
	minToken = 16
	maxToken = 1024
)

// wantControl says what the address of the control API may be.
const wantControl = "an IP address and a port, such as 127.0.0.1:9154, or a unix socket, such as unix:/run/secondaryplus.sock"

// controlConfig says where the control API listens, and who may use it. It is a plain value; the token and the key are
// secrets.
type controlConfig struct {
	network string // tcp or unix
	address string // as net.Listen takes it
	host    string // of address; empty for a unix socket
	token   string // empty for none
	cert    string // PEM; empty for no TLS
	key     string // PEM
}

// control reads "control ADDRESS [token FILE] [tls CERT KEY]". The files are read here, so that a reload takes new ones.
func (r *groupReader) control(l line) error {
	args := l.args()
	c, err := parseControl(args[0])
	if err != nil {
		return l.wrong(args[0], "%s; %v", wantControl, err)
	}
	for args = args[1:]; len(args) > 0; {
		switch {
		case args[0] == "token" && len(args) > 1 && c.token == "":
			if c.token, err = r.readToken(l, args[1]); err != nil {
				return l.errorf("control token: %w", err)
			}
			args = args[2:]
		case args[0] == "tls" && len(args) > 2 && c.cert == "":
			if c.cert, c.key, err = r.readPair(l, args[1], args[2]); err != nil {
				return l.errorf("control tls: %w", err)
			}
			args = args[3:]
		default:
			return l.wrong(strings.Join(l.args(), " "), "%s", l.usage)
		}
	}
	if err := c.safe(); err != nil {
		return l.errorf("control %q: %w", l.args()[0], err)
	}
	r.settings.control = setting[controlConfig]{c, l.position}
	return nil
}

func parseControl(s string) (controlConfig, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return controlConfig{}, fmt.Errorf("the path of the socket is not absolute")
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return controlConfig{}, fmt.Errorf("%s is no directory", filepath.Dir(path))
		}
		return controlConfig{network: "unix", address: path}, nil
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil || addr.Port() == 0 {
		return controlConfig{}, fmt.Errorf("no address to listen on")
	}
	return controlConfig{network: "tcp", address: addr.String(), host: addr.Addr().String()}, nil
}

// safe returns why the control API would be open to whom it should not be: what it can do is for the operator alone.
func (c controlConfig) safe() error {
	addr, err := netip.ParseAddr(c.host)
	if err != nil || addr.IsLoopback() {
		return nil
	}
	if c.token == "" || c.cert == "" {
		return fmt.Errorf("this address is not of the loopback, so the network could steer the server: want token FILE and tls CERT KEY "+
			"as well, or 127.0.0.1:%s", c.address[strings.LastIndex(c.address, ":")+1:])
	}
	return nil
}

// readToken returns the secret in a file.
func (r *groupReader) readToken(l line, name string) (string, error) {
	path := r.path(name)
	b, err := r.readSecret(l, "token file", path)
	if err != nil {
		return "", err
	}
	b = bytes.TrimSpace(b)
	if len(b) < minToken || len(b) > maxToken || bytes.ContainsFunc(b, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s: want one word of %d to %d printable ASCII characters, such as openssl rand -hex 32 makes (not shown)",
			path, minToken, maxToken)
	}
	return string(b), nil
}

// readPair returns a certificate and its key.
func (r *groupReader) readPair(l line, certName, keyName string) (cert, key string, err error) {
	c, err := os.ReadFile(r.path(certName))
	if err != nil {
		return "", "", err
	}
	k, err := r.readSecret(l, "file of the TLS key", r.path(keyName))
	if err != nil {
		return "", "", err
	}
	if _, err := tls.X509KeyPair(c, k); err != nil {
		return "", "", fmt.Errorf("%s and %s: %w", r.path(certName), r.path(keyName), err)
	}
	return string(c), string(k), nil
}

// listen opens the socket of a control API. A unix socket that a process left behind is replaced; one that a process listens
// on, or may do so, is not.
func (c controlConfig) listen() (net.Listener, error) {
	if c.network != "unix" {
		return net.Listen(c.network, c.address)
	}
	conn, err := net.Dial(c.network, c.address)
	if err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen unix %s: another process listens there", c.address)
	}
	info, gone := os.Lstat(c.address)
	if errors.Is(err, syscall.ECONNREFUSED) && gone == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(c.address) // net.Listen says what is wrong
	}
	l, err := net.Listen(c.network, c.address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(c.address, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
