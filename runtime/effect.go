// This file defines effects: what the actions of the timeline hold broken, who
// may undo it, and when an event is over.

package runtime

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
)

// effect is what one action of one firing did, for as long as it lasts.
//
//	state    from                          to
//	open     the action was carried out    undoing, by whoever comes first: its
//	                                       own undo_after, another event, the
//	                                       healing at run_for
//	undoing  the one undoer                done, proved or not
//	done
//
// An effect on several nodes that other events start one by one is done when
// the last one is back.
type effect struct {
	happening
	act     plan.Action
	targets []string      // as journaled
	since   time.Duration // scenario time when it showed
	// What it holds; each verb sets one.
	nodes  []NodeKey
	fault  int
	member []plan.Ref
	revert reverter

	taken chan struct{} // closed by the one undoer
}

// effects are all that are open, by event.
type effects struct {
	edges *edges

	mu     sync.Mutex
	open   []*effect
	broken []*effect // open or undoing
	events map[string]*eventState
}

// eventState counts what an event still has to do before it is over.
type eventState struct {
	firing int // firings and effects that are not over
	more   bool
	last   time.Duration // scenario time of the last end so far
}

func newEffects(p *plan.Plan, e *edges) *effects {
	x := &effects{edges: e, events: make(map[string]*eventState, len(p.Events))}
	for _, ev := range p.Events {
		x.events[ev.Name] = &eventState{more: true}
	}
	return x
}

// begin says that an action of an event starts, and so has to end.
func (x *effects) begin(event string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.events[event].firing++
}

// end says that an action is over at a scenario time.
func (x *effects) end(event string, at time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.events[event]
	s.firing--
	s.last = max(s.last, at)
	x.over(event, s)
}

// noMore says that an event will not fire again.
func (x *effects) noMore(event string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.events[event]
	s.more = false
	x.over(event, s)
}

// over reaches the end of an event that has fired and has nothing more to do.
func (x *effects) over(event string, s *eventState) {
	if s.firing > 0 || s.more {
		return
	}
	if _, fired := x.edges.now(event, plan.Start); fired {
		x.edges.reach(event, plan.End, s.last)
	}
}

// add makes an effect open.
func (x *effects) add(e *effect) {
	e.taken = make(chan struct{})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open = append(x.open, e)
	x.broken = append(x.broken, e)
}

// done says that the undoing of an effect has ended.
func (x *effects) done(e *effect) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.broken = slices.DeleteFunc(x.broken, func(b *effect) bool { return b == e })
}

// faults gives what is broken, the oldest first.
func (x *effects) faults() []FaultProgress {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]FaultProgress, len(x.broken))
	for i, e := range x.broken {
		out[i] = FaultProgress{Text: e.what + arrow(e.targets), Since: e.since}
	}
	slices.SortStableFunc(out, func(a, b FaultProgress) int { return cmp.Compare(a.Since, b.Since) })
	return out
}

// take gives the effects that match to the caller, who alone undoes them.
func (x *effects) take(match func(*effect) bool) []*effect {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []*effect
	x.open = slices.DeleteFunc(x.open, func(e *effect) bool {
		if !match(e) {
			return false
		}
		close(e.taken)
		out = append(out, e)
		return true
	})
	return out
}

// back says that a node runs again. It gives the effects that hold nothing
// more, taken.
func (x *effects) back(k NodeKey) []*effect {
	return x.take(func(e *effect) bool {
		i := slices.Index(e.nodes, k)
		if i < 0 {
			return false
		}
		e.nodes = slices.Delete(e.nodes, i, i+1)
		return len(e.nodes) == 0
	})
}

// held gives the nodes that an event holds down.
func (x *effects) held(event string) []NodeKey {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []NodeKey
	for _, e := range x.open {
		if e.event == event {
			out = append(out, e.nodes...)
		}
	}
	return out
}
