package httpapi_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/secondaryplus/secondaryplus/control"
)

// pageFiles returns the files of the status page, by name.
func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, name := range []string{"index.html", "page.css", "page.js", "icon.svg"} {
		text, err := os.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

// The Content-Security-Policy stops these at run time, silently for the operator.
func TestPageHasNothingInline(t *testing.T) {
	t.Parallel()
	files := pageFiles(t)
	for _, forbidden := range []string{`<script>`, `<style`, `\sstyle=`, `\son[a-z]+=`, `javascript:`} {
		if found := regexp.MustCompile(forbidden).FindString(files["index.html"]); found != "" {
			t.Errorf("index.html has %q", found)
		}
	}
	for _, forbidden := range []string{
		`innerHTML`, `outerHTML`, `insertAdjacentHTML`, `document\.write`, `\beval\(`, `new Function`, `DOMParser`,
		`setAttribute\('style'`, `\.style\b`,
	} {
		if found := regexp.MustCompile(forbidden).FindString(files["page.js"]); found != "" {
			t.Errorf("page.js has %q", found)
		}
	}
}

// The page works where there is no Internet, and behind a proxy that puts it under a path.
func TestPageRefersToNothingElse(t *testing.T) {
	t.Parallel()
	namespaces := regexp.MustCompile(`http://www\.w3\.org/2000/svg`)
	for name, text := range pageFiles(t) {
		text = namespaces.ReplaceAllString(text, "")
		if found := regexp.MustCompile(`(https?:)?//[a-z0-9]+\.[^\s'"]*|@import|url\(`).FindString(text); found != "" {
			t.Errorf("%s refers to %q", name, found)
		}
		if found := regexp.MustCompile(`(href|src)="/[^"]*"|['"` + "`" + `]/v1/`).FindString(text); found != "" {
			t.Errorf("%s has the absolute path %q", name, found)
		}
	}
}

func TestScriptFindsWhatItNames(t *testing.T) {
	t.Parallel()
	files := pageFiles(t)
	var ids []string
	for _, m := range regexp.MustCompile(`\bid="([^"]+)"`).FindAllStringSubmatch(files["index.html"], -1) {
		if slices.Contains(ids, m[1]) {
			t.Errorf("index.html has the id %s twice", m[1])
		}
		ids = append(ids, m[1])
	}
	named := regexp.MustCompile(`(?:\$|setText|draw)\('([a-z-]+)'`).FindAllStringSubmatch(files["page.js"], -1)
	if len(named) < 20 {
		t.Fatalf("page.js names %d elements: the pattern of this test is old", len(named))
	}
	for _, m := range named {
		if !slices.Contains(ids, m[1]) {
			t.Errorf("page.js names #%s, which index.html does not have", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:icon|badge)\('([a-z]+)'`).FindAllStringSubmatch(files["page.js"], -1) {
		if !slices.Contains(ids, "i-"+m[1]) {
			t.Errorf("page.js shows the icon %s, which index.html does not have", m[1])
		}
	}
}

// What the page sends is what the package control has for other clients.
func TestScriptAgreesWithControl(t *testing.T) {
	t.Parallel()
	script := pageFiles(t)["page.js"]
	for _, word := range []string{
		control.RequestHeader, control.RootName, string(control.Normal), string(control.Blocked), string(control.Unknown),
		string(control.Lost), control.ResultOK, control.ResultTaken,
	} {
		if !strings.Contains(script, "'"+word+"'") && !strings.Contains(script, " "+word+":") {
			t.Errorf("page.js does not have %q", word)
		}
	}
}

func TestPageLinesAreShort(t *testing.T) {
	t.Parallel()
	for name, text := range pageFiles(t) {
		for i, line := range strings.Split(text, "\n") {
			if n := utf8.RuneCountInString(line); n > 125 {
				t.Errorf("page/%s:%d has %d columns", name, i+1, n)
			}
		}
	}
}
