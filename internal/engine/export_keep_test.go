package engine

import "time"

// AgeOrphans lets d pass for what is saved of zones that are not configured, and has it looked at with the next commit.
func (e *Engine) AgeOrphans(d time.Duration) {
	k := e.currentKeeper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, since := range k.orphans {
		k.orphans[id] = since.Add(-d)
	}
	k.orphanAt = time.Time{}
	signal(k.wake)
}

// Orphans returns the saved zones that are taken for not configured.
func (e *Engine) Orphans() (all []ZoneID) {
	k := e.currentKeeper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.orphans {
		all = append(all, id)
	}
	return all
}

// OrphanGrace is how long what is saved of a zone outlives its configuration.
const OrphanGrace = orphanGrace

// MaxGarbage is what commits leave behind before it is given back soon.
const MaxGarbage = maxGarbage

// Tidy is keeper.tidy with that much garbage, the last of it left that long ago; it returns when to look again and what is
// left.
func Tidy(garbage int64, ago time.Duration) (time.Duration, int64) {
	k := keeper{garbage: garbage, garbageAt: time.Now().Add(-ago)}
	return k.tidy(), k.garbage
}

// SetPace has commits come that far apart. Call it before Attach.
func (e *Engine) SetPace(d time.Duration) { e.pace = d }

// EncodeExpiry saves the state of a zone that expires then, and returns when it does by what was saved.
func EncodeExpiry(at time.Time) (time.Time, error) {
	s, err := decodeSavedZone(savedZone{ExpireAt: at}.encode())
	return s.ExpireAt, err
}

// EncodeChecked returns the saved state of a zone that was checked then, and is not due for an hour.
func EncodeChecked(at time.Time, g *Group) []byte {
	return savedZone{Conflicts: g.Conflicts.Edition(), CheckedAt: at, ExpireAt: at.Add(24 * time.Hour), NextAt: at.Add(time.Hour)}.encode()
}
