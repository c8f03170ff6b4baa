// This file defines measures and claims: which windows and bounds fit which
// measure, and what the words of a claim make of them.

package builtins

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// facts says what may be said of the measures of a family.
type facts struct {
	windows []string
	bounds  []string
	per     bool // .per
	stat    bool // .p50 … .max
}

// factsOf is the table of families (language.md, "What a claim means exactly"):
//
//	family   before after  at  at_end  per  p50…max  never_…  at_least  equals  none  balanced  eventually
//	         during outside                                   at_most
//	rate          x        x            x             x          x         x     x       x          x
//	fate          x        x    x                                x         x     x
//	latency       x                     x       x     x          x
//	stall         x                                              x               x
//	gauge         x        x    x                     x          x         x     x       x          x
//	number        x                                              x         x     x
//
// balanced needs a measure that comes in several series. An event's own
// measures, and whether a mirror is identical, take no window; that is true or
// not, so it has no bound but equals.
func factsOf(m plan.Measure) facts {
	f := facts{windows: []string{"before", "after", "during", "outside"}}
	var bounds []plan.BoundOp
	switch m.Family {
	case plan.FamilyRate:
		f.windows = append(f.windows, "at")
		f.per = true
		bounds = []plan.BoundOp{plan.NeverBelow, plan.NeverAbove, plan.AtLeast, plan.AtMost, plan.Equals, plan.None, plan.Balanced, plan.Eventually}
	case plan.FamilyFate:
		f.windows = append(f.windows, "at", "at_end")
		bounds = []plan.BoundOp{plan.AtLeast, plan.AtMost, plan.Equals, plan.None}
	case plan.FamilyLatency:
		f.per, f.stat = true, true
		bounds = []plan.BoundOp{plan.NeverBelow, plan.NeverAbove, plan.AtLeast, plan.AtMost}
	case plan.FamilyStall:
		bounds = []plan.BoundOp{plan.AtLeast, plan.AtMost, plan.None}
	case plan.FamilyGauge:
		f.windows = append(f.windows, "at", "at_end")
		bounds = []plan.BoundOp{plan.NeverBelow, plan.NeverAbove, plan.AtLeast, plan.AtMost, plan.Equals, plan.None, plan.Balanced, plan.Eventually}
	case plan.FamilyNumber:
		bounds = []plan.BoundOp{plan.AtLeast, plan.AtMost, plan.Equals, plan.None}
	}
	if m.Subject == plan.RefEvent || m.Subject == plan.RefMirror && m.Family == plan.FamilyNumber {
		f.windows = nil
	}
	if m.Unit == plan.UnitTruth {
		bounds = []plan.BoundOp{plan.Equals}
	}
	for _, b := range bounds {
		if b != plan.Balanced || slices.ContainsFunc(m.By, func(by string) bool { return by != "all" }) {
			f.bounds = append(f.bounds, string(b))
		}
	}
	return f
}

// measure is a subject's measure with its windows, before a bound makes a
// claim of it. It never changes: each word gives a new one.
type measure struct {
	handle
	m    plan.Measure
	term plan.Term
	at   site
	use  *use
}

var (
	_ starlark.HasAttrs = (*measure)(nil)
	_ starlark.Callable = (*measure)(nil)
)

func (e *Env) newMeasure(subject plan.Ref, m plan.Measure) starlark.Value {
	at := e.here()
	return &measure{
		handle: handle{e, "measure"}, m: m, at: at,
		term: plan.Term{Subject: subject, Measure: m.Name},
		use:  e.newUse(at, "measure", typeOfRef(m.Subject)+"."+m.Name),
	}
}

// Name and CallInternal let a mistaken shop.rate() be one error among others.
func (m *measure) Name() string { return m.m.Name }

// CallInternal records that a measure is not called.
func (m *measure) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	m.use.used = true
	m.env.Report(m.env.herePos(), m.m.Name+": got a call of a measure, want it without parentheses", "a window or a bound follows at once: ."+m.last()+"."+factsOf(m.m).bounds[0]+"(…)")
	return standIn{}, nil
}

// last is the word that made the measure: its name, or its statistic.
func (m *measure) last() string {
	if m.term.Stat != "" {
		return m.term.Stat
	}
	return m.m.Name
}

// Attr gives the windows and bounds that fit the measure's family.
func (m *measure) Attr(name string) (starlark.Value, error) {
	w := m.env.words["measure"][name]
	if w == nil {
		if m.env.probing() {
			return nil, nil
		}
		m.use.used = true
		m.env.Report(m.env.herePos(), "measure "+m.m.Name+" has no attribute "+name, m.hint(name))
		return standIn{}, nil
	}
	f := factsOf(m.m)
	legal, fits := "", true
	switch {
	case w.Family == Bounds:
		fits, legal = slices.Contains(f.bounds, name), "its bounds are "+strings.Join(f.bounds, ", ")
	case name == "by":
		fits, legal = len(m.m.By) > 0, "it is one number"
		if m.m.Family == plan.FamilyGauge {
			legal = "it is one series"
		}
	case name == "per":
		fits, legal = f.per, "it is not counted in buckets"
	case w.Kind == Attribute:
		fits, legal = f.stat, "only latency and delay have p50, p90, p99, p999 and max"
	default:
		fits, legal = slices.Contains(f.windows, name), "it takes no window"
		if len(f.windows) > 0 {
			legal = "its windows are " + strings.Join(f.windows, ", ")
		}
	}
	if !fits {
		if m.env.probing() {
			return nil, nil
		}
		m.use.used = true
		m.env.Report(m.env.herePos(), fmt.Sprintf("%s does not fit the measure %s", name, m.m.Name), legal)
		return standIn{}, nil
	}
	if w.run != nil {
		return m.env.builtin(w, m), nil
	}
	return w.value(m.env, m), nil
}

// hint suggests a word for one that no measure has.
func (m *measure) hint(name string) string {
	f := factsOf(m.m)
	if _, err := strconv.Atoi(strings.TrimPrefix(name, "p")); f.stat && (err == nil || name == "mean" || name == "average" || name == "avg" || name == "median") {
		return "its statistics are p50 (the median), p90, p99, p999 and max"
	}
	if near, ok := spell.Nearest(name, m.AttrNames()); ok {
		return "did you mean " + near + "?"
	}
	return "it has " + strings.Join(m.AttrNames(), ", ")
}

// AttrNames lists what fits the measure.
func (m *measure) AttrNames() []string {
	f := factsOf(m.m)
	names := slices.Concat(f.windows, f.bounds)
	if len(m.m.By) > 0 {
		names = append(names, "by")
	}
	if f.per {
		names = append(names, "per")
	}
	if f.stat {
		names = append(names, "p50", "p90", "p99", "p999", "max")
	}
	slices.Sort(names)
	return names
}

// with gives a copy of the call's measure that change has been made to.
func (c *call) with(change func(*plan.Term)) starlark.Value {
	return c.recv.(*measure).with(c.at, change)
}

func (m *measure) with(at site, change func(*plan.Term)) *measure {
	next := *m
	m.use.used = true
	next.at, next.use = at, m.env.newUse(at, "measure", m.m.Name)
	next.term.Windows = slices.Clone(m.term.Windows)
	change(&next.term)
	return &next
}

func (c *call) window(w plan.Window) starlark.Value {
	return c.with(func(t *plan.Term) { t.Windows = append(t.Windows, w) })
}

// momentOf gives a moment, taking an event's edge.
func (c *call) momentOf(param string, e plan.Edge) *plan.Instant {
	m, _ := c.arg(param).(moment)
	if m.event != "" {
		return &plan.Instant{Event: m.event, Edge: e}
	}
	return &m.at
}

func runBefore(c *call) starlark.Value {
	return c.window(plan.Window{Kind: plan.Before, A: c.momentOf("moment", plan.Start)})
}

func runAfter(c *call) starlark.Value {
	return c.window(plan.Window{Kind: plan.After, A: c.momentOf("moment", plan.End)})
}

func runDuring(c *call) starlark.Value {
	a, _ := c.arg("a").(moment)
	b, two := c.arg("b").(plan.Instant)
	switch {
	case a.event != "" && two:
		c.errorAt(c.raw("b").pos, "got an event and a moment, want an event or two moments", "from its start: .during(outage.start, …)")
		return standIn{}
	case a.event != "":
		return c.window(plan.Window{Kind: plan.During, Event: a.event})
	case !two:
		c.errorAt(c.at.pos, "got one moment, want an event or two moments", `.during("30s", "60s"), or .after("30s")`)
		return standIn{}
	}
	return c.window(plan.Window{Kind: plan.During, A: &a.at, B: &b, Explicit: true})
}

func runOutside(c *call) starlark.Value {
	return c.window(plan.Window{Kind: plan.Outside, Event: c.thing("handle").id})
}

func runMeasureAt(c *call) starlark.Value {
	at := c.instant("when")
	return c.window(plan.Window{Kind: plan.At, A: &at, Explicit: true})
}

func runAtEnd(c *call) starlark.Value { return c.window(plan.Window{Kind: plan.AtEnd}) }

func runBy(c *call) starlark.Value {
	m := c.recv.(*measure)
	by := c.str("what")
	switch {
	case !slices.Contains(m.m.By, by):
		c.wrong(c.param("what"), c.raw("what"), "got "+quote(by)+", want "+spell.List(quoted(m.m.By)), "")
		return standIn{}
	case m.term.By != "":
		c.errorAt(c.env.herePos(), "said a second time", "")
		return standIn{}
	}
	return c.with(func(t *plan.Term) { t.By = by })
}

func runPer(c *call) starlark.Value {
	m := c.recv.(*measure)
	d := c.dur("bucket")
	switch {
	case d < plan.Duration(time.Second) || d%plan.Duration(time.Second) != 0:
		c.wrong(c.param("bucket"), c.raw("bucket"), "got "+d.String()+", want whole seconds", "")
		return standIn{}
	case m.term.Per != 0:
		c.errorAt(c.env.herePos(), "said a second time", "")
		return standIn{}
	}
	return c.with(func(t *plan.Term) { t.Per = d })
}

func statistic(name string) func(*Env, starlark.Value) starlark.Value {
	return func(e *Env, recv starlark.Value) starlark.Value {
		m := recv.(*measure)
		if m.term.Stat != "" {
			m.use.used = true
			e.Report(e.herePos(), m.m.Name+"."+name+": got a second statistic after "+m.term.Stat, "")
			return standIn{}
		}
		return m.with(e.here(), func(t *plan.Term) { t.Stat = name })
	}
}

// claim is a sentence that can be judged.
type claim struct {
	handle
	expr plan.Expr
	size int // terms and combinations in it
	text string
	use  *use
}

var _ starlark.HasAttrs = (*claim)(nil)

// Attr records an error: a claim is finished.
func (x *claim) Attr(name string) (starlark.Value, error) {
	if x.env.probing() {
		return nil, nil
	}
	x.use.used = true
	hint := "expect(…) judges it; no(…), both(…) and either(…) combine claims"
	if w := x.env.words["measure"][name]; w != nil {
		hint = "windows and series stand before the bound: shop.stall.during(outage).at_most(\"5s\")"
		if w.Family == Bounds {
			hint = "a claim has one bound; two are two claims, or both(a, b)"
		}
	}
	x.env.Report(x.env.herePos(), "claim has no attribute "+name, hint)
	return standIn{}, nil
}

// AttrNames is empty.
func (x *claim) AttrNames() []string { return nil }

func (c *call) newClaim(x plan.Expr, parts ...*claim) starlark.Value {
	c.env.limit(c.at.pos)
	size := 1
	for _, p := range parts {
		x.Args = append(x.Args, p.expr)
		size += p.size
	}
	if size > maxElements {
		c.errorAt(c.at.pos, fmt.Sprintf("got a claim of %d parts, want at most %d", size, maxElements), "say several claims")
		return standIn{}
	}
	return &claim{
		handle: handle{c.env, "claim"}, expr: x, size: size, text: c.at.text(),
		use: c.env.newUse(c.at, "claim", c.word.Name),
	}
}

// closed finishes a term with its bound.
func (c *call) closed(b plan.Bound) starlark.Value {
	m := c.recv.(*measure)
	term := m.term
	term.Pos, term.Text, term.Bound = c.at.pos, c.at.text(), &b
	return c.newClaim(plan.Expr{Op: plan.OpTerm, Term: &term})
}

func bounded(op plan.BoundOp) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		b := plan.Bound{Op: op}
		if op == plan.None {
			b.Text = "0"
			return c.closed(b)
		}
		param := "value"
		if op == plan.Balanced {
			param = "each"
			if m := c.recv.(*measure); m.term.By == "all" || m.term.By == "" && m.m.By[0] == "all" {
				c.errorAt(c.env.herePos(), "the measure is one series, want several", "say .by("+quote(lastOf(m.m.By))+") first")
				return standIn{}
			}
		}
		ok := false
		if b.Value, b.Text, ok = c.bound(param); !ok {
			return standIn{}
		}
		return c.closed(b)
	}
}

func lastOf(s []string) string { return s[len(s)-1] }

func runEventually(c *call) starlark.Value {
	b := plan.Bound{Op: plan.Eventually, Within: c.dur("within")}
	ok := false
	if b.Value, b.Text, ok = c.bound("at_least"); !ok {
		return standIn{}
	}
	return c.closed(b)
}

// bound reads a bound's value in the unit of the measure.
func (c *call) bound(param string) (value float64, text string, ok bool) {
	m := c.recv.(*measure).m
	p, a := *c.param(param), c.raw(param)
	switch m.Unit {
	case plan.UnitSeconds:
		p.Type = TypeDuration
		d, ok := c.convert(&p, a)
		if !ok {
			return 0, "", false
		}
		return d.(plan.Duration).Seconds(), quote(d.(plan.Duration).String()), true
	case plan.UnitBytes:
		p.Type = TypeSize
		v, ok := c.convert(&p, a)
		if !ok {
			return 0, "", false
		}
		return v.(float64), boundText(a.value), true
	}
	if m.Unit == plan.UnitTruth {
		p.Type = TypeBool
		v, ok := c.convert(&p, a)
		if v == true {
			return 1, "True", ok
		}
		return 0, "False", ok
	}
	p.Type = TypeNumber
	if n, isNumber := starlark.AsFloat(a.value); !isNumber {
		c.wrong(&p, a, "got "+shown(a.value)+", want "+numberWanted(m), hintFor(TypeBound, a.value))
		markUsed(a.value)
		return 0, "", false
	} else if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		c.wrong(&p, a, "got "+a.value.String()+", want "+numberWanted(m)+" that is not negative", "")
		return 0, "", false
	} else {
		value = n
	}
	if m.Unit == plan.UnitCount && value != math.Trunc(value) && param != "value" {
		c.wrong(&p, a, "got "+a.value.String()+", want a whole number", "")
		return 0, "", false
	}
	return value, boundText(a.value), true
}

func numberWanted(m plan.Measure) string {
	switch m.Unit {
	case plan.UnitRate:
		return "records per second, int or float"
	case plan.UnitShare:
		return "a share, int or float"
	}
	return "a count, int or float"
}

func boundText(v starlark.Value) string {
	if f, ok := v.(starlark.Float); ok {
		return trimNumber(float64(f))
	}
	return v.String()
}

func (c *call) toMeasure(p *Param, a argument) (any, bool) {
	switch v := a.value.(type) {
	case *measure:
		v.use.used = true
		return v, true
	case *claim:
		v.use.used = true
		c.wrong(p, a, "got claim, want measure", "leave the bound away, or judge it with expect(…)")
		return nil, false
	}
	return c.mismatch(p, a)
}

// toClaim says what was meant where something else than a claim stands.
func (c *call) toClaim(p *Param, a argument) (any, bool) {
	if v, ok := a.value.(*claim); ok {
		v.use.used = true
		return v, true
	}
	if m, ok := a.value.(*measure); ok {
		m.use.used = true
		hint := "a bound is missing, such as ." + factsOf(m.m).bounds[0] + "(…)"
		if c.word.Name == "expect" {
			hint += "; report(…) only tabulates"
		}
		c.wrong(p, a, "got measure, want claim", hint)
		return nil, false
	}
	hint := hintFor(TypeClaim, a.value)
	if a.expr != nil {
		if h := claimHint(a.expr); h != "" {
			hint = h
			c.env.forgive(c.at, a.expr)
		}
	}
	if _, list := a.value.(*starlark.List); list && hint == "" {
		hint = "say both(a, b), or both(*list)"
	}
	if _, isBool := a.value.(starlark.Bool); isBool && hint == "" {
		hint = "nothing measured is known while the scenario is read; a claim says what must hold: billing.missing.none()"
	}
	c.wrong(p, a, "got "+shown(a.value)+", want claim", hint)
	markUsed(a.value)
	return nil, false
}

// claimHint names the word that says in a claim what an operator cannot.
func claimHint(x syntax.Expr) string {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return claimHint(x.X)
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			return "not cannot work on what is not yet measured: say no(claim)"
		}
	case *syntax.BinaryExpr:
		word := ""
		switch x.Op {
		case syntax.AND:
			return "and cannot work on what is not yet measured: say both(a, b)"
		case syntax.OR:
			return "or cannot work on what is not yet measured: say either(a, b)"
		case syntax.EQL:
			word = ".equals(…)"
		case syntax.NEQ:
			word = "no(….equals(…))"
		case syntax.LT, syntax.LE:
			word = ".never_above(…) or .at_most(…)"
		case syntax.GT, syntax.GE:
			word = ".never_below(…) or .at_least(…)"
		default:
			return ""
		}
		return "a measure has no value before the run: say " + word
	}
	return ""
}

func judged(kind plan.ClaimKind) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		x, ok := c.arg("claim").(*claim)
		if !ok {
			return starlark.None
		}
		id := c.str("id")
		if first, taken := c.env.ids[id]; taken && id != "" {
			c.errorAt(c.raw("id").pos, "a second claim has the id "+quote(id), "the first is at "+first.String())
		}
		c.env.ids[id] = c.at.pos
		c.env.plan.Claims = append(c.env.plan.Claims, plan.Claim{
			Pos: c.at.pos, Kind: kind, ID: id, Text: x.text, Points: c.int("points"),
			Hint: c.str("hint"), Why: c.str("why"), Expr: x.expr,
		})
		return starlark.None
	}
}

func runReport(c *call) starlark.Value {
	m, ok := c.arg("measure").(*measure)
	if !ok {
		return starlark.None
	}
	term := m.term
	term.Pos, term.Text = m.at.pos, m.at.text()
	c.env.limit(c.at.pos)
	c.env.plan.Claims = append(c.env.plan.Claims, plan.Claim{
		Pos: c.at.pos, Kind: plan.Report, Text: term.Text, Expr: plan.Expr{Op: plan.OpTerm, Term: &term},
	})
	return starlark.None
}

func runNo(c *call) starlark.Value {
	x, ok := c.arg("claim").(*claim)
	if !ok {
		return standIn{}
	}
	return c.newClaim(plan.Expr{Op: plan.OpNo}, x)
}

func combined(op plan.ExprOp) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		var parts []*claim
		list, _ := c.arg("claims").([]any)
		for _, v := range list {
			parts = append(parts, v.(*claim))
		}
		if len(parts) < 2 {
			c.errorAt(c.at.pos, "got 1 claim, want two or more", "")
			return standIn{}
		}
		return c.newClaim(plan.Expr{Op: op}, parts...)
	}
}
