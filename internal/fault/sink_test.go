package fault_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/secondaryplus/secondaryplus/internal/fault"
)

// goodURLs has a valid URL of every service, with the words SECRET and s3cr3t wherever something is nobody's business.
var goodURLs = []struct{ url, label string }{
	{"bark://SECRET@push.example.net", "bark://push.example.net"},
	{"discord://SECRET@s3cr3t", "discord"},
	{"generic://user:SECRET@hooks.example.net:8443/SECRET?@Authorization=SECRET&$k=SECRET", "generic://hooks.example.net"},
	{"generic+https://hooks.example.net/SECRET?token=s3cr3t", "generic://hooks.example.net"},
	{"googlechat://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=s3cr3t", "googlechat://chat.googleapis.com"},
	{"gotify://push.example.net/ASECRETs3cr3tXX", "gotify://push.example.net"},
	{"hangouts://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=s3cr3t", "hangouts://chat.googleapis.com"},
	{"ifttt://SECRET/?events=fault", "ifttt"},
	{"join://shoutrrr:SECRET@join/?devices=s3cr3t", "join"},
	{"lark://open.larksuite.com/SECRET?secret=s3cr3t", "lark://open.larksuite.com"},
	{"matrix://user:SECRET@127.0.0.1:9/?rooms=s3cr3t", "matrix://127.0.0.1"},
	{"mattermost://user@chat.example.net/SECRET/channel", "mattermost://chat.example.net"},
	{"notifiarr://SECRET", "notifiarr"},
	{"ntfy://user:SECRET@ntfy.sh/s3cr3t", "ntfy://ntfy.sh"},
	{"opsgenie://api.opsgenie.com/SECRET", "opsgenie://api.opsgenie.com"},
	{"pagerduty://events.pagerduty.com/5ec9e75ec9e75ec9e75ec9e75ec9e75e", "pagerduty://events.pagerduty.com"},
	{"pushbullet://o.SECRETSECRETSECRETSECRETSECRET23", "pushbullet"},
	{"pushover://shoutrrr:SECRET@s3cr3t", "pushover"},
	{"rocketchat://chat.example.net/SECRET/s3cr3t/channel", "rocketchat://chat.example.net"},
	{"signal://user:SECRET@127.0.0.1:8080/+15551230001/+15551230002", "signal://127.0.0.1"},
	{"slack://hook:SECRET123-SECRET123-SECRETSECRETSECRETSECRET@webhook", "slack"},
	{"smtp://user:SECRET@mail.example.net:587/?from=a@example.net&to=s3cr3t@example.net", "smtp://mail.example.net"},
	{"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344" +
		"/44444444-4444-4444-8444-cccccccccccc/V2SECRET?host=org.webhook.office.com", "teams"},
	{"telegram://110201543:SECRETxxxxxxxxxxxxxxxxxxxxxxxxxxxxx@telegram?chats=@s3cr3t", "telegram"},
	{"wecom://SECRET", "wecom"},
	{"zulip://bot-mail%40example.net:SECRET@chat.example.net/?stream=s3cr3t", "zulip://chat.example.net"},
}

func leaks(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "secret") || strings.Contains(s, "s3cr3t") || strings.Contains(s, "5ec9e7") || strings.Contains(s, "cccccccccccc")
}

// Every service of the library has its row, a valid URL, and a label without a secret.
func TestEveryServiceIsKnown(t *testing.T) {
	t.Parallel()
	want := new(router.ServiceRouter).ListServices()
	want = slices.DeleteFunc(want, func(s string) bool { return s == "logger" })
	slices.Sort(want)
	got := fault.ServiceNames()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("Services %v; want %v", got, want)
	}
	tried := map[string]bool{}
	for _, c := range goodURLs {
		kind, _, _ := strings.Cut(strings.SplitN(c.url, "://", 2)[0], "+")
		tried[kind] = true
		if err := fault.Validate(c.url); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if label := fault.Label(c.url); label != c.label || leaks(label) {
			t.Errorf("%s is called %q; want %q", kind, label, c.label)
		}
	}
	for _, s := range got {
		if !tried[s] {
			t.Errorf("No URL of %s", s)
		}
		if !strings.HasPrefix(fault.Form(s), s) {
			t.Errorf("The form of %s is %q", s, fault.Form(s))
		}
	}
}

func TestWrongURLIsNamedWithoutItsSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, want string }{
		{"", "not a notification URL"},
		{"SECRET", "not a notification URL"},
		{"SECRET:s3cr3t@telegram", "not a notification URL"},
		{"https://hooks.example.net/SECRET", "https: a webhook is written as generic+https://HOST/PATH"},
		{"http://hooks.example.net/SECRET", "http: a webhook is written as generic+http://HOST/PATH"},
		{"SECRET://s3cr3t", "unknown notification service: it is one of bark, discord, generic,"},
		{"logger://SECRET", "logger: nobody would be told"},
		{"smtp://SECRET", "smtp: from= is missing, where smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS is wanted"},
		{"smtp://u:SECRET@mail.example.net/?from=s3cr3t@example.net", "smtp: to= is missing"},
		{"smtp://u:SECRET@mail.example.net/?from=a@b.example&to=a@b.example&s3cr3t=yes", "smtp: a part is missing or has a wrong form, or an option is unknown"},
		{"smtp://u:SECRET@mail.example.net/?from=a@b.example&to=a@b.example&auth=s3cr3t", "smtp: a part is missing"},
		{"smtp://u:SEC/RET@mail.example.net/?from=a@b.example&to=a@b.example", "smtp: not a URL: in a user name, password or token"},
		{"smtp://u:s3cr3t#SECRET@mail.example.net/?from=a@b.example&to=a@b.example", "smtp: not a URL"},
		{"generic://s3cr3t#SECRET@hooks.example.net/", "generic: not a URL"},
		{"generic://\x7fSECRET", "generic: not a URL"},
		{"generic:///SECRET", "generic: nothing stands behind ://"},
		{"slack://SECRET@s3cr3t", "slack: a part is missing or has a wrong form"},
		{"slack+https://SECRET/s3cr3t", "slack: a part is missing or has a wrong form"},
		{"telegram://SECRET@telegram?chats=1", "telegram: a part is missing or has a wrong form"},
		{"matrix+https://u:SECRET@chat.example.net", "matrix: a part is missing"},
		{"matrix://u:SECRET@chat.example.net/?s3cr3t=1", "matrix: a part is missing"},
		{"pushover://SECRET", "pushover: a part is missing"},
		{"gotify://push.example.net/SECRET?s3cr3t=1", "gotify: a part is missing"},
	} {
		err := fault.Validate(c.url)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q", c.url, err, c.want)
		}
		if err != nil && leaks(err.Error()) {
			t.Errorf("%q: the error holds a secret: %v", c.url, err)
		}
	}
}

// Whatever stands in the Corefile, reading it neither fails badly nor repeats it.
func FuzzValidate(f *testing.F) {
	for _, c := range goodURLs {
		f.Add(c.url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		url = strings.Replace(url, "://", "://Wh1sper", 1)
		if err := fault.Validate(url); err != nil && strings.Contains(err.Error(), "Wh1sper") {
			t.Errorf("%q: %v", url, err)
		}
	})
}

// Each way a delivery can fail is told apart, and none repeats the URL, what the server said or whom it was for.
func TestFailuresHoldNoSecret(t *testing.T) {
	t.Parallel()
	closed := newWebhook(t, nil)
	closed.Close()
	status := func(code int) string {
		w := newWebhook(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", code) })
		return w.address()
	}
	drop := newWebhook(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	mailer := func(verb, reply string) string {
		s := newMailServer(t, func(v string) string {
			if v == verb || (verb == "EHLO" && v == "HELO") {
				return reply
			}
			return ""
		})
		return s.url("SECRET", "s3cr3t")
	}
	plain := "?disabletls=yes"
	for _, c := range []struct{ url, want string }{
		{"generic://u:SECRET@" + closed.address() + "/SECRET" + plain, "generic://127.0.0.1 is lost: connection refused"},
		{"generic://" + status(404) + "/SECRET" + plain, "generic://127.0.0.1 is lost: HTTP 404 Not Found"},
		{"generic://" + drop.address() + "/SECRET" + plain, "generic://127.0.0.1 is lost: connection closed"},
		{"generic://" + status(200) + "/SECRET", "generic://127.0.0.1 is lost: the service does not take it"}, // TLS to a server without
		{"generic+http://SECRET.invalid/s3cr3t", "is lost: no such host"},
		{"mattermost://user@" + status(500) + "/SECRET/s3cr3t" + plain, "mattermost://127.0.0.1 is lost: HTTP 500 Internal Server Error"},
		{"gotify://" + status(401) + "/ASECRETs3cr3tXX" + plain, "gotify://127.0.0.1 is lost: HTTP 401 Unauthorized"},
		{"ntfy://user:SECRET@" + status(403) + "/s3cr3t?scheme=http", "ntfy://127.0.0.1 is lost: "},
		{"matrix://user:SECRET@" + closed.address() + "/?rooms=s3cr3t&disabletls=yes", "matrix://127.0.0.1 is lost: "},
		{"signal://user:SECRET@" + status(400) + "/+15551230001/+15551230002" + plain, "signal://127.0.0.1 is lost: "},
		{"bark://SECRET@" + status(400) + "/?scheme=http", "bark://127.0.0.1 is lost: "},
		{"smtp://SECRET:s3cr3t@" + closed.address() + "/?from=SECRET@a.test&to=s3cr3t@b.test", "smtp://127.0.0.1 is lost: connection refused"},
		{mailer("CONNECT", "554 no SECRET today"), "smtp://127.0.0.1 is lost: "},
		{mailer("EHLO", "421 SECRET"), "smtp://127.0.0.1 is lost: the greeting is refused"},
		{mailer("AUTH", "535 5.7.8 SECRET s3cr3t"), "smtp://127.0.0.1 is lost: authentication fails"},
		{mailer("MAIL", "550 SECRET"), "smtp://127.0.0.1 is lost: the sender is refused"},
		{mailer("RCPT", "550 SECRET"), "smtp://127.0.0.1 is lost: the recipient is refused"},
		{mailer("DATA", "451 SECRET"), "smtp://127.0.0.1 is lost: the mail is refused"},
		{mailer("DATA-END", "552 SECRET"), "smtp://127.0.0.1 is lost: the mail is refused"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			log := &journal{}
			n := start(t, log, c.url)
			n.Down("example.", dead())
			waitFor(t, func() bool { return log.count("is lost") > 0 })
			n.Close()
			kept := strings.ReplaceAll(log.text(), "SECRET.invalid", "") // a host that is a server may be named
			if !strings.Contains(log.text(), c.want) || leaks(kept) {
				t.Errorf("%s\nLog:\n%s", c.url, log.text())
			}
			for label, count := range n.Counts() {
				if leaks(strings.ReplaceAll(label, "SECRET.invalid", "")) || count.Failed == 0 || count.Delivered != 0 {
					t.Errorf("%q: %+v", label, count)
				}
			}
		})
	}
}

func TestExcusesQuoteNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Post "https://SECRET@host/s3cr3t": x509: certificate signed by unknown authority`: "the certificate is not accepted",
		`Post "https://SECRET": context deadline exceeded`:                                 "timeout",
		`got unexpected HTTP status: 429 Too Many Requests SECRET`:                         "HTTP 429 Too Many Requests",
		`invalid_auth SECRET`: "the service does not take it",
		`418 SECRET`:          "the service does not take it",
	} {
		if got := fault.Excuse(errors.New(text)); got != want {
			t.Errorf("%q: %q; want %q", text, got, want)
		}
	}
}
