//go:build race

package dnstest

const raced = true
