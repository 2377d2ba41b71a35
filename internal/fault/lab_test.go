package fault_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fault"
)

// journal collects log lines. It is safe for concurrent use.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(level, format string, v ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, level+" "+fmt.Sprintf(format, v...))
}

func (j *journal) Infof(format string, v ...any)    { j.add("info", format, v...) }
func (j *journal) Warningf(format string, v ...any) { j.add("warning", format, v...) }

// text returns all lines.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// count returns how many lines contain s.
func (j *journal) count(s string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if strings.Contains(l, s) {
			n++
		}
	}
	return n
}

// request is what a webhook received.
type request struct {
	method, path, query, contentType, body string
	header                                 http.Header
}

// webhook is an HTTP server that takes notifications. answer says what it does with one; nil is 200.
type webhook struct {
	*httptest.Server
	requests chan request
}

func newWebhook(t *testing.T, answer http.HandlerFunc) *webhook {
	t.Helper()
	w := &webhook{requests: make(chan request, 100)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.requests <- request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(body), r.Header}
		if answer != nil {
			answer(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// address returns the host and port of the webhook.
func (w *webhook) address() string { return strings.TrimPrefix(w.URL, "http://") }

// next returns the next request.
func (w *webhook) next(t *testing.T) request {
	t.Helper()
	return receive(t, w.requests)
}

// receive returns what comes next.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("Nothing arrives")
		panic("unreachable")
	}
}

// quiet fails if anything comes within span.
func quiet[T any](t *testing.T, c <-chan T, span time.Duration) {
	t.Helper()
	select {
	case v := <-c:
		t.Fatalf("Arrives unexpectedly: %+v", v)
	case <-time.After(span):
	}
}

// mail is what a mail server took.
type mail struct {
	auth, from, data string
	to               []string
}

// mailServer is a small SMTP server (RFC 5321). reply may replace its reply to a command, given by its first word; an empty
// string is the usual reply.
type mailServer struct {
	addr  string
	mails chan mail
	reply func(verb string) string
}

func newMailServer(t *testing.T, reply func(verb string) string) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{addr: l.Addr().String(), mails: make(chan mail, 100), reply: reply}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(3 * time.Second)) // the library leaves connections open on which it failed
				s.converse(bufio.NewReader(conn), conn)
			})
		}
	})
	return s
}

// converse holds one session.
func (s *mailServer) converse(in *bufio.Reader, out io.Writer) {
	say := func(verb, usual string) (asUsual bool) {
		said := usual
		if s.reply != nil {
			if r := s.reply(verb); r != "" {
				said = r
			}
		}
		_, _ = fmt.Fprintf(out, "%s\r\n", said)
		return said == usual
	}
	say("CONNECT", "220 mail.test ESMTP")
	var m mail
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO", "HELO":
			say(verb, "250-mail.test\r\n250 AUTH PLAIN")
		case "AUTH":
			m.auth = rest
			say(verb, "235 2.7.0 Accepted")
		case "MAIL":
			m.from = rest
			say(verb, "250 2.1.0 Ok")
		case "RCPT":
			m.to = append(m.to, rest)
			say(verb, "250 2.1.5 Ok")
		case "DATA":
			if !say(verb, "354 Go on") {
				continue
			}
			m.data = ""
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				m.data += strings.TrimPrefix(line, ".")
			}
			s.mails <- m
			say("DATA-END", "250 2.0.0 Queued")
		case "QUIT":
			say(verb, "221 2.0.0 Bye")
			return
		default:
			say(verb, "502 5.5.2 Unknown")
		}
	}
}

// url returns the notification URL of the mail server.
func (s *mailServer) url(user, password string) string {
	who := ""
	if user != "" {
		who = user + ":" + password + "@"
	}
	return fmt.Sprintf("smtp://%s%s/?from=ns2@example.net&to=noc@example.net&starttls=no&encryption=None", who, s.addr)
}

// start returns a running notifier with a short After.
func start(t *testing.T, log fault.Logger, urls ...string) *fault.Notifier {
	t.Helper()
	n := fault.NewNotifier(log, nil, nil, nil)
	t.Cleanup(n.Close)
	configure(t, n, urls...)
	return n
}

func configure(t *testing.T, n *fault.Notifier, urls ...string) {
	t.Helper()
	err := n.Configure(fault.Settings{URLs: urls, After: 50 * time.Millisecond, Every: time.Hour, Host: "ns2.example.net"})
	if err != nil {
		t.Fatal(err)
	}
}

// dead is the status of a zone whose primary is dead.
func dead() fault.Status {
	return fault.Status{
		Links: []fault.Link{{Primary: "192.0.2.1:53", Reason: "unreachable"}}, HasContents: true, Serial: 7,
		Expire: 7 * 24 * time.Hour, ExpireAt: time.Now().Add(7 * 24 * time.Hour),
	}
}
