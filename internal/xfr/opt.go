package xfr

import (
	"time"

	"github.com/secondaryplus/secondaryplus/internal/reason"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// opt is what the OPT record of an answer says; zero for none. It is a plain value.
type opt struct {
	rcode  int // the upper eight bits of the RCODE, in their place (RFC 6891 §6.1.3)
	expire wire.Expire
}

// readOPT reads the next record and returns what it says if it is an OPT record.
func readOPT(r *wire.Reader, msg []byte) (o opt, found bool, err error) {
	const ttl, fixed = 1 + 2 + 2, 1 + 2 + 2 + 4 + 2 // behind an owner that is the root
	begin := r.Offset()
	rrtype, err := r.Skip()
	if err != nil || rrtype != wire.TypeOPT || msg[begin] != 0 {
		return opt{}, false, err
	}
	return opt{rcode: int(msg[begin+ttl]) << 4, expire: wire.ParseExpire(msg[begin+fixed : r.Offset()])}, true, nil
}

// readRest reads past the authority and additional sections, and returns what the first OPT record says. Octets behind the last
// record belong to nothing and are passed over, as BIND and NSD do: they are never taken for records.
func readRest(r *wire.Reader, msg []byte, h wire.Header) (first opt, err error) {
	known := false
	for range int(h.Nss) + int(h.Additions) {
		o, found, err := readOPT(r, msg)
		if err != nil {
			return opt{}, malformed(err)
		}
		if found && !known {
			first, known = o, true
		}
	}
	return first, nil
}

// fullRcode returns the RCODE of a message, whose upper eight bits are in the OPT record (RFC 6891 §6.1.3). What cannot be
// read of the message is left to whoever reads it next.
func fullRcode(msg []byte) int {
	var r wire.Reader
	h, err := r.Reset(msg)
	if err != nil || h.Additions == 0 {
		return h.Rcode()
	}
	for range h.Questions {
		if _, _, _, err := r.Question(); err != nil {
			return h.Rcode()
		}
	}
	for range int(h.Answers) + int(h.Nss) + int(h.Additions) {
		o, found, err := readOPT(&r, msg)
		if err != nil {
			break
		}
		if found {
			return o.rcode | h.Rcode()
		}
	}
	return h.Rcode()
}

// ahead returns what an EXPIRE option says beside the SOA of the same answer: a primary tells the EXPIRE of its SOA, which says
// nothing more (RFC 7314 §3.1), a secondary how long it will serve what it has (§3.2). The error is of one that will not.
func ahead(e wire.Expire, soa wire.SOA) (wire.Expire, error) {
	switch {
	case !e.Told || e.Seconds == soa.Expire:
		return wire.Expire{}, nil
	case e.Seconds == 0:
		return wire.Expire{}, failure(reason.ExpiredThere, "the primary says that its copy, serial %s, has expired", soa.Serial)
	}
	return e, nil
}

// expireAt returns when a server gives up what it has, by what it told in answer to a question asked at this time; zero if it has
// not told. The time before the answer came is counted in: its copy has grown older by it.
func expireAt(asked time.Time, e wire.Expire) time.Time {
	if !e.Told {
		return time.Time{}
	}
	return asked.Add(time.Duration(e.Seconds) * time.Second)
}
