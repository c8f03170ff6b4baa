// This file defines how the results of many runs become one table.

package report

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// Table writes the runs of a sweep or repeat: a row for each combination of
// parameters with its verdicts (k of N) and, for each reported measure, the
// median and the range over its repeats.
func Table(w io.Writer, results []Result, o Options) error {
	return paged(w, o, sweepOf(results).write)
}

// sweepOf puts runs with the same parameters into one row, in the order in
// which they come first.
func sweepOf(results []Result) sweepPage {
	p := sweepPage{verdict: string(judge.Pass)}
	var groups [][]Result
	var measures []measure
	passed := 0
	for _, r := range results {
		if v := r.Verdict; v != nil && p.context == "" {
			p.title, p.context = titleOf(v), contextOf(v)
		}
		i := slices.IndexFunc(groups, func(g []Result) bool { return slices.Equal(g[0].Params, r.Params) })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], r)
		if r.Word() == judge.Pass {
			passed++
		}
		p.verdict = string(worst(judge.Result(p.verdict), r.Word()))
		list, _ := reported(r)
		for _, m := range list {
			if !slices.Contains(measures, m) {
				measures = append(measures, m)
			}
		}
	}
	for _, m := range measures {
		p.measures = append(p.measures, m.head())
	}
	if p.context == "" && len(results) > 0 {
		p.title, p.context = results[0].Scenario, "nothing was recorded"
	}
	p.summary = fmt.Sprintf("%d of %s passed", passed, count(len(results), "run"))
	if len(results) > 0 {
		for _, x := range results[0].Params {
			p.params = append(p.params, x.Name)
		}
		p.folder = results[0].place()
		if len(results) > 1 {
			p.folder = filepath.Dir(results[0].Folder)
		}
		if pages := results[0].Pages; pages != "" {
			p.folder = pages
		}
	}
	for _, g := range groups {
		row := sweepRow{verdict: kOfN(g)}
		for _, x := range g[0].Params {
			row.params = append(row.params, x.Value)
		}
		for _, m := range measures {
			row.values = append(row.values, over(g, m))
		}
		row.broken = why(g)
		p.rows = append(p.rows, row)
	}
	return p
}

// precedence orders results: a sweep is as bad as its worst run.
func precedence(r judge.Result) int {
	return slices.Index([]judge.Result{judge.Pass, judge.Fail, judge.Inconclusive, judge.Void, judge.EngineError}, r)
}

func worst(a, b judge.Result) judge.Result {
	if precedence(b) > precedence(a) {
		return b
	}
	return a
}

// Worse gives the worse of two exit codes, in the order of precedence of the
// verdicts behind them; 130 is worse than all.
func Worse(a, b int) int {
	order := []int{0, 1, 3, 5, 4, judge.ExitInterrupted}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// kOfN counts the verdicts of a row, the most frequent first.
func kOfN(g []Result) string {
	if len(g) == 1 {
		return string(g[0].Word())
	}
	n := map[judge.Result]int{}
	for _, r := range g {
		n[r.Word()]++
	}
	var words []judge.Result
	for w := range n {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b judge.Result) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return precedence(a) - precedence(b)
	})
	text := fmt.Sprintf("%s %d of %d", words[0], n[words[0]], len(g))
	for _, w := range words[1:] {
		text += fmt.Sprintf(", %s %d", w, n[w])
	}
	return text
}

// measure is a reported measure of a sweep: its text and, as one text can stand
// for several things when it is said in a loop, which of these it is.
type measure struct {
	text string
	nth  int // from 0
}

func (m measure) head() string {
	if m.nth == 0 {
		return m.text
	}
	return fmt.Sprintf("%s #%d", m.text, m.nth+1)
}

// reported gives the reported claims of a run, in their order.
func reported(r Result) (list []measure, claims map[measure]judge.Claim) {
	claims = map[measure]judge.Claim{}
	if r.Verdict == nil {
		return nil, claims
	}
	for _, c := range r.Verdict.Claims {
		if c.Kind != plan.Report {
			continue
		}
		m := measure{text: c.Text}
		for claims[m].Text != "" {
			m.nth++
		}
		claims[m] = c
		list = append(list, m)
	}
	return list, claims
}

// valuesOf gives the numbers of a reported claim: one, or one a series; a value
// that was never reached is infinite.
func valuesOf(c judge.Claim) []float64 {
	number := func(v *float64) float64 {
		if v == nil {
			return math.Inf(1)
		}
		return *v
	}
	var out []float64
	switch {
	case len(c.Values) > 0:
		for _, x := range c.Values {
			out = append(out, number(x.Value))
		}
	case c.Value != nil:
		out = append(out, *c.Value)
	case c.Outcome == judge.Tabulated && strings.HasPrefix(c.Measured, judge.Quantity(math.Inf(1), c.Unit)):
		out = append(out, math.Inf(1))
	}
	return out
}

// over gives the median of a measure over the repeats, and over its series
// where it has several, and, when they differ, its range; of what is true or
// not, how often it was. Runs without the measure are told.
func over(g []Result, m measure) string {
	var values []float64
	var unit plan.Unit
	runs := 0
	for _, r := range g {
		_, claims := reported(r)
		c := claims[m]
		if v := valuesOf(c); len(v) > 0 {
			values, unit = append(values, v...), c.Unit
			runs++
		}
	}
	if len(values) == 0 {
		return none
	}
	if len(g) == 1 && len(values) == 1 {
		// A gauge tells its own range.
		_, claims := reported(g[0])
		if text := claims[m].Measured; utf8.RuneCountInString(text) <= maxValue {
			return text
		}
	}
	slices.Sort(values)
	low, high := judge.Quantity(values[0], unit), judge.Quantity(values[len(values)-1], unit)
	out := judge.Quantity(median(values), unit)
	switch {
	case low == high:
		out = low
	case unit == plan.UnitTruth:
		yes := 0
		for _, v := range values {
			if v != 0 {
				yes++
			}
		}
		return fmt.Sprintf("%s %d of %d", high, yes, len(g))
	default:
		out += fmt.Sprintf(" (%s–%s)", low, high)
	}
	if runs < len(g) {
		out += fmt.Sprintf(" %d of %d", runs, len(g))
	}
	return out
}

// median of sorted values.
func median(v []float64) float64 {
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// why tells, for each claim that did not hold in a row's runs, in how many, and
// what was measured the first time; then other reasons.
func why(g []Result) []string {
	type entry struct {
		text string
		n    int
	}
	var found []entry
	add := func(key, text string) {
		i := slices.IndexFunc(found, func(e entry) bool { return strings.HasPrefix(e.text, key) })
		if i < 0 {
			found = append(found, entry{text: text})
			i = len(found) - 1
		}
		found[i].n++
	}
	for _, r := range g {
		if r.Error != "" {
			add(r.Error, r.Error)
			continue
		}
		if r.Verdict == nil {
			continue
		}
		for _, x := range r.Verdict.Reasons {
			key, _, _ := strings.Cut(x.Text, ": ")
			add(key, x.Text)
		}
	}
	var out []string
	for _, e := range found {
		text := e.text
		if len(g) > 1 {
			text = fmt.Sprintf("%d of %d: %s", e.n, len(g), text)
		}
		out = append(out, text)
	}
	return out
}
