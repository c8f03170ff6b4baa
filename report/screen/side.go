// This file defines the screen of runs that go on side by side: a row each.

package screen

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"starfall/runtime"
	"starfall/runtime/judge"
)

// tally counts verdicts: 3 PASS · 1 FAIL.
func (s *Screen) tally() row {
	count := map[string]int{}
	var words []string
	for i := range s.runs {
		if r := &s.runs[i]; r.state == done {
			if count[r.verdict]++; count[r.verdict] == 1 {
				words = append(words, r.verdict)
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(verdictRank(a), verdictRank(b)), cmp.Compare(a, b))
	})
	var out row
	for i, w := range words {
		if i > 0 {
			out.add(dim, " · ")
		}
		out.add(verdictStyle(w), fmt.Sprintf("%d %s", count[w], w))
	}
	return out
}

func verdictRank(w string) int {
	switch w {
	case string(judge.Pass):
		return 0
	case string(judge.Fail):
		return 1
	}
	return 2
}

func verdictStyle(w string) style {
	switch w {
	case string(judge.Pass):
		return good
	case string(judge.Fail), string(judge.Void), string(judge.EngineError):
		return bad
	}
	return warn
}

// sideParts are the parts for runs side by side.
func (v *view) sideParts() []part {
	s := v.s
	return []part{
		v.title(),
		{rank: rankStatus, sizes: []int{1}, group: groupHead, draw: func(int) []row { return []row{v.standing()} }},
		{rank: rankRows, sizes: upTo(len(s.runs)), group: groupCluster, draw: v.table},
		v.events(true),
		v.foot(),
	}
}

// standing counts the runs by state.
func (v *view) standing() row {
	n := map[state]int{}
	for i := range v.s.runs {
		n[v.s.runs[i].state]++
	}
	var out row
	out.add(bold, fmt.Sprintf("%d of %d done", n[done], len(v.s.runs)))
	if t := v.s.tally(); t.width > 0 {
		out.add(plain, "   ").join(t)
	}
	if k := n[going] + n[judging]; k > 0 {
		out.add(dim, fmt.Sprintf("   %d going on", k))
	}
	if n[waiting] > 0 {
		out.add(dim, fmt.Sprintf("   %d to come", n[waiting]))
	}
	return out
}

// table draws n of the runs: those that go on before those that are done, and
// what is to come last; in their order.
func (v *view) table(n int) []row {
	s := v.s
	order := make([]int, len(s.runs))
	for i := range order {
		order[i] = i
	}
	if n < len(order) {
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(shownRank(&s.runs[a]), shownRank(&s.runs[b])), cmp.Compare(b, a)*isDone(&s.runs[a]))
		})
		order = order[:n]
		slices.Sort(order)
	}
	width := 0
	for i := range s.runs {
		width = max(width, new(row).add(plain, s.runs[i].name).width)
	}
	width = min(width, v.inner()/3)
	digits := len(fmt.Sprint(len(s.runs)))
	rows := make([]row, 0, n)
	for _, i := range order {
		r := &s.runs[i]
		var out row
		out.add(dim, fmt.Sprintf("%*d  ", digits, i+1))
		out.add(plain, cut(r.name, width)).to(digits + 2 + width + 2)
		rows = append(rows, v.runRow(out, r))
	}
	return rows
}

func isDone(r *run) int {
	if r.state == done {
		return 1
	}
	return 0
}

func shownRank(r *run) int {
	switch {
	case r.state == going || r.state == judging:
		return 0
	case r.state == done && r.verdict != string(judge.Pass):
		return 1
	case r.state == done:
		return 2
	}
	return 3
}

// runRow puts what a run does behind its name.
func (v *view) runRow(out row, r *run) row {
	at := out.width
	switch r.state {
	case waiting:
		out.add(dim, "to come")
		return out
	case done:
		out.add(verdictStyle(r.verdict), r.verdict)
		return out
	}
	out.add(plain, r.phase()).to(at + 11)
	p := r.last
	if p.Phase != runtime.PhaseRun || r.state != going {
		out.add(dim, r.doing())
		return out
	}
	length := min(max((v.inner()-out.width-30)/2, 0), 30)
	if length >= 6 {
		out.join(bar(p.At, r.total, length)).add(plain, " ")
	}
	out.add(plain, fmt.Sprintf("%5s", clock(p.At)))
	out.add(plain, fmt.Sprintf(" %7s", judge.Number(math.Round(p.Acked)))).add(dim, " acked/s")
	var trouble []string
	for _, n := range p.Nodes {
		if n.State != "running" {
			trouble = append(trouble, n.Label+" "+n.State)
		}
	}
	if len(trouble) > 0 {
		out.add(plain, "  ").add(bad, clean(strings.Join(trouble, ", ")))
	}
	return out
}
