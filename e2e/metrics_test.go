//go:build e2e

package e2e_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const metricPrefix = "coredns_secondaryplus_"

// sample is one value of the metrics page; a histogram's count and sum are samples of their own, as in the text.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// samples is a metrics page. It is a plain value.
type samples []sample

// scrape reads the metrics page at addr.
func scrape(t *testing.T, addr string) samples {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(page(t, addr)))
	if err != nil {
		t.Fatalf("Metrics page: %v", err)
	}
	var all samples
	for name, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all = append(all, values(name, f.GetType(), m, labels)...)
		}
	}
	return all
}

func values(name string, kind dto.MetricType, m *dto.Metric, labels map[string]string) samples {
	switch kind {
	case dto.MetricType_COUNTER:
		return samples{{name, labels, m.GetCounter().GetValue()}}
	case dto.MetricType_GAUGE:
		return samples{{name, labels, m.GetGauge().GetValue()}}
	case dto.MetricType_HISTOGRAM:
		return samples{
			{name + "_count", labels, float64(m.GetHistogram().GetSampleCount())},
			{name + "_sum", labels, m.GetHistogram().GetSampleSum()},
		}
	default:
		return nil
	}
}

// page fetches the metrics page as text.
func page(t *testing.T, addr string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatalf("Metrics page: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("Metrics page: %v", err)
	}
	return string(body)
}

// find returns our samples of that name (without its prefix) that have all the labels, given as name, value, ...
func (s samples) find(name string, labels ...string) samples {
	var found samples
next:
	for _, x := range s {
		if x.name != metricPrefix+name {
			continue
		}
		for i := 0; i < len(labels); i += 2 {
			if x.labels[labels[i]] != labels[i+1] {
				continue next
			}
		}
		found = append(found, x)
	}
	return found
}

// sum adds up the samples that find returns; none is 0.
func (s samples) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, x := range s.find(name, labels...) {
		total += x.value
	}
	return total
}

// is complains unless exactly one sample has the name and labels, and the value.
func (s samples) is(want float64, name string, labels ...string) (complaint string) {
	found := s.find(name, labels...)
	switch {
	case len(found) != 1:
		return name + " " + strings.Join(labels, " ") + ": " + s.show(name)
	case found[0].value != want:
		return name + ": " + s.show(name)
	}
	return ""
}

// show prints all samples of that name.
func (s samples) show(name string) string {
	var b strings.Builder
	for _, x := range s.find(name) {
		b.WriteString(formatSample(x))
	}
	if b.Len() == 0 {
		return "no sample of " + name
	}
	return b.String()
}

func TestMetricsPageFollowsPrometheusConventions(t *testing.T) {
	t.Parallel()
	sec, prim := syncedPair(t, startKnot, nil)
	text := page(t, sec.Metrics)
	problems, err := promlint.New(strings.NewReader(ours(text))).Lint()
	if err != nil {
		t.Fatalf("Lint: %v", err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	m := scrape(t, sec.Metrics)
	for _, name := range []string{
		"link_state", "serial", "primary_serial", "last_check_timestamp_seconds", "expire_timestamp_seconds",
		"zone_records", "zone_bytes", "transfers_total", "transfer_duration_seconds_count", "transfer_bytes_total",
	} {
		if len(m.find(name)) == 0 {
			t.Errorf("No sample of %s after a transfer", name)
		}
	}
	for _, x := range m {
		if !strings.HasPrefix(x.name, metricPrefix) {
			continue
		}
		if zone, ok := x.labels["zone"]; ok && zone != mixedOrigin {
			t.Errorf("Zone label of %s: %q", x.name, zone)
		}
		if p, ok := x.labels["primary"]; ok && p != prim.addr() {
			t.Errorf("Primary label of %s: %q, want %q", x.name, p, prim.addr())
		}
	}
}

// ours keeps the lines of a metrics page that are about secondaryplus.
func ours(page string) string {
	var b strings.Builder
	for l := range strings.Lines(page) {
		if strings.Contains(l, metricPrefix) {
			b.WriteString(l)
		}
	}
	return b.String()
}

func formatSample(x sample) string {
	var b strings.Builder
	b.WriteString(x.name)
	for k, v := range maps.All(x.labels) {
		b.WriteString(" " + k + "=" + v)
	}
	b.WriteString(" ")
	b.WriteString(model.SampleValue(x.value).String())
	b.WriteString("; ")
	return b.String()
}
