// This file defines Sheet and SweepSheet: what Text and Table print, before it
// is laid out on 80 columns, for who lays it out in another way.

package report

import (
	"slices"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// Sheet is one run in words.
type Sheet struct {
	Title    string
	Context  string // engine · kafka · length · seed
	Verdict  judge.Result
	Summary  string // 1 of 3 expectations held
	Timeline []TimelineRow
	Phases   []PhaseRow
	Claims   []ClaimRow // without reports
	Reports  []ReportRow
	Reasons  []string // why a verdict that is neither PASS nor FAIL
}

// TimelineRow is a row of the timeline. Took is how much later than planned it
// came.
type TimelineRow struct {
	Row                   judge.Row
	At, What, Proof, Took string
}

// PhaseRow is a row of the phases.
type PhaseRow struct {
	Phase                                                    judge.Phase
	Name, From, Sent, Acked, Worst, P50, P99, Stall, StallOn string
}

// ClaimRow is a row of the claims.
type ClaimRow struct {
	Claim    judge.Claim
	Text     string // with assume and rule, and its id, in front
	Measured string // with the event before
	Notes    []string
}

// ReportRow is a reported measure, or one of its series.
type ReportRow struct{ Text, Value string }

// SheetOf puts a run into words.
func SheetOf(r Result) Sheet {
	if r.Verdict == nil {
		s := Sheet{Title: r.Scenario, Verdict: r.Word(), Summary: "nothing was recorded"}
		if r.Error != "" {
			s.Reasons = []string{r.Error}
		}
		return s
	}
	p := pageOf(r)
	s := Sheet{Title: p.title, Context: p.context, Verdict: r.Word(), Summary: p.summary, Reasons: p.reasons}
	rows := slices.DeleteFunc(slices.Clone(r.Verdict.Timeline), twice)
	for i, x := range p.timeline {
		s.Timeline = append(s.Timeline, TimelineRow{Row: rows[i], At: x.at, What: x.what, Proof: x.proof, Took: x.took})
	}
	for i, x := range p.phases {
		s.Phases = append(s.Phases, PhaseRow{r.Verdict.Phases[i], x.name, x.from, x.sent, x.acked, x.worst, x.p50, x.p99, x.stall, x.where})
	}
	claims := slices.DeleteFunc(slices.Clone(r.Verdict.Claims), func(c judge.Claim) bool { return c.Kind == plan.Report })
	for i, x := range p.claims {
		s.Claims = append(s.Claims, ClaimRow{claims[i], x.text, x.measured, x.notes})
	}
	for _, x := range p.reports {
		s.Reports = append(s.Reports, ReportRow{x.text, x.value})
	}
	return s
}

// SweepSheet is many runs in words: a row for each combination of parameters.
type SweepSheet struct {
	Context  string
	Params   []string // heads
	Measures []string // heads
	Rows     []SweepRow
	Verdict  judge.Result
	Summary  string
}

// SweepRow is one combination of parameters over its repeats.
type SweepRow struct {
	Params  []string
	Verdict string   // of several repeats with k of N
	Values  []string // of the measures: median, and range in brackets
	Broken  []string // what did not hold
	Runs    []Result // its repeats
}

// SweepSheetOf puts runs into words.
func SweepSheetOf(results []Result) SweepSheet {
	p := sweepOf(results)
	s := SweepSheet{Context: p.context, Params: p.params, Measures: p.measures, Verdict: judge.Result(p.verdict), Summary: p.summary}
	for _, x := range p.rows {
		s.Rows = append(s.Rows, SweepRow{Params: x.params, Verdict: x.verdict, Values: x.values, Broken: x.broken})
	}
	for _, r := range results {
		i := slices.IndexFunc(s.Rows, func(row SweepRow) bool {
			return slices.EqualFunc(row.Params, r.Params, func(v string, p Param) bool { return v == p.Value })
		})
		if i >= 0 {
			s.Rows[i].Runs = append(s.Rows[i].Runs, r)
		}
	}
	return s
}
