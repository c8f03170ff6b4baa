package compare

import (
	"math"
	"slices"
	"testing"
)

func near(got, want, within float64) bool { return math.Abs(got-want) <= within }

// TestMannWhitney compares with what scipy 1.17.1 gives: mannwhitneyu with
// method exact where there are no ties (as R's wilcox.test), all choices of
// ranks counted where there are, and asymptotic beyond maxExact.
func TestMannWhitney(t *testing.T) {
	never := math.Inf(1)
	for _, tt := range []struct {
		name string
		a, b []float64
		u, p float64
	}{
		{"apart", []float64{1.1, 2.2, 3.3, 4.4}, []float64{5.5, 6.6, 7.7, 8.8}, 0, 0.0285714286},
		{"mixed", []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12, 30}, 17, 0.4206349206},
		{"scipy's own example", []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 17, 0.1111111111},
		{"Hollander and Wolfe, table 4.1 (R: p = 0.2544)", []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46},
			[]float64{1.15, 0.88, 0.90, 0.74, 1.21}, 35, 0.2544122544},
		{"ties", []float64{1, 2, 2, 3, 4, 5}, []float64{3, 4, 4, 5, 6, 7}, 6, 0.0692640693},
		{"two values", []float64{0, 0, 0, 0}, []float64{5, 5, 5, 5}, 0, 0.0285714286},
		{"all the same", []float64{1, 1, 1, 1}, []float64{1, 1, 1, 1}, 8, 1},
		{"never is more than everything", []float64{0, 0, 1, 2, 8}, []float64{0, 3, never, never, 11}, 5, 0.1349206349},
	} {
		u, p, exact := mannWhitney(tt.a, tt.b)
		if u != tt.u || !near(p, tt.p, 1e-9) || !exact {
			t.Errorf("%s: got U = %g, p = %.10f, exact %v, want %g, %.10f, true", tt.name, u, p, exact, tt.u, tt.p)
		}
		back, q, _ := mannWhitney(tt.b, tt.a)
		if !near(u+back, float64(len(tt.a)*len(tt.b)), 1e-9) || !near(p, q, 1e-12) {
			t.Errorf("%s: got U = %g and p = %g the other way round, want %g and %g", tt.name, back, q, float64(len(tt.a)*len(tt.b))-u, p)
		}
	}
	a := []float64{37, 25, 27, 35, 23, 31, 33, 9, 2, 12, 11, 34, 36, 0, 19, 32, 5, 31, 4, 18, 32, 12, 13, 11, 28, 10, 39, 17, 19, 20, 23, 22, 20, 39, 32}
	b := []float64{36, 33, 29, 18, 44, 23, 13, 38, 11, 39, 29, 9, 6, 22, 6, 10, 25, 43, 23, 37, 41, 37, 30, 22, 25, 15, 24, 20, 14, 44, 5, 8, 12, 43, 32, 40, 13, 33, 19, 24}
	if u, p, exact := mannWhitney(a, b); u != 593 || !near(p, 0.257807135335, 1e-9) || exact {
		t.Errorf("75 values: got U = %g, p = %.12f, exact %v, want 593, 0.257807135335, false", u, p, exact)
	}
}

// TestNormal compares the approximation with scipy's (method asymptotic), ties
// and continuity corrected.
func TestNormal(t *testing.T) {
	for _, tt := range []struct {
		a, b []float64
		p    float64
	}{
		{[]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}, 0.1113468865},
		{[]float64{1, 2, 2, 3, 4, 5}, []float64{3, 4, 4, 5, 6, 7}, 0.0622611207},
		{[]float64{0, 0, 0, 0}, []float64{5, 5, 5, 5}, 0.0131238068},
		{[]float64{1, 1, 1, 1}, []float64{1, 1, 1, 1}, 1},
	} {
		u, _, _ := mannWhitney(tt.a, tt.b)
		_, ties := ranked(tt.a, tt.b)
		if got := normal(u, len(tt.a), len(tt.b), ties); !near(got, tt.p, 1e-9) {
			t.Errorf("%v against %v: got p = %.10f, want %.10f", tt.a, tt.b, got, tt.p)
		}
	}
}

// TestInterval compares with the binomial distribution (scipy 1.17.1; the ranks
// are those of the usual tables, such as Hahn and Meeker's A.15).
func TestInterval(t *testing.T) {
	for _, tt := range []struct {
		n         int
		low, high float64
		level     float64
	}{
		{4, 1, 4, 0.875}, {5, 1, 5, 0.9375}, {6, 1, 6, 0.96875}, {8, 1, 8, 0.992188}, {9, 2, 8, 0.960938}, {10, 2, 9, 0.978516},
		{12, 3, 10, 0.961426}, {15, 4, 12, 0.964844}, {20, 6, 15, 0.958611}, {25, 8, 18, 0.956715}, {30, 10, 21, 0.957226},
		{50, 18, 33, 0.967161}, {100, 40, 61, 0.964800},
	} {
		var v []float64
		for i := range tt.n {
			v = append(v, float64(i+1))
		}
		low, high, level := interval(v)
		if low != tt.low || high != tt.high || !near(level, tt.level, 1e-6) {
			t.Errorf("%d values: got %g to %g at %.6f, want %g to %g at %.6f", tt.n, low, high, level, tt.low, tt.high, tt.level)
		}
	}
}

// TestFisher compares with scipy's fisher_exact, which is R's fisher.test.
func TestFisher(t *testing.T) {
	for _, tt := range []struct {
		k, n, l, m int
		p          float64
	}{
		{5, 5, 3, 5, 0.444444444444}, {3, 4, 1, 4, 0.485714285714}, {8, 10, 1, 6, 0.034965034965},
		{4, 4, 0, 4, 0.028571428571}, {10, 10, 2, 10, 0.000714455823}, {5, 5, 0, 5, 0.007936507937}, {3, 5, 3, 5, 1},
	} {
		if got := fisher(tt.k, tt.n, tt.l, tt.m); !near(got, tt.p, 1e-9) {
			t.Errorf("%d of %d against %d of %d: got %.12f, want %.12f", tt.k, tt.n, tt.l, tt.m, got, tt.p)
		}
	}
}

// TestHolm compares with R's p.adjust(p, "holm"), whose rule is short enough to
// follow by hand.
func TestHolm(t *testing.T) {
	for _, tt := range []struct{ p, want []float64 }{
		{[]float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		{[]float64{0.5, 0.9}, []float64{1, 1}},
		{[]float64{0.02}, []float64{0.02}},
		{nil, []float64{}},
	} {
		got := holm(tt.p)
		if !slices.EqualFunc(got, tt.want, func(a, b float64) bool { return near(a, b, 1e-12) }) {
			t.Errorf("%v: got %v, want %v", tt.p, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	never := math.Inf(1)
	for _, tt := range []struct {
		v    []float64
		want float64
	}{
		{[]float64{3}, 3}, {[]float64{1, 2}, 1.5}, {[]float64{1, 2, 9}, 2}, {[]float64{1, never, never, never}, never}, {[]float64{never, never}, never},
	} {
		if got := median(tt.v); got != tt.want {
			t.Errorf("%v: got %g, want %g", tt.v, got, tt.want)
		}
	}
}

// TestEnough: two tests of four against four cannot show anything.
func TestEnough(t *testing.T) {
	for _, tt := range []struct{ tests, want int }{{1, 4}, {2, 5}, {6, 5}, {7, 6}, {24, 7}} {
		n := enough(tt.tests)
		if n != tt.want {
			t.Errorf("%d tests: got %d runs a side, want %d", tt.tests, n, tt.want)
		}
	}
	if got := smallest(4, 4); !near(got, 2.0/70, 1e-12) {
		t.Errorf("got the least p %g of 4 against 4, want 2/70", got)
	}
}
