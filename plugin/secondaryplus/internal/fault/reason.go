package fault

import "strings"

// reason is what is to be said of a link that is blocked for it. It is a plain value.
type reason struct {
	text   string // behind the address of the primary
	advice string // what to do, a sentence
	host   bool   // it lies with the primary as a whole, so every zone of the primary will share it
	class  string // reasons of the same class are one cause; the reason itself when empty
}

// The class of a primary that is heard nothing of that could be used. Which of its reasons a zone meets is a matter of luck.
const silent = "unreachable"

const (
	adviceReach = "Check that the primary runs and that TCP and UDP reach its port from here."
	adviceLog   = "See the log of the primary."
	adviceACL   = "Let the primary allow transfers of the zone to this server, and check the address and key it sees."
	adviceZone  = "Check that the primary has the zone loaded."
	adviceKey   = "Compare the name, algorithm and secret of the key on both sides."
	adviceSOA   = "Correct the zone on the primary and give it a higher serial."
	adviceStep  = "Give the zone on the primary a higher serial, or have it transferred afresh here."
	adviceLimit = "Raise the limit here, or make the zone smaller."
	adviceFault = "The primary sends what cannot be used: see the log here, and the primary's version."
	adviceTLS   = "Check the certificate and the name of the primary, and that it speaks TLS on that port."
)

// reasons holds what is known of the reasons that links are blocked for.
var reasons = map[string]reason{
	"unreachable": {"unreachable", adviceReach, true, silent},
	"timeout":     {"does not answer", adviceReach, true, silent},
	"no_answer":   {"does not answer", adviceReach, true, silent},
	"cut_off":     {"closes the connection", adviceReach, true, silent},
	"canceled":    {"was not heard out", adviceReach, true, silent},
	"too_slow":    {"is too slow", adviceReach, true, ""},
	"tls":         {"TLS fails", adviceTLS, true, ""},

	"tsig_bad_key":  {"does not know the TSIG key", adviceKey, true, ""},
	"tsig_bad_sig":  {"TSIG signatures differ", adviceKey, true, ""},
	"tsig_bad_time": {"TSIG times differ", "Set the clocks of both sides right.", true, ""},
	"tsig_missing":  {"does not sign its answers", adviceKey, true, ""},

	"refused":           {"refuses", adviceACL, false, ""},
	"servfail":          {"answers SERVFAIL", adviceZone, false, ""},
	"not_authoritative": {"is not authoritative", adviceZone, false, ""},
	"format_error":      {"answers FORMERR", adviceLog, false, ""},
	"not_implemented":   {"answers NOTIMP", adviceLog, false, ""},
	"bad_rcode":         {"answers with an error", adviceLog, false, ""},

	"serial_zero":      {"has serial 0", "Give the zone another serial, or set serial_zero accept.", false, ""},
	"serial_behind":    {"has an older serial than is served", adviceStep, false, ""},
	"serial_undefined": {"has a serial exactly 2^31 away", adviceStep, false, ""},
	"not_transferred":  {"tells of a version it does not send", adviceFault, false, ""},
	"too_many_records": {"sends too many records", adviceLimit, false, ""},
	"max_records":      {"sends too many records", adviceLimit, false, ""},
	"too_big":          {"sends too much", adviceLimit, false, ""},
	"max_size":         {"sends too much", adviceLimit, false, ""},

	"malformed":     {"sends malformed messages", adviceFault, false, ""},
	"bad_response":  {"answers something else", adviceFault, false, ""},
	"no_soa":        {"sends no SOA", adviceFault, false, ""},
	"soa_owner":     {"sends a SOA of another name", adviceSOA, false, ""},
	"soa_mismatch":  {"changes the SOA within a transfer", adviceFault, false, ""},
	"ixfr_broken":   {"sends differences that do not fit", adviceFault, false, ""},
	"bad_apex":      {"sends a zone with a bad apex", adviceSOA, false, ""},
	"signed_broken": {"sends a signed zone with unusable records", adviceSOA, false, ""},
}

// known returns what is to be said of a reason, also of one the table lacks.
func known(name string) reason {
	if r, ok := reasons[name]; ok {
		return r
	}
	text := "blocked: " + printable(strings.ReplaceAll(name, "_", " "))
	return reason{text: text, advice: "See the log and the status of the zone here."}
}

// classOf returns what stands for the reason when two causes are compared.
func classOf(name string) string {
	if r := known(name); r.class != "" {
		return r.class
	}
	return name
}
