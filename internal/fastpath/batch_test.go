//go:build linux

package fastpath

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Replies are sent or dropped, never waited for. The datagrams go to a local socket that nobody reads, whose queue is short.
func TestFullSocketDropsReplies(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	defer unix.Close(pair[0])
	var b batch
	b.init(64)
	for i := range b.messages {
		h := &b.messages[i].header
		h.Name, h.Control = nil, nil // it is connected
		b.vectors[i].SetLen(64)
	}
	const rounds = 20
	drops := map[string]int{}
	for range rounds {
		b.send(pair[0], maxBatch, func(reason string, n int) { drops[reason] += n })
	}
	arrived := 0
	for buf := make([]byte, 64); ; arrived++ {
		if _, _, err := unix.Recvfrom(pair[1], buf, unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	if arrived == 0 || drops[DropBuffer] == 0 || arrived+drops[DropBuffer] != rounds*maxBatch || len(drops) != 1 {
		t.Errorf("Of %d replies %d were sent, and dropped were %v", rounds*maxBatch, arrived, drops)
	}
	if unix.Close(pair[1]) != nil {
		t.Fatal("Socket does not close")
	}
	clear(drops)
	b.send(pair[0], maxBatch, func(reason string, n int) { drops[reason] += n })
	if drops[DropError] != maxBatch || len(drops) != 1 {
		t.Errorf("Of %d replies to nobody dropped were %v", maxBatch, drops)
	}
}
