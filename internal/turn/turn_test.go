package turn_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"starfall/internal/turn"
)

type run func() int

func (r run) Run() int { return r() }

func TestOneAtATime(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var now, most atomic.Int32
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			got := turn.Taking(run(func() int {
				if n := now.Add(1); n > 1 {
					most.Store(n)
				}
				now.Add(-1)
				return i
			})).Run()
			if got != i {
				t.Errorf("got code %d, want the test's own, %d", got, i)
			}
		})
	}
	wait.Wait()
	if n := most.Load(); n > 0 {
		t.Errorf("got %d at a time, want 1", n)
	}
}
