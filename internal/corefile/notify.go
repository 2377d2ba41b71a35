package corefile

import (
	"net/netip"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/notify"
	"github.com/secondaryplus/secondaryplus/internal/xfr"
)

// maxNotifyDelay is the most that notify_delay may be: a secondary that is told later than this finds out by itself.
const maxNotifyDelay = time.Hour

// notify reads "notify ADDRESS... [key NAME] [source ADDRESS]".
func (r *reader) notify(l line) error {
	words, source, key, err := l.servers()
	if err != nil {
		return err
	}
	for _, word := range words {
		if err := r.addTarget(l, word, source, key); err != nil {
			return err
		}
	}
	return nil
}

// addTarget appends the secondary of ours at the address that word says. The source may be invalid and the key name empty, for none.
func (r *reader) addTarget(l line, word string, source netip.Addr, key string) error {
	addr, err := l.server(word, source)
	if err != nil {
		return err
	}
	g := r.group
	for _, t := range g.Notify {
		if t.Addr == addr {
			return l.wrong(word, "every secondary once; %v is listed before", addr)
		}
	}
	i := len(g.Notify)
	if i == notify.MaxTargets {
		return l.Errorf("notify %q: want at most %d addresses in a directive", word, notify.MaxTargets)
	}
	g.Notify = append(g.Notify, notify.Target{Addr: addr, Source: source})
	r.notifyAt = append(r.notifyAt, l)
	if key != "" {
		r.useKey(l, key, func(k *xfr.Key) { g.Notify[i].Key = k })
	}
	return nil
}

// notifyDelay reads "notify_delay D".
func (r *reader) notifyDelay(l line) error {
	word := l.args()[0]
	d, ok := parseDuration(word)
	if word == "0" || word == "0s" {
		d, ok = 0, true
	}
	if !ok || d > maxNotifyDelay {
		return l.wrong(word, "a time of at most %v, in whole seconds, such as 0s, 5s or 1m", maxNotifyDelay)
	}
	r.group.NotifyDelay = d
	return nil
}

// finishNotify gives the secondaries what the directive says of them all.
func (r *reader) finishNotify() {
	g := r.group
	for i := range g.Notify {
		t := &g.Notify[i]
		t.Delay = g.NotifyDelay
		for _, p := range g.Primaries {
			if p.Addr == t.Addr {
				r.warn(r.notifyAt[i], "notify %v: this is a primary of the same directive, and is not notified", t.Addr)
			}
		}
	}
}
