// Package reason is the one table of why a link is Blocked, why an attempt failed and what the rules find: how each reason
// is called, what it says and what to do about it.
//
// Whoever fails returns an error with a Reason and a detail. The detail is what was seen and never says what to do: the
// advice comes from here and is put beside the detail where a line or a message is made for a person.
package reason

import (
	"errors"
	"slices"
)

// Reason is one of the closed list of this package. Its text is the value of metric labels and of the API. The zero value is
// no reason.
type Reason string

// Class says what a reason is about.
type Class uint8

// The classes.
const (
	Answer   Class = iota // what the primary says about this zone
	Host                  // the primary or this host as a whole: each zone of the primary shares it
	Silence               // as Host, and which of these reasons a zone meets is chance: they are one cause
	Rule                  // a rule refuses the version: the same serial would be refused again
	Conflict              // records that exclude each other: some are not served, and a signed zone is refused
	Remark                // a rule that refuses no version: it discards records, or warns
)

type entry struct {
	class  Class
	what   string
	advice string
}

const (
	checkReach  = "check that the primary runs and that TCP and UDP reach its port from here"
	checkKey    = "compare the name, algorithm and secret of the key on both sides"
	checkLoaded = "check that the primary has the zone loaded, and has not let it expire; see its log"
	checkGives  = "see the log of the primary, and whether it gives transfers at all"
	raiseSerial = "give the zone on the primary a serial above ours, or take its version as it is: " +
		"splusctl retransfer --force, or Retransfer on the page with the box for a lower serial ticked"
	correctZone = "correct the zone on the primary and give it a higher serial"
	keepOneSide = "keep one side in the zone on the primary, or set conflicts off: in a signed zone nothing can be left out"
	takeOut     = "take the records out of the zone on the primary, or leave them: the rest is served"
)

// The reasons for which a link is Blocked, but for the rules, in the order of the documents. Canceled is what this process
// ends itself: no link is Blocked for it.
var (
	Local = declare("local", Host, "cannot be asked from this host",
		"mend what this host lacks, which the log here names: file descriptors (LimitNOFILE= of the service, fs.file-max), ports "+
			"(net.ipv4.ip_local_port_range), memory, the address of source, a route, permission (firewall, service)")
	Unreachable = declare("unreachable", Silence, "is unreachable", checkReach)
	Timeout     = declare("timeout", Silence, "does not answer", checkReach)
	CutOff      = declare("cut_off", Silence,
		"closes the connection before its answer ends", "see the log of the primary: it may limit transfers")
	Canceled = declare("canceled", Silence, "was not heard out", checkReach)
	TooSlow  = declare("too_slow", Host,
		"sends less than 10 KiB in a minute, or takes longer than 2 h", "see to the network and to the load of the primary")
	Refused = declare("refused", Answer, "answers REFUSED",
		"let the primary allow transfers of the zone to this server, and check the address and key it sees")
	NotAuthoritative = declare("not_authoritative", Answer, "answers NOTAUTH, or without AA",
		"check that the primary has the zone loaded; Knot answers so for a wrong address or key, too")
	ServFail     = declare("servfail", Answer, "answers SERVFAIL", checkLoaded)
	ExpiredThere = declare("expired_there", Answer, "says that its copy of the zone has expired",
		"check that the primary reaches the servers that it has the zone from; see its log")
	FormatError    = declare("format_error", Answer, "answers FORMERR", checkGives)
	NotImplemented = declare("not_implemented", Answer, "answers NOTIMP", checkGives)
	BadRcode       = declare("bad_rcode", Answer,
		"answers with another error", "compare the name of the zone here and there, and see the log of the primary")
	Malformed = declare("malformed", Answer, "sends a message or a SOA that cannot be read",
		"see the log here and the version of the primary; report it with a capture")
	BadResponse = declare("bad_response", Answer,
		"does not answer what was asked", "look for something in between that answers DNS itself; see the log here")
	NoSOA      = declare("no_soa", Answer, "sends no SOA of the zone", "see the zone on the primary, and its log")
	IXFRBroken = declare("ixfr_broken", Answer, "sends differences that do not lead from our version to its own",
		"see the log of the primary if it lasts: the whole zone is fetched instead")
	GaveWay = declare("gave_way", Host, "is slow while others wait for a place or memory",
		"find out why the primary is slow; raise transfers_in or transfer_memory here where it has to be")
	TSIGBadKey  = declare("tsig_bad_key", Host, "does not know the TSIG key", checkKey)
	TSIGBadSig  = declare("tsig_bad_sig", Host, "disagrees about the TSIG signature", checkKey)
	TSIGBadTime = declare("tsig_bad_time", Host,
		"has a clock more than 300 s off ours", "set the clocks of both sides right, by NTP")
	TSIGBadTrunc = declare("tsig_bad_trunc", Host, "disagrees about the length of the TSIG signature",
		"give the key the same algorithm on both sides, with the same number of bits behind it")
	TSIGMissing = declare("tsig_missing", Host, "does not sign its answers",
		"give the primary the key for this zone, and see that nothing in between strips its signature")
	SerialBehind    = declare("serial_behind", Answer, "has an older serial than is served", raiseSerial)
	SerialUndefined = declare("serial_undefined", Answer,
		"has a serial exactly 2^31 away: neither is newer (RFC 1982)", raiseSerial)
	NotTransferred = declare("not_transferred", Answer, "tells of a version it does not send",
		"see the log of the primary, and whether several servers share its address")
	NoAnswer = declare("no_answer", Silence, "has left a query open for 4 h", checkReach+"; report it")
	Other    = declare("other", Answer,
		"fails for a reason nobody foresaw", "see the log here, which has the cause in words, and report it")
)

// The rules, in the order of the documents.
var (
	SerialZero = declare("serial_zero", Rule, "has serial 0", "give the zone another serial, or set serial_zero accept")
	MaxRecords = declare("max_records", Rule,
		"sends more than max_records records", "raise max_records here, or make the zone smaller")
	MaxSize = declare("max_size", Rule,
		"sends more than max_size octets", "raise max_size here, or make the zone smaller")
	SOAOwner    = declare("soa_owner", Rule, "sends a SOA of another name than the apex", correctZone)
	SOAMismatch = declare("soa_mismatch", Rule, "changes the SOA within a transfer",
		"see the log of the primary if it lasts: the zone has changed during the transfer")
	BadApex    = declare("bad_apex", Rule, "sends no SOA at the apex, or several", correctZone)
	ApexNSLost = declare("apex_ns_lost", Rule, "sends a version that has lost the NS records at its apex",
		"add the NS records on the primary and give the zone a higher serial, or take its version as it is: "+
			"splusctl retransfer --force")
	RRsetSize = declare("rrset_size", Rule,
		"sends an RRset of more than max_rrset records", "raise max_rrset here, or make the RRset smaller")
	NameTypes = declare("name_types", Rule,
		"sends more than max_types types at one name", "raise max_types here, or spread the records over more names")
	SignedBroken = declare("signed_broken", Rule,
		"sends a signed zone with malformed records", "correct the records on the primary and sign the zone again")
	RefreshRange = declare("refresh_range", Remark,
		"sends a SOA with REFRESH outside 30..2^32-1", "correct REFRESH in the SOA on the primary")
	OutOfZone       = declare("out_of_zone", Remark, "sends records outside the zone", takeOut)
	NonIN           = declare("non_in_class", Remark, "sends records of another class than IN", takeOut)
	MalformedRecord = declare("malformed_record", Remark, "sends malformed records", takeOut)
	CNAMEAndOther   = declare("cname_and_other_data", Conflict, "sends CNAME beside another type", keepOneSide)
	SeveralCNAMEs   = declare("several_cnames", Conflict, "sends CNAMEs with different targets at one name", keepOneSide)
	DNAMEAndCNAME   = declare("dname_and_cname", Conflict, "sends DNAME beside CNAME", keepOneSide)
	SeveralDNAMEs   = declare("several_dnames", Conflict, "sends DNAMEs with different targets at one name", keepOneSide)
	NSAndData       = declare("ns_and_data", Conflict,
		"sends NS beside A, AAAA, MX, TXT, SRV or CAA below the apex", keepOneSide)
	AliasAndService = declare("alias_and_service", Conflict,
		"sends SVCB or HTTPS of both modes at the apex", keepOneSide)
	TimerOrder = declare("timer_order", Remark, "sends a SOA with EXPIRE below REFRESH and RETRY together",
		"raise EXPIRE above REFRESH and RETRY together, to days")
	NoApexNS = declare("no_apex_ns", Remark,
		"sends no NS at the apex", "add NS records at the apex on the primary: resolvers may not find the zone")
	NSWithoutAddress = declare("ns_without_address", Remark,
		"sends NS that name a host in the zone without an address there", "give each of them an A or AAAA record")
	TargetIsAlias = declare("target_is_alias", Remark,
		"sends NS or MX that point at a CNAME", "name the target of the CNAME instead")
	BelowCut = declare("below_cut", Remark,
		"sends records that a zone cut or a DNAME above them hides", "take them out, or what hides them")
	MixedTTL = declare("mixed_ttl", Remark,
		"sends different TTLs in one RRset", "give all records of an RRset one TTL")
)

// table has the reasons in the order in which they are declared. It is not changed afterwards, nor is byName.
var (
	table  []Reason
	byName = make(map[Reason]*entry)
)

func declare(name Reason, c Class, what, advice string) Reason {
	table = append(table, name)
	byName[name] = &entry{c, what, advice}
	return name
}

// All returns every reason, or those of some classes, in the order of the documents.
func All(of ...Class) []Reason {
	return slices.DeleteFunc(slices.Clone(table), func(r Reason) bool { return len(of) > 0 && !slices.Contains(of, r.Class()) })
}

// entry returns what the table has, and of what is not in it that of Other.
func (r Reason) entry() *entry {
	if e := byName[r]; e != nil {
		return e
	}
	return byName[Other]
}

// Class returns what the reason is about.
func (r Reason) Class() Class { return r.entry().class }

// Refuses reports whether a version is refused for the reason.
func (r Reason) Refuses() bool { return r.Class() == Rule || r.Class() == Conflict }

// What returns what the primary does, to follow its address: lower case, no final stop.
func (r Reason) What() string { return r.entry().what }

// Advice returns what to do about the reason: lower case, no final stop.
func (r Reason) Advice() string { return r.entry().advice }

// Sentence returns the advice as a sentence.
func (r Reason) Sentence() string {
	a := r.Advice()
	return string(a[0]-'a'+'A') + a[1:] + "."
}

// Error is a failure with its reason. It is immutable and safe for concurrent use.
type Error struct {
	Reason Reason
	Detail string // what was seen: lower case, no final stop, no advice
}

// Error returns the detail: the reason is a label of its own.
func (e *Error) Error() string { return e.Detail }

// Why returns the reason.
func (e *Error) Why() Reason { return e.Reason }

// Of returns the reason of an error: Other of one that has none, "" of nil. Types with a method Why have one.
func Of(err error) Reason {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[interface {
		error
		Why() Reason
	}](err); ok {
		return e.Why()
	}
	return Other
}
