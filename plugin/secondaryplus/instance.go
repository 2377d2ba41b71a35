package secondaryplus

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin/bufsize"
	"github.com/coredns/coredns/plugin/nsid"
	"github.com/coredns/coredns/plugin/transfer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/secondary"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// fileInterval is how often files are looked at that may change while CoreDNS runs.
const fileInterval = 5 * time.Second

// process is what outlives a reload: CoreDNS starts the new instance before it stops the old one, and an instance that
// fails to start is dropped without a word. Safe for concurrent use.
var process struct {
	mu        sync.Mutex
	secondary *secondary.Secondary      // nil while no instance uses it
	instances []*instance               // those that use it, oldest first
	controls  map[string]*controlServer // by address
	fast      map[string]*fastAddress   // by address
}

// metrics are registered once; counters go on over reloads.
var metrics = sync.OnceValue(func() *watch.Metrics {
	m := watch.NewMetrics()
	prometheus.MustRegister(m)
	return m
})

// enroll adds an instance to those that use the process's secondary, which is started for the first one.
func enroll(in *instance) *secondary.Secondary {
	process.mu.Lock()
	defer process.mu.Unlock()
	if len(process.instances) == 0 {
		process.secondary = secondary.New(log, metrics())
	}
	process.instances = append(process.instances, in)
	return process.secondary
}

// leave takes an instance from those that use the engine; with the last one the engine ends.
func leave(in *instance) {
	closeControls(in)
	closeFast(in)
	process.mu.Lock()
	defer process.mu.Unlock()
	process.instances = slices.DeleteFunc(process.instances, func(o *instance) bool { return o == in })
	if len(process.instances) == 0 {
		process.secondary.Close()
		process.secondary = nil
	}
}

// around returns the instances enrolled before in and those enrolled after it.
func around(in *instance) (older, newer []*instance) {
	process.mu.Lock()
	defer process.mu.Unlock()
	i := slices.Index(process.instances, in)
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(process.instances[:i]), slices.Clone(process.instances[i+1:])
}

// instance is one loaded Corefile. CoreDNS calls its methods one after the other; the zones-file watcher runs beside them.
type instance struct {
	handlers  []*SecondaryPlus
	blocks    []*block // of the handler with the same index
	settings  corefile.Settings
	guard     *guard               // set by start
	serving   atomic.Bool          // a server serves
	secondary *secondary.Secondary // of the process; set by start

	mu         sync.Mutex // guards what follows, and blocks once started
	attachment *secondary.Attachment
	targets    map[engine.ZoneID][]notify.Target // whom to tell of new versions
	planned    *plan                             // in force, where zones files may change it
	caddy      *caddy.Instance                   // known with a fast path
	fast       map[string]*routes                // by address, until its server begins to serve
	stopped    bool
	done       chan struct{} // closed when stopped

	running sync.WaitGroup // what every has begun
}

type instanceKey struct{}

// instanceOf returns the instance that c loads, the same for all its server blocks.
func instanceOf(c *caddy.Controller) *instance {
	if in, ok := c.Get(instanceKey{}).(*instance); ok {
		return in
	}
	in := &instance{settings: corefile.DefaultSettings(), done: make(chan struct{})}
	c.Set(instanceKey{}, in)
	c.OnStartup(in.start)
	c.OnRestartFailed(in.reinstate)
	c.OnShutdown(in.shutdown)
	return in
}

// add joins a server block to the instance.
func (in *instance) add(h *SecondaryPlus, b *block) error {
	if err := in.settings.Add(&b.Settings); err != nil {
		return err
	}
	h.instance = in
	in.handlers, in.blocks = append(in.handlers, h), append(in.blocks, b)
	return nil
}

// prepare is the part of a start that opens nothing, and the only one that says whether the Corefile is good; in.mu is held.
func (in *instance) prepare() (*plan, error) {
	for i, h := range in.handlers { // other plugins, and views, are known once all are set up
		h.server, h.view = serverName(h.config), h.config.ViewName
		h.transfer, _ = h.config.Handler("transfer").(*transfer.Transfer)
		var ok bool
		if h.entries, ok = entries(h.transfer); !ok {
			log.Warningf("transfer: this CoreDNS keeps its addresses in another way, so none is notified of new versions; list them with notify")
		}
		if p, ok := h.config.Handler("nsid").(nsid.Nsid); ok {
			h.nsid = len(p.Data)
		}
		h.maxUDP = in.settings.MaxUDP
		if p, ok := h.config.Handler("bufsize").(bufsize.Bufsize); ok {
			h.maxUDP = min(h.maxUDP, p.Size)
		}
		h.exact = len(h.inFront(lengthKept)) == 0
		h.warnOfTransfer()
		h.warnOfOwn(in.blocks[i])
	}
	blocks := in.serverBlocks()
	p, err := in.plan()
	if err != nil {
		return nil, err
	}
	return p, in.planFast(blocks)
}

// start puts the instance in force. It may yet be discarded: then the one before is told to take over again.
func (in *instance) start() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	p, err := in.prepare()
	if err != nil {
		return err
	}
	config := in.config(p)
	if in.guard, err = newGuard(&in.settings, latestGuard()); err != nil {
		return err
	}
	e := enroll(in)
	in.secondary = e
	if config.Settings.Store == "" {
		log.Info("store off: nothing is kept over a restart, after which every zone is transferred again")
	}
	if err := openControl(in, e); err != nil {
		leave(in)
		return err
	}
	if in.attachment, err = e.Attach(config); err != nil {
		leave(in)
		return err
	}
	in.handOut(p)
	in.limitTransfers()
	in.tell(p)
	in.claimFast()
	in.attachment.Start()
	if in.hasZonesFile() {
		in.planned = p
		in.every(fileInterval, in.watch)
	}
	in.every(fileInterval, in.guard.cookies.watch)
	in.every(time.Minute, in.guard.report)
	return nil
}

// latestGuard returns the guard of the newest instance, nil for none.
func latestGuard() *guard {
	process.mu.Lock()
	defer process.mu.Unlock()
	if n := len(process.instances); n > 0 {
		return process.instances[n-1].guard
	}
	return nil
}

// reinstate takes over again after an instance that came later has failed. CoreDNS drops that one without a word.
func (in *instance) reinstate() error {
	// After the new one has begun to serve, CoreDNS still calls this if some plugin fails to shut down; too late to go back.
	_, newer := around(in)
	if slices.ContainsFunc(newer, func(o *instance) bool { return o.serving.Load() }) {
		return nil
	}
	for _, o := range newer {
		_ = o.shutdown()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.attachment != nil && !in.stopped {
		in.attachment.Reinstate()
		in.limitTransfers()
	}
	return nil
}

// serves is called with every query, and when all servers serve. The first call shows that the instance has replaced those before
// it, which lets them go: an instance that failed to start has perhaps nobody else to tell it.
func (in *instance) serves() {
	if !in.serving.Load() && !in.serving.Swap(true) {
		in.succeed()
	}
}

// succeed lets the instances before this one go, and has secondaries told by its word.
func (in *instance) succeed() {
	older, _ := around(in)
	for _, o := range older {
		_ = o.shutdown()
	}
	in.beginToTell()
}

// shutdown lets the zones go. Queries that still come are answered from the contents at hand. It never fails: an error would
// keep CoreDNS from shutting down what comes after.
func (in *instance) shutdown() error {
	in.mu.Lock()
	if in.attachment == nil || in.stopped {
		in.mu.Unlock()
		return nil
	}
	in.stopped = true
	close(in.done)
	in.attachment.Detach()
	in.mu.Unlock()
	in.running.Wait() // without in.mu, which what runs there may be waiting for
	leave(in)
	return nil
}

// every calls f now and then until the instance is stopped. The calls never overlap.
func (in *instance) every(interval time.Duration, f func()) {
	in.running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-in.done:
				return
			case <-ticker.C:
				f()
			}
		}
	})
}

// config returns what the engine is to do for a plan.
func (in *instance) config(p *plan) secondary.Config {
	return secondary.Config{
		Settings: processSettings(&in.settings), Zones: p.zones,
	}
}

// handOut gives every handler its zones.
func (in *instance) handOut(p *plan) {
	for i, listings := range p.blocks {
		table := make(zoneTable, len(listings))
		for _, l := range listings {
			table[string(l.wire)] = &servedZone{Zone: in.attachment.Zone(l.id), origin: l.wire, group: l.group}
		}
		in.handlers[i].zones.Store(&table)
	}
}

func (in *instance) hasZonesFile() bool {
	for _, b := range in.blocks {
		for _, g := range b.groups {
			if g.ZonesFile != nil {
				return true
			}
		}
	}
	return false
}

// watch takes over zones files that have changed.
func (in *instance) watch() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped {
		return
	}
	changed := false
	for _, b := range in.blocks {
		for _, g := range b.groups {
			if f := g.ZonesFile; f != nil && f.Changed() {
				if err := f.Read(); err != nil {
					log.Errorf("zones_file: %v; the zones stay as they were", err)
					continue
				}
				changed = true
			}
		}
	}
	if !changed {
		return
	}
	p, err := in.plan()
	if err != nil {
		log.Errorf("zones_file: %v; the zones stay as they were", err)
		return
	}
	in.attachment.Update(p.changes(in.planned))
	in.planned = p
	in.handOut(p)
	in.tell(p)
	log.Infof("zones_file: %d zones now", len(p.zones))
}
