// This file defines ring, a queue that gives back what was taken from its head.

package kafka

// ring is a growing first-in-first-out queue. The zero value is empty.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) grow(need int) {
	if r.n+need <= len(r.buf) {
		return
	}
	size := max(16, len(r.buf))
	for size < r.n+need {
		size *= 2
	}
	buf := make([]T, size)
	for i := range r.n {
		buf[i] = r.buf[(r.head+i)%len(r.buf)]
	}
	r.buf, r.head = buf, 0
}

func (r *ring[T]) push(x T) {
	r.grow(1)
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = x
	r.n++
}

// front is the oldest; there must be one.
func (r *ring[T]) front() T { return r.buf[r.head] }

func (r *ring[T]) pop() T {
	var zero T
	x := r.buf[r.head]
	r.buf[r.head] = zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return x
}

// unpop puts xs back before the oldest.
func (r *ring[T]) unpop(xs []T) {
	if len(xs) == 0 {
		return
	}
	r.grow(len(xs))
	r.head = (r.head - len(xs) + len(r.buf)) & (len(r.buf) - 1)
	r.n += len(xs)
	for i, x := range xs {
		r.buf[(r.head+i)&(len(r.buf)-1)] = x
	}
}
