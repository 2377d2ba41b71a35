//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

// A sandbox may lack what sockets of our own need, and some hosts give an ordinary user little: the server starts, answers,
// and says what it does without.
func TestSandboxesFallBackToCoreDNSsSockets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ call, says string }{
		"no recvmmsg": {"recvmmsg:error=ENOSYS", "fastpath: no sockets at .*recvmmsg"},
		"no sendmmsg": {"sendmmsg:error=EPERM", "fastpath: no sockets at .*sendmmsg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecondary(t)
			s.secondarySpec = secondarySpec{Zones: []string{"test."}, Block: "primary " + newAnyPrimary(t, nil).address}
			s.configure(t)
			s.proc = startServer(t, func() string { return s.differs("test.", 1) }, s.Dir, "strace", "-D", "-f", "-qq",
				"-o", filepath.Join(s.Dir, "calls"), "-e", "trace=recvmmsg,sendmmsg", "-e", "inject="+c.call,
				binary(t), "-conf", "Corefile")
			s.logs(t, c.says)
			for i := range 20 {
				if m, err := exchange(s.addr(), question(fmt.Sprintf("n%d.test.", i), dns.TypeA)); err != nil || m.Rcode != dns.RcodeNameError {
					t.Errorf("Answer %v, %v", m, err)
				}
			}
		})
	}
}
