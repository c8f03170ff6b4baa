// This file defines how the arguments of a call are checked against the table.

package builtins

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// call is one use of a word, with its arguments checked and converted.
type call struct {
	env  *Env
	word *Word
	name string // how errors name the word
	recv starlark.Value
	at   site
	args []slot // one a parameter of the word
	bad  bool   // some argument was wrong and has been recorded
}

// slot is what a parameter got.
type slot struct {
	given bool
	arg   argument // of a star parameter, the last
	value any      // after conversion; nil: None, or not given, or wrong
}

// argument is a value on its way into a parameter.
type argument struct {
	value starlark.Value
	pos   plan.Pos
	expr  syntax.Expr // nil when the source does not show it
}

// builtin makes the callable of a word, bound to recv.
func (e *Env) builtin(w *Word, recv starlark.Value) *starlark.Builtin {
	fn := func(_ *starlark.Thread, _ *starlark.Builtin, pos starlark.Tuple, named []starlark.Tuple) (starlark.Value, error) {
		c := &call{env: e, word: w, name: w.Qualified(), recv: recv, at: e.here(), args: make([]slot, len(w.Params))}
		if m, ok := recv.(*measure); ok {
			m.use.used = true
			c.name = m.m.Name + "." + w.Name
		}
		return c.do(pos, named), nil
	}
	b := starlark.NewBuiltin(w.Name, fn)
	if recv != nil {
		b = b.BindReceiver(recv)
	}
	return b
}

func (c *call) do(pos starlark.Tuple, named []starlark.Tuple) starlark.Value {
	if c.env.loading > 0 && c.word.Family != Selectors && c.word.Family != Windows {
		c.errorAt(c.at.pos, "a loaded file declares nothing by itself", "put it into a function that the scenario calls")
		return standIn{}
	}
	if c.env.full() {
		return standIn{}
	}
	lost := false // an argument stands in for something wrong: say nothing more
	for _, a := range c.match(pos, named) {
		if holdsStandIn(a.arg.value) {
			lost = true
			markUsed(a.arg.value)
			continue
		}
		c.take(a.param, a.arg)
	}
	for i := range c.word.Params {
		p := &c.word.Params[i]
		if c.args[i].given || p.Star {
			continue
		}
		switch {
		case p.Required:
			if !lost {
				c.missing(p)
			}
		case p.Default != nil:
			c.take(i, argument{value: starlarkOf(p.Default), pos: c.at.pos})
		}
	}
	if lost {
		c.bad = true
		if !c.makesThing() {
			return standIn{}
		}
	}
	if c.bad && !c.makesThing() {
		return standIn{}
	}
	return c.word.run(c)
}

// makesThing reports whether the word gives a handle whose further use can be
// checked even when an argument was wrong.
func (c *call) makesThing() bool {
	switch c.word.Returns {
	case TypeSite, TypeCluster, TypeTopic, TypeProducer, TypeConsumer, TypeMirror, TypeUser, TypeAlarm, TypeEvent:
		return true
	}
	return false
}

type matched struct {
	param int // its index
	arg   argument
}

// match pairs arguments with parameters; what does not pair is recorded.
func (c *call) match(pos starlark.Tuple, named []starlark.Tuple) []matched {
	out := make([]matched, 0, len(pos)+len(named))
	limit := c.word.Position
	if len(pos) > maxElements {
		c.bad = true
		c.errorAt(c.at.pos, fmt.Sprintf("got %d positional arguments, want at most %d", len(pos), maxElements), "")
		for _, v := range pos[maxElements:] {
			markUsed(v)
		}
		pos = pos[:maxElements]
	}
	for i, v := range pos {
		arg := argument{value: v, pos: c.at.pos}
		c.locate(&arg, c.argExpr(i, ""))
		if i >= limit && !(limit > 0 && c.word.Params[limit-1].Star) {
			c.tooMany(i, pos, arg)
			break
		}
		to := min(i, limit-1)
		c.args[to].given, c.args[to].arg = true, arg
		out = append(out, matched{to, arg})
	}
	for i := range c.word.Params {
		if p := &c.word.Params[i]; p.Star && p.Required && !c.args[i].given {
			c.errorAt(c.at.pos, "missing "+p.Name, signatureHint(c.word))
			c.bad = true
		}
	}
	for i, kv := range named {
		name := string(kv[0].(starlark.String))
		arg := argument{value: kv[1], pos: c.at.pos}
		c.locate(&arg, c.argExpr(len(pos)+i, name))
		to := c.index(name)
		if to < 0 || c.word.Params[to].Star {
			c.unknown(name, arg)
			continue
		}
		if c.args[to].given {
			c.errorAt(arg.pos, "got two values for parameter "+name, "")
			c.bad = true
			continue
		}
		c.args[to].given, c.args[to].arg = true, arg
		out = append(out, matched{to, arg})
	}
	return out
}

// index finds a parameter, or gives -1.
func (c *call) index(name string) int {
	for i := range c.word.Params {
		if c.word.Params[i].Name == name {
			return i
		}
	}
	return -1
}

func (c *call) param(name string) *Param { return &c.word.Params[c.index(name)] }

// argExpr finds an argument in the source: by name, or the i-th.
func (c *call) argExpr(i int, name string) syntax.Expr {
	if c.at.call == nil {
		return nil
	}
	if name == "" {
		for _, a := range c.at.call.Args[:min(i+1, len(c.at.call.Args))] {
			if u, ok := a.(*syntax.UnaryExpr); ok && u.Op == syntax.STAR {
				return nil // *args: which one it was cannot be seen
			}
		}
		if i < len(c.at.call.Args) {
			return c.at.call.Args[i]
		}
		return nil
	}
	for _, a := range c.at.call.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			if id, ok := b.X.(*syntax.Ident); ok && id.Name == name {
				return b
			}
		}
	}
	return nil
}

// locate puts the argument's position at its expression: at the value of a
// named argument.
func (c *call) locate(a *argument, x syntax.Expr) {
	if x == nil {
		return
	}
	if b, ok := x.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
		x = b.Y
	}
	start, _ := x.Span()
	via := c.at.pos.Via
	a.expr, a.pos = x, c.at.src.pos(start)
	a.pos.Via = via
}

// errorAt records `word: message`.
func (c *call) errorAt(pos plan.Pos, message, suggestion string) {
	c.env.Report(pos, c.name+": "+message, suggestion)
}

// wrong records that an argument does not fit.
func (c *call) wrong(p *Param, a argument, message, suggestion string) {
	c.bad = true
	c.errorAt(a.pos, "for parameter "+p.Name+": "+message, suggestion)
}

func (c *call) missing(p *Param) {
	c.bad = true
	c.errorAt(c.at.pos, "missing parameter "+p.Name, signatureHint(c.word))
}

func signatureHint(w *Word) string { return "it is written " + w.Signature() }

func (c *call) tooMany(i int, pos starlark.Tuple, arg argument) {
	c.bad = true
	suggestion := signatureHint(c.word)
	if i < len(c.word.Params) {
		suggestion = "say " + c.word.Params[i].Name + " = …"
	}
	// What is too much is neither unused nor missing as well.
	for j := i; j < len(pos); j++ {
		markUsed(pos[j])
		if j < len(c.args) {
			c.args[j].given = true
		}
	}
	c.errorAt(arg.pos, fmt.Sprintf("got %s, want at most %d", plural(len(pos), "positional argument"), c.word.Position), suggestion)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *call) unknown(name string, arg argument) {
	c.bad = true
	markUsed(arg.value)
	pos := arg.pos
	if c.at.call != nil {
		for _, a := range c.at.call.Args {
			if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ && b.Y == arg.expr {
				start, _ := b.Span()
				pos.Line, pos.Col = int(start.Line), int(start.Col)
			}
		}
	}
	var names []string
	for _, p := range c.word.Params {
		if !p.Star {
			names = append(names, p.Name)
		}
	}
	suggestion := "it has no named parameters"
	if len(names) > 0 {
		suggestion = "it has " + strings.Join(names, ", ")
		if near, ok := spell.Nearest(name, names); ok {
			suggestion = "did you mean " + near + "?"
		}
	}
	c.errorAt(pos, "unknown parameter "+name, suggestion)
}

// take converts an argument of the i-th parameter and keeps it.
func (c *call) take(i int, a argument) {
	p := &c.word.Params[i]
	if !c.args[i].given {
		c.args[i].arg = a
	}
	if _, none := a.value.(starlark.NoneType); none && !p.Required && p.Type != TypeAny {
		if p.Default != nil {
			c.take(i, argument{value: starlarkOf(p.Default), pos: a.pos, expr: a.expr})
		}
		return
	}
	v, ok := c.convert(p, a)
	if !ok {
		return
	}
	if p.Star {
		list, _ := c.args[i].value.([]any)
		v = append(list, v)
	}
	c.args[i].value = v
}

// raw gives an argument as it came.
func (c *call) raw(name string) argument { return c.args[c.index(name)].arg }

// arg gives an argument after conversion. The word may lack the parameter.
func (c *call) arg(name string) any {
	if i := c.index(name); i >= 0 {
		return c.args[i].value
	}
	return nil
}

// The getters give an argument in Go's types, and the zero value for None or
// where conversion failed.

func (c *call) str(name string) string { v, _ := c.arg(name).(string); return v }

func (c *call) int(name string) int { v, _ := c.arg(name).(int); return v }

func (c *call) num(name string) float64 { v, _ := c.arg(name).(float64); return v }

func (c *call) bool(name string) bool { v, _ := c.arg(name).(bool); return v }

func (c *call) dur(name string) plan.Duration { v, _ := c.arg(name).(plan.Duration); return v }

func (c *call) durPtr(name string) *plan.Duration {
	if v, ok := c.arg(name).(plan.Duration); ok {
		return &v
	}
	return nil
}

func (c *call) instant(name string) plan.Instant { v, _ := c.arg(name).(plan.Instant); return v }

func (c *call) thing(name string) *thing {
	if v, ok := c.arg(name).(*thing); ok {
		return v
	}
	return &thing{}
}

func (c *call) things(name string) []*thing { v, _ := c.arg(name).([]*thing); return v }

func (c *call) refs(name string) []plan.Ref { v, _ := c.arg(name).([]plan.Ref); return v }

func (c *call) has(name string) bool { return c.arg(name) != nil }

func starlarkOf(v any) starlark.Value {
	switch v := v.(type) {
	case bool:
		return starlark.Bool(v)
	case int:
		return starlark.MakeInt(v)
	case float64:
		return starlark.Float(v)
	case string:
		return starlark.String(v)
	}
	return starlark.None
}

// holdsStandIn looks into lists and dicts, not deeply.
func holdsStandIn(v starlark.Value) bool {
	switch v := v.(type) {
	case standIn:
		return true
	case *starlark.List:
		for i := range min(v.Len(), maxElements) {
			if _, ok := v.Index(i).(standIn); ok {
				return true
			}
		}
	case *starlark.Dict:
		if v.Len() <= maxElements {
			for _, item := range v.Items() {
				if _, ok := item[1].(standIn); ok {
					return true
				}
			}
		}
	}
	return false
}

func markUsed(v starlark.Value) {
	switch v := v.(type) {
	case *measure:
		v.use.used = true
	case *claim:
		v.use.used = true
	case *action:
		v.use.used = true
	case *starlark.Builtin:
		if m, ok := v.Receiver().(*measure); ok {
			m.use.used = true
		}
	case *starlark.List:
		for i := range min(v.Len(), maxElements) {
			markUsedFlat(v.Index(i))
		}
	}
}

func markUsedFlat(v starlark.Value) {
	if _, list := v.(*starlark.List); !list {
		markUsed(v)
	}
}
