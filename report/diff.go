// This file defines the page of a comparison of recorded runs.

package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"starfall/interp/plan"
	"starfall/report/compare"
	"starfall/runtime/judge"
)

// markOther stands before what is not the same on both sides.
const markOther = "≠"

// Diff writes a comparison: whether the sides are comparable, then the verdicts,
// then the numbers.
func Diff(w io.Writer, c compare.Comparison) error {
	var b bytes.Buffer
	for _, s := range []struct {
		name string
		of   compare.Facts
	}{{"A", c.A}, {"B", c.B}} {
		spread(&b, " "+s.name+"  "+s.of.Folder, count(s.of.Runs, "run"))
	}
	if err := comparability(&b, c); err != nil {
		return err
	}
	for _, x := range c.Cells {
		if len(x.Params) > 0 {
			fmt.Fprintln(&b)
			paragraphs(&b, 1, "WITH "+paramsText(x.Params))
		}
		if err := verdicts(&b, x); err != nil {
			return err
		}
		if err := numbers(&b, x); err != nil {
			return err
		}
	}
	fmt.Fprintln(&b)
	for _, n := range c.Notes {
		paragraphs(&b, 3, n)
	}
	if len(c.Notes) > 0 {
		fmt.Fprintln(&b)
	}
	head := " SAME VERDICTS"
	switch {
	case c.Flipped > 0:
		head = " " + strings.ToUpper(count(c.Flipped, "verdict")) + " FLIPPED"
	case len(c.Cells) == 0:
		head = " NOTHING IN COMMON"
	case slices.ContainsFunc(c.Cells, func(x compare.Cell) bool { return tally(x.Verdict.A) != tally(x.Verdict.B) }):
		head = " NO VERDICT FLIPPED"
	}
	fmt.Fprintln(&b, head)
	paragraphs(&b, 3, conclusion(c))
	_, err := w.Write(b.Bytes())
	return err
}

// conclusion says in words what the tests came to.
func conclusion(c compare.Comparison) string {
	switch {
	case len(c.Cells) == 0:
		return "no combination of parameters was run on both sides"
	case !slices.ContainsFunc(c.Cells, func(x compare.Cell) bool { return x.A > 0 && x.B > 0 }):
		return "nothing is compared: on one side no experiment took place"
	case !c.Comparable:
		return "numbers are side by side and not tested: the runs are not comparable"
	case c.Tests == 0:
		few := slices.ContainsFunc(c.Cells, func(x compare.Cell) bool {
			return slices.ContainsFunc(x.Numbers, func(n compare.Number) bool { return !n.Same })
		})
		if few {
			return "numbers are ranges: with fewer than 4 runs a side nothing can be said about differences"
		}
		return "no number differs"
	}
	s := fmt.Sprintf("%s done, p corrected by Holm: ", count(c.Tests, "test"))
	if c.Shown > 0 {
		s += fmt.Sprintf("%s shown", count(c.Shown, "difference"))
	} else {
		s += "no difference shown"
	}
	if c.Enough > 0 {
		s += fmt.Sprintf("; with so few runs none can be: %d a side could show one", c.Enough)
	}
	return s
}

func comparability(b *bytes.Buffer, c compare.Comparison) error {
	fmt.Fprintln(b)
	if len(c.Differences) == 0 {
		paragraphs(b, 1, "COMPARABLE: the same plan, parameters, seed, images, engine, Kafka, speed and host")
		return nil
	}
	head := "NOT COMPARABLE: what differs below may be due to any of these"
	if c.Comparable {
		head = "COMPARABLE, as differences of these kinds are wanted"
	}
	paragraphs(b, 1, head)
	rows := [][]string{}
	for _, d := range c.Differences {
		rows = append(rows, []string{string(d.Kind), d.Name, d.A, d.B})
	}
	return grid(b, 3, []column{{}, {head: "", wrap: true}, {head: "A", wrap: true}, {head: "B", wrap: true}}, rows)
}

func paramsText(params []compare.Param) string {
	var parts []string
	for _, p := range params {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, " ")
}

// tally writes how often runs ended how, the most frequent first.
func tally[K ~string](n map[K]int) string {
	total := 0
	for _, k := range n {
		total += k
	}
	if total == 0 {
		return none
	}
	words := slices.SortedFunc(maps.Keys(n), func(a, b K) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(string(a), string(b))
	})
	if total == 1 {
		return string(words[0])
	}
	var parts []string
	for i, w := range words {
		if i == 0 {
			parts = append(parts, fmt.Sprintf("%s %d of %d", w, n[w], total))
		} else {
			parts = append(parts, fmt.Sprintf("%s %d", w, n[w]))
		}
	}
	return strings.Join(parts, ", ")
}

// oneWay tells whether all runs of both sides ended in the same way.
func oneWay[K comparable](a, b map[K]int) bool {
	for k := range a {
		if _, both := b[k]; both {
			return len(a) == 1 && len(b) == 1
		}
	}
	return false
}

func verdicts(b *bytes.Buffer, x compare.Cell) error {
	rows := [][]string{}
	alike := 0
	add := func(other bool, what, a, bb string, t *compare.Test) {
		mark := ""
		if other {
			mark = markOther
		}
		rows = append(rows, []string{mark, what, a, bb})
		if t != nil {
			rows = append(rows, []string{"", "Fisher's exact test: " + pText(t)})
		}
	}
	add(x.Verdict.Flipped, "the run", tally(x.Verdict.A), tally(x.Verdict.B), nil)
	for _, c := range x.Claims {
		if oneWay(c.A, c.B) {
			alike++
			continue
		}
		text := c.Text
		if c.Kind != plan.Expect {
			text = string(c.Kind) + " " + text
		}
		if c.ID != "" {
			text = c.ID + ": " + text
		}
		add(c.Flipped, text, tally(c.A), tally(c.B), c.Test)
	}
	fmt.Fprintf(b, "\n VERDICTS\n")
	if err := grid(b, 3, []column{{}, {wrap: true}, {head: "A", wrap: true}, {head: "B", wrap: true}}, rows); err != nil {
		return err
	}
	if alike > 0 {
		fmt.Fprintf(b, "      %s ended alike\n", count(alike, "claim"))
	}
	return nil
}

func numbers(b *bytes.Buffer, x compare.Cell) error {
	rows := [][]string{}
	sameN := 0
	levels := map[int]float64{} // of intervals, by how many values they are of
	for _, n := range x.Numbers {
		if n.Same {
			sameN++
			continue
		}
		text := n.Text
		if n.Label != "" {
			text += " of " + n.Label
		}
		mark, p := "", none
		if n.Test != nil {
			p = pValue(n.Test.Adjusted)
			if n.Test.Shown {
				mark = markOther
			}
		}
		for _, s := range []compare.Sample{n.A, n.B} {
			levels[s.N] = s.Level
		}
		rows = append(rows, []string{mark, text, sample(n.A, n.Unit), sample(n.B, n.Unit), p})
	}
	if len(rows) == 0 && sameN == 0 {
		return nil
	}
	fmt.Fprintf(b, "\n NUMBERS\n")
	if len(rows) > 0 {
		if err := grid(b, 3, []column{{}, {wrap: true}, {head: "A", right: true, wrap: true}, {head: "B", right: true, wrap: true}, {head: "p", right: true}}, rows); err != nil {
			return err
		}
	}
	for _, n := range slices.Sorted(maps.Keys(levels)) {
		switch level := levels[n]; {
		case n > 1 && level == 0:
			fmt.Fprintf(b, "      of %d runs: median (least–most)\n", n)
		case level > 0:
			fmt.Fprintf(b, "      of %d runs: median (where the true one is with %.0f %% confidence)\n", n, level*100)
		}
	}
	if sameN > 0 {
		word := "numbers are"
		if sameN == 1 {
			word = "number is"
		}
		fmt.Fprintf(b, "      %d %s the same in all runs\n", sameN, word)
	}
	return nil
}

// sample writes a side's number: the median, and its interval or range.
func sample(s compare.Sample, u plan.Unit) string {
	one := func(v *float64) string {
		if v == nil {
			return "never"
		}
		return judge.Quantity(*v, u)
	}
	median, low, high := one(s.Median), one(s.Low), one(s.High)
	if s.N == 1 || low == high {
		return median
	}
	return fmt.Sprintf("%s (%s–%s)", median, low, high)
}

func pText(t *compare.Test) string {
	s := "p " + pValue(t.Adjusted)
	if t.Shown {
		return s + ", differs"
	}
	return s + ", no difference shown"
}

func pValue(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}

// DiffJSON writes a comparison for programs (docs/reference.md).
func DiffJSON(w io.Writer, c compare.Comparison) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(c)
}
