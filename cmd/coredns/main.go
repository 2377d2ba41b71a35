// Command coredns is CoreDNS with every stock plugin and secondaryplus.
package main

import (
	_ "github.com/coredns/coredns/core/plugin" // every stock plugin
	"github.com/coredns/coredns/coremain"

	_ "github.com/secondaryplus/secondaryplus/plugin/secondaryplus"
)

func main() { coremain.Run() }
