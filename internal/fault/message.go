package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says what a message is about.
type Kind uint8

// The kinds of messages.
const (
	Fault    Kind = iota // zones cannot follow their primaries
	Reminder             // they still cannot
	Expiring             // they will expire soon
	Expired              // they have expired
	Recovery             // they can follow their primaries again
	kinds    = iota
)

// String returns the kind as webhooks and metrics name it.
func (k Kind) String() string {
	return [...]string{"fault", "reminder", "expiring", "expired", "recovery"}[k]
}

// Bounds of a message. The longest one has some 4,000 octets, which is what the narrowest of the chats takes.
const (
	maxSections = 4  // causes that are described; the others are counted
	maxNames    = 5  // zones a section names
	maxName     = 80 // octets of a name that are shown
	maxShown    = 4  // primaries a section names
)

// Message is something to tell people. It is a plain value.
type Message struct {
	Kind     Kind
	At       time.Time
	Sections []Section // at least one, that of the most zones first
}

// Section is what a message says of the zones of one cause. It is a plain value.
type Section struct {
	Links    []Link
	Shared   bool      // it lies with the primaries: zones that join it later are not told of one by one
	Zones    []string  // all of them, sorted by what tells them apart; once sent, as people call them
	SinceAt  time.Time // since when the first of them is or was down
	Served   int       // zones that have contents to serve
	Serial   uint32    // of the only zone, if Served
	ExpireAt time.Time // when the first of the Served expires; zero for not known
	Rest     int       // of a Recovery: other zones of the cause that are still down
}

// section returns what is to be said of the zones.
func (p *part) section() Section {
	s := Section{Links: p.cause.links, Shared: p.cause.shared, Zones: make([]string, 0, len(p.zones)), Rest: p.rest}
	for _, z := range p.zones {
		s.Zones = append(s.Zones, z.name)
		s.SinceAt = earliest(s.SinceAt, z.downAt)
		if z.status.served() {
			s.Served++
			s.Serial = z.status.Serial
			s.ExpireAt = earliest(s.ExpireAt, z.status.ExpireAt)
		}
	}
	slices.Sort(s.Zones)
	return s
}

// Count returns how many zones the message is about.
func (m *Message) Count() (n int) {
	for _, s := range m.Sections {
		n += len(s.Zones)
	}
	return n
}

// Title returns the message in one line. host names this server.
func (m *Message) Title(host string) string {
	what := map[Kind][2]string{
		Fault:    {"cannot follow its primary", "cannot follow their primary"},
		Reminder: {"still cannot follow its primary", "still cannot follow their primary"},
		Expiring: {"expires soon", "expire soon"},
		Expired:  {"has expired", "have expired"},
		Recovery: {"follows its primary again", "follow their primary again"},
	}[m.Kind]
	if m.Count() == 1 {
		return fmt.Sprintf("%s: zone %s %s", printable(host), printable(m.Sections[0].Zones[0]), what[0])
	}
	return fmt.Sprintf("%s: %d zones %s", printable(host), m.Count(), what[1])
}

// Text returns the whole message: the title, and a paragraph for each cause.
func (m *Message) Text(host string) string {
	var b strings.Builder
	b.WriteString(m.Title(host) + "\n")
	for i, s := range m.Sections {
		if i == maxSections {
			n := 0
			for _, s := range m.Sections[i:] {
				n += len(s.Zones)
			}
			fmt.Fprintf(&b, "\nAnd %s for %d other causes.\n", zones(n), len(m.Sections)-i)
			break
		}
		b.WriteString("\n")
		s.write(&b, m.Kind)
	}
	return b.String()
}

// write writes the paragraph of a section.
func (s *Section) write(b *strings.Builder, k Kind) {
	if k == Recovery {
		fmt.Fprintf(b, "%s: in step with %s again, after a fault since %s.\n",
			zones(len(s.Zones)), s.primaries(), stamp(s.SinceAt))
	} else {
		fmt.Fprintf(b, "%s: %s, since %s.\n", zones(len(s.Zones)), s.Reasons(), stamp(s.SinceAt))
	}
	fmt.Fprintf(b, "Zones: %s\n", s.Names())
	switch {
	case k == Recovery && s.Rest > 0:
		fmt.Fprintf(b, "Still down for the same cause: %s.\n", zones(s.Rest))
	case k == Recovery:
	default:
		b.WriteString(s.served())
		if k == Fault && s.Shared {
			b.WriteString("Zones that are found down later for the same cause are told of in the reminder.\n")
		}
		fmt.Fprintf(b, "To do: %s\n", s.advice())
	}
}

// served says what queries get meanwhile.
func (s *Section) served() string {
	until := "."
	if !s.ExpireAt.IsZero() {
		until = " until " + stamp(s.ExpireAt) + ", then SERVFAIL."
	}
	switch lost := len(s.Zones) - s.Served; {
	case s.Served == 0:
		return "Served: nothing, queries get SERVFAIL.\n"
	case len(s.Zones) == 1:
		return fmt.Sprintf("Served: the last version, serial %d%s\n", s.Serial, until)
	case lost > 0:
		return fmt.Sprintf("Served: the last version of %s, all of them%s %s without any: SERVFAIL.\n",
			zones(s.Served), until, zones(lost))
	default:
		return fmt.Sprintf("Served: their last versions, all of them%s\n", until)
	}
}

// Names returns the first few zones, and how many more there are.
func (s *Section) Names() string {
	names := make([]string, 0, maxNames)
	for _, n := range s.Zones[:min(len(s.Zones), maxNames)] {
		names = append(names, printable(n))
	}
	text := strings.Join(names, ", ")
	if more := len(s.Zones) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Reasons returns the primaries, each with what is wrong with it.
func (s *Section) Reasons() string {
	return s.list(func(l Link) string { return printable(l.Primary) + " " + l.Reason.What() })
}

// primaries returns the primaries.
func (s *Section) primaries() string {
	return s.list(func(l Link) string { return printable(l.Primary) })
}

// list returns what say says of the first few primaries.
func (s *Section) list(say func(Link) string) string {
	parts := make([]string, 0, maxShown)
	for _, l := range s.Links[:min(len(s.Links), maxShown)] {
		parts = append(parts, say(l))
	}
	text := "primary " + strings.Join(parts, ", ")
	if len(s.Links) > 1 {
		text = "primaries " + strings.Join(parts, ", ")
	}
	if more := len(s.Links) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// advice says what to do about the links, each thing once.
func (s *Section) advice() string {
	var all []string
	for _, l := range s.Links {
		if a := l.Reason.Sentence(); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return strings.Join(all[:min(len(all), 2)], " ")
}

// zones returns a number of zones in words.
func zones(n int) string {
	if n == 1 {
		return "1 zone"
	}
	return fmt.Sprintf("%d zones", n)
}

// stamp returns a time as messages show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// printable returns s with what could mean something to a mail header, a chat or a page replaced, and not too long: the
// names of catalog members are their producer's choice.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:/[]\\%", r), r == ' ':
			return r
		}
		return '?'
	}, s)
	if len(clean) > maxName {
		clean = clean[:maxName-3] + "..."
	}
	return cmp.Or(clean, "?")
}
