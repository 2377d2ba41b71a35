//go:build e2e

package e2e_test

import (
	bigendian "encoding/binary" // the name is taken by the path of the server
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	askWindow  = 32                     // questions without an answer yet, on one socket
	askPause   = 400 * time.Millisecond // without any answer, until those without one are asked again
	askTries   = 20                     // pauses until a server is given up
	askSockets = 2                      // of UDP and of TCP to each server
)

// manner is how a question is asked. It is a plain value.
type manner struct {
	name string
	tcp  bool
	size uint16 // of the UDP buffer; 0 for no EDNS
	do   bool

	recursive bool
}

// limit is how many octets the answer may have.
func (p manner) limit() int {
	switch {
	case p.tcp:
		return dns.MaxMsgSize
	case p.size == 0:
		return dns.MinMsgSize
	default:
		return int(p.size)
	}
}

// inquiry is one question, asked in one way. It is a plain value.
type inquiry struct {
	zone  *corpusZone
	name  string
	qtype uint16
	by    manner
}

func (q inquiry) String() string {
	return fmt.Sprintf("%s %s (%s)", q.name, dns.Type(q.qtype), q.by.name)
}

// pack returns the query with the ID.
func (q inquiry) pack(id uint16) ([]byte, error) {
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	m.Id, m.RecursionDesired = id, q.by.recursive
	if q.by.size > 0 {
		m.SetEdns0(q.by.size, q.by.do)
	}
	return m.Pack()
}

// askAll asks a server all questions, and returns the answers in the same order.
func askAll(addr string, questions []inquiry) ([][]byte, error) {
	answers := make([][]byte, len(questions))
	var shares [2 * askSockets][]int // indexes by socket: those of UDP first
	for i, q := range questions {
		s := i % askSockets
		if q.by.tcp {
			s += askSockets
		}
		shares[s] = append(shares[s], i)
	}
	var all sync.WaitGroup
	errs := make([]error, len(shares))
	for s, share := range shares {
		all.Go(func() { errs[s] = askShare(addr, s >= askSockets, questions, share, answers) })
	}
	all.Wait()
	return answers, errors.Join(errs...)
}

// asking is what is asked on one socket. It belongs to one goroutine.
type asking struct {
	addr    string
	tcp     bool
	conn    net.Conn // nil before the first question, and after it broke
	queries [][]byte
	answers [][]byte
	buf     [dns.MaxMsgSize]byte
}

// askShare asks the questions with the indexes on one socket, with a window of unanswered ones. The ID of a query is its
// place in the share.
func askShare(addr string, tcp bool, questions []inquiry, share []int, answers [][]byte) error {
	a := &asking{addr: addr, tcp: tcp, queries: make([][]byte, len(share)), answers: make([][]byte, len(share))}
	for id, i := range share {
		var err error
		if a.queries[id], err = questions[i].pack(uint16(id)); err != nil {
			return fmt.Errorf("question %v: %w", questions[i], err)
		}
	}
	if err := a.run(); err != nil {
		return fmt.Errorf("questions to %s: %w", addr, err)
	}
	for id, i := range share {
		answers[i] = a.answers[id]
	}
	return nil
}

// run asks until every question has its answer. A socket that is silent or broken is replaced, and what is open asked again.
func (a *asking) run() error {
	defer a.hangUp()
	next, open, silent := 0, 0, 0
	for next < len(a.queries) || open > 0 {
		if a.conn == nil {
			var err error
			if a.conn, err = a.dial(); err != nil {
				return err
			}
			next, open = 0, 0 // answered ones are skipped
		}
		for ; next < len(a.queries) && open < askWindow; next++ {
			if a.answers[next] == nil {
				if err := a.send(a.queries[next]); err != nil {
					break // so will the reading
				}
				open++
			}
		}
		if open == 0 && next == len(a.queries) {
			return nil
		}
		m, err := a.receive()
		if err != nil {
			if silent++; silent > askTries {
				return fmt.Errorf("%d of %d not answered: %w", len(a.queries)-next+open, len(a.queries), err)
			}
			a.hangUp()
			continue
		}
		if id := int(bigendian.BigEndian.Uint16(m)); id < len(a.answers) && a.answers[id] == nil {
			a.answers[id] = append([]byte(nil), m...)
			open--
			silent = 0
		}
	}
	return nil
}

func (a *asking) dial() (net.Conn, error) {
	network := "udp"
	if a.tcp {
		network = "tcp"
	}
	return net.DialTimeout(network, a.addr, queryTimeout)
}

func (a *asking) hangUp() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

func (a *asking) send(query []byte) error {
	if a.tcp {
		query = append(bigendian.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	_, err := a.conn.Write(query)
	return err
}

// receive returns the next message, in the buffer.
func (a *asking) receive() ([]byte, error) {
	if err := a.conn.SetReadDeadline(time.Now().Add(askPause)); err != nil {
		return nil, err
	}
	var n int
	var err error
	if a.tcp {
		if _, err = io.ReadFull(a.conn, a.buf[:2]); err != nil {
			return nil, err
		}
		n = int(bigendian.BigEndian.Uint16(a.buf[:]))
		_, err = io.ReadFull(a.conn, a.buf[:n])
	} else {
		n, err = a.conn.Read(a.buf[:])
	}
	if err != nil {
		return nil, err
	}
	if n < 12 {
		return nil, fmt.Errorf("message of %d octets", n)
	}
	return a.buf[:n], nil
}
