package internal

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the packages below internal/ and those each may import; dnstest is for tests alone. What is not listed is not
// allowed, and none of them may import CoreDNS: the adapter is the only border.
var layers = map[string][]string{
	"serial":    nil,
	"cookie":    nil,
	"ratelimit": nil,
	"roster":    nil,
	"reason":    nil,
	"wire":      {"serial"},
	"zone":      {"reason", "serial", "wire"},
	"xfr":       {"reason", "serial", "wire"},
	"allow":     {"xfr"},
	"agenda":    nil,
	"lane":      nil,
	"inbox":     nil,
	"pace":      nil,
	"host":      {"reason", "wire", "xfr"},
	"refresh":   {"reason", "serial", "wire"},
	"store":     {"serial", "wire", "zone"},
	"fault":     {"reason"},
	"notify":    {"agenda", "reason", "serial", "wire", "xfr"},
	"rules":     {"reason", "wire", "zone"},
	"version":   {"reason", "refresh", "rules", "serial", "wire", "xfr", "zone"},
	"corefile":  {"allow", "cookie", "fault", "notify", "refresh", "rules", "version", "wire", "xfr"},
	"places":    {"reason", "xfr"},
	"fetch":     {"reason", "version", "xfr"},
	"xfrout":    {"serial", "wire", "xfr", "zone"},
	"check":     {"corefile", "reason", "refresh", "rules", "serial", "version", "wire", "xfr", "zone"},
	"engine":    {"agenda", "allow", "fetch", "host", "inbox", "lane", "pace", "places", "reason", "refresh", "roster", "serial", "version", "wire", "xfr", "zone"},
	"keep":      {"engine", "host", "reason", "refresh", "serial", "store", "version", "wire", "xfr", "zone"},
	"watch":     {"allow", "below", "engine", "fault", "host", "keep", "reason", "refresh", "serial", "version", "wire", "xfr", "zone"},
	"below":     {"notify", "serial", "xfrout"},
	"secondary": {"below", "engine", "fault", "keep", "notify", "version", "watch", "xfrout"},
	"httpapi":   {"below", "engine", "keep", "notify", "reason", "refresh", "rules", "secondary", "serial", "watch", "wire", "zone"},
	"fastpath":  {"wire", "zone"},
	"dnstest":   {"wire"},
}

func TestImportsRunOneWay(t *testing.T) {
	const module = "github.com/secondaryplus/secondaryplus/internal/"
	dirs, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		allowed, known := layers[dir.Name()]
		if !known {
			t.Errorf("Package %s has no place in the layers", dir.Name())
		}
		files, err := filepath.Glob(filepath.Join(dir.Name(), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("Files of %s: %v, %v", dir.Name(), files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if strings.HasPrefix(path, "github.com/coredns/") {
					t.Errorf("%s imports %s; want CoreDNS in the adapter alone", file, path)
				}
				if name, ours := strings.CutPrefix(path, module); ours && !slices.Contains(allowed, name) {
					t.Errorf("%s imports %s; want only %v", file, name, allowed)
				}
			}
		}
	}
}

// splusctl is for machines that need no DNS server: without CoreDNS it has 10 MB, with it 80.
func TestSplusctlIsWithoutCoreDNS(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/splusctl").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if strings.HasPrefix(path, "github.com/coredns/") {
			t.Errorf("cmd/splusctl has %s in it; want no CoreDNS", strings.TrimSpace(path))
		}
	}
}
