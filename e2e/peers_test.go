//go:build e2e

package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// minScenarios is how many scenarios of the peers' suites the table of README.md has at least.
const minScenarios = 60

var (
	scenarioRow = regexp.MustCompile(`^\| ([BKNP]\d+) \| ([^|]+) \| (.+) \|$`)
	testLink    = regexp.MustCompile(`\[(Test\w+)\]\(([^)]+)\)`)
)

// Every row of the table stands for another scenario and names tests, each of which is in the file that is named with it.
func TestScenariosOfThePeersAreCovered(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatalf("Table: %v", err)
	}
	tests := map[string]map[string]bool{} // by file
	rows := map[string]bool{}
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSpace(l)
		row := scenarioRow.FindStringSubmatch(l)
		if row == nil {
			if testLink.MatchString(l) {
				t.Errorf("A line that names tests is no row: %s", l)
			}
			continue
		}
		if rows[row[1]] {
			t.Errorf("Row %s is there twice", row[1])
		}
		rows[row[1]] = true
		links := testLink.FindAllStringSubmatch(row[3], -1)
		if len(links) == 0 {
			t.Errorf("Row %s names no test", row[1])
		}
		for _, link := range links {
			name, file := link[1], link[2]
			if tests[file] == nil {
				tests[file] = testsOf(t, file)
			}
			if !tests[file][name] {
				t.Errorf("Row %s: %s has no %s", row[1], file, name)
			}
		}
	}
	if len(rows) < minScenarios {
		t.Errorf("%d scenarios, want %d", len(rows), minScenarios)
	}
}

// testsOf returns the names of the tests in a file of e2e, control, internal or plugin; of none if it is elsewhere, or cannot be read.
func testsOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	room, _, elsewhere := strings.Cut(strings.TrimPrefix(file, "../"), "/")
	if elsewhere && !slices.Contains([]string{"control", "internal", "plugin"}, room) || !strings.HasSuffix(file, "_test.go") {
		return names
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("Tests: %v", err)
		return names
	}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && len(f.Type.Params.List) == 1 {
			names[f.Name.Name] = true
		}
	}
	return names
}
