//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = time.Minute // for a server to answer after its start
	stopLimit  = time.Minute // for a server to end after SIGTERM
	pollEvery  = 10 * time.Millisecond
	logTail    = 16 << 10 // octets of each server's log that a failed test prints
	maxStarts  = 5        // of one server whose port another process has just taken
)

// process is one server that a test started. It belongs to the goroutine of that test.
type process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the server has ended
}

// startProcess runs a server in dir with its output in dir/log, which a failed test prints, and stops it when the
// test ends.
func startProcess(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("Server missing: %v; `make deps` installs it", err)
	}
	p := &process{name: filepath.Base(name), logPath: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("Log of %s: %v", name, err)
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	// A group of its own, so that NSD's children end with it; and nothing outlives a test binary that was killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("Start of %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit status is read from cmd.ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("Log of %s:\n%s", p.name, tail(p.log(t)))
		}
	})
	return p
}

// portTaken matches what the servers say of a port that another process has.
var portTaken = regexp.MustCompile(`(?i)address (already )?in use`)

// startServer runs a server and waits until up is content. A query of another server may leave by the very port that was
// free when it was picked; that lasts no longer than the query, so the server is started again.
func startServer(t *testing.T, up func() (complaint string), dir, name string, args ...string) *process {
	t.Helper()
	for try := 1; ; try++ {
		p := startProcess(t, dir, name, args...)
		begin := len(p.log(t))
		taken := false
		eventually(t, startLimit, name+" is up", func() string {
			taken = try < maxStarts && portTaken.MatchString(p.log(t)[begin:])
			switch {
			case taken:
				return ""
			case !p.running():
				t.Fatalf("%s ended at its start:\n%s", p.name, tail(p.log(t)))
			}
			return up()
		})
		if !taken {
			return p
		}
		p.kill()
		time.Sleep(time.Second)
	}
}

// stop ends the server with SIGTERM, as an operator would; one that does not end fails the test and is killed.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself at this very moment
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		t.Errorf("%s does not end on SIGTERM", p.name)
		p.kill()
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group, usually nothing
}

// kill ends the server and its children at once, as a power cut would.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	<-p.ended
}

// running reports whether the server has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// log returns all that the server has printed.
func (p *process) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		t.Fatalf("Log of %s: %v", p.name, err)
	}
	return string(b)
}

// sockets counts the open sockets of the server.
func (p *process) sockets(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("Open files of %s: %v", p.name, err)
	}
	n := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// queryLog matches the lines of CoreDNS's log plugin, which would hide the others.
var queryLog = regexp.MustCompile(`(?m)^\[INFO\] 127\.0\.0\.1:\d+ - .*\n`)

// tail is the end of a log, long enough to see what went wrong.
func tail(log string) string {
	log = queryLog.ReplaceAllString(log, "")
	if len(log) <= logTail {
		return log
	}
	return "[...]" + log[len(log)-logTail:]
}

// run runs a command to its end and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// busyControl matches what the tools of the servers say when a server has no connection to spare for its control socket.
var busyControl = regexp.MustCompile(`(?i)connection refused|failed to connect|timed? ?out|resource temporarily unavailable`)

// tool runs a command of a server's tool. One that the server was too busy to take is given again.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	eventually(t, startLimit, name+" "+strings.Join(args, " "), func() string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil && !busyControl.Match(out) {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		if err != nil {
			return string(out)
		}
		return ""
	})
}

// tempDir is t.TempDir with a short path: the control sockets of Knot, NSD and PowerDNS live there, and the address
// of a Unix socket has room for 107 octets.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // its path is too long, see above
	if err != nil {
		t.Fatalf("Temporary directory: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("File: %v", err)
	}
}

var ports = struct {
	sync.Mutex
	next int
}{next: minPort + rand.IntN(maxPort-minPort)}

// Ports that tests pick. Clients leave by ephemeral ports, which are above, PowerDNS's queries by 10000 to 19999.
const (
	minPort = 20000
	maxPort = 32000
)

// freePort returns a port free for UDP and TCP on every loopback address, which no other test was given.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2000 {
		port := ports.next
		if ports.next++; ports.next >= maxPort {
			ports.next = minPort
		}
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		l.Close()
		if err != nil {
			continue
		}
		c.Close()
		return port
	}
	t.Fatal("No free port")
	return 0
}

// loopback returns 127.0.0.1 with the port.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// maxLimits is how many times its limit a wait may take in all while its complaint changes.
const maxLimits = 5

// eventually polls until check is content, which it says by an empty complaint, and fails the test with the last complaint
// when that has not changed for as long as limit: a busy machine makes slow progress, a fault makes none. It returns the time
// it took.
func eventually(t *testing.T, limit time.Duration, what string, check func() (complaint string)) time.Duration {
	t.Helper()
	var last string
	start := time.Now()
	changed := start
	for {
		complaint := check()
		now := time.Now()
		switch {
		case complaint == "":
			return now.Sub(start)
		case complaint != last:
			last, changed = complaint, now
		}
		if now.Sub(changed) > limit || now.Sub(start) > maxLimits*limit {
			t.Fatalf("%s: not after %v: %s", what, now.Sub(start).Round(time.Millisecond), complaint)
		}
		time.Sleep(pollEvery)
	}
}

// always polls check for the whole of span and fails the test at its first complaint.
func always(t *testing.T, span time.Duration, what string, check func() (complaint string)) {
	t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(pollEvery) {
		if complaint := check(); complaint != "" {
			t.Fatalf("%s: %s", what, complaint)
		}
	}
}

// lines joins its arguments with line ends, the last included.
func lines(l ...string) string {
	var b bytes.Buffer
	for _, s := range l {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	return b.String()
}
