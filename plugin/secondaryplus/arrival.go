package secondaryplus

import (
	"context"
	"net"
	"reflect"
	"slices"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
)

// arrival is a request for a transfer as it came, before any plugin has touched it. It is read-only.
type arrival struct {
	w    dns.ResponseWriter // not wrapped: what plugins in front do to records is not for transfers
	tsig *dns.TSIG          // the tsig plugin takes it away; nil for none
	conn net.Conn           // nil over UDP
}

type arrivalKey struct{}

// arrivalOf returns how a request for a transfer has come; w is what the handler was given.
func arrivalOf(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) *arrival {
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		return a
	}
	return &arrival{w: w, tsig: r.IsTsig()}
}

// prelude stands in front of all plugins of a server block, and takes note of requests for transfers. It is immutable.
type prelude struct{ next plugin.Handler }

// Name is for plugin.Handler. Each handler of a server block has its own.
func (p prelude) Name() string { return corefile.Name + "_prelude" }

// ServeDNS is for plugin.Handler.
func (p prelude) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if len(r.Question) == 1 && isTransfer(r.Question[0].Qtype) {
		ctx = context.WithValue(ctx, arrivalKey{}, &arrival{w: w, tsig: r.IsTsig(), conn: connOf(w)})
	}
	return p.next.ServeDNS(ctx, w, r)
}

// watchArrivals puts a prelude in front if somebody may transfer a zone from here. It is no plugin that the fast path has to
// heed: transfers do not take that.
func (s *SecondaryPlus) watchArrivals() {
	if !s.outgoing {
		return
	}
	s.config.Plugin = slices.Insert(s.config.Plugin, 0, func(next plugin.Handler) plugin.Handler { return prelude{next} })
}

// isTransfer reports whether a type asks for a transfer.
func isTransfer(qtype uint16) bool { return qtype == dns.TypeAXFR || qtype == dns.TypeIXFR }

// connOf returns the connection that CoreDNS's server writes to, nil over UDP. miekg/dns keeps it to itself, and sets no
// deadline: without one, a client that reads nothing would keep its place until it goes away. A connection may be used by
// several goroutines, so a deadline disturbs nobody.
func connOf(w dns.ResponseWriter) net.Conn {
	if s, ok := w.(*request.ScrubWriter); ok {
		w = s.ResponseWriter
	}
	v := reflect.Indirect(reflect.ValueOf(w))
	if v.Kind() != reflect.Struct || !v.CanAddr() || v.Type().PkgPath() != "github.com/miekg/dns" {
		return nil
	}
	f := v.FieldByName("tcp")
	if !f.IsValid() || f.Type() != reflect.TypeFor[net.Conn]() {
		return nil
	}
	return *(*net.Conn)(f.Addr().UnsafePointer())
}
