//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	minQuestions   = 20000 // of the whole test
	askBatch       = 8192  // questions whose answers are held at once
	shownGroups    = 60    // of differences
	shownSections  = 2500  // octets of each section shown
	shownQuestions = 12    // of a group beside the first
)

// TestAnswersLikeBINDKnotAndNSD asks BIND, Knot, NSD and secondaryplus, all secondaries of one primary, the same questions.
// Where two of the others agree we must agree; where none do, one of them must have our answer.
func TestAnswersLikeBINDKnotAndNSD(t *testing.T) {
	t.Parallel()
	// What the fast path answers comes over UDP; TCP goes through the chain.
	forests := map[string]struct {
		zones   func(*testing.T) []*corpusZone
		options string
	}{"zones": {forest, ""}, "zones through the chain": {forest, "fastpath off"}, "root": {rootZones, ""}}
	d := &differential{allowances: allowances(), groups: map[string]*differenceGroup{}}
	t.Run("of", func(t *testing.T) {
		for name, f := range forests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := startContest(t, f.zones(t), f.options)
				d.askEverything(t, c, 0)
				c.update(t)
				d.askEverything(t, c, 1)
				c.validate(t, 1)
				fast := scrape(t, c.sec.Metrics).sum("fastpath_queries_total", "result", "answered")
				t.Logf("The fast path answered %v", fast)
				if (fast > 0) != (f.options == "") {
					t.Errorf("The fast path answered %v questions with options %q", fast, f.options)
				}
			})
		}
	})
	d.report(t)
}

// differential collects what was found. It is safe for concurrent use.
type differential struct {
	mu         sync.Mutex
	allowances []*allowance
	groups     map[string]*differenceGroup
	asked      int
	disputed   int // among the references, in some aspect
}

// difference is one aspect of one question in which the server under test stands alone. It is a plain value.
type difference struct {
	inquiry
	aspect aspect
	texts  []*answerText // in the order of contestants
	votes  []int         // the references that count here
}

// differenceGroup is differences that look the same. It is guarded by the differential.
type differenceGroup struct {
	key   string
	first difference
	count int
	zones map[string]int // by variant and DO
	more  []string       // a few further questions
}

// askEverything asks all questions about a version, in batches.
func (d *differential) askEverything(t *testing.T, c *contest, version int) {
	t.Helper()
	start := time.Now()
	var qs []inquiry
	for _, z := range c.zones {
		qs = append(qs, inquiries(z, version)...)
	}
	for batch := range slices.Chunk(qs, askBatch) {
		d.ask(t, c.addrs(), batch)
	}
	t.Logf("Version %d: %d questions in %v", version+1, len(qs), time.Since(start).Round(time.Millisecond))
}

// ask asks every server the questions and compares.
func (d *differential) ask(t *testing.T, addrs []string, qs []inquiry) {
	t.Helper()
	for i, texts := range d.answers(t, addrs, qs) {
		d.compare(qs[i], texts)
	}
}

// answers asks every server the questions, and returns the answers of all servers to each.
func (d *differential) answers(t *testing.T, addrs []string, qs []inquiry) [][]*answerText {
	t.Helper()
	answers, errs := make([][][]byte, len(addrs)), make([]error, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() {
			if answers[i], errs[i] = askAll(addr, qs); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", contestants[i], errs[i])
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	texts := make([][]*answerText, len(qs))
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(qs); i += workers {
				texts[i] = make([]*answerText, len(addrs))
				for s := range addrs {
					texts[i][s] = newAnswerText(answers[s][i])
				}
			}
		})
	}
	all.Wait()
	return texts
}

// compare looks for differences in the answers to one question.
func (d *differential) compare(q inquiry, texts []*answerText) {
	ours := texts[len(texts)-1]
	disputed := false
	for a := range aspects {
		votes := voters(q, a, texts)
		best := 0 // votes for the aspect as most have it
		mine := 0 // votes for ours
		for _, v := range votes {
			n := 0
			for _, w := range votes {
				if texts[v].text[a] == texts[w].text[a] {
					n++
				}
			}
			best = max(best, n)
			if texts[v].text[a] == ours.text[a] {
				mine = n
			}
		}
		disputed = disputed || best < len(votes)
		if len(votes) > 0 && mine < best && (a < aspectAnswer || !ours.truncated()) {
			d.differs(difference{q, a, texts, votes})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if disputed {
		d.disputed++
	}
}

// voters are the references that count for an aspect: those that can say something of it. What follows the answer section
// is about its end: where references have another answer, say because they follow shorter chains, only those with ours
// count.
func voters(q inquiry, a aspect, texts []*answerText) []int {
	var votes, alike []int
	ours := texts[len(texts)-1]
	if a == aspectAdditional && !q.by.tcp && ours.size > enoughRoom/2 {
		return nil // perhaps not all of it
	}
	for i, text := range texts[:len(texts)-1] {
		if contestants[i] == q.zone.without || !text.tells(a, contestants[i], q.by) {
			continue
		}
		votes = append(votes, i)
		if text.text[aspectAnswer] == ours.text[aspectAnswer] {
			alike = append(alike, i)
		}
	}
	if a > aspectAnswer && len(alike) > 0 {
		return alike
	}
	return votes
}

// differs counts a difference, with an allowance or in its group.
func (d *differential) differs(diff difference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.allowances {
		if a.covers(&diff) {
			a.used++
			return
		}
	}
	key := diff.key()
	g := d.groups[key]
	if g == nil {
		g = &differenceGroup{key: key, first: diff, zones: map[string]int{}}
		d.groups[key] = g
	}
	if g.count++; g.count > 1 && g.count <= 1+shownQuestions {
		g.more = append(g.more, diff.String())
	}
	g.zones[fmt.Sprintf("%s DO %t", diff.zone.variant, diff.by.do)]++
}

// key tells which differences look the same.
func (d *difference) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", aspectNames[d.aspect])
	for i, text := range d.texts {
		if i == len(d.texts)-1 || slices.Contains(d.votes, i) {
			fmt.Fprintf(&b, " %s=%s", contestants[i], text.shapeOf(d.aspect))
		}
	}
	return b.String()
}

// report fails the test for differences and for allowances that nothing needed.
func (d *differential) report(t *testing.T) {
	t.Helper()
	t.Logf("%d questions; the references differ among themselves in %d", d.asked, d.disputed)
	if d.asked < minQuestions {
		t.Errorf("%d questions, want %d", d.asked, minQuestions)
	}
	for _, a := range d.allowances {
		t.Logf("Allowance %q used %d times", a.name, a.used)
		if a.used == 0 && !a.rare {
			t.Errorf("Allowance %q is not needed", a.name)
		}
	}
	groups := make([]*differenceGroup, 0, len(d.groups))
	for _, g := range d.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *differenceGroup) int { return b.count - a.count })
	for i, g := range groups {
		if i == shownGroups && os.Getenv("DIFFERENTIAL_ALL") == "" {
			t.Errorf("%d more groups", len(groups)-i)
			return
		}
		t.Errorf("%d times: %s %v\n%salso: %s", g.count, g.key, g.zones, g.first.show(), strings.Join(g.more, "; "))
	}
}

// show prints the first difference of a group with all answers.
func (d *difference) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n", d.inquiry)
	for i, text := range d.texts {
		fmt.Fprintf(&b, "--- %s: %d octets", contestants[i], text.size)
		for a := range aspectAnswer {
			fmt.Fprintf(&b, ", %s %s", aspectNames[a], text.text[a])
		}
		for a := aspectAnswer; a < aspects; a++ {
			if text.text[a] != "" {
				fmt.Fprintf(&b, "\n%s:\n%.*s", aspectNames[a], shownSections, indent(text.text[a]))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// indent indents every line and joins its columns with one space.
func indent(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		fmt.Fprintf(&b, "    %.150s\n", strings.Join(strings.Fields(l), " "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
