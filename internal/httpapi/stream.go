package httpapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/secondaryplus/secondaryplus/control"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/watch"
)

// maxBatch is how many events are sent at a time.
const maxBatch = 100

// stream sends events as they happen (server-sent events, WHATWG HTML §9.2): those after an ID first, and without one those
// from now on. An empty event carries the ID to come back with.
func stream(s *Server, w http.ResponseWriter, r *request) error {
	after, resumes, err := r.after()
	if err != nil {
		return err
	}
	ids, err := s.followed(r)
	if err != nil {
		return err
	}
	release, err := take(s.streams, "streams of events")
	if err != nil {
		return err
	}
	defer release()
	f := &follower{
		server: s, digest: s.settings.Load().digest, variant: r.params.Get("variant"), ids: ids, sent: make(map[engine.ZoneID]uint64),
	}
	before, now := s.secondary.EventIDs()
	switch {
	case !resumes:
		after = now
	case after > now, after > 0 && after < before: // an ID of an earlier process
		after, f.lost = 0, true
	}
	past, ok := f.watch(after, now)
	if !ok {
		return busy("streams of events")
	}
	defer f.watcher.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps events until it has many
	if r.Method == http.MethodHead {
		return nil
	}
	f.out = newPatient(w, s.limits.write)
	f.run(r, past, min(after, now))
	return nil
}

// after returns the ID behind which events are wanted; resumes is false if it is all the same.
func (r *request) after() (id uint64, resumes bool, err error) {
	text := cmp.Or(r.Header.Get("Last-Event-ID"), r.params.Get("after")) // a browser that comes back has the old parameter
	if text == "" {
		return 0, false, nil
	}
	if id, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, false, badRequest("ID %q: want that of an event, a number", text)
	}
	return id, true, nil
}

// followed returns the zones whose events are wanted, nil for all.
func (s *Server) followed(r *request) ([]engine.ZoneID, error) {
	text := r.params.Get("zone")
	if text == "" {
		return nil, nil
	}
	name, err := parseName(text)
	if err != nil {
		return nil, err
	}
	ids := s.secondary.Named(name)
	if variant := r.params.Get("variant"); variant != "" {
		ids = slices.DeleteFunc(ids, func(id engine.ZoneID) bool { return id.Variant != variant })
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: %s", engine.ErrNoZone, name)
	}
	return ids, nil
}

// follower is somebody who follows events. It belongs to the goroutine of the request.
type follower struct {
	server  *Server
	watcher *watch.Watcher
	out     *patient
	digest  [32]byte                 // of the token it came with
	ids     []engine.ZoneID          // the zones it follows; nil for all
	variant string                   // that it follows; empty for all
	sent    map[engine.ZoneID]uint64 // the latest event of a zone that was sent out of its history
	lost    bool                     // it has to be told that events are missing
}

// watch starts to watch and returns what happened after an ID. now is the latest.
func (f *follower) watch(after, now uint64) (past []watch.Event, ok bool) {
	if f.ids == nil {
		f.watcher, past = f.server.secondary.Follow(after)
		return past, f.watcher != nil
	}
	// Of all zones only the latest events are kept for those who watch, of one zone all that its history has.
	if f.watcher, _ = f.server.secondary.Follow(now); f.watcher == nil {
		return nil, false
	}
	for _, id := range f.ids {
		d, err := f.server.secondary.Detail(id)
		if err != nil {
			continue
		}
		f.lost = f.lost || d.Forgotten > after
		if first := slices.IndexFunc(d.History, func(v watch.Event) bool { return v.ID > after }); first >= 0 {
			past = append(past, d.History[first:]...)
		}
	}
	slices.SortFunc(past, func(a, b watch.Event) int { return cmp.Compare(a.ID, b.ID) })
	return past, true
}

// run sends events until the client is gone, does not take them, or may no longer have them.
func (f *follower) run(r *request, past []watch.Event, after uint64) {
	beat := time.NewTicker(f.server.limits.beat)
	defer beat.Stop()
	var text bytes.Buffer
	fmt.Fprintf(&text, "id: %d\n\n", after)
	for _, v := range past {
		f.write(&text, &v)
		f.sent[v.Zone] = v.ID
	}
	for {
		if f.lost = f.watcher.Lost() || f.lost; f.lost {
			f.lost = false
			_, err := f.out.Write([]byte("event: " + control.Lost + "\ndata: {}\n\n"))
			if err != nil {
				return
			}
		}
		if text.Len() > 0 {
			if _, err := f.out.Write(text.Bytes()); err != nil {
				return
			}
			text.Reset()
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			text.WriteString(":\n\n")
		case v := <-f.watcher.C:
			f.write(&text, &v)
			f.drain(&text)
		}
		if f.server.settings.Load().digest != f.digest {
			return
		}
	}
}

// drain takes what else is there.
func (f *follower) drain(text *bytes.Buffer) {
	for range maxBatch {
		select {
		case v := <-f.watcher.C:
			f.write(text, &v)
		default:
			return
		}
	}
}

// write appends an event if it is one that is followed and that has not been sent.
func (f *follower) write(text *bytes.Buffer, v *watch.Event) {
	switch {
	case v.ID <= f.sent[v.Zone]:
		return
	case f.variant != "" && v.Zone.Variant != f.variant:
		return
	case f.ids != nil && !slices.Contains(f.ids, v.Zone):
		return
	}
	data, err := json.Marshal(event(v))
	if err != nil {
		panic(err) // it is a plain value
	}
	fmt.Fprintf(text, "id: %d\ndata: %s\n\n", v.ID, data)
}
