// This file defines the phases table and the timeline.

package judge

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// disturbance is a time in which one or more events were in effect. A moment
// (from = to) only divides what is before it from what is after.
type disturbance struct {
	name     string
	from, to time.Duration
}

func (j *judging) disturbances() []disturbance {
	var all []disturbance
	for i := range j.plan.Events {
		e := &j.plan.Events[i]
		x, ok := j.frame.edges[e.Name]
		if !ok || !x.proved || x.start >= j.frame.end {
			continue
		}
		quiet := true
		for _, a := range e.Actions {
			switch a.Verb {
			case plan.Note, plan.Send, plan.Heal, plan.HealAll, plan.StartNode, plan.Resume,
				plan.Tool, plan.Allow, plan.Replay, plan.ResetOffsets:
			default:
				quiet = false
			}
		}
		if !quiet {
			all = append(all, disturbance{e.Name, max(x.start, 0), min(x.end, j.frame.end)})
		}
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].from < all[b].from })
	var out []disturbance
	for _, d := range all {
		if n := len(out); n > 0 && d.from < out[n-1].to {
			if !strings.Contains(out[n-1].name, d.name) {
				out[n-1].name += ", " + d.name
			}
			out[n-1].to = max(out[n-1].to, d.to)
			continue
		}
		out = append(out, d)
	}
	return out
}

// maxPhases bounds the table; more disturbances are put together.
const maxPhases = 12

// phases divides the run at its disturbances.
func (j *judging) phases() []Phase {
	from := min(j.frame.warmup, j.frame.end)
	end := j.frame.end
	var parts []disturbance
	list := j.disturbances()
	if len(list) > maxPhases {
		list = []disturbance{{fmt.Sprintf("%d events", len(list)), list[0].from, list[len(list)-1].to}}
	}
	at, name := from, "before"
	if len(list) == 0 {
		name = "whole run"
	}
	for _, d := range list {
		if d.from > at {
			parts = append(parts, disturbance{name, at, d.from})
		}
		if d.to > d.from {
			parts = append(parts, disturbance{d.name, max(d.from, at), d.to})
		}
		at, name = max(at, d.to), "after "+d.name
		if len(list) == 1 {
			name = "after"
		}
	}
	if end > at {
		parts = append(parts, disturbance{name, at, end})
	}
	var out []Phase
	for _, p := range j.producers {
		for _, d := range parts {
			if d.to > d.from {
				out = append(out, j.phase(p, d))
			}
		}
	}
	return out
}

func (j *judging) phase(p *producer, d disturbance) Phase {
	x := Phase{Name: d.name, Producer: p.plan.Name, From: Seconds(d.from), To: Seconds(d.to)}
	// Rates over the whole buckets of 100 ms, so that a short phase has one too.
	from, to := (d.from + tick - 1).Truncate(tick), d.to.Truncate(tick)
	if to > from {
		x.Sent = float64(p.sent.sum(from, to)) / (to - from).Seconds()
		x.Acked = float64(p.acked.sum(from, to)) / (to - from).Seconds()
	}
	var h histogram
	first := (d.from + time.Second - 1).Truncate(time.Second)
	for s := first; s+time.Second <= d.to; s += time.Second {
		n := float64(p.acked.sum(s, s+time.Second))
		if x.Worst == nil || n < *x.Worst {
			x.Worst = &n
		}
		if k := int(s / time.Second); k < len(p.lat) && p.lat[k] != nil {
			h.merge(p.lat[k])
		}
	}
	if h.n > 0 {
		x.P50, x.P99 = seconds(h.quantile(0.5, j.cell)), seconds(h.quantile(0.99, j.cell))
	}
	worst := longest(p.stalls(""), pieces{{d.from, d.to}})
	var most gap
	for _, g := range worst {
		if l := g.to - g.from; l > most.to-most.from || l == most.to-most.from && g.spot < most.spot {
			most = g
		}
	}
	if len(worst) == 0 {
		return x
	}
	x.Stall = Seconds(most.to - most.from)
	// Partitions that stood still for nearly as long are named with it.
	n := 0
	for _, g := range worst {
		if float64(g.to-g.from) >= 0.8*float64(most.to-most.from) {
			n++
		}
	}
	switch {
	case n == p.partitions && n > 1:
		x.StallOn = fmt.Sprintf("all %d partitions", n)
	case n > 1:
		x.StallOn = fmt.Sprintf("%s and %d more", j.label(most.spot), n-1)
	default:
		x.StallOn = j.label(most.spot)
	}
	return x
}

// timeline gives the journal as rows: an action and its proof are one row.
func timeline(p *plan.Plan, events []record.Event) []Row {
	type key struct {
		name               string
		occurrence, action int
		undo               bool
	}
	rows := []Row{}
	open := map[key]int{}
	told := map[key]bool{}       // by a tool's own result
	compared := map[string]int{} // by mirror
	for _, e := range events {
		row := Row{At: Seconds(e.At), Kind: string(e.Kind), Text: eventText(e), Proof: e.Proof, Error: e.Error}
		if e.Planned != nil {
			row.Planned = seconds(*e.Planned)
		}
		k := key{e.Name, e.Occurrence, e.Action, false}
		switch e.Kind {
		case record.KindFired:
			if ev := p.Event(e.Name); ev != nil && e.Action < len(ev.Actions) && ev.Actions[e.Action].Verb == plan.Note {
				continue // its text is the row
			}
			open[k] = len(rows)
		case record.KindUndoing:
			k.undo = true
			open[k] = len(rows)
		case record.KindEffect, record.KindUndone, record.KindComplete, record.KindUnproved:
			if _, ok := open[k]; !ok && e.Kind != record.KindUnproved && e.Kind != record.KindUndone {
				continue
			}
			k.undo = e.Kind == record.KindUndone || e.Undo
			if i, ok := open[k]; ok {
				if (e.Kind == record.KindEffect || e.Kind == record.KindComplete) && told[k] {
					continue // its output tells more
				}
				if e.Proof != "" && rows[i].Proof != "" && e.Proof != rows[i].Proof {
					rows[i].Proof += "; " + e.Proof
				} else if e.Proof != "" {
					rows[i].Proof = e.Proof
				}
				if e.Error != "" {
					rows[i].Error = e.Error
				}
				if len(e.Targets) > 0 && !strings.Contains(rows[i].Text, "→") {
					rows[i].Text += " → " + strings.Join(e.Targets, ", ")
				}
				continue
			}
		case record.KindAlarmRaised:
			row.Text = "alarm " + e.Name + " raised"
		case record.KindAlarmCleared:
			row.Text = "alarm " + e.Name + " cleared"
		case record.KindElection:
			row.Text = electionText(e)
		case record.KindTool:
			row.Text, row.Proof, row.File = toolText(e), toolProof(e), e.File
			if i, ok := open[k]; ok {
				rows[i].Proof, rows[i].File = row.Proof, e.File
				told[k] = true
				continue
			}
		case record.KindDenied:
			row.Text = deniedText(e)
			row.Error, row.Proof = "", e.Error
		case record.KindCompared:
			// One row a mirror: what is alike, and what is not.
			i, ok := compared[e.Name]
			if !ok {
				i = len(rows)
				compared[e.Name] = i
				row.Text, row.Proof, row.Error = "mirror "+e.Name+" against its source", "", ""
				rows = append(rows, row)
			}
			if rows[i].Proof != "" {
				rows[i].Proof += "; "
			}
			rows[i].Proof += e.Aspect + " " + comparedText(e)
			continue
		case record.KindDeleted:
			continue // the action's own row tells
		case record.KindPhase, record.KindClosed, record.KindDrained:
			continue
		case record.KindClient:
			if e.Member == 0 {
				continue // of the run itself, not of one client
			}
		case record.KindNotFired:
			row.Text = e.Name + " never fired"
		case record.KindDrainLimit:
			row.Text = e.Name + ": the drain ended before its group reached the end"
		case record.KindInterrupted:
			row.Text = "interrupted"
		case record.KindEngineError:
			row.Text = "engine error"
		}
		rows = append(rows, row)
	}
	return mergeElections(rows)
}

// toolText is the row of a tool whose action has none.
func toolText(e record.Event) string {
	if e.What != "" {
		return e.What
	}
	return "tool on " + e.Cluster
}

// toolProof is how a tool ended, and the first line that it printed. One that was
// ended has an error elsewhere in its row.
func toolProof(e record.Event) string {
	s := fmt.Sprintf("exit code %d", e.Exit)
	if e.Error != "" {
		s = "no exit code"
	}
	if line := firstLine(e.Output); line != "" {
		s += ": " + line
	}
	return s
}

// firstLine is the first line that says something.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

func deniedText(e record.Event) string {
	s := e.Name
	if e.Member > 0 {
		s += fmt.Sprintf("-%d", e.Member)
	}
	if s += " was denied"; e.Cluster != "" {
		s += " by " + e.Cluster
	}
	return s
}

// comparedText is what came out of comparing a mirror with its source in one
// respect.
func comparedText(e record.Event) string {
	switch {
	case e.Different == 0 && e.Error != "":
		return "not compared: " + e.Error
	case e.Compared == 0 && e.Different == 0:
		return "not compared: there is nothing"
	case e.Different == 0:
		return "identical (" + Number(float64(e.Compared)) + ")"
	}
	s := fmt.Sprintf("differ: %s of %s", Number(float64(e.Different)), Number(float64(e.Compared)))
	if e.Error != "" {
		s += ", first: " + e.Error
	}
	return s
}

func electionText(e record.Event) string {
	s := fmt.Sprintf("%s: leader %d", partitionLabel(e.Topic, e.Partition), e.To)
	if e.To < 0 {
		s = partitionLabel(e.Topic, e.Partition) + ": no leader"
	}
	if e.Unclean {
		s += " (unclean)"
	}
	return s
}

// mergeElections puts elections that follow each other within 100 ms into one
// row.
func mergeElections(rows []Row) []Row {
	var out []Row
	n := 1
	for _, r := range rows {
		last := len(out) - 1
		if last >= 0 && r.Kind == string(record.KindElection) && out[last].Kind == r.Kind && r.At-out[last].At <= Seconds(100*time.Millisecond) {
			n++
			out[last].Proof = fmt.Sprintf("and %d more", n-1)
			continue
		}
		n = 1
		out = append(out, r)
	}
	return out
}
