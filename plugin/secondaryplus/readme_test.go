package secondaryplus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metrics"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/transfer"
	_ "github.com/coredns/coredns/plugin/tsig"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/ratelimit"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// The documents under test, as seen from this package.
const (
	operatorREADME = "../../README.md"
	pluginREADME   = "README.md"
	exampleFile    = "../../Corefile.example"
)

// exampleFiles are the files that the Corefiles of the READMEs name.
var exampleFiles = map[string]string{
	"transfer.key": keyClause("transfer.example.com") + keyClause("transfer.example.org"),
	"hubs.key":     keyClause("hubs.example.com"),
	"edges.key":    keyClause("edges.example.com"),
	"zones.txt":    "a.example.net # the first\nb.example.net\n",
}

// keyClause returns a key as tsig-keygen writes it.
func keyClause(name string) string {
	return fmt.Sprintf("key %q {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", name, testSecret)
}

func TestPluginREADMEHasTheSectionsOfAManPage(t *testing.T) {
	text := document(t, pluginREADME)
	if !strings.HasPrefix(text, "# secondaryplus\n\n## Name\n\n*secondaryplus* - ") {
		t.Errorf("It begins with %q", text[:min(80, len(text))])
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(text, -1) {
		sections = append(sections, m[1])
	}
	want := []string{"Name", "Description", "Syntax", "Examples", "Metrics", "Ready", "Bugs", "See Also"}
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Errorf("Sections: %s", diff)
	}
}

func TestCorefilesOfTheDocumentsStart(t *testing.T) {
	corefiles := map[string]string{exampleFile: document(t, exampleFile)}
	for _, path := range []string{operatorREADME, pluginREADME} {
		blocks := corefileBlocks(document(t, path))
		if len(blocks) == 0 {
			t.Errorf("%s has no corefile block", path)
		}
		for i, b := range blocks {
			corefiles[fmt.Sprintf("%s block %d", path, i+1)] = b
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatalf("Root of the repository: %v", err)
	}
	t.Chdir(t.TempDir())
	if err := os.Symlink(filepath.Join(root, "testdata"), "testdata"); err != nil {
		t.Fatalf("Zones: %v", err)
	}
	for name, text := range exampleFiles {
		write(t, ".", name, text)
	}
	caddy.Quiet, dnsserver.Quiet = true, true
	clog.Discard()
	for _, name := range slices.Sorted(maps.Keys(corefiles)) {
		t.Run(name, func(t *testing.T) { starts(t, corefiles[name]) })
	}
}

// startSomewhere runs a Corefile on ports nobody has.
func startSomewhere(t *testing.T, corefile string) (*caddy.Instance, error) {
	t.Helper()
	dnsserver.Port = unusedPort(t) // of server blocks that do not say one
	ports := map[string]string{}
	text := regexp.MustCompile(`:\d{4,5}\b`).ReplaceAllStringFunc(corefile, func(port string) string {
		if ports[port] == "" {
			ports[port] = ":" + unusedPort(t)
		}
		return ports[port]
	})
	return caddy.Start(caddy.CaddyfileInput{Contents: []byte(text), Filepath: "Corefile", ServerTypeName: "dns"})
}

// starts runs a Corefile and stops it.
func starts(t *testing.T, corefile string) {
	t.Helper()
	instance, err := startSomewhere(t, corefile)
	for try := 1; try < 5 && err != nil && strings.Contains(err.Error(), "address already in use"); try++ {
		instance, err = startSomewhere(t, corefile) // a client has left by one of the ports meanwhile
	}
	if err != nil {
		t.Fatalf("Start: %v\n%s", err, corefile)
	}
	process.mu.Lock()
	e := process.secondary
	process.mu.Unlock()
	if e == nil || len(e.Status()) == 0 {
		t.Errorf("No zone is kept\n%s", corefile)
	}
	if err := instance.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	for _, err := range instance.ShutdownCallbacks() {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestOptionsAreInBothREADMEs(t *testing.T) {
	usages := map[string]string{} // by name
	for _, usage := range corefile.Usages() {
		usages[firstWord(usage)] = usage
	}
	known := slices.Sorted(maps.Keys(usages))
	var operator []string
	for _, row := range tableRows(t, document(t, operatorREADME), "Options") {
		usage := strings.ReplaceAll(inCode(row[0]), `\|`, "|")
		operator = append(operator, firstWord(usage))
		if want := usages[firstWord(usage)]; usage != want {
			t.Errorf("%s: option %q, want %q", operatorREADME, usage, want)
		}
	}
	if diff := cmp.Diff(known, slices.Sorted(slices.Values(operator))); diff != "" {
		t.Errorf("%s: %s", operatorREADME, diff)
	}

	syntax := sectionText(t, document(t, pluginREADME), "Syntax")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\* `(\\w+)").FindAllStringSubmatch(syntax, -1) {
		listed = append(listed, m[1])
	}
	if diff := cmp.Diff(known, slices.Sorted(slices.Values(listed))); diff != "" {
		t.Errorf("%s, list: %s", pluginREADME, diff)
	}
	var lines []string
	for _, m := range regexp.MustCompile(`(?m)^    (\w.*)$`).FindAllStringSubmatch(syntax, -1) {
		lines = append(lines, m[1])
	}
	if diff := cmp.Diff(corefile.Usages(), slices.Sorted(slices.Values(lines))); diff != "" {
		t.Errorf("%s, block: %s", pluginREADME, diff)
	}
}

// TestDefaultsInTheREADMEsAreTheDefaults says every default aloud, which must change nothing.
func TestDefaultsInTheREADMEsAreTheDefaults(t *testing.T) {
	var operator []string
	for _, row := range tableRows(t, document(t, operatorREADME), "Options") {
		if row[2] != "none" {
			operator = append(operator, firstWord(inCode(row[0]))+" "+inCode(row[2]))
		}
	}
	var listed []string
	syntax := strings.Join(strings.Fields(sectionText(t, document(t, pluginREADME), "Syntax")), " ")
	for item := range strings.SplitSeq(syntax, " * `") {
		if m := regexp.MustCompile(`The default is (.+?)\.(?: |$)`).FindStringSubmatch(item); m != nil {
			name, _, _ := strings.Cut(item, "`")
			listed = append(listed, firstWord(name)+" "+m[1])
		}
	}
	if diff := cmp.Diff(operator, listed); diff != "" {
		t.Errorf("The READMEs differ: %s", diff)
	}

	silent, said := mustParse(t, inBlock("")), mustParse(t, inBlock(strings.Join(operator, "\n")))
	if diff := cmp.Diff(silent.Groups[0].Policy, said.Groups[0].Policy); diff != "" {
		t.Errorf("Policy: %s", diff)
	}
	if diff := cmp.Diff(silent.Settings, said.Settings, cmpopts.IgnoreUnexported(corefile.Settings{}, corefile.RateLimit{})); diff != "" {
		t.Errorf("Settings: %s", diff)
	}
	for _, name := range []string{"transfers_in", "transfers_out", "transfer_memory", "soa_rate", "max_udp", "store", "rate_limit", "cookies", "fastpath", "fault_after", "fault_every"} {
		if _, given := said.Settings.At(name); !given {
			t.Errorf("%s has no default in the READMEs", name)
		}
	}
}

func TestMetricsAreInBothREADMEs(t *testing.T) {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		watch.NewMetrics().Describe(descs)
	}()
	var registered []string
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("Metric %v", d)
		}
		registered = append(registered, m[1]+"{"+strings.ReplaceAll(m[2], ",", ", ")+"}")
	}
	slices.Sort(registered)
	for _, path := range []string{operatorREADME, pluginREADME} {
		named := regexp.MustCompile("`(coredns_secondaryplus_\\w+\\{[^}]*\\})`")
		var documented []string
		for _, m := range named.FindAllStringSubmatch(sectionText(t, document(t, path), "Metrics"), -1) {
			documented = append(documented, m[1])
		}
		if diff := cmp.Diff(registered, slices.Sorted(slices.Values(documented))); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	count := fmt.Sprintf("| Metrics of transfers and links | none | [%d](#metrics) |", len(registered))
	if !strings.Contains(document(t, operatorREADME), count) {
		t.Errorf("%s does not say how many metrics there are; want %s", operatorREADME, count)
	}
}

func TestLabelValuesAreInTheREADME(t *testing.T) {
	text := document(t, operatorREADME)
	var results []string
	for _, r := range notify.Results() {
		results = append(results, string(r))
	}
	var states []string
	for _, s := range below.States() {
		states = append(states, string(s))
	}
	for heading, want := range map[string][]string{
		"How secondaries stand":         states,
		"Notifying our own secondaries": results,
		"On a busy server":              slices.Collect(maps.Keys(dropAdvice)),
		"Floods and forged addresses":   limitClasses(),
		"Secondaries of your own": {
			outWhole, outIncremental, outCurrent, outFormErr, outNotAuth, outRefused, outUDP, outNotReady, outBusy, outTooLong, outFailed,
		},
		"Who may send NOTIFY": {notifyAccepted, notifyUnsigned, notifyRefused, notifyKeyRequired, notifyBadTSIG, notifyUnknownType, notifyDropped},
	} {
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(documented(t, text, heading)))); diff != "" {
			t.Errorf("%s: %s", heading, diff)
		}
	}
}

// The tables of reasons and rules say what the code says. What becomes of a transfer that we end ourselves is told nobody.
func TestReasonsAreInTheREADME(t *testing.T) {
	text := strings.ReplaceAll(document(t, operatorREADME), "`", "")
	var want, got [][]string
	for _, r := range reason.All(reason.Answer, reason.Host, reason.Silence) {
		if r != reason.Canceled {
			want = append(want, []string{string(r), r.What(), r.Advice()})
		}
	}
	if diff := cmp.Diff(want, tableRows(t, text, "Why a link is Blocked")); diff != "" {
		t.Errorf("Reasons: %s", diff)
	}
	want = nil
	for _, r := range reason.All(reason.Rule, reason.Conflict, reason.Remark) {
		want = append(want, []string{string(r), r.What(), strconv.FormatBool(r.Refuses())})
	}
	void := false
	for _, row := range tableRows(t, text, "Rules") {
		if !strings.HasPrefix(row[2], "the same") {
			void = strings.Contains(row[2], "void") || strings.HasPrefix(row[2], "synchronization stops")
		}
		got = append(got, []string{row[0], row[1], strconv.FormatBool(void)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Rules, and whether they make an attempt void: %s", diff)
	}
}

func TestStatesAreInTheREADME(t *testing.T) {
	value := map[refresh.ZoneState]string{refresh.ZoneNormal: "1", refresh.ZoneDegraded: "0.5", refresh.ZoneBlocked: "0", refresh.ZoneUnknown: "absent"}
	var want, got []string
	for s, v := range value {
		want = append(want, s.String()+" "+v)
	}
	for _, row := range tableRows(t, document(t, operatorREADME), "States") {
		got = append(got, row[0]+" "+row[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// documented returns what the first cells of the tables under a heading say in code.
func documented(t *testing.T, text, heading string) (names []string) {
	t.Helper()
	for _, row := range tableRows(t, text, heading) {
		if name := inCode(row[0]); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// document returns the text of a file of the repository.
func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("Document: %v", err)
	}
	return string(text)
}

// corefileBlocks returns the blocks of a document that are marked as a Corefile.
func corefileBlocks(text string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^(?:~~~|```) ?corefile\n(.*?)^(?:~~~|```)$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// sectionText returns the text under a heading of the second level.
func sectionText(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("No section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// tableRows returns the cells of the rows of the tables under a heading, without those of their heads.
func tableRows(t *testing.T, text, heading string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(sectionText(t, text, heading)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|") {
			cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", `\|`)))
		}
		if strings.HasPrefix(cells[0], "---") {
			rows = rows[:len(rows)-1] // the head
			continue
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("No table under %q", heading)
	}
	return rows
}

// inCode returns what a cell says in code, or "" if it does not begin with any.
func inCode(cell string) string {
	inner, ok := strings.CutPrefix(cell, "`")
	if !ok {
		return ""
	}
	inner, _, _ = strings.Cut(inner, "`")
	return inner
}

// firstWord returns the first word of s.
func firstWord(s string) string {
	first, _, _ := strings.Cut(s, " ")
	return first
}

// unusedPort returns a port that nobody uses, for UDP or TCP. It is below those that clients leave by.
func unusedPort(t *testing.T) string {
	t.Helper()
	const tries, lowest, highest = 100, 20000, 32000
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(highest-lowest))
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			continue
		}
		pc, err := net.ListenPacket("udp", ":"+port)
		l.Close()
		if err != nil {
			continue
		}
		pc.Close()
		return port
	}
	t.Fatal("No free port")
	return ""
}

// limitClasses returns the classes that answers are counted by.
func limitClasses() (names []string) {
	for _, c := range ratelimit.Classes() {
		names = append(names, c.String())
	}
	return names
}
