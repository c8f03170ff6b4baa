// This file defines the lanes of the picture: partitions with their leaders
// and in-sync replicas, brokers with their state, and alarms.

package html

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// laneGroup is lanes that belong together: one drawing.
type laneGroup struct {
	ID      string
	Title   string
	Note    string
	Summary string
	Height  int
	Lanes   []lane
	Keys    []laneKey
	Data    dataTable
}

// laneKey explains a colour.
type laneKey struct{ Class, Text string }

// lane is one row.
type lane struct {
	Label string
	Y     int // of its upper edge
	TextY int
	Bars  []bar
}

// bar is a time in which nothing changed in a lane. A bar has a class for its
// colour, a label for whom colours say nothing, and a sentence for the reading.
type bar struct {
	Class, Label, Say, Short string
	A, B, X, W               string
	Y, H                     int
	TextY                    int
	Fits                     bool // the label fits at middle width
	Sync                     *sync
}

// sync is the strip below a partition's leader: as high as its share of
// replicas is in sync.
type sync struct {
	Class string
	Y, H  string
}

// The sizes of lanes.
const (
	laneHeight = 20
	barHeight  = 13
	syncHeight = 4
	maxLanes   = 24 // of one topic
	colours    = 8  // of leaders
)

func (d *drawing) lanes() {
	d.partitions()
	d.brokers()
	d.alarms()
}

func (d *drawing) bar(class, label, say, short string, from, to time.Duration) bar {
	wide := d.time.x(to) - d.time.x(from)
	return bar{Class: class, Label: label, Say: say, Short: short, A: secs(from), B: secs(to), X: d.time.percent(from),
		W: percentOf(wide), H: barHeight, Fits: wide > 9*float64(len([]rune(label)))+6}
}

func percentOf(n float64) string { return short(n/units*100, 3) + "%" }

func (g *laneGroup) add(label string, bars []bar) {
	y := len(g.Lanes) * laneHeight
	for i := range bars {
		bars[i].Y, bars[i].TextY = y+1, y+12
		if s := bars[i].Sync; s != nil {
			s.Y = short(float64(y+1+barHeight+1), 1)
		}
	}
	g.Lanes = append(g.Lanes, lane{Label: label, Y: y, TextY: y + 12, Bars: bars})
	g.Height = len(g.Lanes) * laneHeight
}

func (d *drawing) group(g laneGroup) {
	g.ID = fmt.Sprintf("lanes-%d", len(d.out.Lanes)+1)
	d.out.Lanes = append(d.out.Lanes, g)
}

// partitions makes a group of lanes for each topic. Of many partitions those
// are drawn for which something changed; the table has all of them.
func (d *drawing) partitions() {
	var topics []string
	by := map[string][]judge.PartitionLane{}
	for _, p := range d.from.Partitions {
		if by[p.Topic] == nil {
			topics = append(topics, p.Topic)
		}
		by[p.Topic] = append(by[p.Topic], p)
	}
	for _, topic := range topics {
		list := by[topic]
		g := laneGroup{Title: "Partitions of " + topic, Note: "leader, and below it how many replicas are in sync", Summary: partitionWords(list)}
		drawn := list
		if len(list) > maxLanes {
			drawn = slices.DeleteFunc(slices.Clone(list), func(p judge.PartitionLane) bool { return len(p.Spans) < 2 })
			drawn = drawn[:min(len(drawn), maxLanes)]
			if len(drawn) == 0 {
				drawn = list[:maxLanes]
			}
			g.Note += fmt.Sprintf("; %d of %d are drawn, those that changed first", len(drawn), len(list))
		}
		leaders, synced := map[int32]bool{}, map[string]bool{}
		for _, p := range drawn {
			var bars []bar
			for _, s := range p.Spans {
				b := d.led(p, s)
				leaders[s.Leader], synced[b.Sync.Class] = true, true
				bars = append(bars, b)
			}
			g.add(fmt.Sprintf("%d", p.Partition), bars)
		}
		var ids []int32
		for id := range leaders {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			text := fmt.Sprintf("broker %d leads", id)
			if id < 0 {
				text = "no leader"
			}
			g.Keys = append(g.Keys, laneKey{leaderClass(id), text})
		}
		for _, k := range []laneKey{{"full", "all in sync"}, {"less", "fewer"}, {"under", "fewer than min.insync.replicas"}} {
			if synced[k.Class] {
				g.Keys = append(g.Keys, k)
			}
		}
		g.Data = dataTable{Caption: g.Title, Heads: []string{"partition", "from", "to", "leader", "in sync"}}
		for _, p := range list {
			for _, s := range p.Spans {
				leader := fmt.Sprint(s.Leader)
				if s.Leader < 0 {
					leader = "none"
				}
				g.Data.Rows = append(g.Data.Rows, []string{fmt.Sprint(p.Partition), judge.Clock(s.From), judge.Clock(s.To), leader,
					fmt.Sprintf("%d of %d", s.InSync, p.Replicas)})
			}
		}
		if n := len(g.Data.Rows); n > 4*maxRows {
			g.Data.Rows = g.Data.Rows[:4*maxRows]
			g.Data.Caption += fmt.Sprintf(", the first %d of %d rows", 4*maxRows, n)
		}
		d.group(g)
	}
}

func leaderClass(id int32) string {
	if id < 0 {
		return "none"
	}
	return fmt.Sprintf("b%d", (id-1)%colours+1)
}

// led is a bar of a partition.
func (d *drawing) led(p judge.PartitionLane, s judge.LeaderSpan) bar {
	label, say := fmt.Sprint(s.Leader), fmt.Sprintf("%s/%d: leader %d", p.Topic, p.Partition, s.Leader)
	if s.Leader < 0 {
		label, say = "no leader", fmt.Sprintf("%s/%d: no leader", p.Topic, p.Partition)
	}
	brief := strings.TrimPrefix(label, "no leader")
	if brief == "" {
		brief = "none"
	}
	brief += fmt.Sprintf(" · %d/%d", s.InSync, p.Replicas)
	say += fmt.Sprintf(", %d of %d in sync", s.InSync, p.Replicas)
	if s.InSync < p.Replicas {
		label += fmt.Sprintf(" · isr %d/%d", s.InSync, p.Replicas)
	}
	b := d.bar(leaderClass(s.Leader), label, say, brief, s.From, s.To)
	class := "full"
	switch {
	case s.InSync < p.MinInsync:
		class = "under"
	case s.InSync < p.Replicas:
		class = "less"
	}
	b.Sync = &sync{Class: class, H: short(syncHeight*float64(s.InSync)/float64(max(p.Replicas, 1)), 1)}
	return b
}

func partitionWords(list []judge.PartitionLane) string {
	changed, leaderless := 0, 0
	var least *judge.PartitionLane
	var when judge.LeaderSpan
	for i, p := range list {
		moved, none := false, false
		for k, s := range p.Spans {
			moved = moved || k > 0 && s.Leader != p.Spans[k-1].Leader
			none = none || s.Leader < 0
			if s.InSync < p.Replicas && (least == nil || s.InSync < when.InSync) {
				least, when = &list[i], s
			}
		}
		if moved {
			changed++
		}
		if none {
			leaderless++
		}
	}
	out := fmt.Sprintf("%s; the leader changed in %d", plural(len(list), "partition"), changed)
	if leaderless > 0 {
		out += fmt.Sprintf(", and %d had none for a time", leaderless)
	}
	if least == nil {
		return out + ". All replicas were in sync whenever one looked."
	}
	return out + fmt.Sprintf(". The fewest in sync were %d of %d, %s/%d from %s.", when.InSync, least.Replicas, least.Topic, least.Partition, judge.Clock(when.From))
}

// brokers makes one group of lanes of all brokers.
func (d *drawing) brokers() {
	if len(d.from.Brokers) == 0 {
		return
	}
	g := laneGroup{Title: "Brokers", Note: "registered and not fenced, or not"}
	g.Data = dataTable{Caption: "Brokers", Heads: []string{"broker", "from", "to", "state"}}
	var words []string
	down := false
	for _, b := range d.from.Brokers {
		var bars []bar
		for _, s := range b.Spans {
			class, state := "alive", "alive"
			if !s.Alive {
				class, state, down = "down", d.gone(b.Label, s), true
				words = append(words, fmt.Sprintf("%s was %s from %s to %s", b.Label, state, judge.Clock(s.From), judge.Clock(s.To)))
			}
			bars = append(bars, d.bar(class, state, b.Label+": "+state, state, s.From, s.To))
			g.Data.Rows = append(g.Data.Rows, []string{b.Label, judge.Clock(s.From), judge.Clock(s.To), state})
		}
		g.add(b.Label, bars)
	}
	g.Summary = plural(len(d.from.Brokers), "broker") + ". All were alive whenever one looked."
	if len(words) > 0 {
		g.Summary = plural(len(d.from.Brokers), "broker") + ". " + some(words, 6) + "."
	}
	g.Keys = []laneKey{{"alive", "alive"}}
	if down {
		g.Keys = append(g.Keys, laneKey{"down", "not registered, or fenced"})
	}
	d.group(g)
}

// gone says in a word why a broker was not alive: what was done to it at that
// time, if anything.
func (d *drawing) gone(label string, s judge.AliveSpan) string {
	for _, w := range d.from.Windows {
		if w.From < s.To && w.To > s.From && slices.Contains(w.Targets, label) {
			switch w.Verb {
			case plan.Kill:
				return "killed"
			case plan.Stop, plan.Restart:
				return "stopped"
			case plan.Pause:
				return "paused"
			case plan.PowerOff:
				return "powered off"
			}
		}
	}
	return "fenced"
}

// some joins a few of many.
func some(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, "; ")
	}
	return strings.Join(words[:n], "; ") + fmt.Sprintf("; and %d more times", len(words)-n)
}

func (d *drawing) alarms() {
	if len(d.from.Alarms) == 0 {
		return
	}
	g := laneGroup{Title: "Alarms", Note: "while raised"}
	g.Data = dataTable{Caption: "Alarms", Heads: []string{"alarm", "raised", "cleared"}}
	var words []string
	for _, a := range d.from.Alarms {
		var bars []bar
		for _, s := range a.Raised {
			bars = append(bars, d.bar("raised", "raised", a.Name+": raised", "raised", max(s.From, 0), min(s.To, d.from.End)))
			words = append(words, fmt.Sprintf("%s was raised from %s to %s", a.Name, judge.Clock(s.From), judge.Clock(s.To)))
			g.Data.Rows = append(g.Data.Rows, []string{a.Name, judge.Clock(s.From), judge.Clock(s.To)})
		}
		g.add(a.Name, bars)
	}
	g.Summary = plural(len(d.from.Alarms), "alarm") + ", none of them raised."
	if len(words) > 0 {
		g.Summary = plural(len(d.from.Alarms), "alarm") + ". " + some(words, 6) + "."
	}
	d.group(g)
}
