package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Bounds of a delivery: one sink is done with a message within maxAttempts * attemptSpan and the pauses, 91 s.
const (
	maxAttempts = 4
	pauseFactor = 5

	// maxHanging bounds attempts of a sink that were given up and have not ended. Some services of the library have no limit
	// of time at all; TCP's keep-alive ends those whose server is gone.
	maxHanging = 8
)

// Spans of a delivery; variables only for the tests.
var (
	attemptSpan = 15 * time.Second
	pauseMin    = time.Second // before the second attempt, then 5 and 25 s
)

// service is what has to be known of a kind of sink beside what the library knows. It is a plain value.
type service struct {
	form   string // of its URLs
	server bool   // the host of its URL is a server; elsewhere it may be a token
	titled bool   // it shows a title of its own
}

// services are the kinds of sinks there are. The library's logger is none: nobody would be told.
var services = map[string]service{
	"bark":       {"bark://KEY@HOST", true, true},
	"discord":    {"discord://TOKEN@WEBHOOK-ID", false, false},
	"generic":    {"generic+https://HOST/PATH", true, true},
	"googlechat": {"googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", true, false},
	"gotify":     {"gotify://HOST/TOKEN", true, true},
	"hangouts":   {"hangouts://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", true, false},
	"ifttt":      {"ifttt://KEY/?events=EVENT", false, true},
	"join":       {"join://shoutrrr:API-KEY@join/?devices=DEVICE", false, true},
	"lark":       {"lark://HOST/TOKEN", true, true},
	"matrix":     {"matrix://USER:PASSWORD@HOST/?rooms=ROOM", true, false},
	"mattermost": {"mattermost://HOST/TOKEN", true, false},
	"notifiarr":  {"notifiarr://API-KEY", false, false},
	"ntfy":       {"ntfy://HOST/TOPIC", true, true},
	"opsgenie":   {"opsgenie://HOST/API-KEY", true, true},
	"pagerduty":  {"pagerduty://HOST/INTEGRATION-KEY", true, false},
	"pushbullet": {"pushbullet://API-TOKEN", false, true},
	"pushover":   {"pushover://shoutrrr:API-TOKEN@USER-KEY", false, true},
	"rocketchat": {"rocketchat://HOST/TOKEN/TOKEN/CHANNEL", true, false},
	"signal":     {"signal://HOST:PORT/SENDER/RECIPIENT", true, false},
	"slack":      {"slack://hook:TOKEN-TOKEN-TOKEN@webhook", false, false},
	"smtp":       {"smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS", true, true},
	"teams":      {"teams://GROUP@TENANT/ID/OWNER/EXTRA?host=HOST", false, false},
	"telegram":   {"telegram://TOKEN@telegram?chats=CHAT", false, false},
	"wecom":      {"wecom://KEY", false, false},
	"zulip":      {"zulip://BOT-MAIL:BOT-KEY@HOST/?stream=STREAM", true, false},
}

// sink is somewhere to send messages to. It is safe for concurrent use.
type sink struct {
	url     string // holds secrets; only the library sees it
	label   string // what logs and metrics call it: the service, and its host if that is a server
	kind    string
	service service

	hanging   atomic.Int64 // attempts that have not ended
	delivered atomic.Uint64
	failed    atomic.Uint64
	retried   atomic.Uint64
}

// Validate reports what is wrong with the URL of a sink, nil if nothing is. It contacts nobody, and the error holds nothing
// of the URL but its scheme.
func Validate(rawURL string) error {
	_, err := newSink(rawURL)
	return err
}

// newSink returns the sink that a URL stands for.
func newSink(rawURL string) (*sink, error) {
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("not a notification URL: it begins with the service and ://, as in generic+https://HOST/PATH")
	}
	kind, _, custom := strings.Cut(strings.ToLower(scheme), "+")
	svc, ok := services[kind]
	if !ok {
		return nil, unknownService(kind)
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Fragment != "":
		return nil, fmt.Errorf("%s: not a URL: in a user name, password or token each of :/?#[]@%% is written as %%XX", kind)
	case u.Host == "":
		return nil, fmt.Errorf("%s: nothing stands behind ://, where %s is wanted", kind, svc.form)
	}
	if kind == "generic" && !u.Query().Has("template") {
		q := u.RawQuery + "&template=json"
		u.RawQuery = strings.TrimPrefix(q, "&")
	}
	s := &sink{url: u.String(), kind: kind, service: svc, label: kind}
	if svc.server {
		s.label = kind + "://" + u.Hostname()
	}
	if err := try(u, custom); err != nil {
		return nil, fmt.Errorf("%s: %s, where %s is wanted", kind, flaw(err), svc.form)
	}
	return s, nil
}

// same reports whether both are the same sink.
func (s *sink) same(o *sink) bool { return s.url == o.url }

// unknownService returns the error of a URL with this scheme.
func unknownService(kind string) error {
	switch kind {
	case "http", "https":
		return fmt.Errorf("%s: a webhook is written as generic+%s://HOST/PATH", kind, kind)
	case "logger":
		return errors.New("logger: nobody would be told; every notification is logged anyway")
	}
	return fmt.Errorf("unknown notification service: it is one of %s", strings.Join(slices.Sorted(maps.Keys(services)), ", "))
}

// flaw says what the library does not like about a URL. Its errors quote the URL, so only those that are known to be
// harmless are told apart.
func flaw(err error) string {
	switch {
	case errors.Is(err, smtp.ErrFromAddressMissing):
		return "from= is missing"
	case errors.Is(err, smtp.ErrToAddressMissing):
		return "to= is missing"
	}
	return "a part is missing or has a wrong form, or an option is unknown"
}

// errPanic is the error of a library that panics.
var errPanic = errors.New("panic")

// guard turns a panic of f into errPanic: the library parses what others send, and must not end the server.
func guard(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return f()
}

// try has the library read a URL. It is the first half of what a delivery does, less the conversation that one service
// begins with it.
func try(u *url.URL, custom bool) error {
	return guard(func() error {
		kind, _, _ := strings.Cut(u.Scheme, "+")
		svc, err := new(router.ServiceRouter).NewService(kind)
		if err != nil {
			return err
		}
		if custom {
			c, ok := svc.(types.CustomURLService)
			if !ok {
				return router.ErrCustomURLsNotSupported
			}
			if u, err = c.GetConfigURLFromCustom(u); err != nil {
				return err
			}
		}
		if kind == matrix.Scheme {
			return new(matrix.Config).SetURL(u)
		}
		return svc.Initialize(u, nil)
	})
}

// post sends a message once. It may take forever. A service is made anew for each attempt, since one that hangs still uses
// its own.
func (s *sink) post(text string, params types.Params) error {
	return guard(func() error {
		svc, err := new(router.ServiceRouter).Locate(s.url)
		if err != nil {
			return err
		}
		return svc.Send(text, &params)
	})
}

// deliver sends a message, in several attempts if need be, and returns why none succeeded. The error holds nothing of the
// URL.
func (s *sink) deliver(ctx context.Context, text string, params types.Params) error {
	results := make(chan error, maxAttempts) // also of attempts given up, which may still succeed
	var why string
	for n, pause := 0, pauseMin; n < maxAttempts; n, pause = n+1, pause*pauseFactor {
		if n > 0 {
			s.retried.Add(1)
		}
		if s.hanging.Add(1) > maxHanging {
			s.hanging.Add(-1)
			return fmt.Errorf("%d earlier attempts still hang", maxHanging)
		}
		go func() {
			defer s.hanging.Add(-1)
			results <- s.post(text, maps.Clone(params))
		}()
		ok, reason := await(ctx, results, attemptSpan, true)
		if !ok && n+1 < maxAttempts && ctx.Err() == nil {
			ok, _ = await(ctx, results, pause, false)
		}
		if ok {
			s.delivered.Add(1)
			return nil
		}
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		why = reason
	}
	s.failed.Add(1)
	return fmt.Errorf("%s, %d attempts", why, maxAttempts)
}

// await waits for an attempt to succeed, at most for span; with first, only until one ends.
func await(ctx context.Context, results <-chan error, span time.Duration, first bool) (ok bool, why string) {
	timer := time.NewTimer(span)
	defer timer.Stop()
	why = "timeout"
	for {
		select {
		case err := <-results:
			if err == nil {
				return true, ""
			}
			why = excuse(err)
			if first {
				return false, why
			}
		case <-timer.C:
			return false, why
		case <-ctx.Done():
			return false, why
		}
	}
}

// excuses are what errors of the library can be told apart by. The errors quote URLs, tokens and addresses, often without
// wrapping what they quote, so that only their text can be searched, and nothing of it repeated.
var excuses = []struct{ sign, excuse string }{
	{"connection refused", "connection refused"},
	{"no such host", "no such host"},
	{"server misbehaving", "the host's name cannot be resolved"},
	{"network is unreachable", "network unreachable"},
	{"no route to host", "no route to the host"},
	{"connection reset", "connection reset"},
	{"i/o timeout", "timeout"},
	{"Client.Timeout", "timeout"},
	{"deadline exceeded", "timeout"},
	{"certificate", "the certificate is not accepted"},
	{"tls: ", "TLS fails"},
	{"does not support StartTLS", "the server has no STARTTLS"},
	{"error authenticating", "authentication fails"},
	{"error setting RCPT", "the recipient is refused"},
	{"error creating new message", "the sender is refused"},
	{"error sending message to recipient", "the mail is refused"},
	{"did not accept the handshake", "the greeting is refused"},
	{"EOF", "connection closed"},
}

// excuse returns why an attempt failed, as a person may read it: one of a closed list.
func excuse(err error) string {
	if errors.Is(err, errPanic) {
		return "the notification library failed"
	}
	text := err.Error()
	for _, e := range excuses {
		if strings.Contains(text, e.sign) {
			return e.excuse
		}
	}
	for code := http.StatusMultipleChoices; code <= http.StatusNetworkAuthenticationRequired; code++ {
		status := fmt.Sprintf("%d %s", code, http.StatusText(code))
		if http.StatusText(code) != "" && strings.Contains(text, status) {
			return "HTTP " + status
		}
	}
	return "the service does not take it"
}
