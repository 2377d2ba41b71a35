// Package rules judges versions of a zone: may this candidate replace what is served?
//
// It is pure: it sees numbers and contents and returns verdicts. Acting on a verdict, counting and logging it belong to the
// engine. The rules are those of managed secondary DNS services, made exact; the README's table lists them.
package rules
