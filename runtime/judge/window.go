// This file defines windows: which parts of a run a term speaks about, once
// the journal says when its events happened.

package judge

import (
	"fmt"
	"math"
	"sort"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

const forever = time.Duration(math.MaxInt64 / 4)

// piece is a part of a run: from ≤ t < to.
type piece struct{ from, to time.Duration }

// pieces is a sorted list of parts that do not touch.
type pieces []piece

// always is the one part that holds every moment.
func always() pieces { return pieces{{-forever, forever}} }

func (p pieces) has(t time.Duration) bool {
	for _, x := range p {
		if t >= x.from && t < x.to {
			return true
		}
	}
	return false
}

// holds tells whether from … to lies wholly in one part.
func (p pieces) holds(from, to time.Duration) bool {
	for _, x := range p {
		if from >= x.from && to <= x.to {
			return true
		}
	}
	return false
}

func (p pieces) all() bool { return len(p) == 1 && p[0] == (piece{-forever, forever}) }

func (p pieces) and(q pieces) pieces {
	var out pieces
	for _, a := range p {
		for _, b := range q {
			if x := (piece{max(a.from, b.from), min(a.to, b.to)}); x.from < x.to {
				out = append(out, x)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].from < out[j].from })
	return out
}

// edges is when an event started and ended. Proved is false when its start is
// only the moment it fired.
type edges struct {
	start, end time.Duration
	fired      bool
	proved     bool
}

// undoable tells whether an action stays in effect until it is undone.
func undoable(a plan.Action) bool {
	switch a.Verb {
	case plan.Kill, plan.Stop, plan.Pause, plan.PowerOff, plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle, plan.Crash, plan.Reroute:
		return true
	case plan.Configure:
		return a.UndoAfter != nil
	}
	return false
}

// edgesOf finds each event's edges in the journal.
//
//	action                 start             end
//	stays until undone     first effect      last undo proved; never undone: run_for
//	ends by itself         first effect      last complete, else last effect
//	several, or every      the earliest      the latest
func edgesOf(p *plan.Plan, events []record.Event) map[string]edges {
	type key struct {
		name               string
		occurrence, action int
	}
	type times struct {
		effect, over   time.Duration
		proved, isOver bool
	}
	seen := map[key]*times{}
	out := map[string]edges{}
	for _, e := range events {
		ev := p.Event(e.Name)
		if ev == nil {
			continue
		}
		k := key{e.Name, e.Occurrence, e.Action}
		switch e.Kind {
		case record.KindFired:
			if x, ok := out[e.Name]; !ok {
				out[e.Name] = edges{start: e.At, fired: true}
			} else if !x.proved {
				x.start = min(x.start, e.At)
				out[e.Name] = x
			}
		case record.KindEffect:
			if seen[k] == nil {
				seen[k] = &times{effect: e.At, proved: true}
			}
			if x := out[e.Name]; !x.proved {
				out[e.Name] = edges{start: e.At, fired: true, proved: true}
			}
		case record.KindComplete, record.KindUndone:
			if seen[k] == nil {
				seen[k] = &times{effect: e.At}
			}
			seen[k].over, seen[k].isOver = e.At, true
		}
	}
	runFor := p.Scenario.RunFor.Std()
	for k, t := range seen {
		x := out[k.name]
		end := t.effect
		ev := p.Event(k.name)
		switch {
		case t.isOver:
			end = t.over
		case k.action < len(ev.Actions) && undoable(ev.Actions[k.action]):
			end = runFor
		}
		x.end = max(x.end, end)
		out[k.name] = x
	}
	for name, x := range out {
		if x.end < x.start {
			x.end = max(runFor, x.start)
			out[name] = x
		}
	}
	return out
}

// frame is what windows are resolved against.
type frame struct {
	edges  map[string]edges
	warmup time.Duration
	runFor time.Duration
	end    time.Duration // when load ended: run_for, or earlier when broken off
}

// last is the last whole second.
func (f frame) last() time.Duration { return f.end.Truncate(time.Second) }

func (f frame) instant(i *plan.Instant) (time.Duration, error) {
	if i.Event == "" {
		return i.Offset.Std(), nil
	}
	x, ok := f.edges[i.Event]
	if !ok {
		return 0, fmt.Errorf("%s never happened", i.Event)
	}
	if i.Edge == plan.End {
		return x.end + i.Offset.Std(), nil
	}
	return x.start + i.Offset.Std(), nil
}

// window is a term's windows resolved: pieces, and the moment of at or at_end.
type window struct {
	parts    pieces // not yet cut to the warm-up
	explicit bool
	at       time.Duration
	isAt     bool
	atEnd    bool
}

// resolve intersects a term's windows. An event that never happened is an
// error.
func (f frame) resolve(windows []plan.Window) (window, error) {
	out := window{parts: always()}
	for _, w := range windows {
		out.explicit = out.explicit || w.Explicit
		var part pieces
		switch w.Kind {
		case plan.At:
			t, err := f.instant(w.A)
			if err != nil {
				return out, err
			}
			out.at, out.isAt = t, true
			continue
		case plan.AtEnd:
			out.atEnd = true
			continue
		case plan.Before, plan.After:
			t, err := f.instant(w.A)
			if err != nil {
				return out, err
			}
			part = pieces{{-forever, t}}
			if w.Kind == plan.After {
				part = pieces{{t, forever}}
			}
		case plan.During, plan.Outside:
			var a, b time.Duration
			if w.Event != "" {
				x, ok := f.edges[w.Event]
				if !ok {
					if w.Kind == plan.Outside {
						continue
					}
					return out, fmt.Errorf("%s never happened", w.Event)
				}
				a, b = x.start, x.end
			} else {
				var err error
				if a, err = f.instant(w.A); err != nil {
					return out, err
				}
				if b, err = f.instant(w.B); err != nil {
					return out, err
				}
			}
			part = pieces{{a, b}}
			if w.Kind == plan.Outside {
				part = pieces{{-forever, a}, {b, forever}}
			}
		default:
			return out, fmt.Errorf("window %q: not known", w.Kind)
		}
		out.parts = out.parts.and(part)
	}
	return out, nil
}

// cut limits the parts to what rates, gauges, latencies and stalls are judged
// by: from the warm-up, which only explicit windows may reach into, to the
// last whole second.
func (f frame) cut(w window) pieces {
	from := f.warmup
	if w.explicit {
		from = 0
	}
	return w.parts.and(pieces{{from, f.last()}})
}
