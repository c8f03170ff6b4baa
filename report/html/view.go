// This file defines view: what the page of one run says, in the order in which
// it says it.

package html

import (
	"fmt"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime/judge"
)

// view is the page of a run.
type view struct {
	frame
	Sheet   report.Sheet
	Params  []report.Param // of the sweep that the run is a cell of
	Repeat  int
	Folder  string
	Doc     []string // paragraphs of the docstring
	Cuts    []string // what was cut short
	Claims  []claimView
	Picture *picture
	Phases  []phaseView
	Rows    []rowView
	Sources []source
	Facts   []factGroup
	Totals  totals
}

// claimView is one claim with its links.
type claimView struct {
	verdictView
	ID       string
	Text     string
	Wanted   string
	Measured string
	Place    string // line 12, or file:line
	Line     string // the anchor of it; "": the file is not there
	Notes    []string
	Values   []string // of several series
	Moment   *moment
}

// moment is a place on the axis that a link zooms to.
type moment struct {
	At, From, To string // in seconds
	Text         string
}

// rowView is one row of the timeline.
type rowView struct {
	report.TimelineRow
	ID     string
	Class  string
	Moment *moment
	Place  string
	Line   string
}

// phaseView is one row of the phases.
type phaseView struct {
	report.PhaseRow
	Moment *moment
}

// totals is what became of all records.
type totals struct {
	Producers [][]string
	Consumers [][]string
}

// momentOf gives a link to at with what is around it: from the event before,
// when that is near, to where it was over. Nil outside of the picture.
func momentOf(p *judge.Picture, at time.Duration, event *time.Duration, lasting time.Duration) *moment {
	if p == nil || p.End <= 0 || at < 0 || at > p.End {
		return nil
	}
	const around, near = 5 * time.Second, 30 * time.Second
	from, to := at, at+lasting
	if event != nil && *event >= 0 && at-*event <= near {
		from = *event
	}
	from, to = max(from-around, 0), min(to+around, p.End)
	// The more of the run there is, the wider a look shows what was usual.
	if least := p.End / 12; to-from < least {
		more := (least - (to - from)) / 2
		from, to = max(from-more, 0), min(to+more, p.End)
	}
	return &moment{At: secs(at), From: secs(from), To: secs(to), Text: judge.Clock(at)}
}

func runView(p Page) (view, error) {
	r := p.Result
	sheet := report.SheetOf(r)
	v := view{frame: newFrame(sheet.Title, sheet.Verdict), Sheet: sheet, Params: r.Params, Repeat: r.Repeat, Folder: r.Folder}
	var pic *judge.Picture
	if p.Recording != nil {
		var err error
		if pic, err = judge.Depict(p.Recording); err != nil {
			return v, err
		}
		pl := p.Recording.Plan
		v.Picture = draw(pl, pic)
		for part := range strings.SplitSeq(pl.Doc, "\n\n") {
			if part = strings.TrimSpace(part); part != "" {
				v.Doc = append(v.Doc, part)
			}
		}
		if !p.Recording.Whole {
			v.Cuts = append(v.Cuts, "the recording ends early: "+p.Recording.Cut)
		}
		if pic.Cut != "" {
			v.Cuts = append(v.Cuts, "what follows is not in it: "+pic.Cut)
		}
		v.Sources = sourcesOf(pl)
		v.Facts = factsOf(r, p.Recording)
	}
	v.cutShort(r, pic)
	lines := anchors(v.Sources)
	for i, c := range sheet.Claims {
		v.Claims = append(v.Claims, claimOf(c, i, pic, lines))
	}
	for _, x := range sheet.Phases {
		row := phaseView{PhaseRow: x}
		if from, to := x.Phase.From.Std(), x.Phase.To.Std(); pic != nil && to <= pic.End {
			row.Moment = &moment{At: secs(from), From: secs(from), To: secs(to), Text: x.From}
		}
		v.Phases = append(v.Phases, row)
	}
	v.timeline(p, pic, lines)
	mark(v.Sources, v.Claims, v.Rows)
	if r.Verdict != nil {
		v.Totals = totalsOf(r.Verdict)
	}
	return v, nil
}

// cutShort tells what the page or the run leaves out.
func (v *view) cutShort(r report.Result, pic *judge.Picture) {
	if r.Verdict != nil && r.Verdict.Interrupted {
		v.Cuts = append(v.Cuts, "the run was interrupted at "+judge.Clock(r.Verdict.LoadEnded.Std()))
	} else if r.Verdict != nil && r.Verdict.LoadEnded < r.Verdict.RunFor {
		v.Cuts = append(v.Cuts, fmt.Sprintf("the load ended at %s; %s were planned",
			judge.Clock(r.Verdict.LoadEnded.Std()), judge.Length(r.Verdict.RunFor.Std())))
	}
	if v.Picture != nil && v.Picture.Hidden > 0 {
		v.Cuts = append(v.Cuts, fmt.Sprintf("the picture leaves out the last %d of %d happenings; the timeline has all of them",
			v.Picture.Hidden, len(pic.Windows)))
	}
	if n := len(v.Sheet.Timeline); n > maxTimeline {
		v.Cuts = append(v.Cuts, fmt.Sprintf("the timeline shows the first %d of %d rows; verdict.json has all of them", maxTimeline, n))
		v.Sheet.Timeline = v.Sheet.Timeline[:maxTimeline]
	}
}

// maxTimeline bounds the timeline of a page.
const maxTimeline = 1000

func outcome(o judge.Outcome) verdictView {
	switch o {
	case judge.Held:
		return verdictView{"held", "✓", "held"}
	case judge.Broken:
		return verdictView{"broken", "✗", "did not hold"}
	}
	return verdictView{"open", "?", "no data"}
}

func claimOf(c report.ClaimRow, i int, pic *judge.Picture, lines places) claimView {
	x := c.Claim
	v := claimView{verdictView: outcome(x.Outcome), ID: fmt.Sprintf("claim-%d", i+1), Text: c.Text, Wanted: x.Wanted, Measured: c.Measured,
		Notes: c.Notes}
	v.Place, v.Line = lines.place(x.Pos)
	// What was wanted has its own place here.
	if len(v.Notes) == 1 && v.Notes[0] == "wanted "+x.Wanted {
		v.Notes = nil
	}
	if len(x.Values) > 1 && x.Outcome != judge.Held {
		for _, s := range x.Values {
			v.Values = append(v.Values, s.Label+": "+s.Text)
		}
	}
	if x.Outcome == judge.Held {
		return v
	}
	if at, event, lasting, ok := placeOf(x); ok {
		v.Moment = momentOf(pic, at, event, lasting)
	}
	return v
}

// placeOf is when a claim broke: at the place that the judge names, else where
// its first witness was acknowledged, or due.
func placeOf(c judge.Claim) (at time.Duration, event *time.Duration, lasting time.Duration, ok bool) {
	if w := c.Where; w != nil && w.At != nil {
		if w.EventAt != nil {
			e := w.EventAt.Std()
			event = &e
		}
		if w.For != nil {
			lasting = w.For.Std()
		}
		return w.At.Std(), event, lasting, true
	}
	for _, w := range c.Witnesses {
		switch {
		case w.At != nil:
			return w.At.Std(), nil, 0, true
		case w.Due != nil:
			return w.Due.Std(), nil, 0, true
		}
	}
	return 0, nil, 0, false
}

// timeline makes the rows; one that an event of the scenario caused links to
// its line.
func (v *view) timeline(p Page, pic *judge.Picture, lines places) {
	caused := map[string]plan.Pos{}
	if p.Recording != nil {
		for _, e := range p.Recording.Plan.Events {
			for _, a := range e.Actions {
				if _, ok := caused[a.Source]; !ok {
					caused[a.Source] = e.Pos
				}
			}
		}
	}
	for i, x := range v.Sheet.Timeline {
		row := rowView{TimelineRow: x, ID: fmt.Sprintf("row-%d", i+1), Moment: momentOf(pic, x.Row.At.Std(), nil, 0)}
		source, _, _ := strings.Cut(x.Row.Text, " → ")
		if pos, ok := caused[source]; ok {
			row.Place, row.Line = lines.place(pos)
		}
		if x.Row.Error != "" && x.Row.Kind != "denied" {
			row.Class = "broken"
		}
		v.Rows = append(v.Rows, row)
	}
}

func totalsOf(v *judge.Verdict) (t totals) {
	n := func(x uint64) string { return judge.Number(float64(x)) }
	for _, p := range v.Producers {
		t.Producers = append(t.Producers, []string{p.Name, n(p.Sent), n(p.Acked), n(p.Failed), n(p.Unknown), judge.Quantity(p.Late, plan.UnitShare)})
	}
	for _, c := range v.Consumers {
		t.Consumers = append(t.Consumers, []string{c.Name, n(c.Deliveries), n(c.Distinct)})
	}
	return t
}
