// Package compare says what differs between two recorded runs, or between two
// sets of them. It first asks whether they are comparable at all, then which
// verdicts are others, then which numbers, and it does not call chance a
// difference.
//
// This file defines Compare, and what comes out of it.
package compare

import (
	"maps"
	"slices"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// Format is the version of a Comparison's JSON. It grows when a field goes or
// changes its meaning; new fields may come at any time.
const Format = 1

// minTested is how many runs each side needs before numbers are tested; below,
// ranges are given and nothing is concluded.
const minTested = 4

// Run is one recorded run with its verdict, judged by this starfall.
type Run struct {
	Plan    *plan.Plan
	Info    record.Info
	Verdict *judge.Verdict
}

// Side is what stands on one side: a run, or the runs of a sweep or repeat.
type Side struct {
	Folder string
	Swept  []string // names of the parameters that differ between its runs
	Runs   []Run
}

// Options say what a comparison is for.
type Options struct {
	// Despite names kinds of differences that are wanted, which do not make
	// runs incomparable.
	Despite []Kind
}

// Comparison is what differs. Its JSON is what diff --json prints.
type Comparison struct {
	Format int   `json:"format"`
	A      Facts `json:"a"`
	B      Facts `json:"b"`
	// Comparable: nothing differs but what was asked to. Otherwise what follows
	// may be due to any of Differences, and numbers are not tested.
	Comparable  bool         `json:"comparable"`
	Differences []Difference `json:"differences"`
	Cells       []Cell       `json:"cells"`
	// Flipped is how many verdicts of cells and claims are others.
	Flipped int `json:"flipped"`
	// Tests is how many numbers and frequencies were tested; each p_adjusted is
	// corrected for that. Shown is how many of them differ.
	Tests int `json:"tests"`
	Shown int `json:"shown"`
	// Enough is how many runs a side would be needed for so many tests to show
	// anything; 0 when there are enough.
	Enough int      `json:"enough,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

// Facts is what a side is.
type Facts struct {
	Folder string `json:"folder"`
	Runs   int    `json:"runs"`
}

// Param is a parameter in which the cells of a side differ. Its value is a
// Starlark literal.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Cell is a combination of parameters that both sides ran.
type Cell struct {
	Params []Param `json:"params,omitempty"`
	A      int     `json:"a"` // runs that took place
	B      int     `json:"b"`
	// Verdict counts the verdicts of all runs.
	Verdict Verdict  `json:"verdict"`
	Claims  []Claim  `json:"claims"`
	Numbers []Number `json:"numbers"`
}

// Verdict is how often runs ended how.
type Verdict struct {
	A       map[judge.Result]int `json:"a"`
	B       map[judge.Result]int `json:"b"`
	Flipped bool                 `json:"flipped"`
}

// Claim is one claim that both sides judged. Of runs in which the experiment
// did not take place it says nothing.
type Claim struct {
	Kind plan.ClaimKind        `json:"kind"`
	ID   string                `json:"id,omitempty"`
	Text string                `json:"text"`
	A    map[judge.Outcome]int `json:"a"`
	B    map[judge.Outcome]int `json:"b"`
	// Flipped: it ended in one way in all runs of A and in another in all of B,
	// or how often it held differs by Fisher's exact test.
	Flipped bool  `json:"flipped"`
	Test    *Test `json:"test,omitempty"`
}

// Test is one test of whether two sides differ. P is two-sided.
type Test struct {
	Name     string   `json:"name"`        // Mann–Whitney U or Fisher's exact test
	U        *float64 `json:"u,omitempty"` // of A
	P        float64  `json:"p"`
	Adjusted float64  `json:"p_adjusted"` // by Holm, for all tests of the comparison
	Shown    bool     `json:"shown"`      // a difference
	Exact    bool     `json:"exact"`
}

// Number is one number that claims or reports measured on both sides.
type Number struct {
	Text  string    `json:"text"`            // of the claim
	Label string    `json:"label,omitempty"` // of the series, where it has several
	Unit  plan.Unit `json:"unit"`
	A     Sample    `json:"a"`
	B     Sample    `json:"b"`
	// Same: it is one number in all runs of both sides.
	Same bool  `json:"same,omitempty"`
	Test *Test `json:"test,omitempty"` // nil: too few runs, or not comparable
}

// Sample is what a side measured. A null is never reached.
type Sample struct {
	N      int        `json:"n"`
	Values []*float64 `json:"values"` // in order of size
	Median *float64   `json:"median"`
	// With 4 runs or more, Low to High holds the true median with confidence
	// Level; with fewer they are the least and the most, and Level is 0.
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	Level float64  `json:"level,omitempty"`
}

// Compare compares two sides, each of at least one run.
func Compare(a, b Side, o Options) Comparison {
	c := Comparison{Format: Format, A: Facts{a.Folder, len(a.Runs)}, B: Facts{b.Folder, len(b.Runs)}, Differences: []Difference{}, Cells: []Cell{}}
	swept := slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Swept, b.Swept))))
	c.Differences = differences(a.Runs, b.Runs, swept, o)
	cellsA, cellsB := cellsOf(a.Runs, swept), cellsOf(b.Runs, swept)
	for i := range cellsA {
		if k := indexOf(cellsB, cellsA[i].params); k >= 0 {
			c.Differences = append(c.Differences, digests(cellsA[i], cellsB[k], c.Differences, o)...)
		}
	}
	c.Comparable = !slices.ContainsFunc(c.Differences, func(d Difference) bool { return !d.Wanted })
	c.Notes = append(c.Notes, tools(a.Runs, b.Runs)...)
	for i := range cellsA {
		x := &cellsA[i]
		k := indexOf(cellsB, x.params)
		if k < 0 {
			c.Notes = append(c.Notes, "only A has "+x.label())
			continue
		}
		cell, notes := compareCells(x, &cellsB[k], c.Comparable)
		c.Cells = append(c.Cells, cell)
		c.Notes = append(c.Notes, notes...)
	}
	for i := range cellsB {
		if indexOf(cellsA, cellsB[i].params) < 0 {
			c.Notes = append(c.Notes, "only B has "+cellsB[i].label())
		}
	}
	c.conclude()
	return c
}

// conclude corrects all tests together, and counts.
func (c *Comparison) conclude() {
	var tests []*Test
	least := 1.0
	for i := range c.Cells {
		x := &c.Cells[i]
		for k := range x.Claims {
			if t := x.Claims[k].Test; t != nil {
				tests = append(tests, t)
			}
		}
		for k := range x.Numbers {
			if t := x.Numbers[k].Test; t != nil {
				tests = append(tests, t)
				least = min(least, smallest(x.Numbers[k].A.N, x.Numbers[k].B.N))
			}
		}
	}
	var p []float64
	for _, t := range tests {
		p = append(p, t.P)
	}
	for i, q := range holm(p) {
		tests[i].Adjusted, tests[i].Shown = q, q < alpha
		if q < alpha {
			c.Shown++
		}
	}
	c.Tests = len(tests)
	if c.Tests > 0 && float64(c.Tests)*least >= alpha {
		c.Enough = enough(c.Tests)
	}
	for i := range c.Cells {
		x := &c.Cells[i]
		if x.Verdict.Flipped {
			c.Flipped++
		}
		for k := range x.Claims {
			cl := &x.Claims[k]
			cl.Flipped = cl.Flipped || cl.Test != nil && cl.Test.Shown
			if cl.Flipped {
				c.Flipped++
			}
		}
	}
}

// only gives the one key of a count, when it has one.
func only[K comparable](n map[K]int) (K, bool) {
	for k := range n {
		return k, len(n) == 1
	}
	var none K
	return none, false
}

// flipped tells whether all runs of one side ended in one way, and all of the
// other in another.
func flipped[K comparable](a, b map[K]int) bool {
	x, allA := only(a)
	y, allB := only(b)
	return allA && allB && x != y
}

func same[K comparable](a, b map[K]int) bool {
	x, allA := only(a)
	y, allB := only(b)
	return allA && allB && x == y || maps.Equal(a, b)
}
