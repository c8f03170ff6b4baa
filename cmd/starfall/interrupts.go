// This file defines how Ctrl-C reaches a run: the first heals and winds down,
// the second takes down at once.

package main

import "sync"

// interrupts passes Ctrl-C on to the runs that are going on.
type interrupts struct {
	done chan struct{}
	once sync.Once

	mu  sync.Mutex
	n   int
	out []chan struct{} // one a run
	see []func(n int)
}

// watch begins to pass interrupts on. Close ends it.
func watch(e *env) *interrupts {
	i := &interrupts{done: make(chan struct{})}
	if e.interrupts == nil {
		return i
	}
	in := e.interrupts()
	go func() {
		for {
			select {
			case <-i.done:
				return
			case _, ok := <-in:
				if !ok {
					return
				}
				i.press()
			}
		}
	}()
	return i
}

// press is one interrupt: a Ctrl-C that came as a signal, or a key of a screen.
func (i *interrupts) press() {
	i.mu.Lock()
	i.n++
	n := i.n
	for _, out := range i.out {
		select {
		case out <- struct{}{}:
		default: // a third one has nothing left to do
		}
	}
	see := i.see
	i.mu.Unlock()
	for _, f := range see {
		f(n)
	}
}

// observe has f told how many interrupts there were, at each.
func (i *interrupts) observe(f func(n int)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.see = append(i.see, f)
}

// channel gives one value for each interrupt, to one run: those that were
// before it count too.
func (i *interrupts) channel() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make(chan struct{}, 2)
	for range min(i.n, cap(out)) {
		out <- struct{}{}
	}
	i.out = append(i.out, out)
	return out
}

// seen tells whether there was one.
func (i *interrupts) seen() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.n > 0
}

func (i *interrupts) close() { i.once.Do(func() { close(i.done) }) }
