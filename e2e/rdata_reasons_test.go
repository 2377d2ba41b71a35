//go:build e2e

package e2e_test

// Why a record is not served, or not loaded.
const (
	allRefuse = "BIND, Knot and NSD all refuse it"
	noName    = "a name runs out of its RDATA"
	noLength  = "a length runs out of its RDATA"
)

// rdataUnserved are the cases that are malformed, with the reason.
var rdataUnserved = map[uint16]map[string]string{
	1:   {"c00002": allRefuse, "c000020100": allRefuse, "": allRefuse},
	2:   {"": allRefuse, "<a.>00": allRefuse, "0361": allRefuse},
	3:   {"": noName},
	4:   {"": noName},
	5:   {"<a.>00": allRefuse, "": allRefuse},
	7:   {"": noName},
	8:   {"": noName},
	9:   {"": noName},
	12:  {"": allRefuse},
	13:  {"": allRefuse},
	14:  {"<R.Other.>": allRefuse, "": allRefuse},
	15:  {"000a": allRefuse, "00": allRefuse, "": allRefuse},
	16:  {"0261": noLength},
	17:  {"<.>": allRefuse, "": allRefuse},
	18:  {"0001": allRefuse, "": allRefuse},
	19:  {"0333": noLength},
	20:  {"0130 02": noLength},
	21:  {"0001": allRefuse, "": allRefuse},
	23:  {"": noName},
	24:  {"00*18": allRefuse, "00*17": allRefuse, "": allRefuse},
	26:  {"000a <M.Other.>": noName, "000a": noName, "": noName},
	28:  {"00*15": allRefuse, "00*17": allRefuse, "": allRefuse},
	30:  {"": noName},
	33:  {"0001 0002 0003": allRefuse, "0001": allRefuse, "": allRefuse},
	35:  {"0001 0002 00 00 00": allRefuse, "0001 0002 00": allRefuse, "0001": allRefuse, "": allRefuse},
	36:  {"000a": allRefuse, "": allRefuse},
	37:  {"": allRefuse},
	39:  {"<a.>00": allRefuse, "": allRefuse},
	41:  {"": allRefuse, "000a 0002 0102": allRefuse, "00": allRefuse},
	42:  {"0001 18 03 c000": noLength, "0003 08 05 01": noLength},
	43:  {"": allRefuse},
	44:  {"": allRefuse},
	45:  {"0a 03 02": noName, "": allRefuse},
	46:  {"00*18": allRefuse, "00*17": allRefuse, "": allRefuse},
	47:  {"<.> 0002 40": noLength, "": allRefuse},
	48:  {"": allRefuse},
	50:  {"01 00 000c 00 14 aa*19": noLength, "01 00 000c 02 aa": noLength, "": allRefuse},
	51:  {"01 00 000c 02 aa": noLength, "01 00 000c 01": noLength, "": allRefuse},
	52:  {"": allRefuse},
	53:  {"": allRefuse},
	55:  {"01 02 0001 aa": noLength, "ff 02 ffff aa bb": noLength, "01 02 0001 aa bb 0161": noName},
	56:  {"0261": noLength},
	58:  {"<.>": noName, "": noName},
	59:  {"": allRefuse},
	60:  {"": allRefuse},
	62:  {"00000042 0003 00 01": noLength, "": allRefuse},
	63:  {"": allRefuse},
	64:  {"0001 <.> 0003 0002 01": noLength, "0001 <.> 0003 ffff 01bb": noLength, "0001": noName, "00": noName, "": allRefuse},
	65:  {"0001 <.> 0003 0002 01": noLength, "0001 <.> 0003 ffff 01bb": noLength, "0001": noName, "00": noName, "": allRefuse},
	99:  {"0261": noLength},
	104: {"000a 00*7": allRefuse, "000a 00*9": allRefuse, "": allRefuse},
	105: {"000a 00*3": allRefuse, "000a 00*5": allRefuse, "": allRefuse},
	106: {"000a 00*7": allRefuse, "000a 00*9": allRefuse, "": allRefuse},
	107: {"000a": allRefuse, "": allRefuse},
	108: {"00*5": allRefuse, "00*7": allRefuse, "": allRefuse},
	109: {"00*7": allRefuse, "00*9": allRefuse, "": allRefuse},
	250: {"<hmac-sha256.> 00*8 0000 0000 0000 0000": allRefuse, "00": allRefuse, "": allRefuse},
	256: {"": allRefuse},
	257: {"00 05 697373": noLength, "": allRefuse},
	258: {"0261": noLength},
	260: {"0a 03": noName},
	261: {"0261": noLength},
}

// rdataOnlyHere are the cases that none of the installed references serves and we do, with the reason.
var rdataOnlyHere = map[uint16]map[string]string{
	25: {"": "NSD 4.15 serves it"},
	99: {"": "NSD 4.15 serves it"},
}

// Why an export is not loaded.
const (
	obsoleteType  = "BIND takes MD and MF in transfers only"
	pointerInside = "to us, Knot and NSD the type has no names, so a pointer is octets; BIND wrote it out (RFC 3597 §4: not to be sent)"
	emptyField    = "no form of a zone file lets the field be empty"
	typeZero      = "no form of a zone file has a type 0"
)

// rdataUnloadable are the cases whose export a reference does not load, although it takes the record in a transfer, with the
// reason.
var rdataUnloadable = map[string]map[uint16]map[string]string{
	"BIND": {
		3:  {"<Md.Other.>": obsoleteType, "[Md.@]": obsoleteType},
		4:  {"<Mf.Other.>": obsoleteType, "[Mf.@]": obsoleteType},
		38: {"40 00*7 01 [A6.@]": pointerInside},
		66: {"0001 01 0035 [D.@]": pointerInside},
	},
	"NSD": {
		0: {"00": typeZero, "": typeZero},
	},
}
