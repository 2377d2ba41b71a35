package secondary

import (
	"github.com/secondaryplus/secondaryplus/internal/below"
	"github.com/secondaryplus/secondaryplus/internal/engine"
	"github.com/secondaryplus/secondaryplus/internal/version"
	"github.com/secondaryplus/secondaryplus/internal/xfrout"
)

// Below returns how the secondaries of a zone stand, nil if there is no such zone.
func (s *Secondary) Below(id engine.ZoneID) []below.Secondary {
	if z := s.Lookup(id); z != nil {
		return s.belowZone(z)
	}
	return nil
}

// AllBelow calls f for each zone that has secondaries. Locks are held for one zone at a time.
func (s *Secondary) AllBelow(f func(engine.ZoneID, []below.Secondary)) {
	for _, z := range s.Zones() {
		if all := s.belowZone(z); len(all) > 0 {
			f(z.ID(), all)
		}
	}
}

func (s *Secondary) belowZone(z *engine.Zone) []below.Secondary {
	id := z.ID().String()
	return below.Of(ServedBy(z), s.sender.Status(id), s.Seen.Of(id))
}

// recallSeen takes over what an earlier process has seen of secondaries of our own. A crash leaves nothing of it: by then it would say of
// those that have followed that they are behind. s.mu is held.
func (s *Secondary) recallSeen() {
	note := s.Note(seenNote)
	if len(note) == 0 {
		return
	}
	s.SetNote(seenNote, nil)
	ids := make(map[string]bool, len(s.Zones()))
	for _, z := range s.Zones() {
		ids[z.ID().String()] = true
	}
	s.Seen.Recall(note, func(zone string) bool { return ids[zone] })
}

// ServedBy returns the version that is served of a zone, nil for none.
func ServedBy(z *engine.Zone) *xfrout.Served {
	v := z.Standing().Version
	if v == nil {
		return nil
	}
	s := served(v)
	return &s
}

func served(v *version.Version) xfrout.Served {
	return xfrout.Served{Serial: v.Contents.Serial(), At: v.Source.At}
}
