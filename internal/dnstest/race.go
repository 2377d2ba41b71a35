//go:build race

package dnstest

import "flag"

const raced = true

func init() { _ = flag.Set("rapid.checks", "5") } // of 100; the command line overrides it
