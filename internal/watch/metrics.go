package watch

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/fault"
	"github.com/secondaryplus/secondaryplus/internal/keep"
	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/refresh"
)

// Metrics are what the engine tells Prometheus: counters of what happened, and on every scrape the state of each zone and
// link. They outlive engines, so that counters go on over a reload. Safe for concurrent use.
type Metrics struct {
	transfers  *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	bytes      *prometheus.CounterVec
	soaQueries *prometheus.CounterVec
	notifies   *prometheus.CounterVec
	notified   *prometheus.CounterVec
	tsig       *prometheus.CounterVec
	violations *prometheus.CounterVec

	propagation *prometheus.HistogramVec

	storeErrors *prometheus.CounterVec
	fastpath    *prometheus.CounterVec
	dropped     *prometheus.CounterVec
	limited     *prometheus.CounterVec
	out         *prometheus.CounterVec
	outBytes    *prometheus.CounterVec

	mu     sync.Mutex
	source *Source // nil for none; guarded by mu
}

// Source is where the states come from that are shown on every scrape. Its functions are safe for concurrent use.
type Source struct {
	Zones  func() []Status
	Store  func() keep.Status
	Faults func() map[string]fault.Count // what became of messages, by the label of the sink

	Secondaries func(func(engine.ZoneID, []below.Secondary)) // calls the function for each zone that has secondaries of our own
}

const (
	metricNamespace = "coredns"
	metricSubsystem = "secondaryplus"
)

// NewMetrics returns metrics to be registered once in the life of the process.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricNamespace, Subsystem: metricSubsystem, Name: name, Help: help,
		}, labels)
	}
	return &Metrics{
		transfers: counter("transfers_total", "Transfers by type and result (ok or the reason of the failure).", "type", "result"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricNamespace, Subsystem: metricSubsystem, Name: "transfer_duration_seconds",
			Help: "Time a successful transfer took until its contents were ready to be served.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"type"}),
		propagation: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricNamespace, Subsystem: metricSubsystem, Name: "notify_to_served_seconds",
			Help: "Time from the first NOTIFY that told of a version until it was served.", Buckets: prometheus.ExponentialBuckets(0.004, 4, 10),
		}, nil),
		bytes:       counter("transfer_bytes_total", "Octets received in transfers.", "type"),
		soaQueries:  counter("soa_queries_total", "SOA queries sent to primaries by result (ok or the reason of the failure).", "result"),
		notifies:    counter("notifies_total", "NOTIFYs received by what became of them.", "result"),
		notified:    counter("notifies_sent_total", "NOTIFYs to our own secondaries by what became of them.", "result"),
		tsig:        counter("tsig_failures_total", "Messages whose TSIG was missing or did not hold, by reason.", "reason"),
		violations:  counter("rule_violations_total", "Breaches of a synchronization rule: attempts refused, or records discarded.", "rule"),
		fastpath:    counter("fastpath_queries_total", "Queries that came to sockets of the fast path by what became of them.", "result"),
		dropped:     counter("fastpath_dropped_total", "Queries and replies that sockets of the fast path have dropped in place of waiting, by reason.", "reason"),
		limited:     counter("rate_limited_total", "Answers over UDP that rate_limit has refused, by class and by what was done in their place.", "class", "action"),
		out:         counter("transfers_out_total", "Requests for a transfer by what they came to.", "result"),
		outBytes:    counter("transfer_out_bytes_total", "Octets sent in transfers."),
		storeErrors: counter("store_errors_total", "Failures to open, read or write the store.", "operation"),
	}
}

// Show has the states of a source shown from now on, until the function that is returned is called.
func (m *Metrics) Show(s *Source) (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.source = s
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.source == s {
			m.source = nil
		}
	}
}

// resultOK is the result label of what went well.
const resultOK = "ok"

func (m *Metrics) soaAnswered(err error) {
	result := resultOK
	if err != nil {
		why := reason.Of(err)
		result = string(why)
		m.TSIGFailed(why)
	}
	m.soaQueries.WithLabelValues(result).Inc()
}

// attempted counts one attempt; SOA queries themselves are counted when they are answered. again: its failure is one that an
// earlier attempt has found.
func (m *Metrics) attempted(a *engine.Attempt, err error, again bool) {
	why := reason.Of(err)
	if why.Refuses() && !again {
		m.violations.WithLabelValues(string(why)).Inc()
	}
	if a.Op == engine.OpSOA {
		m.soaAnswered(err)
		return
	}
	if a.FellBack != nil {
		m.transfers.WithLabelValues(string(engine.OpIXFR), string(reason.Of(a.FellBack))).Inc()
	}
	op := string(a.Op)
	m.bytes.WithLabelValues(op).Add(float64(a.Result.Bytes))
	if err != nil {
		m.transfers.WithLabelValues(op, string(why)).Inc()
		m.TSIGFailed(why)
		return
	}
	m.transfers.WithLabelValues(op, resultOK).Inc()
	m.duration.WithLabelValues(op).Observe(a.Took.Seconds())
}

// StoreFailed counts a failure of the store.
func (m *Metrics) StoreFailed(operation string) { m.storeErrors.WithLabelValues(operation).Inc() }

// NotifyReceived counts a NOTIFY.
func (m *Metrics) NotifyReceived(result string) { m.notifies.WithLabelValues(result).Inc() }

// NotifySent counts what became of telling one of our own secondaries of a version.
func (m *Metrics) NotifySent(result string) { m.notified.WithLabelValues(result).Inc() }

// FastpathQueries returns the counter of queries to sockets of the fast path with a result.
func (m *Metrics) FastpathQueries(result string) prometheus.Counter {
	return m.fastpath.WithLabelValues(result)
}

// RateLimited returns the counter of answers of a class that rate_limit has refused, truncated or dropped.
func (m *Metrics) RateLimited(class, action string) prometheus.Counter {
	return m.limited.WithLabelValues(class, action)
}

// TransfersOut returns the counter of requests for a transfer that came to a result.
func (m *Metrics) TransfersOut(result string) prometheus.Counter {
	return m.out.WithLabelValues(result)
}

// TransferOutBytes counts octets that were sent.
func (m *Metrics) TransferOutBytes(n int64) { m.outBytes.WithLabelValues().Add(float64(n)) }

// FastpathDropped returns the counter of datagrams that sockets of the fast path have dropped for a reason.
func (m *Metrics) FastpathDropped(why string) prometheus.Counter {
	return m.dropped.WithLabelValues(why)
}

// TSIGFailed counts a message whose TSIG did not hold; other reasons are not counted here.
func (m *Metrics) TSIGFailed(r reason.Reason) {
	if label, ok := map[reason.Reason]string{
		reason.TSIGBadKey: "bad_key", reason.TSIGBadSig: "bad_sig", reason.TSIGBadTime: "bad_time",
		reason.TSIGBadTrunc: "bad_trunc", reason.TSIGMissing: "missing",
	}[r]; ok {
		m.tsig.WithLabelValues(label).Inc()
	}
}

func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.propagation, m.transfers, m.duration, m.bytes, m.soaQueries, m.notifies, m.notified, m.tsig, m.violations, m.storeErrors, m.fastpath, m.dropped, m.limited, m.out, m.outBytes}
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricNamespace, metricSubsystem, name), help, labels, nil)
}

// The gauges, made anew on every scrape so that none outlives its zone.
var (
	descLink          = gauge("link_state", "State of the link to a primary: 1 Normal, 0 Blocked; absent until it is known.", "zone", "variant", "primary")
	descBlocked       = gauge("link_blocked", "1 while the link to a primary is Blocked, with the reason.", "zone", "variant", "primary", "reason")
	descPrimarySerial = gauge("primary_serial", "SOA serial at a primary when it last told it.", "zone", "variant", "primary")
	descState         = gauge("zone_state", "State of the zone: 1 Normal, 0.5 Degraded (some link is Blocked), 0 Blocked; absent until that is known.", "zone", "variant")
	descBehind        = gauge("out_of_sync_seconds", "How long a primary has had a newer version than is served; 0 when none has.", "zone", "variant")
	descSerial        = gauge("serial", "SOA serial served.", "zone", "variant")
	descSaved         = gauge("saved_serial", "SOA serial of the contents that outlive a crash.", "zone", "variant")
	descFaults        = prometheus.NewDesc(prometheus.BuildFQName(metricNamespace, metricSubsystem, "fault_messages_total"),
		"Messages about faults by sink and result: delivered, failed (given up) or retried.", []string{"sink", "result"}, nil)
	descStoreUp = gauge("store_up", "1 while the store works, 0 while it does not; absent without one.")
	descUnsaved = gauge("store_unsaved_zones", "Zones whose contents served are not in the store; absent without one.")
	descOrphans = gauge("store_orphan_zones", "Zones that are in the store and not configured any more; absent without one.")
	descServed  = gauge("zone_served", "1 while the zone is answered from contents, 0 before the first transfer and after expiry; absent until it has been read from the store.", "zone", "variant")
	descChecked = gauge("last_check_timestamp_seconds", "When a primary last confirmed the contents.", "zone", "variant")
	descExpires = gauge("expire_timestamp_seconds", "When the zone expires unless a primary confirms it.", "zone", "variant")
	descRecords = gauge("zone_records", "Records served.", "zone", "variant")
	descMarked  = gauge("zone_records_discarded", "Records of the zone that are not served because others exclude them.", "zone", "variant")
	descBelow   = gauge("secondaries", "Pairs of a zone and a secondary of our own, by how the secondary stands.", "state")
	descLate    = gauge("secondaries_behind_seconds", "How long the secondary of the zone that is behind for longest has lacked the version served; 0 when none is; absent while none is known to have a version.", "zone", "variant")
	descBytes   = gauge("zone_bytes", "Octets of the records served, uncompressed on the wire.", "zone", "variant")
)

// Describe is for prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, v := range m.vectors() {
		v.Describe(c)
	}
	for _, d := range []*prometheus.Desc{
		descStoreUp, descUnsaved, descOrphans, descFaults, descLink, descBlocked, descPrimarySerial, descState, descBehind, descSerial, descSaved, descServed, descChecked, descExpires, descRecords, descMarked, descBytes, descBelow, descLate,
	} {
		c <- d
	}
}

// Collect is for prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	for _, v := range m.vectors() {
		v.Collect(c)
	}
	m.mu.Lock()
	from := m.source
	m.mu.Unlock()
	if from == nil {
		return
	}
	unsaved := 0
	for _, z := range from.Zones() {
		collect(&z, c)
		if z.Contents != z.Saved && z.Contents != nil {
			unsaved++
		}
	}
	collectStore(from.Store(), c, unsaved)
	collectBelow(from.Secondaries, c)
	for sink, n := range from.Faults() {
		for result, v := range map[string]uint64{"delivered": n.Delivered, "failed": n.Failed, "retried": n.Retried} {
			c <- prometheus.MustNewConstMetric(descFaults, prometheus.CounterValue, float64(v), sink, result)
		}
	}
}

// collectStore sends how the store stands.
func collectStore(s keep.Status, c chan<- prometheus.Metric, unsaved int) {
	if s.Path == "" {
		return
	}
	up := 1.0
	if s.Failure != "" {
		up = 0
	}
	c <- prometheus.MustNewConstMetric(descStoreUp, prometheus.GaugeValue, up)
	c <- prometheus.MustNewConstMetric(descUnsaved, prometheus.GaugeValue, float64(unsaved))
	c <- prometheus.MustNewConstMetric(descOrphans, prometheus.GaugeValue, float64(s.Orphans))
}

// collectBelow sends how our own secondaries stand. There is no series for each of them: who it is, the control API tells.
func collectBelow(each func(func(engine.ZoneID, []below.Secondary)), c chan<- prometheus.Metric) {
	states := map[below.State]int{}
	now := time.Now()
	each(func(id engine.ZoneID, all []below.Secondary) {
		behind, known := 0.0, false
		for i := range all {
			states[all[i].State]++
			known = known || all[i].Seen != nil
			if at := all[i].LateAt(); !at.IsZero() {
				behind = max(behind, now.Sub(at).Seconds())
			}
		}
		if known {
			c <- prometheus.MustNewConstMetric(descLate, prometheus.GaugeValue, behind, id.Name, id.Variant)
		}
	})
	for _, s := range below.States() {
		c <- prometheus.MustNewConstMetric(descBelow, prometheus.GaugeValue, float64(states[s]), string(s))
	}
}

// collectState sends what the links of a zone come to.
func collectState(s *Status, send func(*prometheus.Desc, float64, ...string)) {
	behind := 0.0
	if !s.BehindAt.IsZero() {
		behind = max(0, time.Since(s.BehindAt).Seconds())
	}
	send(descBehind, behind)
	switch s.State {
	case refresh.ZoneBlocked:
		send(descState, 0)
	case refresh.ZoneDegraded:
		send(descState, 0.5)
	case refresh.ZoneNormal:
		send(descState, 1)
	case refresh.ZoneUnknown:
	}
}

func collect(s *Status, c chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.ID.Name, s.ID.Variant}, labels...)...)
	}
	stamp := func(d *prometheus.Desc, t time.Time) {
		if !t.IsZero() {
			send(d, float64(t.UnixMilli())/1000)
		}
	}
	if s.Contents != nil {
		send(descServed, 1)
		send(descSerial, float64(s.Contents.Serial().Uint32()))
		send(descRecords, float64(s.Contents.Records()-s.Contents.Marked()))
		send(descMarked, float64(s.Contents.Marked()))
		send(descBytes, float64(s.Contents.Size()))
	} else if s.Started {
		send(descServed, 0)
	}
	if s.Saved != nil {
		send(descSaved, float64(s.Saved.Serial().Uint32()))
	}
	collectState(s, send)
	stamp(descChecked, s.CheckedAt)
	stamp(descExpires, s.ExpireAt)
	for i, l := range s.Links {
		primary := s.Primaries[i].String()
		switch l.State {
		case refresh.Normal:
			send(descLink, 1, primary)
		case refresh.Blocked:
			send(descLink, 0, primary)
			send(descBlocked, 1, primary, string(l.Reason))
		case refresh.Unknown:
		}
		if l.HasSerial {
			send(descPrimarySerial, float64(l.Serial.Uint32()), primary)
		}
	}
}
