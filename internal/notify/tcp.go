package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// errNotTheAnswer is why what has come over a connection does not count (RFC 7766 §7).
var errNotTheAnswer = errors.New("not the answer to the message")

// converse sends a message over TCP and takes the answer.
func (s *Sender) converse(msg *Message) {
	answer, err := s.exchange(msg)
	if err == nil {
		s.receive(msg.FlightID, answer)
	}
	s.mu.Lock()
	s.machine.TCPEnded(time.Now(), msg.FlightID)
	s.mu.Unlock()
	s.signal()
}

// exchange returns the message that comes back for one that is sent, each with its length before it (RFC 7766 §8).
func (s *Sender) exchange(msg *Message) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, tcpSpan)
	defer cancel()
	var d net.Dialer
	if msg.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(msg.Source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", msg.To.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg.Octets)), uint16(len(msg.Octets)))
	if _, err := conn.Write(append(framed, msg.Octets...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	if len(answer) < wire.HeaderLen || binary.BigEndian.Uint16(answer) != msg.ID {
		return nil, errNotTheAnswer
	}
	return answer, nil
}
