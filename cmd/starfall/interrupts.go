// This file defines how Ctrl-C reaches a run: the first heals and winds down,
// the second takes down at once.

package main

import (
	"sync"
	"sync/atomic"
)

// interrupts passes Ctrl-C on to whichever run is going on.
type interrupts struct {
	n    atomic.Int32
	out  chan struct{}
	done chan struct{}
	once sync.Once
}

// watch begins to pass interrupts on. Close ends it.
func watch(e *env) *interrupts {
	i := &interrupts{out: make(chan struct{}, 2), done: make(chan struct{})}
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
				i.n.Add(1)
				select {
				case i.out <- struct{}{}:
				default: // a third one has nothing left to do
				}
			}
		}
	}()
	return i
}

// channel gives one value for each interrupt.
func (i *interrupts) channel() <-chan struct{} { return i.out }

// seen tells whether there was one.
func (i *interrupts) seen() bool { return i.n.Load() > 0 }

func (i *interrupts) close() { i.once.Do(func() { close(i.done) }) }
