// This file defines the end of an evaluation: what was not used, which thing
// has which name, and the plan that comes of it.

package builtins

import (
	"fmt"
	"reflect"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

// Global is a global variable of the scenario file.
type Global struct {
	Name  string
	Value starlark.Value
}

// Finish ends the evaluation of file. Globals are in the order of their first
// binding. It gives the plan without name, docstring and files. When anything
// was wrong the plan is not whole: it lacks what the mistakes kept out of it.
func (e *Env) Finish(file string, globals []Global) (p *plan.Plan, whole bool) {
	e.reportUnused()
	e.checkSet(file)
	names := e.names(globals)
	e.onlyCluster(names)
	p = &e.plan
	p.Format = plan.Format
	for i := range p.Events {
		if t := &p.Events[i].Trigger; t.Kind == plan.TriggerEvery && t.Until == 0 {
			t.Until = p.Scenario.RunFor
		}
	}
	rename(reflect.ValueOf(p).Elem(), names)
	authenticate(p)
	if len(e.problems) == 0 {
		derive(p)
	}
	if impliedIn(p) {
		p.Sites = append([]plan.Site{{Name: plan.ImpliedSite, Implied: true}}, p.Sites...)
	}
	if p.Sites == nil {
		p.Sites = []plan.Site{}
	}
	if p.Clusters == nil {
		p.Clusters = []plan.Cluster{}
	}
	return p, len(e.problems) == 0
}

// reportUnused records what nothing uses.
func (e *Env) reportUnused() {
	if e.full() {
		return
	}
	for _, u := range e.uses {
		if u.used {
			continue
		}
		what := fmt.Sprintf("%s: nothing uses this %s", u.word, u.what)
		e.Report(u.pos, what, u.hint())
	}
}

// hint says what an unused measure, claim or action was meant for, by where it
// stands.
func (u *use) hint() string {
	if u.at.src != nil && u.at.expr != nil {
		x, parent := u.parent()
		switch p := parent.(type) {
		case *syntax.BinaryExpr, *syntax.UnaryExpr:
			if h := claimHint(parent.(syntax.Expr)); h != "" {
				return h
			}
		case *syntax.DotExpr:
			return "add the parentheses: " + p.Name.Name + "()"
		case *syntax.IfStmt:
			if p.Cond == x {
				return "nothing measured is known while the scenario is read; when(claim, …) waits for it"
			}
		case *syntax.CondExpr:
			if p.Cond == x {
				return "nothing measured is known while the scenario is read; when(claim, …) waits for it"
			}
		}
	}
	switch u.what {
	case "action":
		return `it happens only in at, every or when: at("30s", ` + u.word + `(…))`
	case "claim":
		return "it is judged only in expect, assume or rule: expect(…)"
	}
	return "report(…) tabulates it; a bound such as .at_most(…) makes it a claim"
}

// parent gives the node around the word, parentheses apart, and its operand
// that holds the word.
func (u *use) parent() (operand, parent syntax.Node) {
	operand = u.at.expr
	parent = u.at.src.parent(operand)
	for {
		if _, paren := parent.(*syntax.ParenExpr); !paren {
			return operand, parent
		}
		operand, parent = parent, u.at.src.parent(parent)
	}
}

// leftOfOperator reports whether the word is the left side of and or or.
func (u *use) leftOfOperator() bool {
	return u.at.src != nil && u.at.expr != nil && u.at.src.ignored[u.at.expr]
}

// forgive marks as used what stands inside x: an error names x already.
func (e *Env) forgive(at site, x syntax.Expr) {
	for _, u := range e.uses {
		if u.used || u.at.src != at.src || u.at.expr == nil {
			continue
		}
		for n := syntax.Node(u.at.expr); n != nil; n = at.src.parent(n) {
			if n == syntax.Node(x) {
				u.used = true
				break
			}
		}
	}
}

// names decides what each thing is called, by its provisional name: what
// name = says, else the first global that holds it; an event without either
// is event-N.
func (e *Env) names(globals []Global) map[string]string {
	byGlobal := map[*thing]string{}
	for _, g := range globals {
		if t, ok := g.Value.(*thing); ok && byGlobal[t] == "" {
			byGlobal[t] = g.Name
		}
	}
	names := map[string]string{}
	taken := map[string]*thing{}
	var unnamed []*thing
	for _, t := range e.things {
		name := t.given
		if name == "" {
			name = byGlobal[t]
		}
		switch {
		case name == "" && t.lost:
			continue
		case name == "" && t.kind == plan.RefEvent:
			unnamed = append(unnamed, t)
			continue
		case name == "":
			e.Report(t.pos, t.typ+": it has no name", fmt.Sprintf("let a global hold it, as in x = %s(…), or say name = \"x\"", t.typ))
			continue
		case !namePattern.MatchString(name):
			e.Report(t.pos, fmt.Sprintf("%s: got the name %s, want letters, digits, ., _ and -", t.typ, quote(name)), "")
			continue
		case t.kind == plan.RefSite && name == plan.ImpliedSite:
			e.Report(t.pos, fmt.Sprintf("site: the name %s is that of the place where everything stands that names no site", quote(name)), "")
			continue
		}
		if first := taken[name]; first != nil {
			e.Report(t.pos, fmt.Sprintf("%s: the name %s is taken by the %s at %s", t.typ, quote(name), first.typ, first.pos), "every thing has a name of its own")
			continue
		}
		taken[name], names[t.id] = t, name
	}
	number := map[string]int{}
	for i := range e.plan.Events {
		number[e.plan.Events[i].Name] = i + 1
	}
	for _, t := range unnamed {
		n := number[t.id]
		name := fmt.Sprintf("event-%d", n)
		for taken[name] != nil {
			name += "-"
		}
		taken[name], names[t.id] = t, name
	}
	return names
}

// rename puts names where provisional ones stand, everywhere in v but in maps,
// which hold none.
func rename(v reflect.Value, names map[string]string) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); strings.HasPrefix(s, "\x00") {
			v.SetString(names[s])
		}
	case reflect.Pointer:
		if !v.IsNil() {
			rename(v.Elem(), names)
		}
	case reflect.Slice:
		for i := range v.Len() {
			rename(v.Index(i), names)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			rename(v.Field(i), names)
		}
	}
}

// impliedIn reports whether anything stands in the implied site.
func impliedIn(p *plan.Plan) bool {
	for _, c := range p.Clusters {
		for _, n := range c.Nodes {
			if n.Site == plan.ImpliedSite {
				return true
			}
		}
	}
	for _, x := range p.Producers {
		if x.Site == plan.ImpliedSite {
			return true
		}
	}
	for _, x := range p.Consumers {
		if x.Site == plan.ImpliedSite {
			return true
		}
	}
	for _, m := range p.Mirrors {
		if m.Site == plan.ImpliedSite {
			return true
		}
	}
	return false
}
