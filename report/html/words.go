// This file defines what the panels say in a sentence, for who does not see
// them, and for who wants the point.

package html

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"starfall/runtime/judge"
)

// rateWords is about the whole seconds of the load.
func rateWords(p judge.ProducerSeries, loaded time.Duration) string {
	n := min(int(loaded/time.Second), len(p.Acked))
	if n == 0 {
		return "The load lasted for less than a second."
	}
	var sent, acked uint64
	least := 0
	for i := range n {
		sent += p.Sent[i]
		acked += p.Acked[i]
		if p.Acked[i] < p.Acked[least] {
			least = i
		}
	}
	mean := func(sum uint64) string { return judge.Number(math.Round(float64(sum) / float64(n))) }
	return fmt.Sprintf("On average %s records a second were sent and %s acknowledged; the fewest in one second were %s, at %s.",
		mean(sent), mean(acked), judge.Number(float64(p.Acked[least])), judge.Clock(time.Duration(least)*time.Second))
}

func latencyWords(p judge.ProducerSeries) string {
	var p50 []time.Duration
	worst := -1
	for i, q := range p.Times {
		if q.N == 0 {
			continue
		}
		p50 = append(p50, q.P50)
		if worst < 0 || q.P99 > p.Times[worst].P99 {
			worst = i
		}
	}
	if worst < 0 {
		return "Nothing was acknowledged, so there are no latencies."
	}
	slices.Sort(p50)
	return fmt.Sprintf("In a typical second half of the records took at most %s; the worst second had a p99 of %s, at %s.",
		judge.Length(p50[len(p50)/2]), judge.Length(p.Times[worst].P99), judge.Clock(time.Duration(worst)*time.Second))
}

func lagWords(g judge.GroupSeries) string {
	var parts []string
	if len(g.Lag) == 0 {
		parts = append(parts, "No sample shows the lag.")
	} else {
		most := g.Lag[0]
		for _, l := range g.Lag {
			if l.Value > most.Value {
				most = l
			}
		}
		parts = append(parts, fmt.Sprintf("The lag was at most %s records, at %s, and %s at the end.",
			judge.Number(most.Value), judge.Clock(most.At.Truncate(time.Second)), judge.Number(g.Lag[len(g.Lag)-1].Value)))
	}
	if n := len(g.Undelivered); n > 0 {
		most := 0
		for i, v := range g.Undelivered {
			if v > g.Undelivered[most] {
				most = i
			}
		}
		parts = append(parts, fmt.Sprintf("Acknowledged and not yet delivered were at most %s records, at %s, and %s at the end.",
			judge.Number(float64(g.Undelivered[most])), judge.Clock(time.Duration(most)*time.Second), judge.Number(float64(g.Undelivered[n-1]))))
	}
	return strings.Join(parts, " ")
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
