package inbox

import (
	"slices"
	"testing"
)

// What has been taken counts until it is done: who takes slowly does not make room by taking.
func TestInboxIsBounded(t *testing.T) {
	b := New[int]()
	if !b.Put(1, 2) || !b.Put(2, 2) || b.Put(3, 2) || !b.Put(4, 3) {
		t.Fatal("The limit is another")
	}
	<-b.Wake()
	select {
	case <-b.Wake():
		t.Error("Awake twice")
	default:
	}
	if all := b.TakeAll(); !slices.Equal(all, []int{1, 2, 4}) || b.Put(5, 3) {
		t.Errorf("Taken %v, or room for more", all)
	}
	if b.Done(2); b.Held() != 1 || !b.Put(6, 3) {
		t.Errorf("%d held", b.Held())
	}
	if all := b.TakeAll(); !slices.Equal(all, []int{6}) {
		t.Errorf("Taken %v", all)
	}
}
