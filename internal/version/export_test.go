package version

import (
	"errors"

	"github.com/secondaryplus/secondaryplus/internal/zone"
)

// LinkOctets is what a difference takes beside its records.
const LinkOctets = linkOctets

// Pass has contents that take the place of others pass the gates, and returns what is said of them.
func Pass(c, before *zone.Contents, d *zone.Discards, l *zone.Losses, p *Policy) (refused *Violation, remarks []Violation) {
	terms := &Terms{Policy: p}
	if before != nil {
		terms.Before = &Version{Contents: before}
	}
	k := candidate{Terms: terms, soa: c.SOA(), contents: c, discards: d, losses: l}
	err := k.pass(sealed)
	refused, ok := errors.AsType[*Violation](err)
	if err != nil && !ok {
		panic(err)
	}
	return refused, k.remarks
}
