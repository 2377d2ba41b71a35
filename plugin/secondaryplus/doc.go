// Package secondaryplus is a CoreDNS plugin that serves zones pulled from primaries run by others.
//
// It is the adapter between CoreDNS and the packages below internal/: the Corefile comes in (setup.go, block.go, which
// internal/corefile reads), dns.Msg goes out (handler.go, answer.go, notify.go, transfer.go), and nothing is decided here.
// Zones themselves live in one engine.Engine for the whole process (instance.go), so that they outlast a reload.
//
// A bare import registers the directive and puts it in front of "file", unless the build's plugin.cfg has done so.
package secondaryplus
