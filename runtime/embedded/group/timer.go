package group

// This file defines the timers of a coordinator: callbacks at instants of
// scenario time, ordered by instant and then by when they were set.

import (
	"container/heap"
	"time"
)

type timer struct {
	at    time.Duration
	seq   uint64
	index int // in the heap, -1 once fired or stopped
	fire  func()
}

type timers struct {
	heap timerHeap
	seq  uint64
}

func (t *timers) set(at time.Duration, fire func()) *timer {
	t.seq++
	tm := &timer{at: at, seq: t.seq, fire: fire}
	heap.Push(&t.heap, tm)
	return tm
}

// stop makes sure the timer does not fire any more; nil is a timer never set.
func (t *timers) stop(tm *timer) {
	if tm != nil && tm.index >= 0 {
		heap.Remove(&t.heap, tm.index)
	}
}

func (t *timers) next() (time.Duration, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// run fires what is due up to now, including what that sets in the past.
func (t *timers) run(now time.Duration) {
	for len(t.heap) > 0 && t.heap[0].at <= now {
		heap.Pop(&t.heap).(*timer).fire()
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	tm := x.(*timer)
	tm.index = len(*h)
	*h = append(*h, tm)
}
func (h *timerHeap) Pop() any {
	old := *h
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	tm.index = -1
	return tm
}
