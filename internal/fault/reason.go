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
	adviceLocal = "The cause is this host, not the primary: see the log here for what is short or forbidden."
	adviceLog   = "See the log of the primary."
	adviceLimit = "See the log of the primary: it may limit transfers."
	adviceACL   = "Let the primary allow transfers of the zone to this server, and check the address and key it sees."
	adviceZone  = "Check that the primary has the zone loaded."
	adviceKey   = "Compare the name, algorithm and secret of the key on both sides."
	adviceSOA   = "Correct the zone on the primary and give it a higher serial."
	adviceApex  = "Add the NS records at the apex on the primary and give the zone a higher serial; if they are meant to go, force a retransfer here."
	adviceStep  = "Give the zone on the primary a serial above ours, or take its version as it is: splusctl retransfer --force, or Retransfer on the page with the box for a lower serial ticked."
	adviceCount = "Raise max_records here, or make the zone smaller."
	adviceSize  = "Raise max_size here, or make the zone smaller."
	adviceClash = "Keep one side in the zone on the primary, or set conflicts off: in a signed zone nothing can be left out."
	adviceFault = "The primary sends what cannot be used: see the log here, and the primary's version."
	adviceOther = "See the log here, which has the cause in words, and report it if it looks like an error of this server."
	adviceRoom  = "Find out why this primary is slow; raise transfers_in or transfer_memory here where it has to be."
	adviceTLS   = "Check the certificate and the name of the primary, and that it speaks TLS on that port."
)

// clash is said of all rules of conflicts.
const clash = "sends a signed zone with records that exclude each other"

// adviceUnknown is for reasons that the table lacks.
const adviceUnknown = "See the log and the status of the zone here."

// reasons holds what is known of the reasons that links are blocked for.
var reasons = map[string]reason{
	"local":       {"cannot be asked from this host", adviceLocal, true, "local"},
	"unreachable": {"unreachable", adviceReach, true, silent},
	"timeout":     {"does not answer", adviceReach, true, silent},
	"no_answer":   {"does not answer", adviceReach, true, silent},
	"cut_off":     {"closes the connection", adviceLimit, true, silent},
	"canceled":    {"was not heard out", adviceReach, true, silent},
	"too_slow":    {"is too slow", adviceReach, true, ""},
	"tls":         {"TLS fails", adviceTLS, true, ""},
	"gave_way":    {"is slow while others wait", adviceRoom, true, ""},

	"tsig_bad_key":   {"does not know the TSIG key", adviceKey, true, ""},
	"tsig_bad_sig":   {"TSIG signatures differ", adviceKey, true, ""},
	"tsig_bad_time":  {"TSIG times differ", "Set the clocks of both sides right.", true, ""},
	"tsig_bad_trunc": {"TSIG signatures differ in length", "Give the key the same algorithm on both sides, with the same number of bits behind it.", true, ""},
	"tsig_missing":   {"does not sign its answers", adviceKey, true, ""},

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
	"too_many_records": {"sends too many records", adviceCount, false, ""},
	"max_records":      {"sends too many records", adviceCount, false, ""},
	"too_big":          {"sends too much", adviceSize, false, ""},
	"max_size":         {"sends too much", adviceSize, false, ""},
	"rrset_size":       {"sends too large an RRset", "Raise max_rrset here, or make the RRset smaller.", false, ""},
	"name_types":       {"sends too many types of one name", "Raise max_types here, or spread the records over more names.", false, ""},

	"cname_and_other_data": {clash, adviceClash, false, ""},
	"several_cnames":       {clash, adviceClash, false, ""},
	"dname_and_cname":      {clash, adviceClash, false, ""},
	"several_dnames":       {clash, adviceClash, false, ""},
	"ns_and_data":          {clash, adviceClash, false, ""},
	"alias_and_service":    {clash, adviceClash, false, ""},

	"malformed":     {"sends malformed messages", adviceFault, false, ""},
	"bad_response":  {"answers something else", adviceFault, false, ""},
	"no_soa":        {"sends no SOA", adviceFault, false, ""},
	"soa_owner":     {"sends a SOA of another name", adviceSOA, false, ""},
	"soa_mismatch":  {"changes the SOA within a transfer", adviceFault, false, ""},
	"ixfr_broken":   {"sends differences that do not fit", adviceFault, false, ""},
	"bad_apex":      {"sends a zone with a bad apex", adviceSOA, false, ""},
	"apex_ns_lost":  {"sends a version that has lost the NS records at its apex", adviceApex, false, ""},
	"signed_broken": {"sends a signed zone with unusable records", adviceSOA, false, ""},

	"other": {"fails for a reason nobody foresaw", adviceOther, false, ""},
}

// Advice returns what to do about a reason, a sentence.
func Advice(name string) string { return known(name).advice }

// known returns what is to be said of a reason, also of one the table lacks.
func known(name string) reason {
	if r, ok := reasons[name]; ok {
		return r
	}
	text := "blocked: " + printable(strings.ReplaceAll(name, "_", " "))
	return reason{text: text, advice: adviceUnknown}
}

// classOf returns what stands for the reason when two causes are compared.
func classOf(name string) string {
	if r := known(name); r.class != "" {
		return r.class
	}
	return name
}
