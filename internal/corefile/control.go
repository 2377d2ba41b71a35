package corefile

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// The length of a token, in octets. A shorter one can be guessed.
const (
	minToken = 16
	maxToken = 1024
)

// wantControl says what the address of the control API may be.
const wantControl = "an IP address and a port, such as 127.0.0.1:9154, or a unix socket, such as " +
	"unix:/run/secondaryplus.sock"

// Control says where the control API listens, and who may use it. It is a plain value; the token and the key are
// secrets.
type Control struct {
	Network string // tcp or unix
	Address string // as net.Listen takes it
	Host    string // of Address; empty for a unix socket
	Token   string // empty for none
	Cert    string // PEM; empty for no TLS
	Key     string // PEM
}

// control reads "ADDRESS [token FILE] [tls CERT KEY]". The files are read here, so that a reload takes new ones.
func (r *reader) control(l line) (Control, error) {
	args := l.args()
	c, err := parseControl(args[0])
	if err != nil {
		return c, l.wrong(args[0], "%s; %v", wantControl, err)
	}
	for args = args[1:]; len(args) > 0; {
		switch {
		case args[0] == "token" && len(args) > 1 && c.Token == "":
			if c.Token, err = r.readToken(l, args[1]); err != nil {
				return c, l.Errorf("control token: %w", err)
			}
			args = args[2:]
		case args[0] == "tls" && len(args) > 2 && c.Cert == "":
			if c.Cert, c.Key, err = r.readPair(l, args[1], args[2]); err != nil {
				return c, l.Errorf("control tls: %w", err)
			}
			args = args[3:]
		default:
			return c, l.misused()
		}
	}
	if err := c.safe(); err != nil {
		return c, l.Errorf("control %q: %w", l.args()[0], err)
	}
	return c, nil
}

func parseControl(s string) (Control, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return Control{}, fmt.Errorf("the path of the socket is not absolute")
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return Control{}, fmt.Errorf("%s is no directory", filepath.Dir(path))
		}
		return Control{Network: "unix", Address: path}, nil
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil || addr.Port() == 0 {
		return Control{}, fmt.Errorf("no address to listen on")
	}
	return Control{Network: "tcp", Address: addr.String(), Host: addr.Addr().String()}, nil
}

// safe returns why the control API would be open to whom it should not be: what it can do is for the operator alone.
func (c Control) safe() error {
	addr, err := netip.ParseAddr(c.Host)
	if err != nil || addr.IsLoopback() {
		return nil
	}
	if c.Token == "" || c.Cert == "" {
		return fmt.Errorf("this address is not of the loopback, so the network could steer the server: "+
			"want token FILE and tls CERT KEY as well, or 127.0.0.1:%s", c.Address[strings.LastIndex(c.Address, ":")+1:])
	}
	return nil
}

// readToken returns the secret in a file.
func (r *reader) readToken(l line, name string) (string, error) {
	path := r.path(name)
	b, err := r.readSecret(l, "token file", path)
	if err != nil {
		return "", err
	}
	b = bytes.TrimSpace(b)
	if len(b) < minToken || len(b) > maxToken || bytes.ContainsFunc(b, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s: want one word of %d to %d printable ASCII characters, "+
			"such as openssl rand -hex 32 makes (not shown)", path, minToken, maxToken)
	}
	return string(b), nil
}

// readPair returns a certificate and its key.
func (r *reader) readPair(l line, certName, keyName string) (cert, key string, err error) {
	f := WatchedFile{Path: r.path(certName)}
	c, err := f.read(maxSecretFile, "a file of certificates")
	if err != nil {
		return "", "", err
	}
	k, err := r.readSecret(l, "file of the TLS key", r.path(keyName))
	if err != nil {
		return "", "", err
	}
	if _, err := tls.X509KeyPair(c, k); err != nil {
		return "", "", fmt.Errorf("%s and %s: %w", f.Path, r.path(keyName), err)
	}
	return string(c), string(k), nil
}
