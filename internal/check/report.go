package check

import (
	"iter"
	"slices"

	"github.com/secondaryplus/secondaryplus/internal/reason"
)

// Severity says how bad a finding is.
type Severity string

// The severities. A check with a Problem has failed.
const (
	OK      Severity = "ok"
	Warning Severity = "warning"
	Problem Severity = "problem"
)

// Finding is one thing that was looked at. It is a plain value.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`             // stable: a reason or a rule as in metrics and log, or a word of this package
	Detail   string   `json:"detail"`           // what was found
	Advice   string   `json:"advice,omitempty"` // what to do; empty where there is nothing to do
}

// failure returns the finding of a step that failed with err.
func failure(s Severity, step string, err error) Finding {
	why := reason.Of(err)
	return Finding{Severity: s, What: string(why), Detail: step + ": " + err.Error(), Advice: why.Sentence()}
}

// Report is what a check found. It is a plain value, and holds no secret.
type Report struct {
	Zone      string    `json:"zone"`                // presentation form, lower case, with a final dot
	Findings  []Finding `json:"findings"`            // of the key, and of what could not be checked
	Primaries []Primary `json:"primaries"`           // in the order they were given
	Agreement []Finding `json:"agreement,omitempty"` // of the primaries with one another; absent with one primary
	Glue      *Glue     `json:"glue,omitempty"`      // absent if no primary gave the zone
	Parent    *Parent   `json:"parent,omitempty"`    // absent if no parent was given, or no primary gave the zone
	Mode      *Mode     `json:"mode,omitempty"`      // absent if no names of ours were given, or no primary gave the zone
}

// Primary is what was found of one primary. It is a plain value.
type Primary struct {
	Address    string    `json:"address"`          // with the port
	Key        string    `json:"key,omitempty"`    // name of the TSIG key
	Serial     *int64    `json:"serial,omitempty"` // the latest it told; absent if it told none
	SOASeconds float64   `json:"soaSeconds"`       // the SOA query took
	Transfer   *Transfer `json:"transfer,omitempty"`
	IXFR       IXFR      `json:"ixfr,omitempty"` // absent if it was not asked for
	Findings   []Finding `json:"findings"`
}

// Transfer is the dry run of an AXFR. It is a plain value.
type Transfer struct {
	Accepted  bool    `json:"accepted"`          // whole, and the rules have nothing against it
	Refused   string  `json:"refused,omitempty"` // the reason or the rule that kept it from being accepted
	Records   int     `json:"records"`           // of the zone; on the wire, as far as it came, if it is no zone
	Size      int64   `json:"size"`              // octets of the zone's records, uncompressed on the wire; 0 if it is no zone
	Received  int64   `json:"received"`          // octets that came, TSIG and compression as they were
	Messages  int     `json:"messages"`
	Discarded int     `json:"discarded"` // records that no zone can hold
	NotServed int     `json:"notServed"` // records of the zone that others exclude
	Signed    bool    `json:"signed"`    // the zone has DNSSEC keys
	Seconds   float64 `json:"seconds"`
}

// IXFR is what a primary answers to the question for the differences since the serial before its own.
type IXFR string

// The answers to an IXFR.
const (
	Incremental IXFR = "incremental" // differences
	WholeZone   IXFR = "whole_zone"  // as to AXFR
	UpToDate    IXFR = "up_to_date"  // nothing newer
	SOAOnly     IXFR = "soa_only"    // its newer SOA, and no more
	IXFRRefused IXFR = "refused"     // a plain no
	IXFRFailed  IXFR = "failed"
)

// Glue is what the registry has to know of the name servers that lie within the zone. It is a plain value.
type Glue struct {
	Primary  string    `json:"primary"` // whose version of the zone this is
	Serial   int64     `json:"serial"`
	Hosts    []Host    `json:"hosts"` // to be registered at the parent, in canonical order
	Findings []Finding `json:"findings"`
}

// Host is a name server with its addresses. It is a plain value.
type Host struct {
	Name      string   `json:"name"`      // presentation form, lower case, with a final dot
	Addresses []string `json:"addresses"` // ascending; may be none
}

// Parent is what a server of the parent zone says. It is a plain value.
type Parent struct {
	Address     string    `json:"address"`     // with the port
	NameServers []string  `json:"nameServers"` // of the delegation, in canonical order
	Glue        []Host    `json:"glue"`        // the addresses that came with it
	Findings    []Finding `json:"findings"`
}

// DeploymentMode says who answers the queries for the zone.
type DeploymentMode string

// The modes.
const (
	Backup        DeploymentMode = "backup"         // our servers are not among the name servers: they keep a copy
	SecondaryOnly DeploymentMode = "secondary_only" // only ours are: the primary is hidden
	Both          DeploymentMode = "both"           // ours and others
	Undecided     DeploymentMode = "undecided"      // the zone has no name servers
)

// Mode is the deployment as the zone has it. It is a plain value.
type Mode struct {
	Mode     DeploymentMode `json:"mode"`
	MName    string         `json:"mname"`  // the primary that the SOA names
	Ours     []string       `json:"ours"`   // name servers at the apex that are ours
	Others   []string       `json:"others"` // those that are not
	Findings []Finding      `json:"findings"`
}

// All iterates over the findings of all sections.
func (r *Report) All() iter.Seq[Finding] {
	sections := [][]Finding{r.Findings}
	for i := range r.Primaries {
		sections = append(sections, r.Primaries[i].Findings)
	}
	sections = append(sections, r.Agreement)
	if r.Glue != nil {
		sections = append(sections, r.Glue.Findings)
	}
	if r.Parent != nil {
		sections = append(sections, r.Parent.Findings)
	}
	if r.Mode != nil {
		sections = append(sections, r.Mode.Findings)
	}
	return slices.Values(slices.Concat(sections...))
}

// Count returns how many findings have the severity.
func (r *Report) Count(s Severity) (n int) {
	for f := range r.All() {
		if f.Severity == s {
			n++
		}
	}
	return n
}
