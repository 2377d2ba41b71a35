package ratelimit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go4.org/netipx"
)

// Class is a kind of answers that is counted by itself.
type Class uint8

// The classes, and what the scope of each is to be.
const (
	Positive Class = iota // data at the name that was asked for: the name and the type
	Wildcard              // data that a wildcard gives to any name: the zone
	NoData                // the zone
	NXDomain              // the zone
	Referral              // the name of the zone cut
	Error                 // FORMERR, REFUSED, SERVFAIL and their kin: nothing
	classes
)

var classNames = [classes]string{"positive", "wildcard", "nodata", "nxdomain", "referral", "error"}

// String returns the name of a class, as in metrics.
func (c Class) String() string { return classNames[c] }

// Classes returns all classes.
func Classes() []Class { return []Class{Positive, Wildcard, NoData, NXDomain, Referral, Error} }

// Verdict is what is to be done with an answer.
type Verdict uint8

// The verdicts.
const (
	Send     Verdict = iota
	Truncate         // send no more than header and question, with TC set
	Drop
)

// Limits of the table. The answers that a network gets of one class and scope are one account; an account that owes the most
// stays the longest.
const (
	accountsInSet = 4       // 64 octets: what the processor reads at once
	sets          = 1 << 15 // 131,072 accounts, 2 MiB
	locks         = 1 << 6
)

// DebtSpan is for how long a network that goes on asking beyond the limit owes, at most: a flood gets no answer but truncated
// ones until it has ceased for so long. BIND's window is as long.
const DebtSpan = 15 * time.Second

// Config is what a Limiter does. It is a plain value.
type Config struct {
	Rate     int           // answers a second for each account, and how many may come at once
	IPv4Bits int           // length of the prefixes that are one client network
	IPv6Bits int           //
	Exempt   *netipx.IPSet // not limited, as the loopback is not; nil for none
}

// Limiter counts answers. It is safe for concurrent use.
type Limiter struct {
	config  Config
	cost    int64 // nanoseconds that an answer takes to be paid for
	atOnce  int64 // nanoseconds that an account may owe and still get an answer
	maxDebt int64
	seed    maphash.Seed
	begin   time.Time // times in accounts are since then, by a clock that is not set

	locks    [locks]lock
	accounts [sets][accountsInSet]account // set i is guarded by locks[i%locks]

	refused [classes]atomic.Uint64
	example atomic.Pointer[Refusal] // the first since the latest call of Refused
}

// lock has a cache line of its own.
type lock struct {
	sync.Mutex
	_ [56]byte
}

// account is what one network owes for one class and scope. The zero value owes nothing. The last bit of paidAt says how the
// next answer is refused; the others are a time.
type account struct {
	key    uint64
	paidAt int64 // nanoseconds; when nothing is owed any more
}

// New returns a Limiter. It takes 2 MiB.
func New(c Config) *Limiter {
	cost := int64(time.Second) / int64(c.Rate)
	return &Limiter{
		config: c, cost: cost, atOnce: int64(c.Rate-1) * cost, maxDebt: int64(time.Second + DebtSpan), seed: maphash.MakeSeed(),
		begin: time.Now(),
	}
}

// Check counts an answer to a client and says what is to be done with it. scope is in lower case.
func (l *Limiter) Check(to netip.Addr, class Class, scope []byte, qtype uint16, now time.Time) Verdict {
	to = to.Unmap()
	if to.IsLoopback() || l.config.Exempt != nil && l.config.Exempt.Contains(to) {
		return Send
	}
	network := l.network(to)
	v := l.charge(l.key(network, class, scope, qtype), int64(now.Sub(l.begin)))
	if v != Send {
		l.count(network, class)
	}
	return v
}

// charge has an account pay for an answer. An answer that is refused is paid for as well, up to maxDebt.
func (l *Limiter) charge(key uint64, now int64) Verdict {
	set := key % sets
	guard := &l.locks[set%locks]
	guard.Lock()
	defer guard.Unlock()
	a := find(&l.accounts[set], key)
	owed := max(0, a.paidAt-now)
	next := a.paidAt & 1
	v := Send
	if owed > l.atOnce {
		v = Truncate + Verdict(next)
		next ^= 1
	}
	a.paidAt = (now+min(owed+l.cost, l.maxDebt))&^1 | next
	return v
}

// find returns the account of a key, or the one that owes the least in its place.
func find(set *[accountsInSet]account, key uint64) *account {
	least := &set[0]
	for i := range set {
		a := &set[i]
		if a.key == key {
			return a
		}
		if a.paidAt < least.paidAt {
			least = a
		}
	}
	*least = account{key: key}
	return least
}

// network returns the client network of an address.
func (l *Limiter) network(a netip.Addr) netip.Prefix {
	bits := l.config.IPv6Bits
	if a.Is4() {
		bits = l.config.IPv4Bits
	}
	return netip.PrefixFrom(a.WithZone(""), bits)
}

// key returns the key of an account. The seed is random: nobody can choose which accounts share a set.
func (l *Limiter) key(network netip.Prefix, class Class, scope []byte, qtype uint16) uint64 {
	var buf [16 + 4 + 256]byte
	address := network.Masked().Addr().As16()
	b := append(buf[:0], address[:]...)
	b = append(b, byte(class), byte(network.Bits()))
	b = binary.BigEndian.AppendUint16(b, qtype)
	return maphash.Bytes(l.seed, append(b, scope...))
}

// Refusal is an answer that was refused. It is a plain value.
type Refusal struct {
	Network netip.Prefix
	Class   Class
}

func (l *Limiter) count(network netip.Prefix, class Class) {
	l.refused[class].Add(1)
	if l.example.Load() == nil {
		l.example.CompareAndSwap(nil, &Refusal{network.Masked(), class})
	}
}

// Refused returns how many answers of each class were refused since the last call, and the first of them; nil if none was.
func (l *Limiter) Refused() (counts map[Class]uint64, first *Refusal) {
	if first = l.example.Swap(nil); first == nil {
		return nil, nil
	}
	counts = map[Class]uint64{}
	for c := range l.refused {
		counts[Class(c)] = l.refused[c].Swap(0)
	}
	return counts, first
}
