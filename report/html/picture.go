// This file defines picture: the panels on one axis of time, and what happened
// shaded across all of them.

package html

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// picture is everything that shares the axis of time.
type picture struct {
	End     string // in seconds
	Step    int    // seconds in a bucket
	Coarse  string // what is said of buckets of several seconds
	Ticks   []timeTick
	Spans   []windowView // in which the run does not count: warm-up, drain
	Windows []windowView
	Rows    int // that the labels of the windows take
	Height  int // of the strip of windows
	Hidden  int // windows that are not drawn
	Panels  []panel
	Lanes   []laneGroup
	Data    template.JS
}

// windowView is a fault or a moment: a place on the axis, and its label in the
// strip above the panels.
type windowView struct {
	ID     string
	Label  string
	Say    string
	A, B   string // in seconds
	X, W   string // in percent
	Moment bool
	Y      int
	TextX  string
	TextY  int
	Left   bool // the label stands to the left
}

// panel is one drawing of curves.
type panel struct {
	ID      string
	Title   string
	Note    string // what its curves are
	Summary string
	Height  int
	Ticks   []valueTick
	Curves  []curve
	Data    dataTable
}

// curve is one line of a panel.
type curve struct {
	Name, Class string
	Path        string
	Area        string
}

// dataTable is what a panel shows, in numbers.
type dataTable struct {
	Caption string
	Heads   []string
	Rows    [][]string
}

// How much is drawn.
const (
	curveHeight = 92
	stripRow    = 18
	maxWindows  = 200
	maxCurves   = 4 // producers, or groups, with panels of their own
	maxRows     = 120
)

// drawing puts a judge's picture on paper.
type drawing struct {
	plan *plan.Plan
	from *judge.Picture
	time timeScale
	b    buckets
	out  picture
	all  []series // in the order of the panels' curves
}

// draw gives the picture; nil when the load never began.
func draw(p *plan.Plan, from *judge.Picture) *picture {
	if from.End <= 0 {
		return nil
	}
	d := drawing{plan: p, from: from, time: timeScale{from.End}, b: bucketsOf(from.End)}
	d.out = picture{End: secs(from.End), Step: d.b.step, Ticks: d.time.ticks()}
	if d.b.step > 1 {
		d.out.Coarse = fmt.Sprintf("Each step of a curve is %d seconds, from its lowest to its highest second.", d.b.step)
	}
	d.windows()
	d.producers()
	d.groups()
	d.lanes()
	d.out.Data = template.JS(d.json())
	return &d.out
}

// windows lays the strip of faults out: a label goes into the first row where
// it covers no other.
func (d *drawing) windows() {
	span := func(label string, from, to time.Duration) {
		if to > from {
			d.out.Spans = append(d.out.Spans, windowView{Label: label, A: secs(from), B: secs(to),
				X: d.time.percent(from), W: short((d.time.x(to)-d.time.x(from))/units*100, 3) + "%"})
		}
	}
	span("warm-up", 0, min(d.plan.Scenario.Warmup.Std(), d.from.End))
	span("load has ended", d.from.LoadEnded, d.from.End)

	all := d.from.Windows
	if len(all) > maxWindows {
		d.out.Hidden = len(all) - maxWindows
		all = all[:maxWindows]
	}
	var taken []float64 // by row: up to where, in units
	for i, w := range all {
		from, to := max(w.From, 0), min(max(w.To, w.From, 0), d.from.End)
		if from > d.from.End {
			continue
		}
		v := windowView{ID: fmt.Sprintf("event-%d", i+1), Label: d.name(w), A: secs(from), B: secs(to),
			X: d.time.percent(from), W: short((d.time.x(to)-d.time.x(from))/units*100, 3) + "%"}
		v.Moment = to-from < time.Millisecond
		v.Say = v.Label + " at " + judge.Clock(from)
		if !v.Moment {
			v.Say = v.Label + " from " + judge.Clock(from) + " to " + judge.Clock(to)
		}
		if !w.Proved {
			v.Say += ", not proved"
		}
		// A character takes about 9 units of a picture of middle width.
		x, wide := d.time.x(from), 9*float64(len([]rune(v.Label)))+16
		left, right := x, max(x+wide, d.time.x(to))
		v.TextX = v.X
		if x+wide > units && x > wide {
			v.Left = true
			left, right = x-wide, d.time.x(to)
		}
		row := slices.IndexFunc(taken, func(until float64) bool { return until <= left })
		if row < 0 {
			row = len(taken)
			taken = append(taken, 0)
		}
		taken[row] = right
		v.Y, v.TextY = row*stripRow+3, row*stripRow+14
		d.out.Windows = append(d.out.Windows, v)
	}
	d.out.Rows = max(len(taken), 1)
	d.out.Height = d.out.Rows*stripRow + 4
}

// name is a window in a few words: by the name that the scenario gives its
// event, and what was done to whom.
func (d *drawing) name(w judge.FaultWindow) string {
	did := string(w.Verb)
	if w.Verb == plan.Note || w.Verb == plan.Send {
		did = clip(w.What, 40)
	} else if len(w.Targets) > 0 {
		did += " " + clip(strings.Join(w.Targets, ", "), 40)
	}
	if !strings.HasPrefix(w.Event, "event-") && w.Event != "" {
		return w.Event + ": " + did
	}
	return did
}

// clip shortens a text for a label. The whole of it stands elsewhere.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// add makes a panel of curves.
func (d *drawing) add(p panel, scale valueScale, ticks []float64, text func(float64) string, list ...series) {
	p.Height = curveHeight
	p.Ticks = scale.label(ticks, text)
	for _, s := range list {
		c := curve{Name: s.name, Class: s.class, Path: s.path(d.b, d.time, scale)}
		if s.fill {
			c.Area = s.area(d.b, d.time, scale)
		}
		p.Curves = append(p.Curves, c)
		d.all = append(d.all, s)
	}
	p.ID = fmt.Sprintf("panel-%d", len(d.out.Panels)+1)
	p.Data = d.table(p.Title, list)
	d.out.Panels = append(d.out.Panels, p)
}

// producers makes the panels of rates and latencies: one of each for every
// producer, or for all of them when they are many.
func (d *drawing) producers() {
	list := d.from.Producers
	several := len(list) > 1
	if len(list) > maxCurves {
		all := d.from.All
		all.Name = fmt.Sprintf("all %d producers", len(list))
		list = []judge.ProducerSeries{all}
	}
	title := func(what, name string) string {
		if several {
			return what + " of " + name
		}
		return what
	}
	var latencies []func()
	for _, p := range list {
		until := int((d.from.LoadEnded + time.Second - 1) / time.Second)
		sent := d.b.series(series{name: "sent", class: "sent", unit: perSecond}, counted(p.Sent, until))
		acked := d.b.series(series{name: "acknowledged", class: "acked", unit: perSecond, fill: true}, counted(p.Acked, until))
		scale, ticks := linear(max(sent.greatest(), acked.greatest()), curveHeight)
		d.add(panel{Title: title("Rate", p.Name), Note: "records a second", Summary: rateWords(p, d.from.LoadEnded)}, scale, ticks, compact, acked, sent)
		latencies = append(latencies, func() {
			p50 := d.b.series(series{name: "p50", class: "p50", unit: length}, quantile(p.Times, func(q judge.Quantiles) time.Duration { return q.P50 }))
			p99 := d.b.series(series{name: "p99", class: "p99", unit: length}, quantile(p.Times, func(q judge.Quantiles) time.Duration { return q.P99 }))
			scale, ticks := logarithmic(min(p50.least(), p99.least()), p99.greatest(), curveHeight)
			d.add(panel{Title: title("Latency", p.Name), Note: "due to acknowledged, log scale", Summary: latencyWords(p)}, scale, ticks, secondsText, p99, p50)
		})
	}
	for _, f := range latencies {
		f()
	}
}

// counted gives counts as values: up to the end of the load, and beyond where
// there is something.
func counted(list []uint64, until int) []float64 {
	for len(list) > until && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	out := make([]float64, len(list))
	for i, n := range list {
		out[i] = float64(n)
	}
	return out
}

func quantile(list []judge.Quantiles, of func(judge.Quantiles) time.Duration) []float64 {
	out := make([]float64, len(list))
	for i, q := range list {
		out[i] = math.NaN()
		if q.N > 0 {
			out[i] = of(q).Seconds()
		}
	}
	return out
}

func secondsText(v float64) string { return judge.Quantity(v, plan.UnitSeconds) }

// groups makes the panels of lag: one for every group, or one with all of them
// added up when they are many.
func (d *drawing) groups() {
	list := d.from.Groups
	if len(list) > maxCurves {
		list = []judge.GroupSeries{d.sum(list)}
	}
	for _, g := range list {
		lag := d.b.series(series{name: "lag", class: "lag", unit: records}, lagBySecond(g.Lag, d.b, d.from.End))
		open := d.b.series(series{name: "undelivered", class: "open", unit: records, fill: true}, undelivered(g.Undelivered))
		curves := []series{open, lag}
		if g.Undelivered == nil {
			curves = curves[1:]
		}
		scale, ticks := linear(max(lag.greatest(), open.greatest()), curveHeight)
		title := "Lag and undelivered of " + g.Name
		if len(d.from.Groups) == 1 {
			title = "Lag and undelivered"
		}
		d.add(panel{Title: title, Note: "behind the log; acknowledged, not delivered yet", Summary: lagWords(g)}, scale, ticks, compact, curves...)
	}
}

func undelivered(list []int64) []float64 {
	out := make([]float64, len(list))
	for i, n := range list {
		out[i] = float64(n)
	}
	return out
}

// lagBySecond gives the greatest lag that a sample showed in each second. A
// second without a sample has the one before, unless that is long ago.
func lagBySecond(list []judge.Level, b buckets, end time.Duration) []float64 {
	out := make([]float64, int((end+time.Second-1)/time.Second))
	for i := range out {
		out[i] = math.NaN()
	}
	for _, l := range list {
		if i := int(l.At / time.Second); i < len(out) && !(out[i] >= l.Value) {
			out[i] = l.Value
		}
	}
	const stale = 5
	known, age := math.NaN(), 0
	for i, v := range out {
		if age++; !math.IsNaN(v) {
			known, age = v, 0
		} else if age <= stale {
			out[i] = known
		}
	}
	return out
}

// sum adds groups up.
func (d *drawing) sum(list []judge.GroupSeries) judge.GroupSeries {
	out := judge.GroupSeries{Name: fmt.Sprintf("all %d groups", len(list))}
	n := int((d.from.End + time.Second - 1) / time.Second)
	lag, open := make([]float64, n), make([]int64, n)
	for _, g := range list {
		for i, v := range lagBySecond(g.Lag, d.b, d.from.End) {
			if !math.IsNaN(v) {
				lag[i] += v
			}
		}
		for i, v := range g.Undelivered {
			open[i] += v
		}
	}
	for i, v := range lag {
		out.Lag = append(out.Lag, judge.Level{At: time.Duration(i) * time.Second, Value: v})
	}
	out.Undelivered = open
	return out
}

// table gives curves in numbers, in maxRows rows at most.
func (d *drawing) table(title string, list []series) dataTable {
	t := dataTable{Caption: title, Heads: []string{"from"}}
	for _, s := range list {
		t.Heads = append(t.Heads, s.name)
	}
	per := (d.b.n + maxRows - 1) / maxRows
	if n := per * d.b.step; n > 1 {
		t.Caption += fmt.Sprintf(", lowest–highest in %d s", n)
	}
	for i := 0; i < d.b.n; i += max(per, 1) {
		row := []string{judge.Clock(d.b.from(i))}
		known := false
		for _, s := range list {
			cell := "–"
			if i < len(s.low) {
				to := min(i+per, len(s.low))
				low, _ := fold(s.low[i:to], per)
				_, high := fold(s.high[i:to], per)
				if !math.IsNaN(low[0]) {
					cell, known = s.text(low[0]), true
					if top := s.text(high[0]); top != cell {
						cell += "–" + top
					}
				}
			}
			row = append(row, cell)
		}
		if known {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// text writes a value of the series.
func (s series) text(v float64) string {
	switch s.unit {
	case perSecond:
		return judge.Quantity(v, plan.UnitRate)
	case length:
		return secondsText(v)
	}
	return judge.Number(math.Round(v))
}

// json is what the page's script reads values from: a curve after the other,
// as they stand in the panels.
func (d *drawing) json() string {
	var out strings.Builder
	fmt.Fprintf(&out, `{"end":%s,"step":%d,"curves":[`, d.out.End, d.b.step)
	for i, s := range d.all {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, `{"unit":"%s","low":%s`, s.unit, data(s.low))
		if d.b.step > 1 {
			fmt.Fprintf(&out, `,"high":%s`, data(s.high))
		}
		out.WriteByte('}')
	}
	out.WriteString("]}")
	return out.String()
}
