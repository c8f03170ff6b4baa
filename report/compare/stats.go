// This file defines the statistics of a comparison: the median and its
// interval, two tests, and the correction for doing many of them.

package compare

import (
	"math"
	"slices"
)

// median of values in order.
func median(v []float64) float64 {
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	if v[n/2-1] == v[n/2] {
		return v[n/2] // also when both are infinite
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// confidence is that of the median's interval, and alpha what a corrected p has
// to be below to be called a difference.
const (
	confidence = 0.95
	alpha      = 0.05
)

// interval gives the shortest interval between two order statistics, equally
// far from both ends, that holds the median of what the values were drawn from
// with at least 95 % confidence; where there are too few values for that, their
// whole range. level is its confidence. It supposes nothing about the
// distribution (Hahn and Meeker, Statistical Intervals, 5.2: the count of
// values below the median is binomial with 1/2).
func interval(sorted []float64) (low, high, level float64) {
	n := len(sorted)
	// tail is P(fewer than k of n values lie below the median).
	tail, term := 0.0, math.Pow(0.5, float64(n))
	k := 0
	for {
		if next := tail + term; 2*next <= 1-confidence {
			tail = next
			term *= float64(n-k) / float64(k+1)
			k++
			continue
		}
		break
	}
	if k == 0 {
		return sorted[0], sorted[n-1], 1 - 2*math.Pow(0.5, float64(n))
	}
	return sorted[k-1], sorted[n-k], 1 - 2*tail
}

// maxExact is how many values in all are ranked exactly: some milliseconds of
// work. Beyond, the normal approximation is good to three digits.
const maxExact = 60

// mannWhitney tests whether values of a tend to be larger or smaller than those
// of b: U of a, and the two-sided p. Up to maxExact values p is exact, given the
// ties that there are; beyond, it is the normal approximation with corrections
// for ties and continuity.
func mannWhitney(a, b []float64) (u, p float64, exact bool) {
	ranks, ties := ranked(a, b)
	var sum int // twice the ranks of a
	for _, r := range ranks[:len(a)] {
		sum += r
	}
	n, m := len(a), len(b)
	u = float64(sum)/2 - float64(n*(n+1))/2
	if n+m <= maxExact {
		return u, rankSum(ranks, n, sum), true
	}
	return u, normal(u, n, m, ties), false
}

// ranked gives twice the rank of each value among all, equal values having the
// mean of their ranks, and the sizes of the groups of equal ones.
func ranked(a, b []float64) (ranks []int, ties []int) {
	all := slices.Concat(a, b)
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case all[i] < all[j]:
			return -1
		case all[i] > all[j]:
			return 1
		}
		return 0
	})
	ranks = make([]int, len(all))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && all[order[j]] == all[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = i + 1 + j // twice the mean of i+1 … j
		}
		ties = append(ties, j-i)
		i = j
	}
	return ranks, ties
}

// rankSum is the exact two-sided p of a sum of n of the doubled ranks: twice the
// smaller of the shares of choices with a sum as small, and as large.
func rankSum(ranks []int, n, sum int) float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	// ways[k][s] is how many choices of k ranks have the sum s.
	ways := make([][]float64, n+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for _, r := range ranks {
		for k := n; k > 0; k-- {
			for s := total; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	var below, above, all float64
	for s, w := range ways[n] {
		all += w
		if s <= sum {
			below += w
		}
		if s >= sum {
			above += w
		}
	}
	return min(1, 2*min(below, above)/all)
}

// normal is the two-sided p of U by the normal approximation (Hollander and
// Wolfe, Nonparametric Statistical Methods, 4.1, comments on ties).
func normal(u float64, n, m int, ties []int) float64 {
	fn, fm := float64(n), float64(m)
	all := fn + fm
	var tied float64
	for _, t := range ties {
		f := float64(t)
		tied += f*f*f - f
	}
	variance := fn * fm / 12 * (all + 1 - tied/(all*(all-1)))
	if variance <= 0 {
		return 1
	}
	z := max(math.Abs(u-fn*fm/2)-0.5, 0) / math.Sqrt(variance)
	return min(1, math.Erfc(z/math.Sqrt2))
}

// fisher is the two-sided p of Fisher's exact test of k of n against l of m: the
// probability of all tables with the same margins that are no more probable.
func fisher(k, n, l, m int) float64 {
	chosen := k + l
	weight := func(i int) float64 {
		return math.Exp(logChoose(n, i) + logChoose(m, chosen-i) - logChoose(n+m, chosen))
	}
	seen := weight(k)
	p := 0.0
	for i := max(0, chosen-m); i <= min(n, chosen); i++ {
		if w := weight(i); w <= seen*(1+1e-7) {
			p += w
		}
	}
	return min(1, p)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// holm corrects the p of several tests, so that the chance of calling any of
// them a difference by accident stays below alpha (Holm 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case p[i] < p[j]:
			return -1
		case p[i] > p[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(p))
	most := 0.0
	for at, i := range order {
		most = max(most, min(1, float64(len(p)-at)*p[i]))
		out[i] = most
	}
	return out
}

// enough is how many runs a side are needed so that so many tests can show a
// difference at all.
func enough(tests int) int {
	n := minTested
	for float64(tests)*smallest(n, n) >= alpha {
		n++
	}
	return n
}

// smallest is the least p that the rank test of n against m values can give.
func smallest(n, m int) float64 { return 2 * math.Exp(-logChoose(n+m, n)) }
