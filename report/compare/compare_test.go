package compare

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// ran is one run of a scenario with one expectation and one report.
type ran struct {
	outcome judge.Outcome
	value   float64
	acks    string
	host    int
	result  judge.Result // "": from the outcome
	bound   float64
}

func (x ran) run() Run {
	if x.acks == "" {
		x.acks = `"all"`
	}
	if x.host == 0 {
		x.host = 2
	}
	bound := &plan.Bound{Op: plan.None, Value: x.bound}
	p := &plan.Plan{Format: plan.Format, Name: "s", Files: []plan.File{{Path: "s.star", SHA256: "abc"}},
		Params: []plan.Param{{Name: "acks", Default: `"all"`, Value: x.acks}},
		Claims: []plan.Claim{
			{Kind: plan.Expect, Text: "orders.lost.none()", Expr: plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Measure: "lost", Bound: bound}}},
			{Kind: plan.Report, Text: "shop.latency.p99", Expr: plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Measure: "latency", Stat: "p99"}}},
		}}
	lost := 0.0
	if x.outcome == judge.Broken {
		lost = 7
	}
	v := &judge.Verdict{Result: x.result, Claims: []judge.Claim{
		{Kind: plan.Expect, Text: "orders.lost.none()", Outcome: x.outcome, Value: &lost, Unit: plan.UnitCount, Measured: fmt.Sprint(lost)},
		{Kind: plan.Report, Text: "shop.latency.p99", Outcome: judge.Tabulated, Value: &x.value, Unit: plan.UnitSeconds, Measured: fmt.Sprint(x.value)},
	}}
	if v.Result == "" {
		v.Result = judge.Pass
		if x.outcome == judge.Broken {
			v.Result = judge.Fail
		}
	}
	return Run{Plan: p, Info: record.Info{Engine: "embedded", Kafka: "3.9", Seed: 1, Host: record.Host{CPUs: x.host}}, Verdict: v}
}

// runs gives a run for each value, with outcomes by turns.
func runs(values []float64, outcomes ...judge.Outcome) Side {
	var s Side
	for i, v := range values {
		s.Runs = append(s.Runs, ran{outcome: outcomes[i%len(outcomes)], value: v}.run())
	}
	return s
}

func TestVerdictsThatFlip(t *testing.T) {
	same := []float64{1, 1, 1, 1, 1}
	for _, tt := range []struct {
		name    string
		a, b    Side
		flipped int
		p       float64 // of Fisher's test; 0: none
	}{
		{"alike", runs(same, judge.Held), runs(same, judge.Held), 0, 0},
		{"once against once", runs(same[:1], judge.Held), runs(same[:1], judge.Broken), 2, 0},
		{"always against never", runs(same, judge.Held), runs(same, judge.Broken), 2, 0},
		{"sometimes is no flip", runs(same, judge.Held), runs(same, judge.Held, judge.Broken), 0, 0.4444},
		{"sometimes of two", runs(same[:2], judge.Held), runs(same[:2], judge.Held, judge.Broken), 0, 0},
		{"data against none", runs(same, judge.Held), runs(same, judge.NoData), 1, 0}, // the verdicts of these are both PASS
	} {
		c := Compare(tt.a, tt.b, Options{})
		if c.Flipped != tt.flipped {
			t.Errorf("%s: got %d flipped, want %d", tt.name, c.Flipped, tt.flipped)
		}
		test := c.Cells[0].Claims[0].Test
		if (test != nil) != (tt.p != 0) || test != nil && !near(test.P, tt.p, 1e-4) {
			t.Errorf("%s: got the test %+v, want p = %g", tt.name, test, tt.p)
		}
	}
	// Held in all of 10 against 2 of 10: that is shown, and so a flip.
	often, seldom := runs(slices.Repeat(same, 2), judge.Held), runs(slices.Repeat(same, 2), judge.Held, judge.Broken, judge.Broken, judge.Broken, judge.Broken)
	c := Compare(often, seldom, Options{})
	if cl := c.Cells[0].Claims[0]; !cl.Flipped || !near(cl.Test.P, 0.000714455823, 1e-9) {
		t.Errorf("10 of 10 against 2 of 10: got %+v", cl)
	}
}

func TestNumbersAreTested(t *testing.T) {
	low, high := []float64{5, 6, 7, 8, 9}, []float64{15, 16, 17, 18, 19}
	for _, tt := range []struct {
		name  string
		a, b  []float64
		shown int
		tests int
	}{
		{"apart", low, high, 1, 1},
		{"the same numbers", low, low, 0, 1},
		{"mixed", []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12, 30}, 0, 1},
		{"three are too few", low[:3], high[:3], 0, 0},
		{"four on one side only", low[:4], high[:3], 0, 0},
		{"nothing varies", []float64{1, 1, 1, 1}, []float64{1, 1, 1, 1}, 0, 0},
	} {
		c := Compare(runs(tt.a, judge.Held), runs(tt.b, judge.Held), Options{})
		if !c.Comparable || c.Shown != tt.shown || c.Tests != tt.tests {
			t.Errorf("%s: got comparable %v, %d of %d tests shown, want true, %d of %d", tt.name, c.Comparable, c.Shown, c.Tests, tt.shown, tt.tests)
		}
	}
	c := Compare(runs(low, judge.Held), runs(high, judge.Held), Options{})
	n := c.Cells[0].Numbers[1]
	if *n.A.Median != 7 || *n.A.Low != 5 || *n.A.High != 9 || n.A.Level != 0.9375 || !near(n.Test.P, 2.0/252, 1e-12) || *n.Test.U != 0 {
		t.Errorf("got %+v with test %+v", n.A, n.Test)
	}
	if !c.Cells[0].Numbers[0].Same {
		t.Errorf("got %+v, want that lost is the same in all runs", c.Cells[0].Numbers[0])
	}
}

// TestManyTestsShowLess: what one test shows is not shown when many are done,
// and that so few runs cannot show anything is said.
func TestManyTestsShowLess(t *testing.T) {
	side := func(values []float64) Side {
		s := runs(values, judge.Held)
		for i, r := range s.Runs {
			for k := range 6 {
				v := float64((i*7 + k*5) % 11)
				text := fmt.Sprintf("noise %d", k)
				r.Plan.Claims = append(r.Plan.Claims, plan.Claim{Kind: plan.Report, Text: text, Expr: plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Measure: text}}})
				r.Verdict.Claims = append(r.Verdict.Claims, judge.Claim{Kind: plan.Report, Text: text, Outcome: judge.Tabulated, Value: &v, Unit: plan.UnitCount})
			}
		}
		return s
	}
	c := Compare(side([]float64{1, 2, 3, 4}), side([]float64{5, 6, 7, 8}), Options{})
	if c.Tests != 7 || c.Shown != 0 || c.Enough != 6 {
		t.Errorf("got %d tests, %d shown, enough %d, want 7, 0, 6", c.Tests, c.Shown, c.Enough)
	}
}

func TestComparable(t *testing.T) {
	a := runs([]float64{5, 6, 7, 8, 9}, judge.Held)
	other := func(x ran) Side {
		var s Side
		for i := range 5 {
			x.outcome, x.value = judge.Held, float64(15+i)
			s.Runs = append(s.Runs, x.run())
		}
		return s
	}
	for _, tt := range []struct {
		name    string
		b       Side
		despite []Kind
		want    string
		ok      bool
	}{
		{"alike", other(ran{}), nil, "", true},
		{"parameters", other(ran{acks: `"1"`}), nil, `params acks "all" | "1"`, false},
		{"parameters, as wanted", other(ran{acks: `"1"`}), []Kind{KindParams}, `params acks "all" | "1"`, true},
		{"host", other(ran{host: 8}), []Kind{KindParams}, "host cpus 2 | 8", false},
		{"both", other(ran{acks: `"1"`, host: 8}), nil, `params acks "all" | "1"; host cpus 2 | 8`, false},
		{"a plan that nothing explains", other(ran{bound: 1}), nil, "plan digest", false},
	} {
		c := Compare(a, tt.b, Options{Despite: tt.despite})
		var got []string
		for _, d := range c.Differences {
			text := fmt.Sprintf("%s %s %s | %s", d.Kind, d.Name, d.A, d.B)
			if d.Name == "digest" {
				text = "plan digest"
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != tt.want || c.Comparable != tt.ok {
			t.Errorf("%s: got %q, comparable %v, want %q, %v", tt.name, got, c.Comparable, tt.want, tt.ok)
		}
		if tested := c.Tests > 0; tested != tt.ok {
			t.Errorf("%s: got %d tests, want some only of what is comparable", tt.name, c.Tests)
		}
	}
	// A claim that means something else is not compared.
	c := Compare(a, other(ran{bound: 1}), Options{})
	if len(c.Cells[0].Claims) != 0 || !slices.ContainsFunc(c.Notes, func(s string) bool { return strings.Contains(s, "means something else") }) {
		t.Errorf("got the claims %+v and notes %q", c.Cells[0].Claims, c.Notes)
	}
	// Nor is a side that is not of one mind.
	mixed := Side{Runs: append(slices.Clone(a.Runs[:4]), ran{outcome: judge.Held, host: 8}.run())}
	if c := Compare(mixed, mixed, Options{}); c.Comparable || c.Differences[0].A != "2, 8" {
		t.Errorf("got comparable %v: %+v", c.Comparable, c.Differences)
	}
}

// TestCells: sweeps are compared where both have run.
func TestCells(t *testing.T) {
	side := func(acks ...string) Side {
		s := Side{Swept: []string{"acks"}}
		for _, x := range acks {
			s.Runs = append(s.Runs, ran{outcome: judge.Held, acks: x}.run())
		}
		return s
	}
	c := Compare(side(`"1"`, `"all"`), side(`"all"`, `"0"`), Options{})
	if len(c.Cells) != 1 || c.Cells[0].Params[0].Value != `"all"` || !c.Comparable {
		t.Errorf("got %+v, want one cell", c.Cells)
	}
	if want := []string{`only A has acks="1"`, `only B has acks="0"`}; !slices.Equal(c.Notes, want) {
		t.Errorf("got %q, want %q", c.Notes, want)
	}
	// A run alone belongs to the cell whose values it has.
	alone := Side{Runs: []Run{ran{outcome: judge.Held, acks: `"1"`}.run()}}
	if c := Compare(side(`"1"`, `"all"`), alone, Options{}); len(c.Cells) != 1 || c.Cells[0].Params[0].Value != `"1"` {
		t.Errorf("got %+v, want the cell with acks=\"1\"", c.Cells)
	}
	if c := Compare(side(`"1"`), side(`"0"`), Options{}); len(c.Cells) != 0 {
		t.Errorf("got %+v, want no cell", c.Cells)
	}
}
