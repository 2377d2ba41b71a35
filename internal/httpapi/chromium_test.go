//go:build e2e

package httpapi_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browserSpan is how long a test waits for something in a browser: it is a limit for failures, not an expectation.
const browserSpan = time.Minute

// browser is a Chromium of its own profile with one tab. It belongs to the goroutine of its test, except for what mu guards.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	requests   []string // URLs that the tab asked for
	complaints []string // exceptions, errors on the console, violations of the policy
}

// startBrowser starts a browser. When the test ends, it fails if the tab complained of something; see expect.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(findBrowser(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true))
	parent, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithListener(b.note))
	b.ctx = ctx
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser does not end: %v", err)
		}
		cancel()
		stop()
		for _, c := range b.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context of the first action
		t.Fatalf("start the browser: %v", err)
	}
	return b
}

func findBrowser(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("none of %s is in PATH: install one", strings.Join(names, ", "))
	return ""
}

// note takes the events of the tab.
func (b *browser) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, ev.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("exception: %+v", ev.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == "error" || ev.Type == "warning" {
			b.complaints = append(b.complaints, fmt.Sprintf("console: %s", ev.Args[0].Description))
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" || ev.Entry.Level == "warning" {
			b.complaints = append(b.complaints, fmt.Sprintf("%s: %s (%s)", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
		}
	}
}

// expect drops the complaints that contain text: a refused request is one.
func (b *browser) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = slices.DeleteFunc(b.complaints, func(c string) bool { return strings.Contains(c, text) })
}

// elsewhere returns the requests that do not begin with the URL.
func (b *browser) elsewhere(url string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if !strings.HasPrefix(r, url) && !strings.HasPrefix(r, "about:") {
			found = append(found, r)
		}
	}
	return found
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserSpan)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("browser: %v", err)
	}
}

func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url))
}

// text evaluates an expression, and returns its value as a string.
func (b *browser) text(t *testing.T, expression string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserSpan)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return s
}

// wait waits until an expression is true.
func (b *browser) wait(t *testing.T, expression string) {
	t.Helper()
	until(t, expression+"\nThe page says:\n%s", func() string { return b.text(t, "document.body?.innerText") },
		func() bool { return b.text(t, "Boolean("+expression+")") == "true" })
}

// waitFor waits until the text of the page contains text.
func (b *browser) waitFor(t *testing.T, text string) {
	t.Helper()
	b.wait(t, "document.body?.innerText.includes("+strconv.Quote(text)+")")
}

// until waits for a condition. what has a verb for the explanation that is asked for if it does not come.
func until(t *testing.T, what string, explain func() string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(browserSpan); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("does not come: "+what, explain())
		}
	}
}

// click clicks on what a CSS selector finds, with the mouse.
func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, chromedp.Click(chromedp.CSS(selector)))
}

// press types keys to whatever has the focus, as a keyboard does: what a page keeps a key from doing does not happen.
// chromedp.KeyEvent sends the character apart from its key, so it is typed in any case.
func (b *browser) press(t *testing.T, keys string) {
	t.Helper()
	b.do(t, func(ctx context.Context, target *chromedp.Target) (none chromedp.Void, err error) {
		for _, r := range keys {
			events := kb.Encode(r)
			down, up := *events[0], *events[len(events)-1]
			if len(events) == 3 {
				down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
			}
			for _, e := range []input.DispatchKeyEventParams{down, up} {
				if _, err := cdp.Call(ctx, target, input.DispatchKeyEvent, e); err != nil {
					return none, err
				}
			}
		}
		return none, nil
	})
}
