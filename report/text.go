// Package report renders verdicts and plans: text tables on 80 columns, JSON
// and JUnit XML.
//
// This file defines Result, and how a verdict becomes the page of its run.
package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// Result is what became of one run.
type Result struct {
	Scenario string
	Params   []Param        // that were swept
	Repeat   int            // from 1; 0: nothing is repeated
	Folder   string         // the run folder
	Page     string         // its report.html; "": there is none
	Pages    string         // the report.html of the sweep that it is of; "": there is none
	Wall     time.Duration  // how long it took, in real time
	Exit     int            // the exit code that it makes alone
	Error    string         // what the engine or the recording failed with
	Verdict  *judge.Verdict // nil when nothing was recorded
}

// Param is a parameter that was swept, with this run's value.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Word is the result in one word.
func (r Result) Word() judge.Result {
	switch {
	case r.Error != "" || r.Verdict == nil:
		return judge.EngineError
	case r.Verdict.Interrupted:
		// What was decided stands in the claims; as a whole it says nothing.
		return judge.Inconclusive
	}
	return r.Verdict.Result
}

// place is where to look for more: the page, else the folder.
func (r Result) place() string {
	if r.Page != "" {
		return r.Page
	}
	return r.Folder
}

// Options say how text is written. The zero value is plain.
type Options struct {
	Color bool // mark verdicts with colour
}

// Text writes one run.
func Text(w io.Writer, r Result, o Options) error {
	if r.Verdict == nil {
		spread(w, " "+string(r.Word())+"  nothing was recorded", r.place())
		return nil
	}
	return paged(w, o, pageOf(r).write)
}

// paged writes a page, with colour if asked for.
func paged(w io.Writer, o Options, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	text := b.Bytes()
	if o.Color {
		text = paint(text)
	}
	_, err := w.Write(text)
	return err
}

func pageOf(r Result) page {
	v := r.Verdict
	p := page{
		title:   titleOf(v),
		context: contextOf(v),
		verdict: string(r.Word()),
		summary: fmt.Sprintf("%d of %s held", v.Held, count(v.Expected, "expectation")),
		folder:  r.place(),
	}
	for _, x := range v.Timeline {
		if twice(x) {
			continue
		}
		p.timeline = append(p.timeline, timelineOf(x))
	}
	several := len(v.Producers) > 1
	for _, x := range v.Phases {
		p.phases = append(p.phases, phaseOf(x, several))
	}
	for _, c := range v.Claims {
		if c.Kind == plan.Report {
			p.reports = append(p.reports, reportOf(c)...)
		} else {
			p.claims = append(p.claims, claimOf(c))
		}
	}
	if v.Interrupted {
		p.reasons = append(p.reasons, "interrupted at "+judge.Clock(v.LoadEnded.Std())+": what is said above holds up to there")
	}
	// Claims have their own rows; what is left are causes outside of them.
	said := map[plan.Pos]bool{}
	for _, c := range v.Claims {
		said[bare(c.Pos)] = c.Kind != plan.Report
	}
	for _, x := range v.Reasons {
		if x.Pos != nil && said[bare(*x.Pos)] {
			continue
		}
		text := x.Text
		if x.At != nil {
			text = judge.Clock(x.At.Std()) + "  " + text
		}
		if x.Advice != "" {
			text += "; " + x.Advice
		}
		p.reasons = append(p.reasons, text)
	}
	if r.Error != "" && !slices.ContainsFunc(p.reasons, func(s string) bool { return strings.Contains(s, r.Error) }) {
		p.reasons = append(p.reasons, r.Error)
	}
	return p
}

// twice tells whether a row says what another one says, too: a note has its own.
func twice(x judge.Row) bool {
	return x.Kind == string(record.KindFired) && strings.HasPrefix(x.Text, string(plan.Note)+"(") && x.Error == ""
}

// bare is a position that can be a key.
func bare(p plan.Pos) plan.Pos {
	p.Via = nil
	return p
}

func titleOf(v *judge.Verdict) string {
	if v.Title != "" {
		return v.Title
	}
	return v.Name
}

// contextOf tells under which conditions the run took place. Its engine is
// always among them.
func contextOf(v *judge.Verdict) string {
	parts := []string{v.Engine}
	if v.Kafka != "" {
		parts = append(parts, "kafka "+v.Kafka)
	}
	parts = append(parts, plan.Duration(v.RunFor).String())
	if v.Speed != 0 && v.Speed != 1 {
		parts = append(parts, fmt.Sprintf("speed %g", v.Speed))
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", v.Seed)), " · ")
}

func timelineOf(x judge.Row) timelineRow {
	r := timelineRow{at: Moment(x.At.Std()), what: x.Text, proof: x.Proof}
	if x.Kind == string(record.KindUndoing) {
		r.what = undoing(x.Text)
	}
	if x.Kind == string(record.KindElection) && strings.HasPrefix(x.Proof, "and ") {
		r.what, r.proof = r.what+" "+x.Proof, ""
	}
	if x.Kind == string(record.KindEngineError) {
		r.what, r.proof = "the engine failed", x.Error
	} else if x.Error != "" {
		r.proof = "not proved: " + x.Error
	}
	if x.File != "" && !strings.HasPrefix(x.Proof, "exit code 0") {
		r.proof += ", all of it in " + x.File
	}
	if x.Planned != nil && x.At >= 0 { // what is due at 0 may be done before the clients start, and is then not early
		r.took = fmt.Sprintf("%+d ms", (x.At-*x.Planned).Std().Round(time.Millisecond)/time.Millisecond)
	}
	return r
}

// Moment writes a moment with milliseconds, so that moments stand below
// each other.
func Moment(d time.Duration) string {
	s := judge.Clock(d)
	whole, ms, _ := strings.Cut(s, ".")
	return whole + "." + (ms + "000")[:3]
}

func phaseOf(x judge.Phase, several bool) phaseRow {
	r := phaseRow{
		name:  x.Name,
		from:  judge.Clock(x.From.Std().Round(time.Second)),
		sent:  judge.Number(rounded(x.Sent)),
		acked: judge.Number(rounded(x.Acked)),
		worst: none, p50: none, p99: none, stall: none,
		where: x.StallOn,
	}
	if several {
		r.name += " " + x.Producer
	}
	if x.Worst != nil {
		r.worst = judge.Number(rounded(*x.Worst))
	}
	if x.P50 != nil {
		r.p50 = judge.Length(x.P50.Std())
	}
	if x.P99 != nil {
		r.p99 = judge.Length(x.P99.Std())
	}
	if x.Stall > 0 {
		r.stall = judge.Length(x.Stall.Std())
	}
	return r
}

func rounded(x float64) float64 { return float64(int64(x + 0.5)) }

func claimOf(c judge.Claim) claimRow {
	r := claimRow{text: c.Text, measured: c.Measured, pos: c.Pos.Short()}
	switch c.Outcome {
	case judge.Held:
		r.mark = markPass
	case judge.Broken:
		r.mark = markFail
	default:
		r.mark = markOpen
		r.measured = "no data"
		if c.Measured != "" {
			r.measured += ": " + c.Measured
		}
	}
	if c.Kind != plan.Expect {
		r.text = string(c.Kind) + " " + r.text
	}
	if c.ID != "" {
		r.text = c.ID + ": " + r.text
	}
	if c.Outcome == judge.Held {
		return r
	}
	if event := before(c.Where); event != "" {
		r.measured += ", " + event
	}
	if len(c.Witnesses) > 0 {
		r.notes = append(r.notes, "first: "+c.Witnesses[0].String())
	}
	if c.Advice != "" {
		advice := c.Advice
		if c.Topic != "" {
			advice += ". starfall doc " + c.Topic
		}
		r.notes = append(r.notes, advice)
	}
	if c.Why != "" {
		r.notes = append(r.notes, c.Why)
	}
	if c.Hint != "" {
		r.notes = append(r.notes, "hint: "+c.Hint)
	}
	if len(r.notes) == 0 && c.Outcome == judge.Broken && c.Wanted != "" {
		r.notes = append(r.notes, "wanted "+c.Wanted)
	}
	return r
}

// before tells which event was the last one before the place where a claim
// broke, and how long before it. The place itself stands in what was measured.
func before(w *judge.Where) string {
	if w == nil || w.Event == "" {
		return ""
	}
	event := brief(w.Event)
	if w.At == nil || w.EventAt == nil {
		return "after " + event
	}
	d := (*w.At - *w.EventAt).Std()
	if d < time.Millisecond {
		return "with " + event
	}
	return judge.Length(d) + " after " + event
}

// brief is an event in a few words: kill(kafka-2) for
// kill(orders.leader(partition = 0), restart_after = "30s") → kafka-2.
func brief(event string) string {
	source, target, resolved := strings.Cut(event, " → ")
	verb, _, call := strings.Cut(source, "(")
	switch {
	case !call:
		return event
	case resolved:
		return verb + "(" + target + ")"
	}
	return source
}

// undoing is what a row says that undoes an event.
func undoing(event string) string {
	source, target, resolved := strings.Cut(event, " → ")
	verb, _, _ := strings.Cut(source, "(")
	word := "undo"
	switch plan.Verb(verb) {
	case plan.Kill, plan.Stop, plan.PowerOff:
		word = "start"
	case plan.Pause:
		word = "resume"
	case plan.Crash:
		word = "restart"
	case plan.Configure:
		word, resolved = "revert "+verb, false
	case plan.Reroute:
		word, resolved = "end of reroute", false
	case plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle:
		word, resolved = "heal "+verb, false
	}
	if resolved {
		return word + " " + target
	}
	if word == "undo" {
		return word + " " + source
	}
	return word
}

// reportOf gives a reported measure its row, and one more for each series.
func reportOf(c judge.Claim) []reportRow {
	value := c.Measured
	if c.Outcome == judge.NoData && value == "" {
		value = "no data"
	}
	rows := []reportRow{{text: c.Text, value: value}}
	named := func(x judge.Value) bool { return strings.Contains(value, x.Label) }
	if len(c.Values) < 2 || !slices.ContainsFunc(c.Values, func(x judge.Value) bool { return !named(x) }) {
		return rows
	}
	for _, x := range c.Values {
		rows = append(rows, reportRow{text: "  " + x.Label, value: x.Text})
	}
	return rows
}
