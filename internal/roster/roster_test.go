package roster_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/secondaryplus/secondaryplus/internal/roster"
)

type thing struct{ name string }

// What was read before stays as it was, whatever is added and removed meanwhile.
func TestRosterKeepsWhatOthersHaveRead(t *testing.T) {
	r := roster.New(func(o *thing) string { return o.name })
	r.Expect(3)
	a, b, other := &thing{"a"}, &thing{"a"}, &thing{"b"}
	for _, o := range []*thing{a, other, b} {
		r.Add(o)
	}
	all, named := r.All(), r.Named("a")
	r.Expect(100) // there are some: it leaves them
	r.Remove([]*thing{a})
	r.Add(a)
	if want := []*thing{a, other, b}; !slices.Equal(all, want) {
		t.Errorf("What was read is %v; want %v", all, want)
	}
	if want := []*thing{a, b}; !slices.Equal(named, want) {
		t.Errorf("What was read by name is %v; want %v", named, want)
	}
	if got, want := r.All(), []*thing{other, b, a}; !slices.Equal(got, want) {
		t.Errorf("There are %v; want %v", got, want)
	}
	if got, want := r.Named("a"), []*thing{b, a}; !slices.Equal(got, want) {
		t.Errorf("By name there are %v; want %v", got, want)
	}
	r.Remove([]*thing{other})
	if got := r.Named("b"); got != nil {
		t.Errorf("%v are left", got)
	}
}

// Who looks up does so while another adds and removes.
func TestRosterIsReadBesideItsOwner(t *testing.T) {
	r := roster.New(func(o *thing) string { return o.name })
	var reading sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, o := range r.All() {
					if o == nil {
						t.Error("nil is among them")
					}
				}
				r.Named("a")
			}
		})
	}
	for range 500 {
		a, b := &thing{"a"}, &thing{"a"}
		r.Add(a)
		r.Add(b)
		r.Remove([]*thing{a, b})
	}
	close(done)
	reading.Wait()
}
