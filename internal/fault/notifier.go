package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// saveSpan is the least time between two saves that no message asks for. What is lost with the process is at most who was
// counted silently with a fault already told.
const saveSpan = 10 * time.Second

// closeSpan is how long Close waits for messages that are being sent.
const closeSpan = 2 * time.Second

// Logger takes the log lines. CoreDNS's plugin loggers are Loggers. It must be safe for concurrent use.
type Logger interface {
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
}

// Namer returns what messages call these zones, in the same order. It is called without a lock of the Notifier.
type Namer func(zones []string) []string

// Settings say whom to tell of what. They are a plain value.
type Settings struct {
	URLs  []string // of sinks, each valid; none mutes
	After time.Duration
	Every time.Duration
	Host  string // what messages call this server
}

// Notifier tells people about faults. Its methods are safe for concurrent use and never wait for a sink.
type Notifier struct {
	log  Logger
	save func(state []byte) error // called by the notifier's goroutine only
	name Namer
	ctx  context.Context //nolint:containedctx // the life of the notifier's goroutine
	stop context.CancelFunc
	done chan struct{} // closed when the goroutine has ended
	wake chan struct{} // the machine may want something sooner; holds one

	mu      sync.Mutex // guards everything below
	machine *Machine
	sinks   []*sink
	host    string
	totals  map[string]Count // of sinks that are configured no more

	// Owned by the goroutine.
	saved   uint64    // version of the state that was saved
	triedAt time.Time // when a save was last tried
	unsaved bool      // it failed
}

// Count is what became of the messages to the sinks of one label. It is a plain value.
type Count struct {
	Delivered uint64
	Failed    uint64 // given up
	Retried   uint64 // attempts after the first
}

// NewNotifier returns a running notifier, muted until Configure. state is what save was last given, or nil; save may be nil.
// Messages call zones what name says, which may change; with nil, what tells them apart. Close ends it.
func NewNotifier(log Logger, state []byte, save func([]byte) error, name Namer) *Notifier {
	var s State
	if len(state) > 0 {
		if err := json.Unmarshal(state, &s); err != nil {
			log.Warningf("fault: the saved state is damaged, faults that last may be told of again: %s", err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &Notifier{
		log: log, save: save, name: name, ctx: ctx, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1),
		machine: New(DefaultConfig, s), totals: map[string]Count{},
	}
	n.saved = n.machine.Version()
	go n.run()
	return n
}

// Configure changes whom to tell of what. It returns an error, and changes nothing, if a URL is not valid.
func (n *Notifier) Configure(s Settings) error {
	var sinks []*sink
	for _, u := range s.URLs {
		fresh, err := newSink(u)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(sinks, fresh.same) {
			sinks = append(sinks, fresh)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, old := range n.sinks {
		if i := slices.IndexFunc(sinks, old.same); i >= 0 {
			sinks[i] = old // with its counters and what hangs
			continue
		}
		n.totals[old.label] = n.totals[old.label].plus(old)
	}
	n.sinks, n.host = sinks, s.Host
	n.machine.Configure(Config{After: s.After, Every: s.Every, Mute: len(sinks) == 0})
	n.signal()
	return nil
}

// Down tells that no primary of the zone can be followed, or that the status of such a zone has changed.
func (n *Notifier) Down(zone string, s Status) { n.tell(Event{Kind: Down, Zone: zone, Status: s}) }

// Up tells that a primary of the zone can be followed.
func (n *Notifier) Up(zone string) { n.tell(Event{Kind: Up, Zone: zone}) }

// Gone tells that the zone is no longer configured.
func (n *Notifier) Gone(zone string) { n.tell(Event{Kind: Gone, Zone: zone}) }

// Zones returns the zones that are remembered, also from before a restart: those not configured any more have to be Gone.
func (n *Notifier) Zones() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.Zones()
}

// Counts returns what became of the messages, by the label of the sink.
func (n *Notifier) Counts() map[string]Count {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make(map[string]Count, len(n.totals)+len(n.sinks))
	maps.Copy(counts, n.totals)
	for _, s := range n.sinks {
		counts[s.label] = counts[s.label].plus(s)
	}
	return counts
}

func (c Count) plus(s *sink) Count {
	return Count{c.Delivered + s.delivered.Load(), c.Failed + s.failed.Load(), c.Retried + s.retried.Load()}
}

// Close ends the notifier, after a last save. A message that is being sent has closeSpan to arrive.
func (n *Notifier) Close() {
	n.stop()
	<-n.done
}

// tell steps the machine with an event that makes no message.
func (n *Notifier) tell(ev Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.machine.NextAt()
	n.machine.Step(time.Now(), ev)
	if at := n.machine.NextAt(); !at.IsZero() && (before.IsZero() || at.Before(before)) {
		n.signal()
	}
}

// signal wakes the goroutine, if it is not awake already.
func (n *Notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run is the notifier's goroutine.
func (n *Notifier) run() {
	defer close(n.done)
	for n.ctx.Err() == nil {
		if msg := n.step(Due); msg != nil {
			n.send(msg)
			continue
		}
		n.rest()
	}
	n.store()
}

// step steps the machine with an event about the time or the message that is out.
func (n *Notifier) step(kind EventKind) *Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.Step(time.Now(), Event{Kind: kind})
}

// rest waits until there may be something to do, and saves what has changed meanwhile.
func (n *Notifier) rest() {
	n.mu.Lock()
	at, changed := n.machine.NextAt(), n.machine.Version() != n.saved
	n.mu.Unlock()
	if changed && n.save != nil {
		if time.Since(n.triedAt) >= saveSpan {
			n.store()
		}
		at = earliest(at, n.triedAt.Add(saveSpan))
	}
	var due <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-n.wake:
	case <-n.ctx.Done():
	}
}

// store saves what people have been told, if that has changed.
func (n *Notifier) store() {
	n.mu.Lock()
	version := n.machine.Version()
	if n.save == nil || version == n.saved {
		n.mu.Unlock()
		return
	}
	state := n.machine.State(time.Now())
	n.mu.Unlock()
	n.triedAt = time.Now()
	text, err := json.Marshal(state)
	if err == nil {
		err = n.save(text)
	}
	switch {
	case err == nil:
		n.saved, n.unsaved = version, false
	case !n.unsaved:
		n.unsaved = true
		n.log.Warningf("fault: what was told is not saved, a restart may tell it again: %s", err)
	}
}

// send has every sink deliver a message, and tells the machine what came of it.
func (n *Notifier) send(msg *Message) {
	n.mu.Lock()
	sinks, host := n.sinks, n.host
	n.mu.Unlock()
	for i := range msg.Sections {
		s := &msg.Sections[i]
		if n.name != nil {
			s.Zones = n.name(s.Zones)
		}
		say := n.log.Warningf
		if msg.Kind == Recovery {
			say = n.log.Infof
		}
		say("fault_notify op=%s: %s: %s, since %s: %s", msg.Kind, zones(len(s.Zones)), s.Reasons(), stamp(s.SinceAt), s.Names())
	}
	ctx, cancel := n.sendingContext()
	defer cancel()
	results := make(chan bool, len(sinks))
	for _, s := range sinks {
		go func() {
			text, params := s.words(msg, host)
			err := s.deliver(ctx, text, params)
			if err != nil {
				n.log.Warningf("fault: %s message of %s to %s is lost: %s", msg.Kind, zones(msg.Count()), s.label, err)
			}
			results <- err == nil
		}()
	}
	for range sinks {
		if <-results {
			n.step(Sent)
			n.store() // at once: a crash must not tell it again
		}
	}
	n.step(Finished)
}

// sendingContext returns a context that ends closeSpan after the notifier's.
func (n *Notifier) sendingContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.ctx))
	stop := context.AfterFunc(n.ctx, func() { time.AfterFunc(closeSpan, cancel) })
	return ctx, func() { stop(); cancel() }
}

// words returns the message as the sink takes it: its text, and what goes beside it. A webhook gets the facts one by one,
// all of them strings: it may be a gateway that fills them into a text of its own.
func (s *sink) words(msg *Message, host string) (string, types.Params) {
	text, params := msg.Text(host), types.Params{}
	if s.service.titled {
		params.SetTitle(msg.Title(host))
	}
	if s.kind == "generic" {
		first := msg.Sections[0]
		var reasons []string
		for _, l := range first.Links[:min(len(first.Links), maxShown)] {
			reasons = append(reasons, fmt.Sprintf("%s %s", printable(l.Primary), printable(string(l.Reason))))
		}
		params["event"] = msg.Kind.String()
		params["host"] = printable(host)
		params["zones"] = strconv.Itoa(msg.Count())
		params["names"] = first.Names()
		params["primaries"] = strings.Join(reasons, ", ")
		params["since"] = first.SinceAt.UTC().Format(time.RFC3339)
		if !first.ExpireAt.IsZero() {
			params["expires"] = first.ExpireAt.UTC().Format(time.RFC3339)
		}
	}
	return text, params
}
