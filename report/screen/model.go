// Package screen is the live screen: what people see of a run, or of the runs
// of a sweep, while it goes on, and again when a recording is played.
//
// It keeps what updates told (Screen) and writes it as lines of text (View). It
// neither reads a clock nor touches a terminal: the same updates give the same
// lines.
//
// This file defines Screen and how updates change it.
package screen

import (
	"strings"
	"time"
	"unicode"

	"starfall/runtime"
)

// How much is kept: a minute of rates, and as many lines as a tall terminal
// shows.
const (
	window    = time.Minute
	keepLines = 200
)

// Screen is what is shown. It is for one goroutine at a time.
type Screen struct {
	// Title and Facts head the screen: the scenario, and where it runs.
	Title, Facts string
	// Keys says what the keyboard does. Notice, when set, stands in its place
	// and is shown as long as the screen is: what a stop is doing, say.
	Keys, Notice string
	// Side: the runs go on side by side, each has one row.
	Side bool

	runs  []run
	now   int // the run that is shown
	lines []line
}

// run is one run of the screen.
//
//	state     from         shown as
//	waiting   New          to come
//	going     Begin        what its updates say
//	judging   Judging      judge
//	done      Done         its verdict
type run struct {
	name    string
	state   state
	verdict string
	last    runtime.Progress // of the updates with rates; Phase, At and Left of all
	total   time.Duration    // run_for, once it is known
	points  []point          // oldest first, of the last minute
}

type state int

const (
	waiting state = iota
	going
	judging
	done
)

// point is one update of the rates.
type point struct {
	at                     time.Duration
	sent, acked, delivered float64
	faulty                 bool
}

// line is an event: at a time of the scenario, or without one.
type line struct {
	at    time.Duration
	timed bool
	run   int
	text  string
}

// New makes a screen of runs by name, in order. A run that is alone needs none.
func New(names ...string) *Screen {
	s := &Screen{runs: make([]run, max(len(names), 1))}
	for i, n := range names {
		s.runs[i].name = clean(n)
	}
	return s
}

// Begin says that run i begins, or begins again.
func (s *Screen) Begin(i int) {
	s.runs[i] = run{name: s.runs[i].name, state: going}
	s.now = i
	if !s.Side {
		s.lines = nil
	}
}

// Update takes an update of run i.
func (s *Screen) Update(i int, p runtime.Progress) {
	r := &s.runs[i]
	if r.state == waiting {
		r.state = going
	}
	if p.Phase == runtime.PhaseRun && p.Left > 0 {
		r.total = p.At + p.Left
	}
	if p.Line != "" {
		r.last.Phase, r.last.At, r.last.Left = p.Phase, p.At, p.Left
		s.add(line{p.At, true, i, clean(p.Line)})
		return
	}
	r.last = p
	if p.At <= 0 {
		return // no load yet
	}
	r.points = append(r.points, point{p.At, p.Sent, p.Acked, p.Delivered, len(p.Faults) > 0})
	// The one before the window stays: the first column may end with it.
	for len(r.points) > 2 && r.points[1].at < p.At-window-time.Second {
		r.points = r.points[1:]
	}
}

// Say adds a line that belongs to no moment of a run.
func (s *Screen) Say(text string) { s.add(line{text: clean(text)}) }

func (s *Screen) add(l line) {
	s.lines = append(s.lines, l)
	if n := len(s.lines) - keepLines; n > 0 {
		s.lines = append(s.lines[:0], s.lines[n:]...)
	}
}

// Judging says that run i is over and its verdict is being computed.
func (s *Screen) Judging(i int) { s.runs[i].state = judging }

// Done says what came out of run i: its verdict in one word.
func (s *Screen) Done(i int, verdict string) {
	s.runs[i].state, s.runs[i].verdict = done, verdict
}

// clean makes one line of text that moves no cursor: what clients and brokers
// say is shown, not obeyed.
func clean(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
}
