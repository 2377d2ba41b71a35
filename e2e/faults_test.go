//go:build e2e

package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// notice is a message as the webhook gets it. It is a plain value.
type notice struct{ Event, Zones, Names, Primaries string }

// newNotices returns the URL of a webhook, and what it gets.
func newNotices(t *testing.T) (url string, notices chan notice) {
	t.Helper()
	notices = make(chan notice, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			n.Event = err.Error()
		}
		notices <- n
	}))
	t.Cleanup(s.Close)
	return s.URL, notices
}

// newMailbox runs a small SMTP server (RFC 5321) and returns its address and the mails it takes.
func newMailbox(t *testing.T) (addr string, mails chan string) {
	t.Helper()
	mails = make(chan string, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Mail server: %v", err)
	}
	var sessions sync.WaitGroup
	t.Cleanup(func() { l.Close(); sessions.Wait() })
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(settleLimit)) // the test ends without it too
				takeMail(bufio.NewReader(c), c, mails)
			})
		}
	})
	return l.Addr().String(), mails
}

// takeMail holds one SMTP session.
func takeMail(in *bufio.Reader, out io.Writer, mails chan string) {
	fmt.Fprint(out, "220 mail.test ESMTP\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch verb {
		case "EHLO":
			fmt.Fprint(out, "250-mail.test\r\n250 AUTH PLAIN\r\n")
		case "AUTH":
			fmt.Fprint(out, "235 2.7.0 Accepted\r\n")
		case "DATA":
			fmt.Fprint(out, "354 Go on\r\n")
			var mail strings.Builder
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				mail.WriteString(line)
			}
			mails <- mail.String()
			fmt.Fprint(out, "250 2.0.0 Queued\r\n")
		case "QUIT":
			fmt.Fprint(out, "221 2.0.0 Bye\r\n")
			return
		default:
			fmt.Fprint(out, "250 2.0.0 Ok\r\n")
		}
	}
}

// next returns what comes next.
func next[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(syncLimit):
		t.Fatalf("%s: nothing comes", what)
	}
	return v
}

// A dead primary is told of once by mail and to a webhook, for all its zones; not again after a reload and a restart; and once
// when it is over. Passwords and tokens are in no log line and no metric.
func TestDeadPrimaryIsToldByMailAndWebhook(t *testing.T) {
	t.Parallel()
	const password, token = "Passw0rdOfMail", "T0kenOfHook"
	hook, notices := newNotices(t)
	mailbox, mails := newMailbox(t)
	prim := newFakePrimary(t, nil)
	sec := newSecondary(t)
	urls := fmt.Sprintf("fault_notify generic+%s/%s?key=%s smtp://robot:%s@%s/?from=dns@example.net&to=ops@example.net&starttls=no&encryption=None",
		hook, token, token, password, mailbox)
	sec.run(t, secondarySpec{Zones: []string{faultOrigin}, Block: lines("primary "+prim.address, urls, "fault_after 1s", "fault_every 1h")})
	sec.serves(t, faultOrigin, 1, syncLimit)
	sec.saved(t, faultOrigin, 1, settleLimit)

	prim.become(lastSOADiffers, 2)
	notify(t, "127.0.0.1", sec.addr(), faultOrigin, nil)
	n, mail := next(t, "Webhook", notices), next(t, "Mail", mails)
	if n.Event != "fault" || n.Zones != "1" || n.Names != faultOrigin || n.Primaries != prim.address+" soa_mismatch" {
		t.Errorf("Webhook: %+v", n)
	}
	for _, part := range []string{"Subject: ", "zone " + faultOrigin + " cannot follow its primary", "primary " + prim.address, "serial 1 until "} {
		if !strings.Contains(mail, part) {
			t.Errorf("The mail lacks %q:\n%s", part, mail)
		}
	}
	sec.counts(t, 1, "fault_messages_total", "sink", "smtp://127.0.0.1", "result", "delivered")
	sec.counts(t, 1, "fault_messages_total", "sink", "generic://127.0.0.1", "result", "delivered")

	sec.reload(t)
	sec.end(t, syscall.SIGTERM, faultOrigin)
	sec.relaunch(t, faultOrigin)
	time.Sleep(2500 * time.Millisecond) // twice fault_after, and what a message waits for others
	if len(notices)+len(mails) > 0 {
		t.Errorf("After a restart %d notices and %d mails", len(notices), len(mails))
	}
	prim.become(noFault, 3)
	notify(t, "127.0.0.1", sec.addr(), faultOrigin, nil)
	sec.serves(t, faultOrigin, 3, settleLimit)
	if n = next(t, "Webhook", notices); n.Event != "recovery" || n.Names != faultOrigin {
		t.Errorf("Webhook: %+v", n)
	}
	if mail = next(t, "Mail", mails); !strings.Contains(mail, "follows its primary again") {
		t.Errorf("Mail:\n%s", mail)
	}
	for _, text := range []string{sec.proc.log(t), page(t, sec.Metrics)} {
		if strings.Contains(text, password) || strings.Contains(text, token) {
			t.Error("A secret is in the log or on the metrics page")
		}
	}
}

// zone_state and out_of_sync_seconds tell on the metrics page that a zone does not follow, and since when.
func TestZoneThatDoesNotFollowIsOutOfSync(t *testing.T) {
	t.Parallel()
	prim := newFakePrimary(t, nil)
	sec := newSecondary(t)
	sec.start(t, secondarySpec{Zones: []string{faultOrigin}, Block: "primary " + prim.address})
	sec.serves(t, faultOrigin, 1, syncLimit)
	inSync := func() string {
		m := scrape(t, sec.Metrics)
		return m.is(1, "zone_state", "zone", faultOrigin) + m.is(0, "out_of_sync_seconds", "zone", faultOrigin)
	}
	eventually(t, settleLimit, "In sync", inSync)
	began := time.Now()
	prim.become(lastSOADiffers, 2)
	notify(t, "127.0.0.1", sec.addr(), faultOrigin, nil)
	sec.blocked(t, faultOrigin, prim.address, "soa_mismatch")
	eventually(t, settleLimit, "Out of sync", func() string {
		m := scrape(t, sec.Metrics)
		if s := m.sum("out_of_sync_seconds", "zone", faultOrigin); s < 0.2 || s > time.Since(began).Seconds() {
			return m.show("out_of_sync_seconds")
		}
		return m.is(0, "zone_state", "zone", faultOrigin)
	})
	prim.become(noFault, 3)
	notify(t, "127.0.0.1", sec.addr(), faultOrigin, nil)
	sec.serves(t, faultOrigin, 3, settleLimit)
	eventually(t, settleLimit, "In sync", inSync)
}
