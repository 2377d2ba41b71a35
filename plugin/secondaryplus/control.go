package secondaryplus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coredns/coredns/coremain"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/httpapi"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
)

// startedAt is when the process started, about.
var startedAt = time.Now()

// controlServer is the control API at one address. Instances share it, so that a reload keeps its listener and the requests
// under way; the newest of them says who may use it. All fields but certificate are guarded by process.mu.
type controlServer struct {
	*httpapi.Server
	listener    net.Listener
	certificate atomic.Pointer[tls.Certificate] // nil for no TLS
	users       []*instance                     // oldest first
	ended       chan struct{}                   // closed when the server does not listen any more
}

// openControl has the control API of an instance answer, if it wants one. process.mu is not held.
func openControl(in *instance, e *secondary.Secondary) error {
	c := in.settings.Control
	at, given := in.settings.At("control")
	if !given {
		return nil
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	s := process.controls[c.Address]
	if s == nil {
		l, err := listenControl(c)
		if err != nil {
			return fmt.Errorf("%v: control: %w", at, err)
		}
		s = &controlServer{Server: httpapi.New(e, controlOptions(c)), listener: l, ended: make(chan struct{})}
		s.adopt(c)
		go s.serve()
		if process.controls == nil {
			process.controls = map[string]*controlServer{}
		}
		process.controls[c.Address] = s
		log.Infof("control: listening on %s", s.listener.Addr())
	} else {
		s.adopt(c)
	}
	s.users = append(s.users, in)
	return nil
}

// listenControl opens the socket of a control API. A unix socket that a process left behind is replaced; one that a process
// listens on, or may do so, is not.
func listenControl(c corefile.Control) (net.Listener, error) {
	if c.Network != "unix" {
		return net.Listen(c.Network, c.Address)
	}
	conn, err := net.Dial(c.Network, c.Address)
	if err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen unix %s: another process listens there", c.Address)
	}
	info, gone := os.Lstat(c.Address)
	if errors.Is(err, syscall.ECONNREFUSED) && gone == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(c.Address) // net.Listen says what is wrong
	}
	l, err := net.Listen(c.Network, c.Address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(c.Address, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// closeControls lets go of what an instance uses of control APIs, and closes those that nobody uses any more.
func closeControls(in *instance) {
	process.mu.Lock()
	var unused []*controlServer
	for address, s := range process.controls {
		s.users = slices.DeleteFunc(s.users, func(o *instance) bool { return o == in })
		if n := len(s.users); n > 0 {
			s.adopt(s.users[n-1].settings.Control)
			continue
		}
		delete(process.controls, address)
		unused = append(unused, s)
	}
	process.mu.Unlock()
	for _, s := range unused {
		s.Close()
		<-s.ended
	}
}

// adopt puts a configuration in force.
func (s *controlServer) adopt(c corefile.Control) {
	var certificate *tls.Certificate
	if c.Cert != "" {
		pair, _ := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key)) // the parser has tried it
		certificate = &pair
	}
	s.Configure(controlOptions(c))
	s.certificate.Store(certificate)
}

func controlOptions(c corefile.Control) httpapi.Options {
	return httpapi.Options{Token: c.Token, Host: c.Host, Version: "CoreDNS-" + coremain.CoreVersion, StartedAt: startedAt, Log: log}
}

// serve answers until the server is closed.
func (s *controlServer) serve() {
	defer close(s.ended)
	if err := s.Serve(tlsListener{s.listener, s}); err != nil {
		log.Errorf("control: %v; restart to listen on %s again", err, s.listener.Addr())
	}
}

// tlsListener speaks TLS on the connections of a listener while there is a certificate: a reload may bring one or take it
// away.
type tlsListener struct {
	net.Listener
	server *controlServer
}

var errNoCertificate = errors.New("no certificate any more")

// Accept implements net.Listener.
func (l tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.server.certificate.Load() == nil {
		return conn, err
	}
	return tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := l.server.certificate.Load(); c != nil {
				return c, nil
			}
			return nil, fmt.Errorf("%s: %w", l.Addr(), errNoCertificate)
		},
	}), nil
}
