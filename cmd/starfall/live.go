// This file defines live: the screen that a terminal shows while runs go on.

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"starfall/report/screen"
	"starfall/runtime"
)

// How often a screen looks whether its terminal has another size, and the
// least time between two drawings.
const (
	resizeEvery = 250 * time.Millisecond
	frame       = 100 * time.Millisecond
)

// drawing is a console with what stands on it: only lines that have changed
// are written, all in one piece.
type drawing struct {
	c             console
	color         bool
	width, height int
	lines         []string
}

// resized tells whether the terminal has another size than what was drawn.
func (d *drawing) resized() bool {
	w, h := d.c.Size()
	return w != d.width || h != d.height
}

// draw writes what view gives for the terminal's size.
func (d *drawing) draw(view func(width, height int, color bool) []string) {
	var b bytes.Buffer
	if w, h := d.c.Size(); w != d.width || h != d.height {
		d.width, d.height, d.lines = w, h, nil
		b.WriteString("\x1b[2J")
	}
	lines := view(d.width, d.height, d.color)
	for i := range max(len(lines), len(d.lines)) {
		text, was := "", ""
		if i < len(lines) {
			text = lines[i]
		}
		if i < len(d.lines) {
			was = d.lines[i]
		}
		if text != was {
			// Cleared first: after the last column there is nothing to clear.
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[2K%s", i+1, text)
		}
	}
	d.lines = lines
	if b.Len() > 0 {
		// Terminals that know it show all of it at once.
		io.WriteString(d.c, "\x1b[?2026h"+b.String()+"\x1b[?2026l")
	}
}

// live shows runs. Its zero is none: lines are written instead. What others
// write to stderr meanwhile is held back until the screen is taken away.
type live struct {
	console console
	drawing drawing
	stderr  io.Writer // the real one
	keyed   bool      // keys can be pressed

	mu     sync.Mutex // guards what follows
	s      *screen.Screen
	held   bytes.Buffer
	events bytes.Buffer // as lines, for a run that ends without a table
	closed bool

	dirty chan struct{}
	done  chan struct{}
	loops sync.WaitGroup
}

// newLive puts a screen on a console. Keys that stop press, which says how often
// that was done by now.
func newLive(c console, stderr io.Writer, color bool, s *screen.Screen, stop *interrupts) *live {
	l := &live{
		console: c, drawing: drawing{c: c, color: color}, stderr: stderr, s: s,
		dirty: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.keyed = c.Keys() != nil
	s.Keys = "Ctrl-C stops: heals all faults and winds the run down"
	if l.keyed {
		s.Keys = "q stops: heals all faults and winds the run down"
	}
	stop.observe(l.stopping)
	l.loops.Go(func() {
		defer l.guard()
		l.redraw()
	})
	if l.keyed {
		l.loops.Go(func() {
			for {
				select {
				case <-l.done:
					return
				case k, ok := <-c.Keys():
					if !ok {
						return
					}
					if k == keyQuit || k == keyInterrupt {
						stop.press()
					}
				}
			}
		})
	}
	return l
}

// redraw draws what has changed, and everything when the terminal has another
// size.
func (l *live) redraw() {
	look := time.NewTicker(resizeEvery)
	defer look.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-l.dirty:
		case <-look.C:
			if !l.drawing.resized() {
				continue
			}
		}
		l.drawing.draw(func(w, h int, color bool) []string {
			l.mu.Lock()
			defer l.mu.Unlock()
			return screen.View(l.s, w, h, color)
		})
		select {
		case <-l.done:
			return
		case <-time.After(frame):
		}
	}
}

// change changes the screen and has it drawn. It waits for no terminal.
func (l *live) change(f func(*screen.Screen)) {
	l.mu.Lock()
	f(l.s)
	l.mu.Unlock()
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// update takes an update of run i.
func (l *live) update(i int, p runtime.Progress) {
	l.change(func(s *screen.Screen) {
		s.Update(i, p)
		if p.Line != "" {
			writeEvent(&l.events, p)
		}
	})
}

// stopping says what pressing n times has begun.
func (l *live) stopping(n int) {
	l.change(func(s *screen.Screen) {
		again := "Ctrl-C"
		if l.keyed {
			again = "q"
		}
		s.Notice = "stopping: heals and winds down · " + again + " again: takes everything down at once"
		if n > 1 {
			s.Notice = "stopping: takes everything down at once"
		}
	})
}

// Write holds back what would spoil the screen, and shows it as a line.
func (l *live) Write(b []byte) (int, error) {
	l.mu.Lock()
	if l.closed {
		defer l.mu.Unlock()
		return l.stderr.Write(b)
	}
	l.held.Write(b)
	l.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		l.change(func(s *screen.Screen) { s.Say(line) })
	}
	return len(b), nil
}

// close takes the screen away and writes what was held back; with the events
// when they would be told nowhere else. It may be called again.
func (l *live) close(events bool) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	l.loops.Wait()
	l.console.Release()
	l.mu.Lock()
	defer l.mu.Unlock()
	if events {
		l.stderr.Write(l.events.Bytes())
	}
	l.stderr.Write(l.held.Bytes())
}

// guard gives the terminal back before a panic ends the process. It is to be
// deferred.
func (l *live) guard() {
	if p := recover(); p != nil {
		l.console.Release()
		panic(p)
	}
}
