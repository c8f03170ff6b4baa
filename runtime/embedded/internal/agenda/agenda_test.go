package agenda

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestOrder compares an agenda with a sorted list, over random puts and takes.
func TestOrder(t *testing.T) {
	type item struct {
		at time.Duration
		n  int
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var a Agenda[int]
		var want []item
		for n := range 500 {
			if rng.IntN(5) < 3 || len(want) == 0 {
				at := time.Duration(rng.IntN(20))
				a.Put(at, n)
				want = append(want, item{at, n})
				slices.SortStableFunc(want, func(a, b item) int { return int(a.at - b.at) })
				continue
			}
			next, ok := a.Next()
			at, got := a.Take()
			if !ok || next != at || at != want[0].at || got != want[0].n {
				t.Fatalf("seed %d: got %d at %d (announced %d), want %d at %d", seed, got, at, next, want[0].n, want[0].at)
			}
			want = want[1:]
			if a.Len() != len(want) {
				t.Fatalf("length: got %d, want %d", a.Len(), len(want))
			}
		}
	}
}
