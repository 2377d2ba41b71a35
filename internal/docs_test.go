package internal

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns the text of every document of the repository, by path from its root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "e2e/*.md", "plugin/*/*.md"} {
		files, err := filepath.Glob("../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("Documents %s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[strings.TrimPrefix(file, "../")] = fences.ReplaceAllString(string(text), "")
		}
	}
	return texts
}

var (
	fences   = regexp.MustCompile("(?ms)^```.*?^```$")
	spans    = regexp.MustCompile("`([^`]+)`")
	paths    = regexp.MustCompile(`^[\w./-]+(/[\w-]+|\.(go|md|txt|json))$`)
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
	terms    = regexp.MustCompile(`^- \*\*(.+?)\*\*: \S.*\.$`)
	notWords = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func TestDesignNamesWhatIsThere(t *testing.T) {
	text := documents(t)["docs/design.md"]
	named := map[string]bool{"tidwall/btree": false} // what is named and not here
	for _, span := range spans.FindAllStringSubmatch(text, -1) {
		path := span[1]
		if _, known := named[path]; known || !paths.MatchString(path) {
			continue
		}
		named[path] = true
		if _, err := os.Stat(filepath.Join("..", path)); err != nil {
			t.Errorf("docs/design.md names %s: %v", path, err)
		}
	}
	for name := range layers {
		if !named["internal/"+name] {
			t.Errorf("docs/design.md does not say what package internal/%s owns", name)
		}
	}
}

func TestGlossaryIsInOrder(t *testing.T) {
	before := ""
	for line := range strings.Lines(documents(t)["docs/glossary.md"]) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "-") {
			continue
		}
		m := terms.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("Entry %q; want a word and a sentence in one line", line)
			continue
		}
		if term := strings.ToLower(m[1]); term <= before {
			t.Errorf("Entry %q comes after %q; want alphabetical order, and each once", term, before)
		} else {
			before = term
		}
	}
	if before == "" {
		t.Error("The glossary has no entries")
	}
}

func TestLinksOfTheDocumentsLead(t *testing.T) {
	texts := documents(t)
	for doc, text := range texts {
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, heading, _ := strings.Cut(m[1], "#")
			target := doc
			if file != "" {
				target = filepath.Join(filepath.Dir(doc), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			}
			if heading != "" && !slices.Contains(anchors(texts[target]), heading) {
				t.Errorf("%s links to %s; there is no such heading", doc, m[1])
			}
		}
	}
}

// anchors returns what links to the headings of a document are called.
func anchors(text string) (all []string) {
	for _, m := range headings.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(notWords.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}
