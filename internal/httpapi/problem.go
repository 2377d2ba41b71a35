package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// refusal is a problem and a header that goes with it. It is immutable.
type refusal struct {
	control.Problem
	header, value string // empty for none
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{Problem: control.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...),
	}}
}

// with adds the header.
func (p *refusal) with(header, value string) *refusal {
	p.header, p.value = header, value
	return p
}

func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, format, args...)
}

func notFound(format string, args ...any) error { return refuse(http.StatusNotFound, format, args...) }

// busyFor is how long somebody should wait whom all places are taken for.
const busyFor = 10 * time.Second

func busy(what string) error {
	return refuse(http.StatusServiceUnavailable, "too many %s at a time: try again later", what).
		with("Retry-After", seconds(busyFor))
}

// tooMany is for somebody who may try again after a time.
func tooMany(wait time.Duration, what string) error {
	return refuse(http.StatusTooManyRequests, "too many %s: try again later", what).with("Retry-After", seconds(wait))
}

// seconds returns d in whole seconds, rounded up.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// answerProblem answers with an error.
func answerProblem(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, watch.ErrAmbiguous):
		p = refuse(http.StatusConflict, "%s: name one of them as the parameter variant", err)
	case errors.Is(err, secondary.ErrNobody):
		p = refuse(http.StatusUnprocessableEntity, "%s: name the secondaries with notify, or with to in the transfer plugin of the server block", err)
	case errors.Is(err, engine.ErrEarly):
		p = refuse(http.StatusServiceUnavailable, "%s: try again in a moment", err).with("Retry-After", seconds(time.Second))
	case errors.Is(err, engine.ErrNoZone):
		p = refuse(http.StatusNotFound, "%s", err)
	default:
		p = refuse(http.StatusInternalServerError, "%s", err)
	}
	if p.header != "" {
		w.Header().Set(p.header, p.value)
	}
	write(w, p.Status, "application/problem+json", &p.Problem)
}

// answer answers with a value.
func answer(w http.ResponseWriter, status int, v any) error {
	write(w, status, "application/json", v)
	return nil
}

// write writes a value. Whether the client takes it is the client's affair.
func write(w http.ResponseWriter, status int, media string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // all values are plain
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
