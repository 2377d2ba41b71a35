package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/time/rate"

	"github.com/secondaryplus/secondaryplus/control"
)

// setHeaders sets what every answer says to browsers: nothing but our own page may be made of it, and nothing is kept.
func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// admit returns why a request is not answered, nil if it is. What it asks for does not matter: those who may not ask do not
// learn what there is.
func (s *Server) admit(r *http.Request) error {
	o := s.settings.Load()
	if o.Token == "" && !hostAllowed(r, o.Host) {
		return refuse(http.StatusMisdirectedRequest,
			"host %q: without a token, want localhost, a loopback address or the host of the listen address", r.Host)
	}
	if !sameSite(r) {
		return refuse(http.StatusForbidden, "the request comes from a page of another site")
	}
	if o.Token == "" {
		return nil
	}
	const challenge = `Bearer realm="secondaryplus"`
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refuse(http.StatusUnauthorized, "no token: want the header Authorization: Bearer TOKEN").
			with("WWW-Authenticate", challenge)
	}
	if got := sha256.Sum256([]byte(token)); subtle.ConstantTimeCompare(got[:], o.digest[:]) == 1 {
		return nil
	}
	if err := within(s.wrong, "wrong tokens"); err != nil {
		return err
	}
	return refuse(http.StatusUnauthorized, "wrong token").with("WWW-Authenticate", challenge)
}

// within counts one against a rate; the error says when to try again.
func within(l *rate.Limiter, what string) error {
	turn := l.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return nil
	}
	turn.Cancel()
	return tooMany(wait, what)
}

// hostAllowed reports whether a request names a host that is this one whatever the DNS says: a page of another site can have
// its own name resolved to our address (DNS rebinding), and its requests name that.
func hostAllowed(r *http.Request, host string) bool {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return true // no browser gets there
	}
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if addr, err := netip.ParseAddr(name); err == nil {
		own, err := netip.ParseAddr(host)
		return addr.IsLoopback() || err == nil && addr.Unmap() == own.Unmap()
	}
	name = strings.TrimSuffix(name, ".")
	return strings.EqualFold(name, "localhost") || host != "" && strings.EqualFold(name, strings.TrimSuffix(host, "."))
}

// sameSite reports whether a request is not from a page of another site, as far as the browser says.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == r.Host
}

// readCommand reads the body of a command into v. An empty one is {}.
func (s *Server) readCommand(w http.ResponseWriter, r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "content type %q: want application/json", r.Header.Get("Content-Type"))
	}
	if r.Header.Get(control.RequestHeader) == "" {
		return refuse(http.StatusForbidden, "no header %s: want it with any value", control.RequestHeader)
	}
	if err := within(s.commands, "commands"); err != nil {
		return err
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.Join(errors.New("something follows the first value"), err)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "body: want at most %d octets", maxBody)
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		return refuse(http.StatusRequestTimeout, "body: not all of it came within %s", s.limits.read)
	}
	return badRequest("body: %s", err)
}
