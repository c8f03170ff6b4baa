// This file defines how a scenario file is read, evaluated and checked.

package interp

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/builtins"
	"starfall/internal/spell"
	"starfall/interp/plan"
)

// dialect is Starlark as scenarios are written in it.
func dialect() *syntax.FileOptions {
	return &syntax.FileOptions{Set: true, TopLevelControl: true}
}

// loader evaluates one scenario and the modules that it loads.
type loader struct {
	opts    Options
	limits  Limits
	tree    *tree
	thread  *starlark.Thread
	env     *builtins.Env
	words   starlark.StringDict
	absent  starlark.StringDict // stand-ins for undefined names
	modules map[string]*module
	files   []plan.File
	out     problems
}

// module is a loaded file. While it is being loaded, globals is nil.
type module struct {
	globals starlark.StringDict
	failed  bool
	done    bool
}

func load(file string, o Options) (*plan.Plan, problems) {
	type result struct {
		plan *plan.Plan
		out  problems
	}
	l := &loader{opts: o, limits: o.Limits.withDefaults(), modules: map[string]*module{}, absent: starlark.StringDict{}}
	l.thread = &starlark.Thread{Name: "scenario", Load: l.loadModule}
	done := make(chan result, 1)
	stop := watch(l.thread, l.limits)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- result{nil, problems{{Pos: plan.Pos{File: file}, Severity: Error,
					Message:    fmt.Sprintf("internal error: %v", r),
					Suggestion: "this is a mistake in starfall, not in the scenario; please report it\n" + string(debug.Stack())}}}
			}
		}()
		p, out := l.load(file)
		done <- result{p, out}
	}()
	cancelled := stop.cancelled
	for {
		select {
		case r := <-done:
			stop.end()
			return r.plan, r.out
		case <-cancelled:
			cancelled = nil
			// One long operation cannot be interrupted: such an evaluation is
			// left behind.
			timer := time.AfterFunc(l.limits.Time/10, stop.giveUp)
			defer timer.Stop()
		case <-stop.gone:
			stop.end()
			return nil, problems{{Pos: plan.Pos{File: file}, Severity: Error, Message: "the evaluation does not end: " + stop.reason()}}
		}
	}
}

func (l *loader) load(file string) (*plan.Plan, problems) {
	var err error
	if l.tree, err = openTree(file, l.opts); err != nil {
		return nil, problems{{Pos: plan.Pos{File: file}, Severity: Error, Message: err.Error()}}
	}
	defer l.tree.close()
	l.thread.Print = func(thread *starlark.Thread, text string) { l.print(thread, text) }
	l.env = builtins.NewEnv(l.thread, builtins.Options{Set: l.opts.Set, Seed: l.opts.Seed, Clients: l.opts.Clients})
	l.words = l.env.Predeclared()
	guard(l.words)

	name := l.tree.scenario
	text, err := l.tree.read(name, l.limits.Source)
	if err != nil {
		return nil, problems{{Pos: plan.Pos{File: file}, Severity: Error, Message: readError(err)}}
	}
	p := l.evaluate(name, text)
	l.collect()
	if p == nil || l.out.fatal() {
		return nil, l.out
	}
	p.Name = strings.TrimSuffix(path.Base(name), ".star")
	sort.Slice(l.files[1:], func(i, j int) bool { return l.files[1+i].Path < l.files[1+j].Path })
	p.Files = l.files
	l.check(p)
	if l.out.fatal() {
		return nil, l.out
	}
	return p, l.out
}

// evaluate runs the scenario file and finishes the plan.
func (l *loader) evaluate(name, text string) *plan.Plan {
	prog, f, ok := l.compile(name, text, nil)
	if !ok {
		return nil
	}
	l.files = append(l.files, fileOf(name, text))
	l.thread.SetMaxExecutionSteps(l.limits.Steps)
	l.thread.OnMaxSteps = func(t *starlark.Thread) {
		t.Cancel(fmt.Sprintf("more than %d steps", l.limits.Steps))
	}
	values, err := prog.Init(l.thread, l.predeclared())
	if err != nil {
		l.evalError(err)
		return nil
	}
	var globals []builtins.Global
	for _, b := range f.Module.(*resolve.Module).Globals {
		globals = append(globals, builtins.Global{Name: b.First.Name, Value: values[b.First.Name]})
	}
	p, whole := l.env.Finish(name, globals)
	if !whole {
		l.collect()
		l.checkThings(p)
		return nil
	}
	p.Title, p.Doc = docstring(f)
	return p
}

// collect takes over what the words of the language have recorded.
func (l *loader) collect() {
	if l.env == nil {
		return
	}
	for _, x := range l.env.Problems() {
		l.add(x.Pos, x.Message, x.Suggestion)
	}
}

// add records an error. Its position is in the plan's terms.
func (l *loader) add(pos plan.Pos, message, suggestion string) {
	l.out = append(l.out, Problem{Pos: l.tree.shown(pos), Severity: Error, Message: message, Suggestion: suggestion})
}

// compile parses, checks and resolves one file. What is wrong is recorded.
func (l *loader) compile(name, text string, via *plan.Pos) (*starlark.Program, *syntax.File, bool) {
	f, ps := parse(name, text, l.limits.Source)
	if len(ps) > 0 {
		for _, p := range ps {
			p.Pos.Via = via
			l.add(p.Pos, p.Message, p.Suggestion)
		}
		return nil, nil, false
	}
	l.env.AddSource(builtins.NewSource(name, text, f))
	return l.resolve(name, text, f, nil, via)
}

// resolve gives the program of a parsed file. Undefined names are recorded, and
// then taken for stand-ins, so that the file's other mistakes are told as well:
// absent holds those that have been recorded.
func (l *loader) resolve(name, text string, f *syntax.File, absent map[string]bool, via *plan.Pos) (*starlark.Program, *syntax.File, bool) {
	if refused := instrument(f); len(refused) > 0 {
		for _, p := range refused {
			l.add(planPos(p), "the left side of an assignment such as *= contains a call", "say x = …, then x *= y")
		}
		return nil, nil, false
	}
	prog, err := starlark.FileProgram(f, func(word string) bool { return l.words.Has(word) || absent[word] })
	if err == nil {
		return prog, f, true
	}
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		l.add(plan.Pos{File: name}, err.Error(), "")
		return nil, nil, false
	}
	undefined := map[string]bool{}
	for _, x := range list {
		message, suggestion := resolverHint(x.Msg, l.names(f))
		pos := planPos(x.Pos)
		pos.Via = via
		l.add(pos, message, suggestion)
		if m := undefinedPattern.FindStringSubmatch(x.Msg); m != nil {
			undefined[m[1]] = true
		}
	}
	if absent != nil || !onlyUndefined(list) {
		return nil, nil, false
	}
	// Resolving has left its marks in f.
	f, ps := parse(name, text, l.limits.Source)
	if len(ps) > 0 {
		return nil, nil, false
	}
	for word := range undefined {
		l.absent[word] = builtins.StandIn()
	}
	return l.resolve(name, text, f, undefined, via)
}

func onlyUndefined(list resolve.ErrorList) bool {
	for _, x := range list {
		if !undefinedPattern.MatchString(x.Msg) {
			return false
		}
	}
	return true
}

// predeclared gives the words of the language, with stand-ins for names that a
// file uses though they are not defined.
func (l *loader) predeclared() starlark.StringDict {
	if len(l.absent) == 0 {
		return l.words
	}
	all := maps.Clone(l.words)
	maps.Copy(all, l.absent)
	return all
}

// names gives every name that may have been meant in f.
func (l *loader) names(f *syntax.File) []string {
	names := l.env.Names()
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignStmt:
			if id, ok := n.LHS.(*syntax.Ident); ok {
				names = append(names, id.Name)
			}
		case *syntax.DefStmt:
			names = append(names, n.Name.Name)
		case *syntax.LoadStmt:
			for _, id := range n.To {
				names = append(names, id.Name)
			}
		}
		return true
	})
	return names
}

func planPos(p syntax.Position) plan.Pos {
	return plan.Pos{File: p.Filename(), Line: int(p.Line), Col: int(p.Col)}
}

func fileOf(name, text string) plan.File {
	sum := sha256.Sum256([]byte(text))
	return plan.File{Path: name, SHA256: hex.EncodeToString(sum[:]), Text: text}
}

// docstring splits the file's leading string into title and description.
func docstring(f *syntax.File) (title, doc string) {
	if len(f.Stmts) == 0 {
		return "", ""
	}
	x, ok := f.Stmts[0].(*syntax.ExprStmt)
	if !ok {
		return "", ""
	}
	lit, ok := x.X.(*syntax.Literal)
	if !ok || lit.Token != syntax.STRING {
		return "", ""
	}
	title, doc, _ = strings.Cut(strings.TrimSpace(lit.Value.(string)), "\n")
	return strings.TrimSpace(title), strings.TrimSpace(doc)
}

func (l *loader) print(thread *starlark.Thread, text string) {
	pos := plan.Pos{}
	if thread.CallStackDepth() > 1 {
		pos = planPos(thread.CallFrame(1).Pos)
	}
	pos = l.tree.shown(pos)
	if l.opts.Print != nil {
		l.opts.Print(pos, text)
		return
	}
	printTo(pos, text)
}

// errLoad ends an evaluation whose module could not be loaded; the reason has
// been recorded.
var errLoad = errors.New("load failed")

// loadModule is the thread's Load: it evaluates a module once.
func (l *loader) loadModule(_ *starlark.Thread, label string) (starlark.StringDict, error) {
	pos, from := plan.Pos{}, l.tree.scenario
	if l.thread.CallStackDepth() > 0 {
		pos = planPos(l.thread.CallFrame(0).Pos)
		from = pos.File
		if depth := l.thread.CallStackDepth(); depth > 1 {
			via := planPos(l.thread.CallFrame(depth - 1).Pos)
			pos.Via = &via
		}
	}
	name, err := l.tree.resolve(label, from)
	if err != nil {
		l.add(pos, err.Error(), loadHint(label))
		return nil, errLoad
	}
	if m := l.modules[name]; m != nil {
		switch {
		case m.failed:
			return nil, errLoad
		case !m.done:
			l.add(pos, fmt.Sprintf("load: %s is being loaded already: the files load each other in a circle", label), "")
			return nil, errLoad
		}
		return m.globals, nil
	}
	if name == l.tree.scenario {
		l.add(pos, "load: a scenario cannot be loaded by its own modules", "put what both need into a file of its own")
		return nil, errLoad
	}
	m := &module{failed: true}
	text, err := l.tree.read(name, l.limits.Source)
	if err != nil {
		l.add(pos, "load: "+label+": "+readError(err), l.tree.near(name, label))
		return nil, errLoad
	}
	m.failed = false
	l.modules[name] = m
	prog, _, ok := l.compile(name, text, &pos)
	if !ok {
		m.failed = true
		return nil, errLoad
	}
	l.files = append(l.files, fileOf(name, text))
	leave := l.env.EnterModule()
	defer leave()
	globals, err := prog.Init(l.thread, l.predeclared())
	if err != nil {
		m.failed = true
		return nil, err
	}
	m.globals, m.done = globals, true
	return globals, nil
}

// evalError records what ended the evaluation.
func (l *loader) evalError(err error) {
	if errors.Is(err, errLoad) {
		return
	}
	var ee *starlark.EvalError
	if !errors.As(err, &ee) {
		l.add(plan.Pos{File: l.tree.scenario}, err.Error(), "")
		return
	}
	// A failing module is wrapped by the load statement that asked for it.
	for {
		var inner *starlark.EvalError
		if !errors.As(ee.Unwrap(), &inner) {
			break
		}
		ee = inner
	}
	pos := plan.Pos{File: l.tree.scenario}
	stack := ee.CallStack
	found := false
	for i := len(stack) - 1; i >= 0; i-- {
		if l.known(stack[i].Pos.Filename()) {
			p := planPos(stack[i].Pos)
			if !found {
				pos, found = p, true
			} else if i == 0 && p != pos {
				pos.Via = &p
			}
		}
	}
	message, suggestion := evalHint(ee.Msg, l.words.Has)
	if m := notFoundPattern.FindStringSubmatch(ee.Msg); m != nil {
		message, suggestion = l.notInModule(m[1], m[2], pos.File)
	}
	l.add(pos, message, suggestion)
}

// notInModule says what a module has instead of a name that it lacks.
func (l *loader) notInModule(name, label, from string) (message, suggestion string) {
	message = "load: " + label + " has no " + name
	file, err := l.tree.resolve(label, from)
	m := l.modules[file]
	if err != nil || m == nil {
		return message, ""
	}
	var has []string
	for n, v := range m.globals {
		if v != nil && !strings.HasPrefix(n, "_") {
			has = append(has, n)
		}
	}
	sort.Strings(has)
	switch near, ok := spell.Nearest(name, has); {
	case ok:
		return message, "did you mean " + near + "?"
	case len(has) == 0:
		return message, "it defines no name that can be loaded"
	}
	return message, "it has " + strings.Join(has, ", ")
}

func (l *loader) known(file string) bool {
	if file == l.tree.scenario {
		return true
	}
	_, ok := l.modules[file]
	return ok
}

// fatal reports whether there is an error among the problems.
func (ps problems) fatal() bool {
	for _, p := range ps {
		if p.Severity == Error {
			return true
		}
	}
	return false
}
