// This file defines when run shows a screen, and of what.

package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/report/screen"
	"starfall/runtime"
	"starfall/runtime/docker"
)

// watching is who is told about a run.
type watching interface {
	// told is what is called with the run's progress; nil when nobody looks.
	told() func(runtime.Progress)
	// end says that the run is over, before its recording is judged.
	end()
}

var (
	_ watching = (*progress)(nil)
	_ watching = shownRun{}
)

// shownRun is a run of a screen.
type shownRun struct {
	l *live
	i int
}

func (r shownRun) told() func(runtime.Progress) {
	return func(p runtime.Progress) { r.l.update(r.i, p) }
}

func (r shownRun) end() { r.l.change(func(s *screen.Screen) { s.Judging(r.i) }) }

func (l *live) begin(i int) shownRun {
	l.change(func(s *screen.Screen) { s.Begin(i) })
	return shownRun{l, i}
}

// screen gives a screen for the cells, and the surroundings in which stderr does
// not spoil it. It is nil, and the surroundings are what they were, when lines
// are to be written.
func (f *runFlags) screen(e *env, engine *driver, cells []cell, stop *interrupts) (*live, *env) {
	if f.quiet || f.plain {
		return nil, e
	}
	c, ok := e.screen(e.stderr)
	if !ok {
		return nil, e
	}
	var names []string
	for i := range cells {
		names = append(names, cells[i].label())
	}
	s := screen.New(names...)
	s.Side = len(cells) > 1 && f.jobs > 1
	p := cells[0].plan
	s.Title, s.Facts = title(p), facts(engine.Name(), engine.kafka, f.speed, p.Scenario.Seed)
	l := newLive(c, e.stderr, f.colored(e), s, stop)
	inside := *e
	inside.stderr = l
	return l, &inside
}

// screen takes the terminal that w is for a screen, if there is one that can show it.
func (e *env) screen(w io.Writer) (console, bool) {
	if term := e.getenv("TERM"); e.console == nil || term == "" || term == "dumb" {
		return nil, false
	}
	c, ok := e.console(w)
	if !ok {
		return nil, false
	}
	if w, h := c.Size(); w < screen.MinWidth || h < screen.MinHeight {
		c.Release()
		return nil, false
	}
	return c, true
}

// colored tells whether colour is wanted.
func (o *outputs) colored(e *env) bool { return !o.noColor && e.getenv("NO_COLOR") == "" }

func title(p *plan.Plan) string { return cmp.Or(p.Title, p.Name) }

// facts say where a run goes on.
func facts(engine, kafka string, speed float64, seed int64) string {
	parts := []string{engine}
	if engine == docker.Name && kafka != "" {
		parts = append(parts, "kafka "+kafka)
	}
	if speed > 0 && speed != 1 {
		parts = append(parts, "speed "+strconv.FormatFloat(speed, 'g', 4, 64))
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", seed)), " · ")
}

// untold tells whether the events of a run are told nowhere but on the screen:
// the table of a run has its timeline, those of several leave it to the run
// folders.
func untold(results []*report.Result, n int) bool {
	return n == 1 && (results[0] == nil || results[0].Verdict == nil || results[0].Error != "")
}
