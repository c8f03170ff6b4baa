// This file defines how a bound is put to an answer, and how terms combine.

package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Outcome says whether a claim held.
type Outcome string

// The outcomes. Tabulated is that of a report.
const (
	Held      Outcome = "held"
	Broken    Outcome = "broken"
	NoData    Outcome = "no data"
	Tabulated Outcome = "tabulated"
)

// Where says at which place of the run a claim broke first.
type Where struct {
	At        *Seconds `json:"at,omitempty"`
	For       *Seconds `json:"for,omitempty"` // how long it stayed so
	Series    string   `json:"series,omitempty"`
	Partition *int32   `json:"partition,omitempty"`
	Offset    *int64   `json:"offset,omitempty"`
	Event     string   `json:"event,omitempty"` // the event just before
	EventAt   *Seconds `json:"event_at,omitempty"`
}

// Value is one number of a claim with several series.
type Value struct {
	Label string   `json:"label,omitempty"`
	Value *float64 `json:"value"` // in the measure's unit; null: never
	Text  string   `json:"text"`
}

// ruling is what comes out of one term or combination.
type ruling struct {
	outcome   Outcome
	wanted    string
	measured  string
	value     *float64
	unit      plan.Unit
	values    []Value
	where     *Where
	witnesses []Witness
	term      *plan.Term
}

func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// rule puts a term's bound to its answer.
func (j *judging) rule(t *plan.Term) ruling {
	a := j.answer(t)
	r := ruling{term: t, unit: a.measure.Unit, wanted: wantedText(t, a.measure)}
	if a.noData != "" {
		r.outcome, r.measured = NoData, a.noData
		return r
	}
	if a.question != nil {
		r.witnesses = a.question.witnesses
	}
	if t.Bound == nil {
		j.tabulate(&r, a)
		return r
	}
	if len(a.points) > 0 && wantsPoints(t, a.measure) {
		j.rulePoints(&r, a)
	} else {
		j.ruleNumbers(&r, a)
	}
	if r.outcome == Held && a.doubt != "" {
		r.outcome, r.measured = NoData, a.doubt
	}
	if r.where != nil {
		j.placeEvent(r.where)
	}
	if r.outcome == Broken {
		j.drainLimited(&r, a)
	}
	j.decided(&r, a.measure)
	return r
}

// drainLimited takes back a verdict that rests on records that were still
// coming in when the drain ended.
func (j *judging) drainLimited(r *ruling, a answer) {
	q := a.question
	if q == nil || len(a.numbers) != 1 {
		return
	}
	if q.kind == plan.RefMirror && q.term.Measure == "missing" && j.drained[r.term.Subject.Name] {
		r.outcome = NoData
		r.measured = fmt.Sprintf("%s not copied when the drain ended, and records still came in: give it a longer drain", Number(float64(q.total)))
		return
	}
	if q.kind != plan.RefConsumer || !j.drained[j.consumers[q.index].plan.Name] {
		return
	}
	switch q.term.Measure {
	case "pending":
	case "missing":
		if !holds(r.term.Bound, float64(q.total-q.pending)) {
			return
		}
	default:
		return
	}
	r.outcome = NoData
	r.measured = fmt.Sprintf("%s still coming in when the drain ended: give it a longer drain", Number(float64(q.pending)))
}

func wantedText(t *plan.Term, m plan.Measure) string {
	b := t.Bound
	if b == nil {
		return ""
	}
	v := Quantity(b.Value, m.Unit)
	if m.Unit == plan.UnitTruth && b.Op == plan.Equals {
		if b.Value == 0 {
			return "not " + m.Name
		}
		return m.Name
	}
	switch b.Op {
	case plan.NeverBelow:
		return "never below " + v
	case plan.NeverAbove:
		return "never above " + v
	case plan.AtLeast:
		return "at least " + v
	case plan.AtMost:
		return "at most " + v
	case plan.Equals:
		return v
	case plan.None:
		return "none"
	case plan.Balanced:
		return v + " each"
	case plan.Eventually:
		return fmt.Sprintf("at least %s within %s", v, Length(b.Within.Std()))
	}
	return string(b.Op)
}

// holds tells whether one value keeps to a bound.
func holds(b *plan.Bound, v float64) bool {
	const near = 1e-9
	switch b.Op {
	case plan.NeverBelow, plan.AtLeast, plan.Eventually:
		return v >= b.Value-near
	case plan.NeverAbove, plan.AtMost:
		return v <= b.Value+near
	case plan.None:
		return math.Abs(v) <= near
	}
	return math.Abs(v-b.Value) <= near // equals, balanced
}

// lower tells whether a bound is broken by values that are too low.
func lower(b *plan.Bound) bool {
	return b.Op == plan.NeverBelow || b.Op == plan.AtLeast || b.Op == plan.Eventually
}

func verbOf(b *plan.Bound, unit plan.Unit) string {
	v := Quantity(b.Value, unit)
	switch b.Op {
	case plan.NeverBelow, plan.AtLeast:
		return "below " + v
	case plan.NeverAbove, plan.AtMost:
		return "above " + v
	case plan.None:
		return "not 0"
	}
	return "not " + v
}

// rulePoints puts the bound to every bucket or sample of every series.
func (j *judging) rulePoints(r *ruling, a answer) {
	b, unit := r.term.Bound, a.measure.Unit
	if b.Op == plan.Eventually {
		j.ruleEventually(r, a)
		return
	}
	type extreme struct {
		s series
		p point
	}
	var first, worst, edge *extreme
	points, low, high := 0, math.Inf(1), math.Inf(-1)
	worse := func(v, than float64) bool {
		if lower(b) {
			return v < than
		}
		return math.Abs(v-b.Value) > math.Abs(than-b.Value) && (b.Op != plan.NeverAbove && b.Op != plan.AtMost || v > than)
	}
	for _, s := range a.points {
		for _, p := range s.points {
			x := &extreme{s, p}
			points++
			low, high = min(low, p.v), max(high, p.v)
			if edge == nil || lower(b) && p.v < edge.p.v || !lower(b) && p.v > edge.p.v {
				edge = x
			}
			if holds(b, p.v) {
				continue
			}
			if first == nil || p.from < first.p.from {
				first = x
			}
			if worst == nil || worse(p.v, worst.p.v) {
				worst = x
			}
		}
	}
	if first == nil {
		r.outcome = Held
		r.value = finite(edge.p.v)
		word := "highest "
		switch {
		case points == 1:
			word = ""
		case low == high && a.gauge:
			r.measured = "always " + Quantity(low, unit)
			return
		case lower(b):
			word = "lowest "
		}
		r.measured = fmt.Sprintf("%s%s%s at %s", word, Quantity(edge.p.v, unit), on(edge.s.label), Clock(edge.p.from))
		return
	}
	r.outcome = Broken
	r.value = finite(worst.p.v)
	// How long the series that broke first stayed so.
	stay := time.Duration(0)
	in := false
	last := first.p.from
	for _, p := range first.s.points {
		if p.from == first.p.from {
			in = true
		}
		if in && holds(b, p.v) {
			last = p.from
			break
		}
		if in {
			last = p.to
		}
	}
	stay = last - first.p.from
	r.measured = fmt.Sprintf("%s%s at %s; %s", Quantity(worst.p.v, unit), on(worst.s.label), Clock(worst.p.from), verbOf(b, unit))
	if worst.p.from != first.p.from {
		r.measured += " from " + Clock(first.p.from)
	}
	if stay > 0 {
		r.measured += " for " + Length(stay)
	}
	r.where = &Where{At: seconds(first.p.from), For: seconds(stay), Series: first.s.label}
	r.where.Partition = first.s.spot.pointer()
}

func on(label string) string {
	if label == "" {
		return ""
	}
	return " on " + label
}

// ruleEventually wants each series to reach the value in time.
func (j *judging) ruleEventually(r *ruling, a answer) {
	b, unit := r.term.Bound, a.measure.Unit
	start := a.from
	if w, err := j.frame.resolve(r.term.Windows); err == nil {
		if parts := j.frame.cut(w); len(parts) > 0 {
			start = parts[0].from
		}
	}
	limit := start + b.Within.Std()
	reached := time.Duration(0)
	for _, s := range a.points {
		best := math.Inf(-1)
		found := false
		for _, p := range s.points {
			if p.to > limit {
				break
			}
			best = max(best, p.v)
			if holds(b, p.v) {
				reached = max(reached, p.to)
				found = true
				break
			}
		}
		if !found {
			r.outcome = Broken
			r.where = &Where{At: seconds(limit), Series: s.label}
			if math.IsInf(best, -1) {
				r.outcome = NoData
				r.measured = "nothing was measured in time" + on(s.label)
				return
			}
			r.value = finite(best)
			r.measured = fmt.Sprintf("%s%s at most by %s", Quantity(best, unit), on(s.label), Clock(limit))
			return
		}
	}
	r.outcome = Held
	r.value = finite((reached - start).Seconds())
	r.unit = plan.UnitSeconds
	r.measured = fmt.Sprintf("reached after %s, at %s", Length(reached-start), Clock(reached))
}

// ruleNumbers puts the bound to each number.
func (j *judging) ruleNumbers(r *ruling, a answer) {
	b, unit := r.term.Bound, a.measure.Unit
	if b.Op == plan.Eventually {
		r.outcome, r.measured = NoData, "eventually: not for a measure without a course over time"
		return
	}
	worst := a.numbers[0]
	broken := 0
	r.outcome = Held
	for _, n := range a.numbers {
		bad := !holds(b, n.v)
		if bad {
			broken++
		}
		was := !holds(b, worst.v)
		further := lower(b) && n.v < worst.v || !lower(b) && n.v > worst.v ||
			bad && (b.Op == plan.Equals || b.Op == plan.Balanced) && math.Abs(n.v-b.Value) > math.Abs(worst.v-b.Value)
		if bad && !was || bad == was && further {
			worst = n
		}
		if len(a.numbers) > 1 {
			r.values = append(r.values, Value{n.label, finite(n.v), Quantity(n.v, unit)})
		}
	}
	if broken > 0 {
		r.outcome = Broken
	}
	r.value = finite(worst.v)
	r.measured = numberText(worst, a, unit)
	if broken > 1 {
		r.measured += fmt.Sprintf(", %d of %d", broken, len(a.numbers))
	}
	if r.outcome != Broken {
		return
	}
	r.where = &Where{Series: worst.label}
	if worst.at != nil {
		r.where.At = seconds(*worst.at)
		if worst.to != nil {
			r.where.For = seconds(*worst.to - *worst.at)
		}
	}
	r.where.Partition = worst.spot.pointer()
	if r.where.Series == "" {
		r.where.Series = j.label(worst.spot)
	}
	if len(r.witnesses) > 0 {
		w := r.witnesses[0]
		r.where.Partition, r.where.Offset = &w.Partition, w.Offset
		if r.where.At = w.Due; w.Due == nil {
			r.where.At = w.At
		}
		if r.where.Series == "" {
			r.where.Series = partitionLabel(w.Topic, w.Partition)
		}
	}
}

func numberText(n number, a answer, unit plan.Unit) string {
	if unit == plan.UnitTruth && n.note != "" {
		return n.note
	}
	s := Quantity(n.v, unit)
	if a.of > 0 {
		s += " of " + Number(a.of)
	}
	if n.note != "" && a.question == nil && n.v != 0 {
		if unit == plan.UnitCount {
			s += ","
		}
		s += " " + n.note
	} else {
		s += on(n.label)
	}
	if a.question != nil && a.question.excluded > 0 {
		s += ", " + Number(float64(a.question.excluded)) + " more were deleted (below the log's start)"
	}
	if n.at != nil && n.v != 0 && unit != plan.UnitCount {
		s += ", from " + Clock(*n.at)
		if a.measure.Family == plan.FamilyLatency || a.measure.Name == "raised_at" {
			s = strings.Replace(s, ", from ", ", at ", 1)
		}
	}
	return s
}

// tabulate gives a report its values.
func (j *judging) tabulate(r *ruling, a answer) {
	r.outcome = Tabulated
	list := a.numbers
	if len(list) == 0 {
		list = numbersOf(a.points, r.term.Stat)
	}
	if len(list) == 0 {
		r.measured = "nothing"
		return
	}
	if len(list) == 1 {
		r.value = finite(list[0].v)
		r.measured = numberText(list[0], a, a.measure.Unit)
		if a.gauge && r.term.Stat == "" && len(a.points) == 1 {
			low, high := math.Inf(1), math.Inf(-1)
			for _, p := range a.points[0].points {
				low, high = min(low, p.v), max(high, p.v)
			}
			if low != high {
				r.measured = fmt.Sprintf("%s to %s, mean %s", Quantity(low, r.unit), Quantity(high, r.unit), Quantity(list[0].v, r.unit))
			}
		}
		return
	}
	var parts []string
	for _, n := range list {
		r.values = append(r.values, Value{n.label, finite(n.v), Quantity(n.v, r.unit)})
		parts = append(parts, n.label+" "+Quantity(n.v, r.unit))
	}
	r.measured = strings.Join(parts, ", ")
}

// placeEvent names the last thing that was done before a place.
func (j *judging) placeEvent(w *Where) {
	if w.At == nil {
		return
	}
	for _, e := range j.events {
		if e.At > w.At.Std() {
			break
		}
		switch e.Kind {
		case record.KindEffect, record.KindUndone, record.KindComplete:
			w.Event, w.EventAt = eventText(e), seconds(e.At)
		}
	}
}

// eventText names an event with what it hit.
func eventText(e record.Event) string {
	s := e.What
	if s == "" {
		s = e.Name
	}
	if len(e.Targets) > 0 && !strings.Contains(s, "→") {
		s += " → " + strings.Join(e.Targets, ", ")
	}
	return s
}

// combine judges an expression.
//
//	op      held when          broken when       else
//	term    the bound holds    it does not       no data
//	no      broken             held              no data
//	both    all held           one is broken     no data
//	either  one held           all are broken    no data
func (j *judging) combine(e *plan.Expr) ruling {
	switch e.Op {
	case plan.OpTerm:
		return j.rule(e.Term)
	case plan.OpNo:
		r := j.combine(&e.Args[0])
		switch r.outcome {
		case Held:
			r.outcome = Broken
		case Broken:
			r.outcome = Held
		}
		r.wanted = "not: " + r.wanted
		return r
	}
	decides, all := Broken, Held
	if e.Op == plan.OpEither {
		decides, all = Held, Broken
	}
	var out ruling
	var wanted []string
	out.outcome = all
	for i := range e.Args {
		r := j.combine(&e.Args[i])
		wanted = append(wanted, r.wanted)
		switch {
		case i == 0, r.outcome == decides && out.outcome != decides, r.outcome == NoData && out.outcome == all:
			out = r
		}
	}
	word := " and "
	if e.Op == plan.OpEither {
		word = " or "
	}
	out.wanted = strings.Join(wanted, word)
	return out
}

// terms calls f with every term of an expression.
func terms(e *plan.Expr, f func(*plan.Term)) {
	if e.Term != nil {
		f(e.Term)
	}
	for i := range e.Args {
		terms(&e.Args[i], f)
	}
}
