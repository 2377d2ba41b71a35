package httpapi

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// The limits that tests look at.
const (
	MaxConns   = maxConns
	MaxStreams = maxStreams
	MaxExports = maxExports
	MaxHeader  = maxHeader
	MaxBody    = maxBody
	WrongBurst = wrongBurst
	MaxWrong   = maxWrong
)

// NewImpatient is New with other limits of time for a request's header and the whole of it, for a piece of an answer and
// between signs of life; zero leaves one as it is.
func NewImpatient(e *secondary.Secondary, o Options, header, read, write, beat time.Duration) *Server {
	l := defaultLimits
	for _, set := range []struct {
		limit *time.Duration
		to    time.Duration
	}{{&l.header, header}, {&l.read, read}, {&l.write, write}, {&l.beat, beat}} {
		if set.to > 0 {
			*set.limit = set.to
		}
	}
	return newServer(e, o, l)
}

// Routes returns method and pattern of each route, and its parameters.
func Routes() map[[2]string][]string {
	all := make(map[[2]string][]string)
	for _, r := range routes() {
		all[[2]string{r.method, r.pattern}] = r.params
	}
	return all
}

// OpenAPI is the description of the API.
func OpenAPI() []byte { return openapi }

// Line returns a record as it stands in a zone file.
func Line(rr *wire.RR) string { return string(appendRecord(nil, rr)) }

// Streams returns how many streams of events run.
func (s *Server) Streams() int { return len(s.streams) }

// Conns returns how many connections are open.
func (s *Server) Conns() int {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	return len(s.conns.open)
}

// Exports returns how many exports run.
func (s *Server) Exports() int { return len(s.exports) }

// Forget has all zones, and all secondaries, looked at by the next request that tells of them.
func (s *Server) Forget() {
	s.survey.mu.Lock()
	defer s.survey.mu.Unlock()
	s.survey.until = time.Time{}
	s.roll.mu.Lock()
	defer s.roll.mu.Unlock()
	s.roll.until = time.Time{}
}
