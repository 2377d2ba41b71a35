package httpapi

import (
	"net/http"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

func refreshZone(s *Server, w http.ResponseWriter, r *request) error {
	return s.command(w, r, &struct{}{}, func(id engine.ZoneID) (uint64, error) { return s.secondary.Order(id, refresh.Check) })
}

func retransferZone(s *Server, w http.ResponseWriter, r *request) error {
	var c control.Command
	return s.command(w, r, &c, func(id engine.ZoneID) (uint64, error) {
		if c.Force {
			return s.secondary.Order(id, refresh.Force)
		}
		return s.secondary.Order(id, refresh.Again)
	})
}

func notifyZone(s *Server, w http.ResponseWriter, r *request) error {
	return s.command(w, r, &struct{}{}, s.secondary.Renotify)
}

func flushZone(s *Server, w http.ResponseWriter, r *request) error {
	return s.command(w, r, &struct{}{}, s.secondary.Flush)
}

// command reads the body of a command and gives the order.
func (s *Server) command(w http.ResponseWriter, r *request, body any, order func(engine.ZoneID) (uint64, error)) error {
	if err := s.readCommand(w, r.Request, body); err != nil {
		return err
	}
	id, err := s.zone(r)
	if err != nil {
		return err
	}
	event, err := order(id)
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, &control.Done{EventID: event})
}
