package secondaryplus

import (
	"bytes"
	"context"
	golog "log"
	"strings"
	"sync"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	scripted "github.com/secondaryplus/secondaryplus/internal/dnstest"
)

// logged keeps what is logged. It is safe for concurrent use.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// line returns the first line that holds the words, or "".
func (l *logged) line(words string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, words) {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return ""
}

// keepLog returns what is logged from now on, until the test ends.
func keepLog(t *testing.T) *logged {
	t.Helper()
	l, before := &logged{}, golog.Writer()
	golog.SetOutput(l)
	t.Cleanup(func() { golog.SetOutput(before) })
	return l
}

// A NOTIFY that is turned away is logged with the zone, the address it came from, why and what to do; ports mean nothing.
func TestRefusedNotifyIsLoggedWithWhatToDo(t *testing.T) {
	h := newHandler(t, "example.org", "key k hmac-sha256 SECRET\nallow_notify 198.51.100.7 key k", exampleOrg...)
	unknown := new(dns.Msg).SetNotify("example.org.")
	unknown.SetTsig("unknown.key.", dns.HmacSHA256, 300, int64(now()))
	unknown = unpack(t, scripted.Pack(unknown))
	for _, c := range []struct {
		from string
		r    *dns.Msg
		want string
	}{
		{
			"198.51.101.7", new(dns.Msg).SetNotify("example.org."),
			"refused, neither a primary nor in allow_notify; list the address in allow_notify if it may send them",
		},
		{
			"198.51.100.7", new(dns.Msg).SetNotify("example.org."),
			"refused, it must be signed with the key that allow_notify has for this address; let the sender sign it, " +
				"or list the address without a key",
		},
		{
			"127.0.0.1", unknown, `refused, it is signed with key "unknown.key." ("hmac-sha256."), which is not configured here; ` +
				"add it with key or key_file, or let the sender sign with a key that is",
		},
	} {
		l := keepLog(t)
		wait(t, "a line about a NOTIFY from "+c.from, func() bool { // after the first few one in a second is logged
			w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: c.from})
			if _, err := h.ServeDNS(context.Background(), w, c.r); err != nil {
				t.Fatal(err)
			}
			return l.line("op=notify") != ""
		})
		want := "[WARNING] plugin/secondaryplus: zone=example.org. op=notify from=" + c.from + ": " + c.want
		if line := l.line("op=notify"); !strings.HasSuffix(line, want) {
			t.Errorf("Line is\n%s\nwant\n%s", line, want)
		}
	}
}
