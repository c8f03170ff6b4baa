// This file defines the parts of the screen of one run.

package screen

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"starfall/runtime"
	"starfall/runtime/judge"
)

// runParts are the parts for the run that goes on, from top to bottom.
func (v *view) runParts() []part {
	r := &v.s.runs[v.s.now]
	p := r.last
	room := v.inner() - label
	parts := []part{
		v.title(),
		{rank: rankStatus, sizes: []int{1}, group: groupHead, draw: func(int) []row { return []row{v.status(r)} }},
		{rank: rankRates, sizes: rateSizes(), group: groupRates, draw: func(n int) []row { return v.rates(r, n) }},
	}
	add := func(name string, rk rank, cells []cell) {
		parts = append(parts, part{rank: rk, sizes: need(cells, room), group: groupCluster, draw: func(n int) []row {
			return named(name, list(cells, n, room))
		}})
	}
	brokers, calm := brokerCells(p.Nodes)
	add("brokers", either(calm, rankCalmBrokers, rankBrokers), brokers)
	parts = append(parts, v.groups(p))
	partitions, calm := partitionCells(p.Partitions)
	add("partitions", either(calm, rankCalm, rankPartitions), partitions)
	alarms, calm := alarmCells(p.Alarms)
	add("alarms", either(calm, rankCalm, rankAlarms), alarms)
	parts = append(parts, v.faults(p), v.next(r))
	return append(parts, v.events(false), v.foot())
}

func either(calm bool, a, b rank) rank {
	if calm {
		return a
	}
	return b
}

// title is the scenario, which run of how many this is, and where it runs.
func (v *view) title() part {
	s := v.s
	return part{rank: rankTitle, sizes: sizeIf(s.Title+s.Facts+s.runs[s.now].name != ""), group: groupHead, draw: func(int) []row {
		var r row
		r.add(bold, s.Title)
		if len(s.runs) > 1 && !s.Side {
			r.add(plain, strings.Repeat(" ", min(2, r.width)))
			r.add(plain, fmt.Sprintf("%d of %d", s.now+1, len(s.runs)))
			r.add(plain, "  "+s.runs[s.now].name)
			if t := s.tally(); t.width > 0 {
				r.add(plain, "  ").join(t)
			}
		}
		r.right(dim, s.Facts, v.inner())
		return []row{r}
	}}
}

func sizeIf(shown bool) []int {
	if shown {
		return []int{1}
	}
	return nil
}

// doing says what a phase without an end in sight does.
func doing(p runtime.Phase) string {
	switch p {
	case runtime.PhasePrepare, "":
		return "brings the cluster up"
	case runtime.PhaseLoad:
		return "makes the clients ready"
	case runtime.PhaseHeal:
		return "undoes what is broken"
	case runtime.PhaseDrain:
		return "waits for the consumers"
	case runtime.PhaseAudit:
		return "reads every log"
	case runtime.PhaseTakeDown:
		return "takes everything down"
	}
	return ""
}

// phase names the phase of a run for people.
func (r *run) phase() string {
	switch r.state {
	case judging:
		return "judge"
	case done:
		return r.verdict
	}
	return strings.ReplaceAll(string(cmp.Or(r.last.Phase, runtime.PhasePrepare)), "_", " ")
}

func (r *run) doing() string {
	switch r.state {
	case judging:
		return "computes the verdict from the recording"
	case done:
		return ""
	}
	return doing(r.last.Phase)
}

// status is the phase, the time, and a bar to run_for.
func (v *view) status(r *run) row {
	var out row
	out.add(bold, r.phase()).to(label - 2)
	p := r.last
	if p.At > 0 || p.Phase == runtime.PhaseRun {
		out.add(plain, fmt.Sprintf("%6s", clock(p.At)))
	} else {
		out.to(label + 4)
	}
	out.add(plain, "  ")
	if p.Phase != runtime.PhaseRun || r.state != going {
		out.add(plain, r.doing())
		return out
	}
	left := fmt.Sprintf("  %s left", clock(p.Left+time.Second-1))
	if width := v.inner() - out.width - len(left); width >= 8 {
		out.join(bar(p.At, r.total, min(width, 120)))
	}
	out.add(plain, left)
	return out
}

// bar fills a width as far as at is of total.
func bar(at, total time.Duration, width int) row {
	full := 0
	if total > 0 {
		full = int(int64(width) * int64(min(max(at, 0), total)) / int64(total))
	}
	var r row
	r.add(accent, strings.Repeat("━", full))
	r.add(dim, strings.Repeat("─", width-full))
	return r
}

// brokerCells are the nodes with their states; calm when all run.
func brokerCells(nodes []runtime.NodeProgress) (cells []cell, calm bool) {
	widest := 0
	for _, n := range nodes {
		widest = max(widest, len(n.Label))
	}
	calm = true
	for _, n := range nodes {
		runs := n.State == "running"
		calm = calm && runs
		var r row
		r.add(plain, clean(n.Label)).to(widest+1).add(stateStyle(n.State), cmp.Or(clean(n.State), "unknown"))
		r.to(widest + 1 + len("running"))
		cells = append(cells, cell{r, !runs})
	}
	return cells, calm
}

func stateStyle(s string) style {
	switch s {
	case "running":
		return good
	case "fenced", "paused":
		return warn
	}
	return bad
}

// groups is a line for each consumer: its group's state, members and lag.
func (v *view) groups(p runtime.Progress) part {
	name, state := len("group"), len("Stable")
	for _, c := range p.Consumers {
		name, state = max(name, len(c.Name)), max(state, len(c.State))
	}
	rows := make([]row, 0, len(p.Consumers))
	short := false
	for _, c := range p.Consumers {
		var r row
		r.add(plain, clean(c.Name)).to(name + 2)
		st := plain
		if c.State != "" && c.State != "Stable" {
			st = warn
		}
		r.add(st, cmp.Or(clean(c.State), "–")).to(name + state + 4)
		if c.State != "" {
			r.add(plain, fmt.Sprintf("%2d %-9s", c.Members, plural(c.Members, "member")))
		} else {
			r.to(r.width + 12)
		}
		lag := "–"
		if c.Lag >= 0 {
			lag = judge.Number(float64(c.Lag))
		}
		r.add(dim, "lag ").add(plain, fmt.Sprintf("%7s", lag))
		short = short || r.width > v.inner()-label
		rows = append(rows, r)
	}
	if short { // narrow: the members give way
		for i, c := range p.Consumers {
			rows[i] = row{}
			rows[i].add(plain, clean(c.Name))
			if c.Lag >= 0 {
				rows[i].add(dim, " lag ").add(plain, judge.Number(float64(c.Lag)))
			}
			rows[i].add(plain, " "+cmp.Or(clean(c.State), "–"))
		}
	}
	return part{rank: rankGroups, sizes: upTo(len(rows)), group: groupCluster, draw: func(n int) []row {
		shown := rows[:n]
		if rest := len(rows) - n; rest > 0 {
			shown[n-1].add(dim, "  "+plus(rest))
		}
		return named("groups", shown)
	}}
}

func plural(n int, s string) string {
	if n == 1 {
		return s
	}
	return s + "s"
}

// partitionCells are the partitions in trouble, or one cell that says that
// none is.
func partitionCells(ps []runtime.PartitionProgress) (cells []cell, calm bool) {
	for _, p := range ps {
		var r row
		r.add(plain, fmt.Sprintf("%s/%d ", clean(p.Topic), p.Partition))
		switch {
		case p.Leader == "":
			r.add(bad, "no leader")
		case p.ISR < p.Replicas:
			r.add(warn, fmt.Sprintf("ISR %d of %d", p.ISR, p.Replicas))
		default:
			continue
		}
		cells = append(cells, cell{r, p.Leader == ""})
	}
	if len(cells) > 0 || len(ps) == 0 {
		return cells, false
	}
	var r row
	if len(ps) == 1 {
		r.add(dim, "in sync")
	} else {
		r.add(dim, fmt.Sprintf("all %d in sync", len(ps)))
	}
	return []cell{{row: r}}, true
}

// alarmCells are the raised alarms, or one cell that says that none is.
func alarmCells(as []runtime.AlarmProgress) (cells []cell, calm bool) {
	for _, a := range as {
		if a.On {
			var r row
			r.add(bad, clean(a.ID))
			cells = append(cells, cell{r, true})
		}
	}
	if len(cells) > 0 || len(as) == 0 {
		return cells, false
	}
	var r row
	r.add(dim, fmt.Sprintf("none of %d raised", len(as)))
	return []cell{{row: r}}, true
}

// faults are what is broken, one a line, with since when.
func (v *view) faults(p runtime.Progress) part {
	out := part{rank: rankFaults, sizes: upTo(len(p.Faults)), group: groupCluster}
	if len(p.Faults) == 0 {
		out.rank = rankCalm
		out.sizes = sizeIf(p.Phase == runtime.PhaseRun || p.Phase == runtime.PhaseHeal)
		out.draw = func(int) []row {
			var r row
			r.add(dim, "none")
			return named("faults", []row{r})
		}
		return out
	}
	room := v.inner() - label
	out.draw = func(n int) []row {
		rows := make([]row, 0, n)
		for i, f := range p.Faults[:n] {
			since := "  since " + clock(f.Since)
			if rest := len(p.Faults) - n; i == n-1 && rest > 0 {
				since += "  " + plus(rest)
			}
			var r row
			r.add(bad, cutMiddle(clean(f.Text), max(room-len(since), 8))).add(dim, since)
			rows = append(rows, r)
		}
		return named("faults", rows)
	}
	return out
}

// cutMiddle shortens what was done to something: of "kill(…) → kafka-2" the end
// says more.
func cutMiddle(s string, width int) string {
	at := strings.LastIndex(s, " → ")
	if at < 0 || displaywidth.String(s) <= width {
		return cut(s, width)
	}
	head := width - displaywidth.String(s[at:])
	if head < 5 {
		return cut(s, width)
	}
	return cut(s[:at], head) + s[at:]
}

// next is the event that comes next by the plan. Its line stays for as long as
// the run does, so that nothing below it moves.
func (v *view) next(r *run) part {
	p := r.last
	return part{rank: rankNext, sizes: sizeIf(p.Phase == runtime.PhaseRun), group: groupCluster, draw: func(int) []row {
		var out row
		if p.Next == "" {
			out.add(dim, "nothing planned")
		} else {
			when := fmt.Sprintf("  at %s, in %s", clock(p.NextAt), clock(p.NextAt-p.At+time.Second-1))
			out.add(plain, cut(clean(p.Next), max(v.inner()-label-len(when), 8))).add(dim, when)
		}
		return named("next", []row{out})
	}}
}

// events are the last lines, the newest at the bottom.
func (v *view) events(withRun bool) part {
	lines := v.s.lines
	return part{rank: rankEvents, sizes: upTo(max(len(lines), v.height)), group: groupEvents, draw: func(n int) []row {
		rows := make([]row, 0, n)
		for _, l := range lines[max(len(lines)-n, 0):] {
			rows = append(rows, v.event(l, withRun))
		}
		return rows
	}}
}

func (v *view) event(l line, withRun bool) row {
	var r row
	if l.timed {
		r.add(dim, fmt.Sprintf("%9s", moment(l.at)))
	}
	r.to(label)
	if withRun && l.timed {
		r.add(dim, fmt.Sprintf("%d ", l.run+1))
	}
	st := plain
	if strings.Contains(l.text, "NOT PROVED") || strings.HasPrefix(l.text, "engine error") {
		st = bad
	}
	r.add(st, l.text)
	return r
}

// moment writes a time to the millisecond.
func moment(d time.Duration) string {
	whole, ms, _ := strings.Cut(judge.Clock(d), ".")
	return whole + "." + (ms + "000")[:3]
}

// foot is what the keys do, or what a stop is doing.
func (v *view) foot() part {
	s := v.s
	if s.Notice != "" {
		return part{rank: rankNotice, sizes: []int{1}, group: groupFoot, draw: func(int) []row {
			var r row
			r.add(warn, s.Notice)
			return []row{r}
		}}
	}
	return part{rank: rankKeys, sizes: sizeIf(s.Keys != ""), group: groupFoot, draw: func(int) []row {
		var r row
		r.add(dim, s.Keys)
		return []row{r}
	}}
}

// Status is a run in one line: where it stands, rates, nodes that do not run,
// what comes next.
func Status(x runtime.Progress) string {
	parts := []string{string(x.Phase)}
	if x.Phase == runtime.PhaseRun {
		parts = append(parts,
			clock(x.At), clock(x.Left)+" left",
			fmt.Sprintf("sent %.0f/s acked %.0f/s delivered %.0f/s", x.Sent, x.Acked, x.Delivered))
	}
	for _, n := range x.Nodes {
		if n.State != "running" {
			parts = append(parts, n.Label+" "+n.State)
		}
	}
	if x.Next != "" && x.Phase == runtime.PhaseRun {
		parts = append(parts, fmt.Sprintf("next %s %s", judge.Clock(x.NextAt), x.Next))
	}
	return strings.Join(parts, " · ")
}

// brief is the screen in one line.
func (s *Screen) brief() string {
	if s.Notice != "" {
		return s.Notice
	}
	if s.Side {
		t := s.tally()
		var b strings.Builder
		t.write(&b, math.MaxInt32, false)
		return b.String()
	}
	return Status(s.runs[s.now].last)
}
