package httpapi

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/secondaryplus/secondaryplus/internal/wire"
	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// piece is how much is sent at a time of an answer without a known length.
const piece = 32 << 10

// maxFileName is the most octets of a zone's name that the name of its file has.
const maxFileName = 200

// export sends the records of a zone as they were received, in a zone file (RFC 1035 §5).
func export(s *Server, w http.ResponseWriter, r *request) error {
	id, err := s.zone(r)
	if err != nil {
		return err
	}
	if z := s.secondary.Lookup(id); z != nil {
		z.Recall()
	}
	d, err := s.secondary.Detail(id)
	if err != nil {
		return err
	}
	if d.Contents == nil {
		return notFound("zone %s has no contents to export", id.Name)
	}
	release, err := take(s.exports, "exports")
	if err != nil {
		return err
	}
	defer release()
	w.Header().Set("Content-Type", "text/dns") // RFC 4027
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fileName(id.Name)))
	if r.Method == http.MethodHead {
		return nil
	}
	out := newPatient(w, s.limits.write)
	out.until = time.Now().Add(s.limits.export)
	if err := writeZone(out, d.Contents); err != nil {
		panic(http.ErrAbortHandler) // the client has to see that it is not whole
	}
	return nil
}

// patient writes to a client that has a time to take each piece, until it is all too much. It belongs to one goroutine.
type patient struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	wait  time.Duration
	until time.Time // zero for without end
}

// newPatient also ends the time within which the request had to come: it is there.
func newPatient(w http.ResponseWriter, wait time.Duration) *patient {
	p := &patient{w: w, out: http.NewResponseController(w), wait: wait}
	_ = p.out.SetReadDeadline(time.Time{})
	return p
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	deadline := time.Now().Add(p.wait)
	if !p.until.IsZero() && p.until.Before(deadline) {
		deadline = p.until
	}
	_ = p.out.SetWriteDeadline(deadline) // where it cannot be set, the server's own holds
	n, err := p.w.Write(b)
	if err == nil {
		err = p.out.Flush()
	}
	return n, err
}

// fileName returns a name for the file of a zone that no file system minds.
func fileName(zone string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, strings.TrimSuffix(zone, "."))
	if strings.Trim(clean, ".") == "" {
		clean = "root"
	}
	return clean[:min(len(clean), maxFileName)] + ".zone"
}

// writeZone writes contents as a zone file, with a line on top that says what it is.
func writeZone(to *patient, c *zone.Contents) error {
	out := bufio.NewWriterSize(to, piece)
	line := fmt.Appendf(nil, "; %s serial %s, %d records", c.Origin(), c.Serial(), c.Records())
	if n := c.Marked(); n > 0 {
		line = fmt.Appendf(line, ", of which %d are not served because others exclude them", n)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return err
	}
	for rr := range c.All() {
		line = appendRecord(line[:0], rr)
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// appendRecord appends a record in presentation form and the end of its line.
func appendRecord(line []byte, rr *wire.RR) []byte {
	start := len(line)
	line = append(line, presentation(rr)...)
	if line[start] == '$' { // it would be taken for a directive
		line = append(line[:start], append([]byte(`\036`), line[start+1:]...)...)
	}
	return append(line, '\n')
}

// maxText is the most octets of RDATA that is written in its type's own form: what that costs grows faster than the RDATA,
// and nobody reads a longer one.
const maxText = 1024

// presentation returns a record as zone files have it. One that BIND, Knot and NSD would not all read as what it is, such as
// NSEC3 with a hash that is not SHA-1's length, is written in the form of unknown types (RFC 3597 §5).
func presentation(rr *wire.RR) string {
	head := len(rr.Owner) + 10 // type, class, TTL and length of RDATA
	msg := append(make([]byte, 0, head+len(rr.Data)), rr.Owner...)
	msg = binary.BigEndian.AppendUint16(msg, rr.Type)
	msg = binary.BigEndian.AppendUint16(msg, rr.Class)
	msg = binary.BigEndian.AppendUint32(msg, rr.TTL)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(rr.Data)))
	msg = append(msg, rr.Data...)
	if readable(rr.Type) && len(rr.Data) <= maxText {
		if r, _, err := dns.UnpackRR(msg, 0); err == nil {
			line := lineOf(r)
			if !lacks(line) && (complete(r, msg) || readBack(line, msg)) {
				return line
			}
		}
	}
	return fmt.Sprintf("%s\t%d\tIN\tTYPE%d\t\\# %d %x", rr.Owner, rr.TTL, rr.Type, len(rr.Data), rr.Data)
}

// readable reports whether BIND, Knot and NSD, of any version in use, read a type by its name and in its own form.
func readable(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeCNAME, dns.TypeDNAME, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeSOA,
		dns.TypeTXT, dns.TypeSPF, dns.TypeHINFO, dns.TypeMINFO, dns.TypeRP, dns.TypeAFSDB, dns.TypeRT, dns.TypeKX,
		dns.TypeNAPTR, dns.TypeLOC, dns.TypeSSHFP, dns.TypeTLSA, dns.TypeSMIMEA, dns.TypeCAA, dns.TypeURI, dns.TypeOPENPGPKEY,
		dns.TypeEUI48, dns.TypeEUI64, dns.TypeNID, dns.TypeL32, dns.TypeL64, dns.TypeLP, dns.TypeSVCB, dns.TypeHTTPS,
		dns.TypeDS, dns.TypeCDS, dns.TypeDNSKEY, dns.TypeCDNSKEY, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM,
		dns.TypeZONEMD:
		return true
	}
	return false
}

// lacks reports whether there is no line, or none for all of RDATA: a field without octets has no word that servers would read.
func lacks(line string) bool {
	return line == "" || strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t")
}

// lineOf returns a record in its type's own form, empty if it has a word in it that not every server knows.
func lineOf(r dns.RR) string {
	switch r := r.(type) {
	case *dns.RRSIG:
		if !readable(r.TypeCovered) {
			return ""
		}
	case *dns.CAA:
		if !caaTag.MatchString(r.Tag) {
			return ""
		}
	case *dns.NSEC:
		return withTypes(r, &r.TypeBitMap)
	case *dns.NSEC3:
		return withTypes(r, &r.TypeBitMap)
	case *dns.SVCB:
		return withParams(r, r.Value)
	case *dns.HTTPS:
		return withParams(r, r.Value)
	}
	return r.String()
}

// caaTag is a tag as RFC 8659 §4.1 has them, as far as NSD reads them.
var caaTag = regexp.MustCompile(`^[a-z0-9]{1,15}$`)

// withTypes returns a record that ends in these types, with numbers for those that are not readable. Type 0 is no word at all.
func withTypes(r dns.RR, types *[]uint16) string {
	list := *types
	*types = nil
	line := []byte(r.String())
	*types = list
	for _, t := range list {
		switch {
		case t == 0:
			return ""
		case readable(t):
			line = append(append(line, ' '), wire.TypeName(t)...)
		default:
			line = strconv.AppendUint(append(line, " TYPE"...), uint64(t), 10)
		}
	}
	return string(line)
}

// withParams returns a record with these SvcParams if all servers read them: those of RFC 9460 that have a value, without
// mandatory, which asks for others.
func withParams(r dns.RR, params []dns.SVCBKeyValue) string {
	for _, p := range params {
		switch p.Key() {
		case dns.SVCB_ALPN, dns.SVCB_PORT, dns.SVCB_IPV4HINT, dns.SVCB_ECHCONFIG, dns.SVCB_IPV6HINT:
			if p.String() == "" {
				return ""
			}
		default:
			return ""
		}
	}
	return r.String()
}

// complete reports whether a record is surely read as what it is. It saves the reading of nearly all.
func complete(r dns.RR, record []byte) bool {
	switch r.(type) {
	case *dns.A, *dns.AAAA, *dns.NS, *dns.CNAME, *dns.DNAME, *dns.PTR, *dns.MX, *dns.SRV, *dns.SOA, *dns.TXT, *dns.DS, *dns.DNSKEY,
		*dns.RRSIG:
		return true
	case *dns.NSEC:
		return packsAs(r, record)
	}
	return false
}

// readBack reports whether a line is read as the record.
func readBack(line string, record []byte) bool {
	rr, err := dns.NewRR(line)
	return err == nil && rr != nil && packsAs(rr, record)
}

// packsAs reports whether miekg/dns packs a record into these octets.
func packsAs(r dns.RR, record []byte) bool {
	buf := make([]byte, dns.Len(r)+len(record))
	n, err := dns.PackRR(r, buf, 0, nil, false)
	return err == nil && bytes.Equal(buf[:n], record)
}
