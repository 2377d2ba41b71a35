package fault_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/secondaryplus/secondaryplus/internal/fault"
)

// One operation is 10,000 zones that fail and what is made of them.
func BenchmarkTenThousandZones(b *testing.B) {
	for _, primaries := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("primaries=%d", primaries), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := fault.New(fault.Config{After: time.Minute, Every: time.Hour}, fault.State{})
				for i := range 10_000 {
					s := fault.Status{Links: []fault.Link{{Primary: fmt.Sprintf("192.0.2.1:%d", i%primaries), Reason: "timeout"}}}
					m.Step(epoch, fault.Event{Kind: fault.Down, Zone: fmt.Sprintf("z%d.example.", i), Status: s})
				}
				msg := m.Step(epoch.Add(2*time.Minute), fault.Event{Kind: fault.Due})
				if msg == nil || msg.Count() != 10_000 || len(msg.Text("ns2")) > 5000 {
					b.Fatal("Not one message of all zones")
				}
			}
		})
	}
}
