package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Primaries that differ for longer than a refresh are named in the log, with their serials, once until they have agreed.
func TestDifferingPrimariesAreLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := startLab(t)
		first, second := newActor(t, serve(example, 5)), newActor(t, serve(example, 5))
		at := l.Attach(config(group(first.primary(), second.primary()), example))
		z := at.Zone(id(example))
		l.serves(z, 5)
		const words = "its primaries have had different serials since"
		logged := func(want int) {
			t.Helper()
			if lines := l.log.all(words); len(lines) != want {
				t.Fatalf("%d lines; want %d: %q", len(lines), want, lines)
			}
		}
		knows := func(one, other uint32) {
			t.Helper()
			l.eventually("the serials", func() bool {
				return l.link(example, 0).Serial.Uint32() == one && l.link(example, 1).Serial.Uint32() == other
			})
		}
		soon, later := 50*time.Minute, 2*time.Hour // a refresh is an hour
		knows(5, 5)
		time.Sleep(later)
		logged(0)

		first.play(serve(example, 6))
		poke(at, first, example)
		l.serves(z, 6)
		knows(6, 5)
		time.Sleep(soon)
		logged(0)
		time.Sleep(later)
		logged(1)
		line := l.log.all(words)[0]
		one, other := first.Addr().String()+" has 6", second.Addr().String()+" has 5"
		for _, part := range []string{"warning zone=example.: ", one, other} {
			if !strings.Contains(line, part) {
				t.Errorf("The line lacks %q: %s", part, line)
			}
		}
		time.Sleep(later)
		logged(1)

		second.play(serve(example, 6))
		poke(at, second, example)
		knows(6, 6)
		time.Sleep(later)
		logged(1)
		second.play(serve(example, 7))
		poke(at, second, example)
		l.serves(z, 7)
		knows(6, 7)
		time.Sleep(soon)
		logged(1)
		time.Sleep(later)
		logged(2)
	})
}
