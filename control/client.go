package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RequestHeader has to stand in each command, with any value: a page of another site cannot set it without leave.
const RequestHeader = "X-Splus-Request"

// RootName stands for the root zone in paths: a segment "." is dropped on the way, escaped or not.
const RootName = "=2E"

// What the client waits for and takes.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second // for the whole of an answer that is neither an export nor a stream
	idleTimeout   = 60 * time.Second // for the next bytes of those; a stream has a sign of life each 15 s
	maxAnswer     = 16 << 20         // bytes of an answer that is neither
)

// Options say where the server is. They are a plain value.
type Options struct {
	Address string // unix:/run/splus.sock, http://127.0.0.1:9154 or https://host:9154; behind a proxy a path may follow
	Token   string // what the server's token file holds; empty for none
	CA      string // PEM file of the authorities that may have signed the server's certificate; empty for those of the system
}

// Client asks a server. It is safe for concurrent use.
//
// An error that holds a *Problem (errors.As) is the server's answer. Any other means that the server was not reached,
// was not understood or was not heard out.
type Client struct {
	http  *http.Client
	base  string // URL in front of /v1, without a final slash
	token string
}

// NewClient returns a client. It connects with the first request.
func NewClient(o Options) (*Client, error) {
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r < '!' || r > '~' }) {
		return nil, errors.New("token: want printable ASCII without spaces")
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout: idleTimeout, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
	c := &Client{http: &http.Client{Transport: t, CheckRedirect: refuseRedirect}, token: o.Token}
	if path, ok := strings.CutPrefix(o.Address, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("address %q: behind unix: want an absolute path", o.Address)
		}
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
		c.base = "http://localhost"
	} else {
		u, err := url.Parse(o.Address)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, fmt.Errorf("address %q: want unix:/path, http://host:port or https://host:port", o.Address)
		}
		c.base = strings.TrimSuffix(u.String(), "/")
	}
	if o.CA == "" {
		return c, nil
	}
	if !strings.HasPrefix(c.base, "https:") {
		return nil, fmt.Errorf("address %q: a CA is of use with https alone", o.Address)
	}
	pool, err := readCA(o.CA)
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return c, err
}

// refuseRedirect keeps token and command from going where nobody has sent them.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// readCA reads the certificates of a PEM file.
func readCA(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("CA %s: want certificates in PEM, found none", file)
	}
	return pool, nil
}

// Ref names a zone. It is a plain value.
type Ref struct {
	Name    string // in presentation form; the final dot may be absent
	Variant string // needed only where the name has several, none of which is without a name
}

// ZoneQuery says which zones are wanted. It is a plain value; the zero ZoneQuery wants the first page of all.
type ZoneQuery struct {
	State  string // normal, blocked, unknown, notserved or behind; empty for all
	Search string // a part of the name, whatever its case
	Offset int
	Limit  int // 0 for the server's default
}

// Status returns how all is.
func (c *Client) Status(ctx context.Context) (*Overview, error) {
	return fetch[Overview](ctx, c, http.MethodGet, "/v1/status", nil, nil)
}

// Zones returns a page of the zones that match.
func (c *Client) Zones(ctx context.Context, q ZoneQuery) (*ZonePage, error) {
	return fetch[ZonePage](ctx, c, http.MethodGet, "/v1/zones",
		query("state", q.State, "search", q.Search, "offset", number(q.Offset), "limit", number(q.Limit)), nil)
}

// Zone returns all that is known of a zone.
func (c *Client) Zone(ctx context.Context, z Ref) (*Zone, error) {
	return fetch[Zone](ctx, c, http.MethodGet, z.path(""), z.query(), nil)
}

// Events returns what happened to a zone of late.
func (c *Client) Events(ctx context.Context, z Ref) (*EventPage, error) {
	return fetch[EventPage](ctx, c, http.MethodGet, z.path("/events"), z.query(), nil)
}

// Schedule returns a page of what is due next; a limit of 0 is the server's default.
func (c *Client) Schedule(ctx context.Context, offset, limit int) (*SchedulePage, error) {
	return fetch[SchedulePage](ctx, c, http.MethodGet, "/v1/schedule",
		query("offset", number(offset), "limit", number(limit)), nil)
}

// Secondaries returns a page of our own secondaries; a limit of 0 is the server's default.
func (c *Client) Secondaries(ctx context.Context, offset, limit int) (*SecondaryPage, error) {
	return fetch[SecondaryPage](ctx, c, http.MethodGet, "/v1/secondaries",
		query("offset", number(offset), "limit", number(limit)), nil)
}

// Refresh has the primaries of a zone asked now, whatever their back-off.
func (c *Client) Refresh(ctx context.Context, z Ref) (*Done, error) {
	return c.command(ctx, z, "/refresh", nil)
}

// Notify has our own secondaries notified of the version of a zone that is served.
func (c *Client) Notify(ctx context.Context, z Ref) (*Done, error) {
	return c.command(ctx, z, "/notify", nil)
}

// Flush ends the back-off of a zone's primaries.
func (c *Client) Flush(ctx context.Context, z Ref) (*Done, error) {
	return c.command(ctx, z, "/flush", nil)
}

// Retransfer has a zone transferred as a whole, even if its serial is the same; with force, even if it is lower, or the version has lost its apex NS.
func (c *Client) Retransfer(ctx context.Context, z Ref, force bool) (*Done, error) {
	return c.command(ctx, z, "/retransfer", Command{Force: force})
}

func (c *Client) command(ctx context.Context, z Ref, verb string, body any) (*Done, error) {
	return fetch[Done](ctx, c, http.MethodPost, z.path(verb), z.query(), body)
}

// Export writes the records of a zone to w as they were received, as a zone file (RFC 1035 §5). After an error w holds a
// part of it.
func (c *Client) Export(ctx context.Context, z Ref, w io.Writer) error {
	body, err := c.open(ctx, z.path("/export"), z.query(), "text/dns")
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("export of %s: %w", z.Name, err)
	}
	return nil
}

func (z Ref) path(verb string) string {
	name := z.Name
	if name == "." {
		name = RootName
	}
	return "/v1/zones/" + url.PathEscape(name) + verb
}

func (z Ref) query() url.Values { return query("variant", z.Variant) }

// query returns the pairs whose value is not empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	return q
}

// number returns n in digits, nothing for 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// fetch sends a request and returns its answer.
func fetch[T any](ctx context.Context, c *Client, method, path string, q url.Values, body any) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := c.request(ctx, method, path, q, content)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(req, "application/json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	answer := new(T)
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", req.URL, err)
	}
	return answer, nil
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Request, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(RequestHeader, "1")
	}
	return req, nil
}

// send returns the answer if it is a success of the media type, and otherwise an error: a *Problem if the answer is one.
func (c *Client) send(req *http.Request, media string) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode < http.StatusMultipleChoices && got == media {
		return resp, nil
	}
	defer resp.Body.Close()
	if p := new(Problem); got == "application/problem+json" &&
		json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(p) == nil {
		p.Status = resp.StatusCode
		return nil, p
	}
	return nil, fmt.Errorf("%s answers %d with %q, want %s: is it the control API?", req.URL, resp.StatusCode, got, media)
}

// open returns the body of an answer that may be without end; its reads fail when nothing comes for long.
func (c *Client) open(ctx context.Context, path string, q url.Values, media string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := c.request(ctx, http.MethodGet, path, q, http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp, err := c.send(req, media) //nolint:bodyclose // idleBody closes it
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &idleBody{body: resp.Body, cancel: cancel, ctx: ctx}
	b.timer = time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	return b, nil
}

var errIdle = fmt.Errorf("nothing heard for %v", idleTimeout)

// idleBody is a body whose reads end when nothing comes for idleTimeout. It belongs to one goroutine.
type idleBody struct {
	body   io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // the life of the body
}

// Read implements io.Reader.
func (b *idleBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errIdle { //nolint:errorlint // io.EOF comes as it is
		return n, errIdle
	}
	b.timer.Reset(idleTimeout)
	return n, err
}

// Close implements io.Closer.
func (b *idleBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.body.Close()
}
