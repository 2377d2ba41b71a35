package notify

import (
	"fmt"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// line is a line for the log. It is a plain value.
type line struct {
	text string
	good bool
}

// lines returns what is to be said of the reports there are; s.mu is held.
func (s *Sender) lines() (lines []line) {
	reports, more := s.machine.Reports()
	if len(reports) == 0 {
		return nil
	}
	if now := time.Now(); now.Sub(s.loggedAt) >= time.Minute {
		s.logged, s.loggedAt = 0, now
		if s.silent > 0 {
			lines = append(lines, line{fmt.Sprintf("op=notify-out: %d reports like those before are not in the log", s.silent), false})
			s.silent = 0
		}
	}
	s.silent += more
	for _, r := range reports {
		if s.logged++; s.logged > maxLogged {
			s.silent++
			continue
		}
		lines = append(lines, line{r.String(), r.Result == Told})
	}
	return lines
}

// say writes lines to the log, which may take a while: no lock is held.
func (s *Sender) say(lines []line) {
	for _, l := range lines {
		if l.good {
			s.log.Infof("%s", l.text)
		} else {
			s.log.Warningf("%s", l.text)
		}
	}
}

// String returns what people are told.
func (r Report) String() string {
	where := fmt.Sprintf("zone=%s op=notify-out to=%s: ", r.Zone, r.To)
	switch r.Result {
	case Refused:
		return where + "answers " + rcodeName(r.Rcode) + "; tried again after an hour, and with each new version. " +
			"See whether it has the zone, and lets this server notify it"
	case Unsent:
		return fmt.Sprintf("op=notify-out to=%s: this host cannot send: %s; tried again every %s", r.To, r.Cause, unsentSpan)
	case Told:
		return where + "acknowledges the version served"
	default:
	}
	text := "does not answer"
	switch r.Failure {
	case "":
	case reason.TSIGBadTime:
		text = "its answers do not count (" + string(r.Failure) + "): " + r.Failure.Advice()
	default:
		text = "its answers do not count (" + string(r.Failure) + "): see whether the key is the same there"
	}
	if r.All {
		return where + text + ", for no zone; tried again after an hour, and with each new version"
	}
	return where + text + "; tried again after an hour, and with each new version"
}

// rcodeName returns an RCODE as people know it.
func rcodeName(rcode int) string {
	if name, known := dns.RcodeToString[rcode]; known {
		return name
	}
	return "RCODE " + strconv.Itoa(rcode)
}
