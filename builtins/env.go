// This file defines Env: the state of one evaluation, which the words of the
// language write to.

package builtins

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"starfall/internal/kafkaconf"
	"starfall/internal/spell"
	"starfall/interp/plan"
)

// The most that a plan takes in.
const (
	maxThings   = 10_000 // things, events and claims, together
	maxElements = 1_000  // elements of a list or dict that a word is given
	maxText     = 10_000 // bytes of a string that a word is given
)

// Problem is an error in a scenario at a position.
type Problem struct {
	Pos        plan.Pos
	Message    string
	Suggestion string
}

// Options are the choices that come from outside of the scenario.
type Options struct {
	Set  map[string]string // parameters by name
	Seed *int64            // replaces the scenario's seed

	// Clients gives the client configurations that are honoured, sorted; nil
	// honours all.
	Clients func(kafkaconf.Scope) []string
}

// Env collects what one evaluation declares and what is wrong with it. It is
// not safe for concurrent use.
type Env struct {
	opts     Options
	thread   *starlark.Thread
	words    map[string]map[string]*Word // by type ("" for predeclared), then name
	sources  map[string]*Source
	loading  int // depth of modules being loaded
	problems []Problem

	things []*thing
	uses   []*use
	plan   plan.Plan
	seen   struct{ scenario bool }
	params map[string]bool
	ids    map[string]plan.Pos // of expectations
	count  int

	toolsOnly []plan.Pos // where tools run on the only cluster
}

// NewEnv starts an evaluation. The words ask thread where they are called.
func NewEnv(thread *starlark.Thread, o Options) *Env {
	e := &Env{
		opts: o, thread: thread,
		words:   map[string]map[string]*Word{},
		sources: map[string]*Source{},
		params:  map[string]bool{},
		ids:     map[string]plan.Pos{},
	}
	for _, w := range Table() {
		if e.words[w.On] == nil {
			e.words[w.On] = map[string]*Word{}
		}
		e.words[w.On][w.Name] = &w
	}
	return e
}

// Predeclared gives the names that a scenario finds beside Starlark's own.
func (e *Env) Predeclared() starlark.StringDict {
	d := starlark.StringDict{}
	for name, w := range e.words[""] {
		switch {
		case w.run != nil:
			d[name] = e.builtin(w, nil)
		case w.value != nil:
			d[name] = w.value(e, nil)
		}
	}
	return d
}

// AddSource makes a file known, so that errors and claims can point into it.
func (e *Env) AddSource(s *Source) { e.sources[s.Name] = s }

// EnterModule says that a loaded module's top level runs until leave is
// called; nothing may be declared there.
func (e *Env) EnterModule() (leave func()) {
	e.loading++
	return func() { e.loading-- }
}

// Report records an error.
func (e *Env) Report(pos plan.Pos, message, suggestion string) {
	e.problems = append(e.problems, Problem{pos, message, suggestion})
}

// Problems gives what was recorded, in the order of happening.
func (e *Env) Problems() []Problem { return e.problems }

// Names gives every predeclared word, sorted, for suggestions.
func (e *Env) Names() []string {
	names := append(e.attrNames(""), starlark.Universe.Keys()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// attr gives an attribute of a handle, or records that there is none.
func (e *Env) attr(recv starlark.Value, typ, name string) (starlark.Value, error) {
	w := e.words[typ][name]
	if w == nil {
		if e.probing() {
			return nil, nil
		}
		e.noAttr(recv, typ, name)
		return standIn{}, nil
	}
	if w.run != nil {
		return e.builtin(w, recv), nil
	}
	return w.value(e, recv), nil
}

// probing reports whether hasattr asks: then a missing attribute is no error.
func (e *Env) probing() bool {
	if e.thread.CallStackDepth() == 0 {
		return false
	}
	name := e.thread.CallFrame(0).Name
	return name == "hasattr" || name == "getattr"
}

func (e *Env) attrNames(typ string) []string {
	names := make([]string, 0, len(e.words[typ]))
	for name := range e.words[typ] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (e *Env) noAttr(recv starlark.Value, typ, name string) {
	message := fmt.Sprintf("%s has no attribute %s", typ, name)
	own := e.attrNames(typ)
	suggestion := ""
	switch {
	case len(own) == 0:
		suggestion = "nothing is known of a " + typ + " before the run"
	default:
		if near, ok := spell.Nearest(name, own); ok {
			suggestion = "did you mean " + near + "?"
		} else if on := e.typesWith(name); len(on) > 0 {
			suggestion = "that belongs to " + spell.List(on) + "; "
		}
		if !strings.HasPrefix(suggestion, "did") {
			suggestion += typ + " has " + strings.Join(own, ", ")
		}
	}
	e.Report(e.herePos(), message, suggestion)
}

// typesWith lists the types that have an attribute of that name.
func (e *Env) typesWith(name string) []string {
	var on []string
	for typ, words := range e.words {
		if typ != "" && words[name] != nil {
			on = append(on, typ)
		}
	}
	slices.Sort(on)
	return on
}

// newThing registers a thing under a provisional name, which Finish replaces
// by the real one wherever it stands in the plan. No name can look like it.
func (c *call) newThing(kind plan.RefKind) *thing {
	e := c.env
	t := &thing{
		handle: handle{e, typeOfRef(kind)}, kind: kind, pos: c.at.pos, given: c.str("name"),
		id: "\x00" + strconv.Itoa(len(e.things)),
	}
	if v := c.raw("name").value; t.given == "" && v != nil && v != starlark.None {
		t.lost = true
	}
	e.things = append(e.things, t)
	e.limit(c.at.pos)
	return t
}

// limit counts what is declared and records once when it is too much.
func (e *Env) limit(pos plan.Pos) {
	e.count++
	if e.count == maxThings+1 {
		e.Report(pos, fmt.Sprintf("got more than %d declarations", maxThings), "a loop may go on for too long")
	}
}

// full says that nothing more is taken in.
func (e *Env) full() bool { return e.count > maxThings }

// use remembers whether a claim, measure or action is used by something.
type use struct {
	pos  plan.Pos
	at   site
	what string // claim, measure or action
	word string
	used bool
}

func (e *Env) newUse(at site, what, word string) *use {
	u := &use{pos: at.pos, at: at, what: what, word: word}
	if what != "action" && u.leftOfOperator() {
		// a or b gives a, and nobody would see that b is gone.
		u.used = true
		e.Report(u.pos, fmt.Sprintf("%s: nothing uses this %s", word, what), u.hint())
	}
	if len(e.uses) < 4*maxThings {
		e.uses = append(e.uses, u)
	}
	return u
}
