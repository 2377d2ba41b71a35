// Package httpapi is the control API: what an operator sees and orders of an engine, as JSON over HTTP/1.1, and the status
// page that is made of it. Package control has the values and a client, openapi.json describes the routes.
//
// Everybody who can connect may send anything, so what comes is bounded before it is looked at. Start reading at
// Server.ServeHTTP: a request is routed, admitted and answered; an error becomes a problem (RFC 9457) in one place.
package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/watch"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// What clients may take up.
const (
	maxHeader   = 16 << 10 // octets of a request's header
	maxBody     = 4 << 10  // octets of its body
	maxConns    = 256      // connections; one more takes the place of the one that has been without a request for longest
	maxStreams  = 32       // of events
	maxExports  = 4
	maxCommands = 100 // a second, from all clients
	maxWrong    = 5   // wrong tokens a second, from all clients

	commandBurst = 500
	wrongBurst   = 20
)

// limits are the limits of time. They are a plain value.
type limits struct {
	header time.Duration // for a request's header
	read   time.Duration // for the whole of a request
	write  time.Duration // for an answer, and for each piece of one that comes in pieces
	idle   time.Duration // between two requests
	export time.Duration // for a whole export
	beat   time.Duration // between signs of life in a stream of events
}

var defaultLimits = limits{
	header: 5 * time.Second, read: 10 * time.Second, write: 20 * time.Second, idle: 60 * time.Second,
	export: 15 * time.Minute, beat: 15 * time.Second,
}

// Options are what a configuration says of the server. They are a plain value.
type Options struct {
	Token     string // that every request but those for the page has to bring; empty: none, and browsers have to name Host
	Host      string // the host of the listen address, without port; empty for none. Loopback and unix sockets need none
	Version   string // of the program
	StartedAt time.Time
	Log       watch.Logger // takes what goes wrong in the server itself; nil: nobody does
}

// settings are Options made ready. They are read-only.
type settings struct {
	Options
	digest [sha256.Size]byte // of the token
}

// Server is the control API of a secondary. It is safe for concurrent use.
type Server struct {
	secondary *secondary.Secondary
	host      string // the name of this host
	routes    []route
	http      http.Server
	limits    limits
	settings  atomic.Pointer[settings]
	commands  *rate.Limiter
	wrong     *rate.Limiter
	streams   chan struct{} // holds one for each that runs
	exports   chan struct{} // holds one for each that runs
	conns     conns
	survey    survey
	roll      roll
	closing   context.Context //nolint:containedctx // the life of the server
	stop      context.CancelFunc

	mu      sync.Mutex
	closed  bool           // guarded by mu
	running sync.WaitGroup // requests; none is added when closed
}

// New returns a server, which listens nowhere yet.
func New(of *secondary.Secondary, o Options) *Server { return newServer(of, o, defaultLimits) }

func newServer(of *secondary.Secondary, o Options, l limits) *Server {
	s := &Server{
		secondary: of, routes: routes(), limits: l,
		commands: rate.NewLimiter(maxCommands, commandBurst), wrong: rate.NewLimiter(maxWrong, wrongBurst),
		streams: make(chan struct{}, maxStreams), exports: make(chan struct{}, maxExports),
		conns: conns{open: make(map[net.Conn]*place)},
	}
	s.host, _ = os.Hostname() // for people to read; "" is no worse
	s.closing, s.stop = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler: s, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: l.header, ReadTimeout: l.read, WriteTimeout: l.write, IdleTimeout: l.idle,
		DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // what clients do wrong is for them alone
		BaseContext: func(net.Listener) context.Context { return s.closing },
		ConnContext: s.conns.enter, ConnState: s.conns.changed,
	}
	s.Configure(o)
	return s
}

// Configure puts other options in force, from the next request on. A stream whose token is not that of before ends.
func (s *Server) Configure(o Options) {
	s.settings.Store(&settings{Options: o, digest: sha256.Sum256([]byte(o.Token))})
}

// Serve answers what comes in by l until l or the server is closed, which is no error. It may be called for several
// listeners.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close closes the listeners, ends all requests and waits for them. A second call does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.http.Close()
	s.running.Wait()
}

// begin notes that a request runs; false if the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()
	defer s.conns.serving(r)()
	defer s.rescue(r)
	setHeaders(w.Header())
	if err := s.respond(w, r); err != nil {
		answerProblem(w, err)
	}
}

// respond answers a request unless it returns an error.
func (s *Server) respond(w http.ResponseWriter, r *http.Request) error {
	rt, name, allowed := find(s.routes, r)
	if rt == nil || !rt.open {
		if err := s.admit(r); err != nil {
			return err
		}
	}
	switch {
	case rt == nil && len(allowed) > 0:
		return refuse(http.StatusMethodNotAllowed, "method %q: want %s", r.Method, strings.Join(allowed, ", ")).
			with("Allow", strings.Join(allowed, ", "))
	case rt == nil:
		return notFound("path %q: see /openapi.json for those there are", r.URL.Path)
	}
	params, err := readQuery(r.URL.RawQuery, rt.params)
	if err != nil {
		return err
	}
	return rt.do(s, w, &request{r, name, params})
}

// rescue keeps an error in a handler from more than its request.
func (s *Server) rescue(r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if l := s.settings.Load().Log; l != nil && v != http.ErrAbortHandler { //nolint:errorlint // it is never wrapped
		l.Errorf("control %s %q: %v\n%s", r.Method, r.URL.Path, v, debug.Stack())
	}
	panic(http.ErrAbortHandler)
}

// take takes one of a number of places, which the function returned gives back; the error says that there is none.
func take(places chan struct{}, what string) (release func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, busy(what)
	}
}
