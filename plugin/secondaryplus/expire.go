package secondaryplus

import (
	"bytes"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// expireLen is the length of an EXPIRE option in an answer.
const expireLen = optionHeader + wire.ExpireLen

// asksExpire reports whether a query wants to know when we give the zone up, whatever is in its EXPIRE option (RFC 7314 §2).
func asksExpire(r *dns.Msg) bool {
	o := r.IsEdns0()
	return o != nil && slices.ContainsFunc(o.Option, func(e dns.EDNS0) bool { return e.Option() == dns.EDNS0EXPIRE })
}

// checks reports whether a query for a name, lower case, is one by which a secondary checks z: those are told of the expiry,
// beside transfers.
func (z *servedZone) checks(name wire.Name, qtype uint16) bool {
	return qtype == dns.TypeSOA && bytes.Equal(name, z.origin)
}

// left returns for how many seconds z will still be served if no primary confirms it (RFC 7314 §3.2). It may be of a version that
// has come since the answer was looked up, as the expiry is the zone's.
func (z *servedZone) left(now time.Time) uint32 { return z.Standing().Machine().Left(now) }

// addExpire gives the reply to a query that asks for it an EXPIRE option. CoreDNS drops those of queries, and leaves those of
// replies.
func (z *servedZone) addExpire(r, m *dns.Msg) {
	addOPT(r, m)
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Expire: z.left(time.Now())})
}
