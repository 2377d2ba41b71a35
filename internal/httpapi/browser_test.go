//go:build e2e

package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/secondaryplus/secondaryplus/control"
)

const (
	rowCount = "document.querySelectorAll('#zone-list tbody tr').length"
	aView    = "[...document.querySelectorAll('main > section')]"
	isLive   = "document.querySelector('#link').dataset.state == 'live'"
)

// never fails the test if an expression is true.
func never(t *testing.T, b *browser, expression string) {
	t.Helper()
	if b.text(t, "Boolean("+expression+")") == "true" {
		t.Errorf("it is so: %s", expression)
	}
}

func zoneURL(c *canned, name string) string {
	return c.url() + "#/zone/" + url.PathEscape(name) + "?variant=" + url.QueryEscape(variant)
}

// row is the expression for the row of a zone.
func row(name string) string {
	const rows = "[...document.querySelectorAll('#zone-list tbody tr')]"
	return fmt.Sprintf("%s.find((r) => r.dataset.key.startsWith(%q))", rows, name+" ")
}

func TestNoZones(t *testing.T) {
	t.Parallel()
	c := startCanned(t)
	b := startBrowser(t)
	b.open(t, c.url())
	b.waitFor(t, "No zones yet")
	b.wait(t, isLive)
}

func TestFewZones(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 3")
	b.waitFor(t, "1–3 of 3 zones")
	b.waitFor(t, "2 zones are Blocked, 2 are not served")
	b.wait(t, row("broken.example.")+".innerText.includes('TSIG bad sig')")
	b.wait(t, row("new.example.")+".innerText.includes('412,330 records')")
	never(t, b, "document.querySelector('.pager a')")
}

func TestManyZones(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(20_000)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.waitFor(t, "1–50 of 20,000 zones")
	b.wait(t, rowCount+" == 50")
	b.click(t, "[data-key=Next]")
	b.waitFor(t, "51–100 of 20,000 zones")
	b.wait(t, row("zone-00050.example."))
	b.click(t, "[data-key=Last]")
	b.waitFor(t, "19,951–20,000 of 20,000 zones")
	never(t, b, "document.querySelector('[data-key=Next]').href")
	b.do(t, chromedp.NavigateBack())
	b.waitFor(t, "51–100 of 20,000 zones")
	for _, r := range c.requests("GET /v1/zones?") {
		if !strings.Contains(r, "limit=50") {
			t.Errorf("more than a page is asked for: %s", r)
		}
	}
}

// An address from another day, when there were more zones.
func TestPageBehindTheLast(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(60)...)
	b := startBrowser(t)
	b.open(t, c.url()+"#/?offset=15000")
	b.waitFor(t, "51–60 of 60 zones")
}

func TestSearchAndFilters(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(300)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 50")
	b.press(t, "/")
	b.wait(t, "document.activeElement.id == 'query'")
	b.press(t, "zone-0010")
	b.waitFor(t, "1–10 of 10 zones")
	b.press(t, "/") // in the search it is a character like others
	b.waitFor(t, "No zone matches “zone-0010/”")
	b.click(t, ".empty a")
	b.waitFor(t, "1–50 of 300 zones")
	b.click(t, "#filters [data-key=Blocked]")
	b.waitFor(t, "1–2 of 2 zones")
	b.wait(t, "document.querySelector('#filters [aria-current]').innerText.includes('Blocked')")
	b.wait(t, "location.hash == '#/?state=blocked'")
	b.click(t, "#filters [data-key='Not served']")
	b.wait(t, row("new.example."))
	// From another view, "/" leads back to the list.
	b.open(t, c.url()+"#/schedule")
	b.waitFor(t, "What is due next")
	b.press(t, "/")
	b.wait(t, "document.activeElement.id == 'query' && !document.querySelector('#zones').hidden")
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61) + "."
	names := []string{
		"<img src=x onerror=alert(1)>.example.", `\"><script>alert(1)</script>.example.`, "';alert(1)//.example.",
		"javascript:alert(1).", "{{1+1}}${1+1}.example.", `\000\255%2F..%00.example.`, "0/25.2.0.192.in-addr.arpa.",
		"__proto__.", "a&lt;b.example.", "?variant=x#/zone/.example.", long, ".",
	}
	var zones []control.Zone
	for _, name := range names {
		z := blockedZone(name)
		z.Variant = `"><img src=x onerror=alert(2)>`
		z.Links[0].Advice, z.Links[0].Key = "<b>advice</b>", "<i>key</i>."
		z.Events[0].Text, z.Events[0].Result, z.Events[1].Kind = "<script>alert(3)</script>", "constructor", "toString"
		z.Secondaries[0].Key, z.Secondaries[0].Notified.Answer, z.Secondaries[1].State = "<i>key</i>.", "<u>", "<s>"
		z.Discarded[0] = control.Discard{Name: name, Type: "<u>", Records: 1, Rule: "<s>"}
		zones = append(zones, z)
	}
	c := startCanned(t, zones...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == "+strconv.Itoa(len(names)))
	b.do(t, chromedp.EmulateViewport(360, 740))
	for i, name := range names {
		link := fmt.Sprintf("document.querySelectorAll('#zone-list th a')[%d]", i)
		b.wait(t, rowCount+" == "+strconv.Itoa(len(names)))
		if got := b.text(t, link+".textContent"); got != name {
			t.Errorf("the list says %q, want %q", got, name)
		}
		b.text(t, link+".click()")
		b.wait(t, fmt.Sprintf("document.querySelector('#zone-title').textContent == %q", name))
		b.wait(t, "!document.querySelector('#zone').hidden")
		b.wait(t, "document.querySelector('#zone-body').textContent.includes('<script>alert(3)</script>')")
		never(t, b, "document.documentElement.scrollWidth > innerWidth")
		b.click(t, "#zone-actions [data-command=refresh]")
		b.waitFor(t, "Synchronize now: accepted.")
		b.do(t, chromedp.NavigateBack())
	}
	never(t, b, "document.querySelector('main img, main script, main b:not(#filters b), main i, main u, main s')")
	if n := b.text(t, "document.scripts.length"); n != "1" {
		t.Errorf("%s scripts: want only that of the page", n)
	}
	var commands []string
	for _, r := range c.requests("POST ") {
		path, _, _ := strings.Cut(strings.TrimPrefix(r, "POST /v1/zones/"), "/refresh?")
		name, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, name)
	}
	names[len(names)-1] = control.RootName
	if !slices.Equal(commands, names) {
		t.Errorf("commands for the zones\n%q\nwant\n%q", commands, names)
	}
}

func TestBlockedZone(t *testing.T) {
	t.Parallel()
	c := startCanned(t, blockedZone("broken.example."))
	b := startBrowser(t)
	b.open(t, zoneURL(c, "broken.example."))
	for _, text := range []string{
		"Blocked: every primary fails", "Compare the name, algorithm and secret of the key on both sides.",
		"192.0.2.1:53: TSIG bad sig (the signature of the answer does not match key transfer.example.)",
		"Check that the primary runs", "[2001:db8::1]:53: timeout", "until it expires in 6 d 5 h", "9 in a row",
		"2 ahead of served", "asked for AXFR at once until", "Discarded: 3 records not served", "CNAME and other",
		"SOA check at 192.0.2.1:53: TSIG bad sig × 9 since", "Remark: NS without address",
	} {
		b.waitFor(t, text)
	}
	b.wait(t, "document.querySelectorAll('.chart rect').length > 10")
	before := b.text(t, "document.querySelector('#zone-body .facts time').textContent")
	until(t, "another time until the next attempt than %s", func() string { return before }, func() bool {
		return b.text(t, "document.querySelector('#zone-body .facts time').textContent") != before
	})
}

// The secondaries of a zone are a table, the worst first as they come; without one that is notified there is no button for it.
func TestSecondariesOfAZone(t *testing.T) {
	t.Parallel()
	c := startCanned(t, blockedZone("broken.example."), normalZone("alone.example."))
	c.change(func() { c.zones[1].Secondaries = []control.Secondary{} })
	b := startBrowser(t)
	b.open(t, zoneURL(c, "broken.example."))
	b.waitFor(t, "Our own secondaries")
	const rows = "[...document.querySelectorAll('[data-key=secondaries] tbody tr')].map((r) => r.innerText.replaceAll(/\\s+/g, ' ')).join('|')"
	for _, text := range []string{
		"198.51.100.7:53 key down.example. Failing 2026112000 3 behind served 1 d 2 h AXFR of 2026112000, 48 KB 1 d 3 h ago asked from 2026111999 " +
			"1 d 3 h ago 2026112003 refused (NOTAUTH) 14 attempts since",
		"|203.0.113.2 Behind 2026112000 3 behind served 2 h asked from 2026112000",
		"|[2001:db8::2]:53 Unknown 2026112003 answer does not count (TSIG bad key)",
		"|198.51.100.8:53 Current 2026112003 same as served IXFR of 2026112003, 712 B 4 min ago 2026112003 acknowledged 4 min ago",
	} {
		b.wait(t, rows+".includes("+strconv.Quote(text)+")")
	}
	b.wait(t, "document.querySelector('[data-key=secondaries] .badge.bad') && document.querySelector('[data-key=secondaries] .badge.ok')")
	b.wait(t, "!document.querySelector('[data-command=notify]').hidden")
	b.open(t, zoneURL(c, "alone.example."))
	b.wait(t, "document.querySelector('#zone-title').textContent == 'alone.example.'")
	b.wait(t, "document.querySelector('[data-command=notify]').hidden && !document.querySelector('[data-key=secondaries]')")
}

func TestExpiredZone(t *testing.T) {
	t.Parallel()
	c := startCanned(t, expiredZone("expired.example."))
	b := startBrowser(t)
	b.open(t, zoneURL(c, "expired.example."))
	b.waitFor(t, "Blocked, expired: timeout")
	b.waitFor(t, "queries get SERVFAIL until a transfer succeeds")
	b.waitFor(t, "3 h ago")
}

// A transfer makes no events, so the page looks again while one runs.
func TestTransferInProgress(t *testing.T) {
	t.Parallel()
	c := startCanned(t, transferringZone("new.example."))
	b := startBrowser(t)
	b.open(t, zoneURL(c, "new.example."))
	b.waitFor(t, "412,330 records, 12 MB so far")
	c.change(func() { c.zones[0].Transfer.Records = 500_001 })
	b.waitFor(t, "500,001 records")
}

func TestCommands(t *testing.T) {
	t.Parallel()
	z := normalZone("example.org.")
	c := startCanned(t, z)
	b := startBrowser(t)
	b.open(t, zoneURL(c, z.Name))
	for command, label := range map[string]string{
		"refresh": "Synchronize now", "notify": "Notify our secondaries", "flush": "Flush back-off",
	} {
		b.click(t, "[data-command="+command+"]")
		b.waitFor(t, label+": accepted.")
		want := "POST /v1/zones/example.org./" + command + "?variant=" + url.QueryEscape(variant)
		if got := c.requests("POST /v1/zones/example.org./" + command); len(got) != 1 || got[0] != want {
			t.Errorf("requests %q, want %q", got, want)
		}
		h := c.header(want)
		if h.Get(control.RequestHeader) != "1" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", command, h)
		}
	}
	// What comes of a command is announced.
	to := *z.Serial + 1
	c.set(z, control.Event{
		Kind: control.IXFRed, Result: control.ResultOK, Primary: "192.0.2.1:53", From: z.Serial, To: &to, Records: 7,
	})
	const outcome = "IXFR from 192.0.2.1:53: ok, serial 2026112003 → 2026112004, 7 records"
	b.wait(t, "document.querySelector('#toast').textContent == '"+outcome+"'")
	want := c.url() + "v1/zones/example.org./export?variant=" + url.QueryEscape(variant)
	if got := b.text(t, "document.querySelector('#export').href"); got != want {
		t.Errorf("the export is at %s, want %s", got, want)
	}
}

func TestRetransferAsks(t *testing.T) {
	t.Parallel()
	c := startCanned(t, normalZone("example.org."))
	b := startBrowser(t)
	b.open(t, zoneURL(c, "example.org."))
	retransfers := func() []string { return c.requests("POST /v1/zones/example.org./retransfer") }
	question := func() {
		b.click(t, "[data-action=ask-retransfer]")
		b.wait(t, "document.querySelector('#retransfer').open && document.activeElement.textContent == 'Cancel'")
	}
	question()
	b.press(t, kb.Enter) // on Cancel
	b.wait(t, "!document.querySelector('#retransfer').open")
	question()
	b.press(t, kb.Escape)
	b.wait(t, "!document.querySelector('#retransfer').open")
	if got := retransfers(); len(got) > 0 {
		t.Fatalf("canceled, and yet asked for: %q", got)
	}
	question()
	b.click(t, "#retransfer-force")
	b.click(t, "#retransfer [type=submit]")
	b.waitFor(t, "Retransfer: accepted.")
	question() // the choice is made anew each time
	b.click(t, "#retransfer [type=submit]")
	until(t, "the second request%s", func() string { return "" }, func() bool { return len(retransfers()) == 2 })
	got := retransfers()
	if !strings.HasSuffix(got[0], `{"force":true}`) || !strings.HasSuffix(got[1], `{"force":false}`) {
		t.Errorf("requests %q: want force, then not", got)
	}
	// A question about one zone does not become one about another.
	question()
	b.text(t, "location.hash = '#/schedule'")
	b.wait(t, "!document.querySelector('#retransfer').open")
}

func TestProblemsAreShown(t *testing.T) {
	t.Parallel()
	c := startCanned(t, normalZone("example.org."))
	b := startBrowser(t)
	b.open(t, zoneURL(c, "nosuch.example."))
	b.waitFor(t, "no zone nosuch.example. is configured here")
	never(t, b, "document.querySelector('#zone-actions').checkVisibility()")
	b.open(t, zoneURL(c, "example.org."))
	b.waitFor(t, "Synchronize now")
	c.change(func() {
		c.problem = &control.Problem{Status: http.StatusTooManyRequests, Detail: "too many commands: try again later"}
	})
	b.click(t, "[data-command=refresh]")
	b.wait(t, "document.querySelector('#toast').textContent.includes('too many commands: try again later')")
	b.open(t, c.url()+"#/schedule")
	b.wait(t, "document.querySelector('#problem').checkVisibility()")
	c.change(func() { c.problem = nil })
	b.click(t, "[data-action=retry]")
	b.waitFor(t, "1–1 of 1 appointment")
	b.expect("404 (Not Found)")
	b.expect("429 (Too Many Requests)")
}

func TestToken(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	c.change(func() { c.token = "s3cret" })
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, "document.querySelector('#login').open && document.activeElement.id == 'login-token'")
	b.press(t, "wrong"+kb.Enter)
	b.waitFor(t, "The server did not accept that token.")
	never(t, b, rowCount+" > 0")
	b.press(t, kb.Escape)
	b.wait(t, "document.querySelector('#problem').checkVisibility()")
	b.click(t, "[data-action=retry]")
	b.wait(t, "document.querySelector('#login').open")
	b.press(t, "s3cret"+kb.Enter)
	b.wait(t, rowCount+" == 3 && "+isLive)
	b.open(t, zoneURL(c, "broken.example."))
	b.click(t, "[data-command=refresh]")
	b.waitFor(t, "Synchronize now: accepted.")
	if got := c.header("POST ").Get("Authorization"); got != "Bearer s3cret" {
		t.Errorf("Authorization %q", got)
	}
	b.click(t, "#export") // a link cannot send the token
	until(t, "the export%s", func() string { return "" }, func() bool {
		return c.header("GET /v1/zones/broken.example./export").Get("Authorization") == "Bearer s3cret"
	})
	if kept := b.text(t, "JSON.stringify(localStorage) + document.cookie"); kept != "{}" {
		t.Errorf("kept for longer than the tab: %s", kept)
	}
	b.expect("401 (Unauthorized)")
}

func TestLiveUpdate(t *testing.T) {
	t.Parallel()
	zones := manyZones(10)
	zones[2].Transfer = nil // with one in sight the page looks without an event
	c := startCanned(t, zones...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 10 && "+isLive)
	b.text(t, "document.body.sameDocument = true")
	b.text(t, row("zone-00005.example.")+".sameRow = true")
	b.text(t, row("zone-00005.example.")+".querySelector('a').focus()")
	z := blockedZone("zone-00005.example.")
	c.set(z, z.Events[0])
	b.wait(t, row("zone-00005.example.")+".innerText.includes('Blocked')")
	b.waitFor(t, "3 zones are Blocked, 2 are not served")
	never(t, b, "!document.body.sameDocument")
	never(t, b, "!"+row("zone-00005.example.")+".sameRow")
	if got := b.text(t, "document.activeElement.textContent"); got != z.Name {
		t.Errorf("the focus is on %q: want it kept on %s", got, z.Name)
	}
	// The row moves to the front, and takes the focus along.
	c.change(func() { c.zones[0], c.zones[5] = c.zones[5], c.zones[0] })
	c.set(z, z.Events[0])
	b.wait(t, "document.querySelector('#zone-list tbody tr').sameRow")
	if got := b.text(t, "document.activeElement.textContent"); got != z.Name {
		t.Errorf("the focus is on %q: want it kept on %s", got, z.Name)
	}
	// After a gap in the events the page looks itself.
	c.change(func() {
		c.zones[9].State = control.Blocked
		for ch := range c.listeners {
			ch <- control.Event{Kind: control.Lost}
		}
	})
	b.wait(t, row("zone-00009.example.")+".innerText.includes('Blocked')")
}

// However many events there are, the page asks once a second; and with none not at all.
func TestEventsAreCoalesced(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(10)[3:]...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 7 && "+isLive)
	time.Sleep(2500 * time.Millisecond) // the reload after the stream has opened
	asked := func() int { return len(c.requests("GET /v1/zones?")) }
	idle := asked()
	z := normalZone("zone-00005.example.")
	began := time.Now()
	for time.Since(began) < 3*time.Second {
		c.set(z, control.Event{Kind: control.SOAChecked, Result: control.ResultOK, Primary: "192.0.2.1:53"})
		time.Sleep(10 * time.Millisecond)
	}
	seconds := int(time.Since(began)/time.Second) + 1
	if n := asked() - idle; n == 0 || n > seconds {
		t.Errorf("%d requests in %d seconds of events", n, seconds)
	}
	if idle > 2 { // one at the start, one when the stream has opened
		t.Errorf("%d requests without an event", idle)
	}
}

func TestHiddenPageAsksNothing(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 3 && "+isLive)
	hide := func(is string) {
		b.text(t, "Object.defineProperty(document, 'hidden', {value: "+is+", configurable: true})")
		b.text(t, "document.dispatchEvent(new Event('visibilitychange'))")
	}
	hide("true")
	until(t, "no stream, but %s", func() string { return fmt.Sprint(c.followers()) }, func() bool {
		return len(c.followers()) == 0
	})
	before := len(c.requests(""))
	time.Sleep(2500 * time.Millisecond) // with a transfer in sight it would look every two seconds
	if after := len(c.requests("")); after != before {
		t.Errorf("%d requests while hidden", after-before)
	}
	c.change(func() { c.zones = c.zones[:2] })
	hide("false")
	b.wait(t, rowCount+" == 2 && "+isLive)
}

func TestZoneFollowsItsOwnEvents(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	b.open(t, zoneURL(c, "broken.example."))
	want := "zone=broken.example.&variant=" + url.QueryEscape(variant)
	until(t, "one stream of "+want+", but %s", func() string { return fmt.Sprint(c.followers()) }, func() bool {
		return slices.Equal(c.followers(), []string{want})
	})
	b.text(t, "location.hash = '#/'")
	until(t, "one stream of all, but %s", func() string { return fmt.Sprint(c.followers()) }, func() bool {
		return slices.Equal(c.followers(), []string{""})
	})
}

func TestServerGoesAndComesBack(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 3 && "+isLive)
	c.stop()
	b.waitFor(t, "No connection to the server since")
	b.wait(t, rowCount+" == 3")
	c.change(func() { c.zones = c.zones[:2] })
	c.restart(t)
	b.wait(t, rowCount+" == 2 && "+isLive)
	never(t, b, "document.querySelector('#outage').checkVisibility()")
	b.expect("net::ERR_")
}

func TestPhoneDoesNotScrollSideways(t *testing.T) {
	t.Parallel()
	zones := manyZones(20_000)
	zones[5] = normalZone(strings.Repeat(strings.Repeat("w", 63)+".", 3))
	c := startCanned(t, zones...)
	b := startBrowser(t)
	b.do(t, chromedp.EmulateViewport(360, 740))
	for _, hash := range []string{
		"#/", "#/?offset=50", "#/schedule", "#/zone/broken.example.", "#/zone/expired.example.", "#/zone/new.example.",
	} {
		b.open(t, c.url()+hash)
		b.wait(t, aView+".some((s) => s.checkVisibility() && s.innerText.includes('example.'))")
		if got := b.text(t, "document.documentElement.scrollWidth"); got != "360" {
			t.Errorf("%s is %s pixels wide, want 360", hash, got)
		}
	}
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	b.open(t, c.url())
	b.wait(t, rowCount+" == 3")
	tab := func(what string) {
		t.Helper()
		for range 40 {
			b.press(t, kb.Tab)
			if b.text(t, "document.activeElement.textContent.trim()") == what {
				return
			}
		}
		t.Fatalf("the key Tab does not lead to %q", what)
	}
	tab("Skip to the contents")
	b.press(t, kb.Enter)
	b.wait(t, "document.activeElement.id == 'main'")
	tab("broken.example.")
	if b.text(t, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
		t.Error("the focus is not to be seen")
	}
	b.press(t, kb.Enter)
	b.wait(t, "document.activeElement.id == 'zone-title'")
	for _, button := range []string{
		"Synchronize now", "Retransfer…", "Notify our secondaries", "Flush back-off", "Export",
	} {
		tab(button)
	}
	b.text(t, "document.querySelector('[data-command=notify]').focus()")
	b.press(t, kb.Enter)
	b.waitFor(t, "Notify our secondaries: accepted.")
}

// The browser fails every test in which it complains; here it is where all views are gone through.
func TestNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	c := startCanned(t, manyZones(3)...)
	b := startBrowser(t)
	for _, hash := range []string{"#/", "#/schedule", "#/zone/broken.example.", "#/zone/%E0%A4%A", "#/nosuch"} {
		b.open(t, "about:blank")
		b.open(t, c.url()+hash)
		b.wait(t, aView+".some((s) => s.checkVisibility()) && "+isLive)
	}
	if got := b.elsewhere(c.url()); len(got) > 0 {
		t.Errorf("requests to elsewhere: %q", got)
	}
	if n := len(b.elsewhere("nowhere")); n < 20 {
		t.Errorf("only %d requests were seen: the check sees nothing", n)
	}
	// The policy is there: what it forbids is stopped.
	b.text(t, "document.head.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))")
	if b.text(t, "document.title") == "1" {
		t.Error("an inline script ran")
	}
	b.expect("Content Security Policy")
}
