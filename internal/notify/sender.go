package notify

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what a Sender does beside its machine.
const (
	maxPending = 1 << 20               // zones with a version that the machine has not been told of
	maxStride  = 64                    // zones that are configured, or published, before the lock is let go
	maxLogged  = 10                    // reports in the log in a minute
	maxAnswer  = 4096                  // octets of an answer over UDP
	maxRoom    = 50 * time.Millisecond // how long a datagram waits for room in the socket; without it is lost, as on the way
	tcpSpan    = 5 * time.Second       // connection, message and answer
)

// Logger takes the log lines. CoreDNS's plugin loggers are Loggers. It must be safe for concurrent use.
type Logger interface {
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
}

// Served is where a Sender finds out about a zone. It must be safe for concurrent use and wait for nothing but short locks.
type Served interface {
	Version() (v Version, ok bool) // served now; ok is false for none
	Told() []byte                  // what SaveTold had last, perhaps in another process; called once there is a version
	SaveTold(told []byte)          // is to be kept
}

// ServedZone is a zone, whom to tell of it, and where to find out about it. It is a plain value.
type ServedZone struct {
	Zone
	Served Served
}

// Sender tells targets of new versions. Its methods are safe for concurrent use.
type Sender struct {
	log     Logger
	ctx     context.Context //nolint:containedctx // the life of the goroutines
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // the machine may want something sooner; holds one

	// pending is what has been published and the machine does not know of: whoever publishes has a lock of its own.
	pendingMu sync.Mutex
	pending   map[string]bool // with true, those are told that know the version, too; guarded by pendingMu

	mu       sync.Mutex // guards what follows; held for steps, never for a message
	machine  *Machine
	served   map[string]Served
	sockets  map[netip.Addr]*net.UDPConn // by the address we speak from; the unspecified ones leave it to the system
	logged   int                         // reports in the log since loggedAt
	silent   int                         // reports that are not
	loggedAt time.Time
}

// NewSender returns a running sender without zones. Close ends it.
func NewSender(log Logger, count func(Result)) *Sender {
	ctx, stop := context.WithCancel(context.Background())
	s := &Sender{
		log: log, ctx: ctx, stop: stop, wake: make(chan struct{}, 1), pending: map[string]bool{},
		machine: NewMachine(randomID, count), served: map[string]Served{}, sockets: map[netip.Addr]*net.UDPConn{},
	}
	s.running.Go(s.run)
	return s
}

// randomID returns a message ID that nobody can foresee (RFC 5452 §9.2).
func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails: it ends the process instead
	return binary.BigEndian.Uint16(b[:])
}

// Close ends the sender, and waits for its goroutines. Messages under way are forgotten.
func (s *Sender) Close() {
	s.stop()
	s.mu.Lock()
	for _, conn := range s.sockets {
		_ = conn.Close()
	}
	clear(s.sockets)
	s.mu.Unlock()
	s.running.Wait()
}

// Configure says which zones there are, and whom to tell of them. Targets that were not there before are told of what is served; so
// are those that have not acknowledged it.
func (s *Sender) Configure(zones map[string]ServedZone) {
	s.mu.Lock()
	for _, id := range s.machine.Zones() {
		if _, stays := zones[id]; !stays {
			s.machine.Remove(id)
			delete(s.served, id)
		}
	}
	s.mu.Unlock()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(zones)), maxStride) {
		s.mu.Lock()
		for _, id := range ids {
			z := zones[id]
			s.machine.Configure(time.Now(), id, z.Zone)
			s.served[id] = z.Served
		}
		s.mu.Unlock()
		for _, id := range ids {
			s.Published(id, false) // what was published before the machine had the zone
		}
	}
	s.closeUnused(zones)
}

// closeUnused closes the sockets that no zone has a target for.
func (s *Sender) closeUnused(zones map[string]ServedZone) {
	used := map[netip.Addr]bool{}
	for _, z := range zones {
		for _, t := range z.Targets {
			used[local(t.Addr, t.Source)] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for from, conn := range s.sockets {
		if !used[from] {
			_ = conn.Close()
			delete(s.sockets, from)
		}
	}
}

// Published has the targets of a zone told of the version that is served; with again also those that know it. It waits for nothing.
func (s *Sender) Published(id string, again bool) {
	s.pendingMu.Lock()
	if len(s.pending) < maxPending {
		s.pending[id] = s.pending[id] || again
	}
	s.pendingMu.Unlock()
	s.signal()
}

// signal wakes the goroutine, if it is not awake already.
func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Status returns how the targets of a zone stand, nil if there is no such zone.
func (s *Sender) Status(id string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.Status(id)
}

// run sends until the sender is closed.
func (s *Sender) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		s.takePending()
		msg, at := s.next()
		if msg != nil {
			s.send(msg)
			continue
		}
		if at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.ctx.Done():
		}
	}
}

// takePending tells the machine of what has been published.
func (s *Sender) takePending() {
	s.pendingMu.Lock()
	if len(s.pending) == 0 {
		s.pendingMu.Unlock()
		return
	}
	pending := s.pending
	s.pending = map[string]bool{}
	s.pendingMu.Unlock()
	for ids := range slices.Chunk(slices.Collect(maps.Keys(pending)), maxStride) {
		s.mu.Lock()
		for _, id := range ids {
			if served := s.served[id]; served != nil {
				if v, ok := served.Version(); ok {
					s.machine.Remember(id, served.Told())
					s.machine.Publish(time.Now(), id, v, pending[id])
				}
			}
		}
		s.mu.Unlock()
	}
}

// next returns the next message, or when to ask again; zero for when something has been published.
func (s *Sender) next() (*Message, time.Time) {
	s.mu.Lock()
	msg := s.machine.Next(time.Now())
	at := s.machine.NextAt()
	lines := s.lines()
	s.mu.Unlock()
	s.say(lines)
	return msg, at
}

// send sends a message.
func (s *Sender) send(msg *Message) {
	if msg.TCP {
		s.running.Go(func() { s.converse(msg) })
		return
	}
	conn, err := s.socket(msg.FlightID)
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(maxRoom))
		_, err = conn.WriteToUDPAddrPort(msg.Octets, msg.To)
	}
	if err == nil || s.ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	s.machine.Unsent(time.Now(), msg.FlightID, err)
	s.mu.Unlock()
}

// local returns the address that a target is spoken to from.
func local(to netip.AddrPort, source netip.Addr) netip.Addr {
	switch {
	case source.IsValid():
		return source
	case to.Addr().Unmap().Is4():
		return netip.IPv4Unspecified()
	default:
		return netip.IPv6Unspecified()
	}
}

// socket returns the socket that a message leaves by, which is opened for the first one.
func (s *Sender) socket(id FlightID) (*net.UDPConn, error) {
	from := local(id.To, id.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.sockets[from]; conn != nil {
		return conn, nil
	}
	network := "udp6"
	if from.Is4() {
		network = "udp4"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		return nil, err
	}
	if s.ctx.Err() != nil {
		_ = conn.Close()
		return nil, s.ctx.Err()
	}
	s.sockets[from] = conn
	s.running.Go(func() { s.read(conn, id.Source) })
	return conn, nil
}

// read takes the answers that come to a socket, until it is closed.
func (s *Sender) read(conn *net.UDPConn, source netip.Addr) {
	buf := make([]byte, maxAnswer)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			s.forget(conn)
			return
		}
		if n < 2 {
			continue
		}
		to := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.receive(FlightID{To: to, Source: source, ID: binary.BigEndian.Uint16(buf)}, buf[:n])
	}
}

// forget closes a socket that is of no use any more: the next message opens another.
func (s *Sender) forget(conn *net.UDPConn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sockets, func(_ netip.Addr, o *net.UDPConn) bool { return o == conn })
}

// receive tells the machine of an answer.
func (s *Sender) receive(from FlightID, octets []byte) {
	s.mu.Lock()
	if id := s.machine.Receive(time.Now(), from, octets); id != "" {
		s.served[id].SaveTold(s.machine.Told(id)) // with the lock, or an older one could come last
	}
	lines := s.lines()
	s.mu.Unlock()
	s.say(lines)
	s.signal()
}
