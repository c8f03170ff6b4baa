// Package agenda is a queue of things to do at instants of scenario time: the earliest
// first, and of one instant the one that was put in first.
package agenda

import "time"

// Agenda holds values with their times. The zero value is empty.
//
// The heap is of entries without pointers, with the values aside, because sorting is
// most of what an agenda does and moving pointers costs the garbage collector's barriers.
type Agenda[T any] struct {
	heap  []entry
	slots []T
	free  []int32
	seq   uint64
}

type entry struct {
	at   time.Duration
	seq  uint64
	slot int32
}

func (a entry) before(b entry) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// Len is the number of values.
func (a *Agenda[T]) Len() int { return len(a.heap) }

// Next is the time of the earliest value, and false when there is none.
func (a *Agenda[T]) Next() (time.Duration, bool) {
	if len(a.heap) == 0 {
		return 0, false
	}
	return a.heap[0].at, true
}

// Put adds a value.
func (a *Agenda[T]) Put(at time.Duration, v T) {
	slot := int32(len(a.slots))
	if n := len(a.free); n > 0 {
		slot = a.free[n-1]
		a.free = a.free[:n-1]
		a.slots[slot] = v
	} else {
		a.slots = append(a.slots, v)
	}
	a.seq++
	e := entry{at, a.seq, slot}
	a.heap = append(a.heap, e)
	i := len(a.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		i = parent
	}
	a.heap[i] = e
}

// Take removes the earliest value. It must not be called when there is none.
func (a *Agenda[T]) Take() (at time.Duration, v T) {
	first := a.heap[0]
	v = a.slots[first.slot]
	var zero T
	a.slots[first.slot] = zero
	a.free = append(a.free, first.slot)
	n := len(a.heap) - 1
	last := a.heap[n]
	a.heap = a.heap[:n]
	if n > 0 {
		a.sink(last)
	}
	return first.at, v
}

// sink puts an entry where it belongs, beginning at the top, which is vacant.
func (a *Agenda[T]) sink(e entry) {
	h := a.heap
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		for c := child + 1; c < min(4*i+5, len(h)); c++ {
			if h[c].before(h[child]) {
				child = c
			}
		}
		if !h[child].before(e) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = e
}
