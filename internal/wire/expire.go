package wire

import "encoding/binary"

// OptionExpire is the code of the EDNS EXPIRE option (RFC 7314 §2): empty in a query, seconds in four octets in an answer.
const OptionExpire = 9

// OptionHeader is the length of code and length of an EDNS option (RFC 6891 §6.1.2), ExpireLen that of an EXPIRE option in an
// answer behind them.
const (
	OptionHeader = 4
	ExpireLen    = 4
)

// Expire is what an EXPIRE option says. It is a plain value.
type Expire struct {
	Told    bool   // there is one
	Seconds uint32 // until the server gives the zone up
}

// ParseExpire reads the first EXPIRE option among the options of an OPT record. One that is malformed, or stands behind one that
// is, says nothing.
func ParseExpire(options []byte) Expire {
	for len(options) >= OptionHeader {
		code, end := binary.BigEndian.Uint16(options), OptionHeader+int(binary.BigEndian.Uint16(options[2:]))
		switch {
		case end > len(options):
			return Expire{}
		case code != OptionExpire:
		case end != OptionHeader+ExpireLen:
			return Expire{}
		default:
			return Expire{Told: true, Seconds: binary.BigEndian.Uint32(options[OptionHeader:])}
		}
		options = options[end:]
	}
	return Expire{}
}

// AppendExpire appends the EXPIRE option of an answer.
func AppendExpire(options []byte, seconds uint32) []byte {
	options = append(options, 0, OptionExpire, 0, ExpireLen)
	return binary.BigEndian.AppendUint32(options, seconds)
}
