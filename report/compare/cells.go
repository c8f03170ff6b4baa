// This file defines how the runs of two cells are compared: claim by claim, then
// number by number.

package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// claimKey finds a claim again in another run: by its text, and where that is
// said several times, which of these it is.
type claimKey struct {
	kind plan.ClaimKind
	id   string
	text string
	nth  int
}

// claimed is one claim of a side over its runs that took place.
type claimed struct {
	expr plan.Expr
	rows []judge.Claim
}

// claimsOf gathers the claims of a side, in the order of the first run.
func claimsOf(runs []Run) (keys []claimKey, found map[claimKey]*claimed) {
	found = map[claimKey]*claimed{}
	for _, r := range runs {
		said := map[claimKey]int{}
		for i, c := range r.Verdict.Claims {
			k := claimKey{kind: c.Kind, id: c.ID, text: c.Text}
			said[k]++
			k.nth = said[k] - 1
			if found[k] == nil {
				found[k] = &claimed{}
				if i < len(r.Plan.Claims) {
					found[k].expr = r.Plan.Claims[i].Expr
				}
				keys = append(keys, k)
			}
			found[k].rows = append(found[k].rows, c)
		}
	}
	return keys, found
}

// alike tells whether two expressions say the same, wherever they stand.
func alike(a, b plan.Expr) bool {
	bare := func(e plan.Expr) string {
		j, err := json.Marshal(strip(e))
		if err != nil {
			return err.Error()
		}
		return string(j)
	}
	return bare(a) == bare(b)
}

// strip leaves out of an expression where it stands and how it was written.
func strip(e plan.Expr) plan.Expr {
	if e.Term != nil {
		t := *e.Term
		t.Pos, t.Text = plan.Pos{}, ""
		if t.Bound != nil {
			b := *t.Bound
			b.Text = ""
			t.Bound = &b
		}
		e.Term = &t
	}
	args := e.Args
	e.Args = nil
	for _, x := range args {
		e.Args = append(e.Args, strip(x))
	}
	return e
}

// tookPlace splits runs into those whose experiment took place and the reasons
// of the others.
func tookPlace(runs []Run) (good []Run, why []string) {
	for _, r := range runs {
		if r.Verdict.TookPlace() {
			good = append(good, r)
			continue
		}
		why = append(why, fmt.Sprintf("%s: %s", r.Verdict.Result, r.Verdict.Reasons[0].Text))
	}
	return good, why
}

// compareCells compares two cells with the same parameters. Numbers are tested
// only where comparable.
func compareCells(a, b *cell, comparable bool) (Cell, []string) {
	out := Cell{Params: a.params, Claims: []Claim{}, Numbers: []Number{}}
	out.Verdict = Verdict{A: words(a.runs), B: words(b.runs)}
	out.Verdict.Flipped = flipped(out.Verdict.A, out.Verdict.B)
	var notes []string
	goodA, whyA := tookPlace(a.runs)
	goodB, whyB := tookPlace(b.runs)
	for _, s := range []struct {
		name string
		why  []string
		of   int
	}{{"A", whyA, len(a.runs)}, {"B", whyB, len(b.runs)}} {
		if len(s.why) > 0 {
			note := fmt.Sprintf("%d of %d runs of %s did not take place and say nothing: %s", len(s.why), s.of, s.name, s.why[0])
			if l := a.label(); l != "" {
				note = l + ": " + note
			}
			notes = append(notes, note)
		}
	}
	out.A, out.B = len(goodA), len(goodB)
	keys, inA := claimsOf(goodA)
	keysB, inB := claimsOf(goodB)
	var measured [][2][]float64
	for _, k := range keys {
		x, y := inA[k], inB[k]
		switch {
		case y == nil:
			if len(goodB) > 0 {
				notes = append(notes, "only A claims "+k.text)
			}
			continue
		case !alike(x.expr, y.expr):
			notes = append(notes, fmt.Sprintf("%s means something else on each side and is not compared: %s against %s", k.text, wanted(x), wanted(y)))
			continue
		}
		if k.kind != plan.Report {
			out.Claims = append(out.Claims, compareClaim(k, x, y, comparable))
		}
		for _, n := range numbersOf(k, x, y) {
			values := [2][]float64{n.a, n.b}
			if slices.ContainsFunc(measured, func(m [2][]float64) bool { return slices.Equal(m[0], n.a) && slices.Equal(m[1], n.b) }) && !constant(n.a, n.b) {
				continue // a claim and a report about one number: it is tested once
			}
			measured = append(measured, values)
			out.Numbers = append(out.Numbers, compareNumber(n, comparable))
		}
	}
	for _, k := range keysB {
		if inA[k] == nil && len(goodA) > 0 {
			notes = append(notes, "only B claims "+k.text)
		}
	}
	return out, notes
}

func wanted(c *claimed) string {
	if w := c.rows[0].Wanted; w != "" {
		return w
	}
	return "another measure"
}

func words(runs []Run) map[judge.Result]int {
	out := map[judge.Result]int{}
	for _, r := range runs {
		out[r.Verdict.Result]++
	}
	return out
}

func compareClaim(k claimKey, a, b *claimed, comparable bool) Claim {
	count := func(c *claimed) map[judge.Outcome]int {
		n := map[judge.Outcome]int{}
		for _, r := range c.rows {
			n[r.Outcome]++
		}
		return n
	}
	out := Claim{Kind: k.kind, ID: k.id, Text: k.text, A: count(a), B: count(b)}
	out.Flipped = flipped(out.A, out.B)
	if comparable && !out.Flipped && !same(out.A, out.B) && len(a.rows) >= minTested && len(b.rows) >= minTested {
		out.Test = &Test{Name: "Fisher's exact test", Exact: true,
			P: fisher(out.A[judge.Held], len(a.rows), out.B[judge.Held], len(b.rows))}
	}
	return out
}

// number is one series of a claim over the runs of both sides.
type number struct {
	text, label string
	unit        plan.Unit
	a, b        []float64
}

// numbersOf gives the numbers of a claim that are the same quantity in all
// runs. A claim of several terms has the number of the one that decided it, and
// eventually the time it took or how far it came: neither is one quantity.
func numbersOf(k claimKey, a, b *claimed) []number {
	e := a.expr
	for e.Op == plan.OpNo && len(e.Args) == 1 {
		e = e.Args[0]
	}
	if e.Op != plan.OpTerm || e.Term != nil && e.Term.Bound != nil && e.Term.Bound.Op == plan.Eventually {
		return nil
	}
	var out []number
	put := func(side int, label string, unit plan.Unit, v float64) {
		i := slices.IndexFunc(out, func(n number) bool { return n.label == label })
		if i < 0 {
			out = append(out, number{text: k.text, label: label, unit: unit})
			i = len(out) - 1
		}
		if side == 0 {
			out[i].a = append(out[i].a, v)
		} else {
			out[i].b = append(out[i].b, v)
		}
	}
	for side, c := range []*claimed{a, b} {
		for _, r := range c.rows {
			if r.Outcome == judge.NoData {
				continue
			}
			if len(r.Values) > 0 {
				for _, v := range r.Values {
					put(side, v.Label, r.Unit, reached(v.Value))
				}
				continue
			}
			if r.Value != nil || strings.HasPrefix(r.Measured, judge.Quantity(math.Inf(1), r.Unit)) {
				put(side, "", r.Unit, reached(r.Value))
			}
		}
	}
	return slices.DeleteFunc(out, func(n number) bool { return len(n.a) == 0 || len(n.b) == 0 || n.unit == plan.UnitTruth })
}

func reached(v *float64) float64 {
	if v == nil {
		return math.Inf(1)
	}
	return *v
}

func constant(a, b []float64) bool {
	return !slices.ContainsFunc(slices.Concat(a, b), func(v float64) bool { return v != a[0] })
}

func compareNumber(n number, comparable bool) Number {
	out := Number{Text: n.text, Label: n.label, Unit: n.unit, Same: constant(n.a, n.b)}
	tested := len(n.a) >= minTested && len(n.b) >= minTested
	if comparable && tested && !out.Same {
		u, p, exact := mannWhitney(n.a, n.b)
		out.Test = &Test{Name: "Mann–Whitney U", U: &u, P: p, Exact: exact}
	}
	out.A, out.B = sampleOf(n.a), sampleOf(n.b)
	return out
}

func sampleOf(v []float64) Sample {
	v = slices.Sorted(slices.Values(v))
	s := Sample{N: len(v), Values: []*float64{}, Median: finite(median(v)), Low: finite(v[0]), High: finite(v[len(v)-1])}
	for _, x := range v {
		s.Values = append(s.Values, finite(x))
	}
	if len(v) >= minTested {
		low, high, level := interval(v)
		s.Low, s.High, s.Level = finite(low), finite(high), level
	}
	return s
}

func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
