package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How Follow comes back, and how long a line of a stream may be.
const (
	minReconnect = time.Second
	maxReconnect = 30 * time.Second
	maxLine      = 256 << 10 // bytes
)

// Follow gives f the events after the one with an ID, as far as they are kept, or with 0 those from now on, until ctx
// ends or f fails, and returns that error. An empty zone follows all; a name that stands in several server blocks
// follows each of them. An event of kind Lost says that some are missing about here.
//
// Follow returns an error of its first attempt to connect. Later it reconnects, with growing pauses and from the latest ID,
// unless the server refuses with a *Problem that will not pass.
func (c *Client) Follow(ctx context.Context, zone string, after uint64, f func(Event) error) error {
	s := stream{client: c, zone: zone, f: f}
	if after > 0 {
		s.after = strconv.FormatUint(after, 10)
	}
	for pause := minReconnect; ; pause = min(2*pause, maxReconnect) {
		if s.heard {
			pause, s.heard = minReconnect, false
		}
		err := s.run(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.final || !s.opened || refused(err):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // G404: only so that not all followers come at once
		}
	}
}

// refused reports whether the server will answer the same the next time.
func refused(err error) bool {
	p := (*Problem)(nil)
	return errors.As(err, &p) && p.Status >= 400 && p.Status < 500 && p.Status != http.StatusTooManyRequests
}

// stream is what a Follow is about. It belongs to the goroutine of Follow.
type stream struct {
	client *Client
	zone   string
	after  string // the latest ID; empty for none
	f      func(Event) error
	opened bool // it has been connected
	heard  bool // something came since the last attempt
	final  bool // f has failed
}

// run gives f what one connection brings. The error is never nil.
func (s *stream) run(ctx context.Context) error {
	body, err := s.client.open(ctx, "/v1/events", query("zone", s.zone, "after", s.after), "text/event-stream")
	if err != nil {
		return err
	}
	defer body.Close()
	s.opened = true
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	var id, kind, data string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value // the server never has more than one line
		}
		if lines.Text() != "" {
			continue
		}
		if data != "" {
			if err := s.take(kind, data); err != nil {
				return err
			}
		}
		if id != "" {
			s.after = id // lower than before where the server has been started anew
		}
		id, kind, data = "", "", ""
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return errors.New("events: the server ended the stream")
}

// take gives f one event.
func (s *stream) take(kind, data string) error {
	s.heard = true
	v := Event{Kind: Lost, At: time.Now().UTC()}
	if kind != string(Lost) {
		v = Event{}
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	err := s.f(v)
	s.final = err != nil
	return err
}
