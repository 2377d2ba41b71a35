package secondaryplus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/reuseport"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/corefile"
	"github.com/secondaryplus/secondaryplus/internal/fastpath"
	"github.com/secondaryplus/secondaryplus/internal/wire"
)

// fastAddress is the fast path of one address. Instances share it, so that a reload keeps its sockets. Its fields but routes
// are guarded by process.mu.
type fastAddress struct {
	sockets *fastpath.Sockets // nil until a server begins to serve
	count   int               // of sockets; it stays what it was at first
	others  int               // sockets that CoreDNS has at the address itself, bound first
	closing int               // sockets that are not closed yet, bound before the present ones
	users   []*instance       // oldest first
	routes  atomic.Pointer[routes]
}

// stockPlugins is where CoreDNS's own plugins are.
const stockPlugins = "github.com/coredns/coredns/plugin/"

// passable are the plugins in front of this one that a query may be answered without, by package: a plugin may call itself
// anything. They count (as the fast path does), act on what it hands over, or do nothing to zones like ours.
var passable = []string{
	stockPlugins + "metrics", stockPlugins + "errors", stockPlugins + "any", stockPlugins + "chaos", stockPlugins + "cache",
	stockPlugins + "transfer", stockPlugins + "nsid", stockPlugins + "bufsize",
}

// lengthKept are the plugins in front of this one that leave its replies as long as they are, or whose additions are known.
var lengthKept = slices.Concat(passable, []string{
	stockPlugins + "metadata", stockPlugins + "cancel", stockPlugins + "trace", stockPlugins + "log", stockPlugins + "dnstap",
	stockPlugins + "local", stockPlugins + "tsig", stockPlugins + "acl", stockPlugins + "header", stockPlugins + "loadbalance",
})

// unshared are directives that change how a whole address is listened to.
var unshared = []string{"proxyproto", "shed"}

// watchFront notes the plugins in front of this one as CoreDNS puts the chain together, which it does anew for every key of
// the server block.
func (s *SecondaryPlus) watchFront() {
	s.front = make([]plugin.Handler, len(s.config.Plugin))
	for i, front := range s.config.Plugin {
		s.config.Plugin[i] = func(next plugin.Handler) plugin.Handler {
			s.front[i] = front(next)
			return s.front[i]
		}
	}
}

// bypassed returns what queries to the server block would not pass through if they were answered here; nothing is in order.
func (s *SecondaryPlus) bypassed() (names []string) {
	if s.config.ViewName != "" || len(s.config.FilterFuncs) > 0 {
		names = append(names, "view")
	}
	if s.decorated {
		names = append(names, "what another plugin does to replies over UDP")
	}
	names = append(names, s.inFront(passable)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// inFront returns the plugins in front of this one that are not of the known packages.
func (s *SecondaryPlus) inFront(known []string) (names []string) {
	for _, h := range s.front {
		if h == nil || h == plugin.Handler(s) {
			continue // that plugin has left itself out
		}
		t := reflect.TypeOf(h)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch of := t.PkgPath(); {
		case slices.Contains(known, of):
		case strings.HasPrefix(of, stockPlugins):
			names = append(names, h.Name())
		default:
			names = append(names, fmt.Sprintf("%s (%s)", h.Name(), of))
		}
	}
	return names
}

// fastpathOption is what the fastpath option of a server block says. It is a plain value.
type fastpathOption struct {
	sockets int // for an address, corefile.FastAuto or corefile.FastOff
	pos     corefile.Position
}

// wanted reports whether there is to be a fast path, if nothing stands against it.
func (f fastpathOption) wanted() bool {
	return f.sockets != corefile.FastOff && (f.sockets != corefile.FastAuto || fastpath.Supported)
}

func fastpathOf(b *block) fastpathOption {
	at, _ := b.Settings.At("fastpath")
	return fastpathOption{b.Settings.Fastpath, at}
}

// maxFastAddresses is the most addresses with a fast path.
const maxFastAddresses = 256

// addresses returns where CoreDNS listens with plain UDP for the server block, as it writes addresses: dns://127.0.0.1:53.
func (s *SecondaryPlus) addresses() ([]string, error) {
	var all, ports []string
	for _, key := range s.keys {
		port := blockKeyOf(key).port
		if port == "" || slices.Contains(ports, port) {
			continue
		}
		ports = append(ports, port)
		for _, host := range s.config.ListenHosts {
			addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, port))
			if err != nil {
				return nil, err
			}
			all = append(all, transport.DNS+"://"+addr.String())
		}
	}
	return all, nil
}

// blockKey is a key of a server block. It is a plain value.
type blockKey struct {
	names []string // lower case with a final dot
	port  string   // empty for other transports than plain DNS
}

func blockKeyOf(key string) blockKey {
	how, rest := coreparse.Transport(key)
	names, port, err := plugin.SplitHostPort(rest)
	if err != nil || how != transport.DNS {
		return blockKey{}
	}
	for i, n := range names {
		names[i] = plugin.Name(n).Normalize()
	}
	return blockKey{names, cmp.Or(port, dnsserver.Port)}
}

// planFast finds out which addresses the instance wants a fast path for, and how queries to them are answered; in.mu is held.
func (in *instance) planFast(serverBlocks func() ([]caddyfile.ServerBlock, error)) error {
	wanted, err := in.fastAddresses()
	if err != nil || len(wanted) == 0 {
		return err
	}
	blocks, err := serverBlocks()
	if len(wanted) > maxFastAddresses {
		err = fmt.Errorf("fastpath: %d addresses; want at most %d", len(wanted), maxFastAddresses)
	}
	if err != nil {
		return in.withoutFast(wanted, err)
	}
	in.fast = map[string]*routes{}
	for a, f := range wanted {
		r, err := in.routesAt(a, blocks)
		switch {
		case err == nil:
			r.sockets, r.insists = max(corefile.FastSockets()/len(wanted), 1), f.sockets > 0
			if r.insists {
				r.sockets = f.sockets
			}
			in.fast[a] = r
		case f.sockets > 0:
			return f.pos.Errorf("fastpath: %w", err)
		default:
			log.Infof("fastpath: off at %s: %v", a, err)
		}
	}
	return nil
}

// claimFast claims the addresses that planFast has found; in.mu is held. The sockets come with the first server.
func (in *instance) claimFast() {
	process.mu.Lock()
	defer process.mu.Unlock()
	for a := range in.fast {
		if process.fast[a] == nil {
			if process.fast == nil {
				process.fast = map[string]*fastAddress{}
			}
			process.fast[a] = &fastAddress{}
		}
		process.fast[a].users = append(process.fast[a].users, in)
	}
}

// withoutFast leaves all addresses to CoreDNS's sockets because of an error, which it returns if some option insists.
func (in *instance) withoutFast(wanted map[string]fastpathOption, err error) error {
	for _, f := range wanted {
		if f.sockets > 0 {
			return f.pos.Errorf("%w", err)
		}
	}
	log.Infof("%v; queries go through CoreDNS's own sockets", err)
	return nil
}

// fastAddresses returns the addresses with a fast path, and what the option says for each: where server blocks differ, the
// one that asks for most sockets.
func (in *instance) fastAddresses() (map[string]fastpathOption, error) {
	wanted := map[string]fastpathOption{}
	for _, h := range in.handlers {
		addresses, err := h.fastAddresses()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			if f, ok := wanted[a]; !ok || h.fast.sockets > f.sockets {
				wanted[a] = h.fast
			}
		}
	}
	return wanted, nil
}

// fastAddresses returns the addresses of the server block that are to have sockets of ours. Where a plugin would be bypassed
// these answer nothing themselves, which is an error if the option insists: they carry queries to CoreDNS's server and back,
// bounded and without waiting, which its own sockets do not.
func (s *SecondaryPlus) fastAddresses() ([]string, error) {
	s.isFast = false
	if !s.fast.wanted() {
		return nil, nil
	}
	auto := s.fast.sockets == corefile.FastAuto
	names := strings.Join(s.bypassed(), ", ")
	switch {
	case names == "":
	case auto:
		log.Infof("fastpath: off for the server block of %s: queries have to pass through %s", strings.Join(s.keys, " "), names)
	default:
		return nil, s.fast.pos.Errorf("fastpath: most queries would not pass through %s; want a server block without, or fastpath auto", names)
	}
	addresses, err := s.addresses()
	switch {
	case err == nil && len(addresses) == 0 && !auto:
		err = s.fast.pos.Errorf("fastpath: want a server block that listens with plain DNS")
	case err != nil && auto:
		return nil, nil // CoreDNS itself cannot listen there, and says so
	}
	s.isFast = names == ""
	return addresses, err
}

// serverBlocks begins to read all server blocks of the instance's Corefile, of which CoreDNS tells only our own, and notes what
// CoreDNS calls the instance. What it returns waits for them. It is called at start, by the goroutine that changes CoreDNS's
// list.
func (in *instance) serverBlocks() func() ([]caddyfile.ServerBlock, error) {
	for _, i := range caddy.Instances() {
		i.StorageMu.RLock()
		found := i.Storage[instanceKey{}] == in
		i.StorageMu.RUnlock()
		if found {
			in.caddy = i
			read := sync.OnceValues(func() ([]caddyfile.ServerBlock, error) {
				return caddyfile.Parse(i.Caddyfile().Path(), bytes.NewReader(i.Caddyfile().Body()), nil)
			})
			if in.mayBeFast() {
				go read() // a long Corefile takes as long to read as to make the plan
			}
			return read
		}
	}
	return func() ([]caddyfile.ServerBlock, error) { return nil, errNoCorefile }
}

// mayBeFast reports whether some server block may have a fast path.
func (in *instance) mayBeFast() bool {
	return slices.ContainsFunc(in.handlers, func(h *SecondaryPlus) bool { return h.fast.wanted() })
}

var errNoCorefile = errors.New("fastpath: CoreDNS does not tell which Corefile this is")

// closeFast lets go of the addresses the instance has claimed, and closes the sockets of those that nobody claims.
func closeFast(in *instance) {
	process.mu.Lock()
	unused := map[*fastAddress]*fastpath.Sockets{}
	for _, f := range process.fast {
		f.users = slices.DeleteFunc(f.users, func(o *instance) bool { return o == in })
		if len(f.users) == 0 && f.sockets != nil {
			_ = f.sockets.Steer(0, f.others) // or what comes until they are closed is lost
			unused[f], f.sockets = f.sockets, nil
			f.closing += f.count
		}
	}
	process.mu.Unlock()
	for _, s := range unused {
		s.Close()
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	for f := range unused {
		f.closing -= f.count
		f.steer()
	}
	maps.DeleteFunc(process.fast, func(_ string, f *fastAddress) bool { return len(f.users) == 0 && f.closing == 0 })
}

// steer has datagrams come to the sockets there are now; process.mu is held.
func (f *fastAddress) steer() {
	if f.sockets == nil {
		return
	}
	if err := f.sockets.Steer(f.others+f.closing, f.count); err != nil {
		log.Warningf("fastpath: %s: socket filter: %v; some queries go through CoreDNS's own sockets", f.sockets.Addr(), err)
	}
}

// learnServers has CoreDNS tell when a server of the server block begins to serve: nothing can keep the instance from taking
// over any more.
func (s *SecondaryPlus) learnServers() {
	others := s.config.UDPDecorateWriterFunc
	s.decorated = others != nil
	s.config.UDPDecorateWriterFunc = func(server *dnsserver.Server) dns.DecorateWriter {
		if in := s.instance; !in.serving.Swap(true) {
			go in.succeed() // closing what others had open may take a while
		}
		var decorate dns.DecorateWriter
		if others != nil {
			decorate = others(server)
		}
		s.instance.serveFast(server, decorate)
		return decorate
	}
}

// serveFast has the address of a server answered as the instance says. The server gets what is handed over, and its replies
// leave as decorate says, nil for unchanged.
func (in *instance) serveFast(server *dnsserver.Server, decorate dns.DecorateWriter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.fast[server.Addr]
	delete(in.fast, server.Addr) // the multisocket plugin has several servers at an address: one is enough
	process.mu.Lock()
	defer process.mu.Unlock()
	f := process.fast[server.Addr]
	if r == nil || f == nil || in.stopped {
		return
	}
	if f.sockets == nil {
		if err := f.open(in, strings.TrimPrefix(server.Addr, transport.DNS+"://"), r.sockets); err != nil {
			log.Warningf("fastpath: no sockets at %s: %v; queries go through CoreDNS's own until the next reload", server.Addr, err)
			return
		}
	}
	if r.insists && f.count != r.sockets {
		log.Warningf("fastpath: %s keeps its %d sockets; restart CoreDNS for the %d of the Corefile", server.Addr, f.count, r.sockets)
	}
	f.routes.Store(r)
	f.sockets.Serve(handOverTo(server, decorate))
	f.others = min(f.others, in.ownSockets(f.sockets.Addr())) // those that have come since were bound behind ours
	f.steer()
}

// open opens so many sockets beside those of an instance's servers; process.mu is held.
func (f *fastAddress) open(in *instance, addr string, sockets int) (err error) {
	if f.closing == 0 { // else those are as many
		f.count = sockets
	}
	f.sockets, err = fastpath.Open(func() (net.PacketConn, error) { return reuseport.ListenPacket("udp", addr) }, f.count,
		func() fastpath.Answer { return newFastAnswer(f) }, newFastDrops(addr))
	if err != nil {
		return err
	}
	if n := f.sockets.SendBuffer(); n < fastpath.SendBuffer {
		log.Infof("fastpath: %s: the kernel gives %d KiB for replies that cannot leave at once; net.core.wmem_max=%d on the host makes it %d KiB",
			addr, n>>10, fastpath.SendBuffer, fastpath.SendBuffer>>10)
	}
	f.others = in.ownSockets(f.sockets.Addr())
	return nil
}

// ownSockets returns how many sockets CoreDNS has at an address itself.
func (in *instance) ownSockets(at net.Addr) (n int) {
	for _, s := range in.caddy.Servers() {
		if a := s.LocalAddr(); a != nil && a.Network() == at.Network() && a.String() == at.String() {
			n++
		}
	}
	return n
}

// handOverTo returns a server that does with a query what CoreDNS's own does.
func handOverTo(server *dnsserver.Server, decorate dns.DecorateWriter) *dns.Server {
	return &dns.Server{
		Net: "udp", TsigSecret: server.TsigSecret, UDPSize: fastpath.MaxQuery, DecorateWriter: decorate,
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
			if len(r.Question) == 0 { // a header that announces a question, and no more
				_ = w.WriteMsg(new(dns.Msg).SetRcodeFormatError(r))
				return
			}
			ctx := context.WithValue(context.Background(), dnsserver.Key{}, server)
			server.ServeDNS(context.WithValue(ctx, dnsserver.LoopKey{}, 0), w, r)
		}),
		MsgAcceptFunc: func(h dns.Header) dns.MsgAcceptAction {
			action := dns.DefaultMsgAcceptFunc(h)
			switch {
			case action != dns.MsgRejectNotImplemented || int(h.Bits>>11)&0xF != dns.OpcodeUpdate:
				return action
			case h.Qdcount != 1:
				return dns.MsgReject
			}
			return dns.MsgAccept // our server blocks refuse it themselves
		},
	}
}

// routesAt returns which of the server blocks of a Corefile answer at an address, for which zones.
func (in *instance) routesAt(addr string, blocks []caddyfile.ServerBlock) (*routes, error) {
	_, _, port, err := dnsserver.SplitProtocolHostPort(addr)
	if err != nil {
		return nil, err
	}
	own := in.blocksAt(addr, port)
	r := &routes{server: addr, blocks: map[string]*route{}}
	for _, b := range blocks {
		for _, key := range b.Keys {
			k := blockKeyOf(key)
			if k.port != port {
				continue
			}
			for _, d := range unshared {
				if _, ok := b.Tokens[d]; ok {
					return nil, fmt.Errorf("the server block of %s, on the same port, has %s; want none with it, or fastpath off", key, d)
				}
			}
			for _, name := range k.names {
				if err := r.add(name, own[name]); err != nil {
					return nil, err
				}
			}
		}
	}
	return r, r.label(own)
}

// blocksAt returns the server blocks with a fast path at an address by the zones they have there.
func (in *instance) blocksAt(addr, port string) map[string]*SecondaryPlus {
	own := map[string]*SecondaryPlus{}
	for _, h := range in.handlers {
		if !h.isFast {
			continue
		}
		if at, err := h.addresses(); err != nil || !slices.Contains(at, addr) {
			continue
		}
		for _, key := range h.keys {
			if k := blockKeyOf(key); k.port == port {
				for _, name := range k.names {
					own[name] = h
				}
			}
		}
	}
	return own
}

// add takes a zone of a server block up; h is nil for blocks without a fast path. One that several server blocks have leads
// nowhere.
func (r *routes) add(zone string, h *SecondaryPlus) error {
	key, err := nameKey(zone)
	if err != nil {
		return err
	}
	if _, taken := r.blocks[key]; taken || h == nil {
		r.blocks[key] = nil
		return nil
	}
	r.nsid = r.nsid || h.nsid > 0
	r.blocks[key] = &route{handler: h, zone: zone, counted: h.config.Handler("prometheus") != nil}
	return nil
}

// label adds routes for the zones that the same server blocks have on other ports, or by other transports: the prometheus
// plugin counts under the longest zone of its server block, wherever that is served.
func (r *routes) label(own map[string]*SecondaryPlus) error {
	done := map[*SecondaryPlus]bool{}
	for _, h := range own {
		if done[h] {
			continue
		}
		done[h] = true
		for _, zone := range plugin.OriginsFromArgsOrServerBlock(nil, h.keys) {
			key, err := nameKey(zone)
			if err != nil {
				return err
			}
			if at := r.match(wire.Name(key)); at != nil && at.handler == h {
				r.blocks[key] = &route{handler: h, zone: zone, counted: at.counted}
			}
		}
	}
	return nil
}
