package fastpath

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxControl holds the control message that says which of our addresses a query came to.
const maxControl = 64

// batch is some datagrams for recvmmsg(2) or sendmmsg(2), each with a buffer. It belongs to one goroutine and must not be
// copied: the kernel's structures point into it.
type batch struct {
	messages [maxBatch]message
	vectors  [maxBatch]unix.Iovec
	names    [maxBatch]unix.RawSockaddrInet6 // large enough for both families
	controls [maxBatch][maxControl]byte
	bufs     [maxBatch][]byte
}

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// init gives every datagram a buffer of size octets.
func (b *batch) init(size int) {
	octets := make([]byte, maxBatch*size)
	for i := range b.messages {
		b.bufs[i] = octets[i*size : (i+1)*size : (i+1)*size]
		b.vectors[i].Base = &b.bufs[i][0]
		h := &b.messages[i].header
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.controls[i][0]
	}
}

// receive waits as flags say and returns how many datagrams have come.
func (b *batch) receive(fd, flags int) (int, error) {
	for i := range b.messages {
		h := &b.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(maxControl)
		b.vectors[i].SetLen(len(b.bufs[i]))
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.messages)), maxBatch, uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// octets returns datagram i as received.
func (b *batch) octets(i int) []byte { return b.bufs[i][:b.messages[i].length] }

// name returns the kernel's form of the address datagram i came from.
func (b *batch) name(i int) []byte {
	return unsafe.Slice(b.messages[i].header.Name, b.messages[i].header.Namelen)
}

// control returns the control message of datagram i, which may be empty.
func (b *batch) control(i int) []byte { return b.controls[i][:b.messages[i].header.Controllen] }

// client returns the address datagram i came from.
func (b *batch) client(i int) netip.Addr {
	a := &b.names[i]
	if a.Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr)
	}
	return netip.AddrFrom16(a.Addr).Unmap()
}

// set makes datagram i the reply of n octets to datagram j of in: to where that came from, from where that went to.
func (b *batch) set(i, n int, in *batch, j int) {
	b.vectors[i].SetLen(n)
	h := &b.messages[i].header
	b.names[i] = in.names[j]
	h.Namelen = in.messages[j].header.Namelen
	h.SetControllen(copy(b.controls[i][:], in.control(j)))
	anyInterface(b.controls[i][:h.Controllen])
}

// send sends the first n datagrams, and drops what the kernel does not take.
func (b *batch) send(fd, n int, dropped Dropped) {
	for first := 0; first < n; {
		sent, errno := b.sendmmsg(fd, first, n-first)
		switch reason := reasonOf(errno); {
		case errno == unix.EINTR:
		case reason == DropBuffer: // there is no room for the others either
			dropped(reason, n-first)
			return
		case errno != 0 || sent == 0:
			dropped(reason, 1) // the first one is the one that failed (sendmmsg(2))
			first++
		default:
			first += sent
		}
	}
}

// sendmmsg sends n datagrams from the first one on without waiting, and returns how many the kernel has taken.
func (b *batch) sendmmsg(fd, first, n int) (sent int, errno unix.Errno) {
	taken, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[first])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	return int(taken), errno
}

// reasonOf returns why a datagram is dropped that the kernel has not taken.
func reasonOf(errno unix.Errno) string {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return DropBuffer
	default:
		return DropError
	}
}

// anyInterface clears the interface in a control message, so that a reply leaves by the one its route has.
func anyInterface(control []byte) {
	if len(control) < unix.SizeofCmsghdr {
		return
	}
	u32 := binary.NativeEndian.Uint32
	level, kind := u32(control[unix.SizeofCmsghdr-8:]), u32(control[unix.SizeofCmsghdr-4:]) // behind the length
	data := control[unix.SizeofCmsghdr:]
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		clear(data[:4]) // ipi_ifindex is first
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		clear(data[16:20]) // ipi6_ifindex is behind the address
	}
}

// datagram is a query that is handed over. It has its own memory.
type datagram struct {
	octets []byte
	from   *net.UDPAddr // as addrOf makes it
}

// datagram returns a copy of datagram i.
func (b *batch) datagram(i int) datagram {
	return datagram{octets: append([]byte(nil), b.octets(i)...), from: addrOf(b.name(i), b.control(i), &b.names[i])}
}

// addrOf returns a client's address. Behind the octets of its IP, as far as its capacity goes, are what the kernel needs for
// a reply: a length, its name for the address, and the control message. A server gives back the address it was given; a copy
// of it, which lacks them, is refused.
func addrOf(name, control []byte, a *unix.RawSockaddrInet6) *net.UDPAddr {
	port := int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:]))
	ip, zone := a.Addr[:], ""
	if a.Family == unix.AF_INET {
		ip = (*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr[:]
	} else if a.Scope_id != 0 {
		zone = strconv.Itoa(int(a.Scope_id))
	}
	all := make([]byte, 0, len(ip)+1+len(name)+len(control))
	all = append(all, ip...)
	all = append(all, byte(len(name)))
	all = append(all, name...)
	all = append(all, control...)
	anyInterface(all[len(all)-len(control):])
	return &net.UDPAddr{IP: all[:len(ip)], Port: port, Zone: zone}
}

var errNotOurs = errors.New("not an address that a query came from")

// sendTo sends a reply to an address that addrOf made, without waiting.
func (w *worker) sendTo(b []byte, to *net.UDPAddr) error {
	rest := to.IP[len(to.IP):cap(to.IP)]
	if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
		return errNotOurs
	}
	name, control := rest[1:1+rest[0]], rest[1+rest[0]:]
	vector := unix.Iovec{Base: unsafe.SliceData(b)}
	vector.SetLen(len(b))
	h := unix.Msghdr{Name: &name[0], Namelen: uint32(len(name)), Iov: &vector}
	h.SetIovlen(1)
	if len(control) > 0 {
		h.Control = &control[0]
		h.SetControllen(len(control))
	}
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(w.fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		default:
			return errno
		}
	}
}
