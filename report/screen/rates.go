// This file defines how rates are drawn: the last minute as columns of
// characters, all three rates on one scale.

package screen

import (
	"fmt"
	"math"
	"strings"
	"time"

	"starfall/runtime/judge"
)

// rateSizes are the sizes of the rates: one line of numbers; three sparklines;
// a lane of faults below them; and the sparklines two and three lines high.
func rateSizes() []int { return []int{1, 3, 4, 7, 10} }

// column is the mean of each rate in a piece of the minute.
type column struct {
	rates  [3]float64
	known  bool
	faulty bool
}

func rateNames() [3]string { return [3]string{"sent/s", "acked/s", "delivered/s"} }

// valueWidth holds 9 999 999.
const valueWidth = 9

// rates draws the three rates in n lines.
func (v *view) rates(r *run, n int) []row {
	now := [3]float64{r.last.Sent, r.last.Acked, r.last.Delivered}
	known := len(r.points) > 0
	value := func(i int) string {
		if !known {
			return "–"
		}
		return judge.Number(math.Round(now[i]))
	}
	if n == 1 {
		write := func(value func(int) string, end string) (out row) {
			out.add(dim, "sent ").add(plain, value(0)).add(dim, " acked ").add(plain, value(1)).
				add(dim, " delivered ").add(plain, value(2)).add(dim, end)
			return out
		}
		out := write(value, " /s")
		if out.width > v.inner() {
			out = write(value, "")
		}
		if out.width > v.inner() {
			out = write(func(i int) string { return short(now[i]) }, "")
		}
		return []row{out}
	}
	width := min(v.inner()-label-valueWidth-2, 120)
	cols := r.columns(width)
	top := scale(cols)
	high := max((n-1)/3, 1)
	var rows []row
	for i, name := range rateNames() {
		for l := high - 1; l >= 0; l-- {
			var out row
			if l == 0 {
				out.add(dim, name).to(label - 1)
				out.add(plain, fmt.Sprintf("%*s", valueWidth+1, value(i)))
			}
			out.to(label + valueWidth + 2)
			out.add(accent, spark(cols, i, top, l, high))
			rows = append(rows, out)
		}
	}
	if n > 3 {
		var out row
		var lane strings.Builder
		any := false
		for _, c := range cols {
			if c.faulty {
				lane.WriteString("▔")
				any = true
			} else {
				lane.WriteByte(' ')
			}
		}
		if any {
			out.add(dim, "broken").to(label+valueWidth+2).add(bad, lane.String())
		}
		rows = append(rows, out)
	}
	return rows
}

// scale is the rate that fills a chart: the highest, but not more than twice
// what was sent. What is made up for in one go after a fault would leave
// nothing to be seen of the rest.
func scale(cols []column) float64 {
	top, sent := 0.0, 0.0
	for _, c := range cols {
		sent = max(sent, c.rates[0])
		top = max(top, c.rates[1], c.rates[2])
	}
	if sent > 0 {
		top = min(top, 2*sent)
	}
	return max(top, sent)
}

// spark draws line l, from the bottom, of a chart that is high lines high.
// Nothing is a space, zero a dot.
func spark(cols []column, rate int, top float64, l, high int) string {
	const levels = " ▁▂▃▄▅▆▇█"
	marks := []rune(levels)
	var b strings.Builder
	for _, c := range cols {
		x := c.rates[rate]
		switch {
		case !c.known:
			b.WriteByte(' ')
		case x <= 0 || top <= 0:
			b.WriteRune([]rune{'·', ' '}[min(l, 1)])
		default:
			// One eighth less than high, so that charts do not touch.
			eighths := max(int(math.Round(x/top*float64(8*high-1))), 1) - 8*l
			b.WriteRune(marks[min(max(eighths, 0), 8)])
		}
	}
	return b.String()
}

// columns cuts the last minute into n pieces. Their edges are multiples of a
// piece's length, so that a column does not change once it is past. The rates
// of an update are those since the one before: pieces between two updates, as
// at high speed, have those of the later.
func (r *run) columns(n int) []column {
	if n <= 0 {
		return nil
	}
	cols := make([]column, n)
	if len(r.points) == 0 {
		return cols
	}
	length := window / time.Duration(n)
	last := r.points[len(r.points)-1].at
	end := (last + length - 1) / length * length
	next := 0 // the first point at or after the piece's start
	for i := range cols {
		from := end - time.Duration(n-i)*length
		to := from + length
		for next < len(r.points) && r.points[next].at <= from {
			next++
		}
		var sum [3]float64
		count := 0
		for k := next; k < len(r.points) && r.points[k].at <= to; k++ {
			p := r.points[k]
			sum[0], sum[1], sum[2] = sum[0]+p.sent, sum[1]+p.acked, sum[2]+p.delivered
			cols[i].faulty = cols[i].faulty || p.faulty
			count++
		}
		switch {
		case count > 0:
			for j := range sum {
				cols[i].rates[j] = sum[j] / float64(count)
			}
			cols[i].known = true
		case to > 0 && next < len(r.points):
			p := r.points[next]
			cols[i] = column{[3]float64{p.sent, p.acked, p.delivered}, true, p.faulty}
		}
	}
	return cols
}

// short writes a rate in five characters at most: 12.3k, 123k, 1.2M.
func short(x float64) string {
	switch {
	case x >= 99.95e6:
		return fmt.Sprintf("%.0fM", x/1e6)
	case x >= 999.5e3:
		return fmt.Sprintf("%.1fM", x/1e6)
	case x >= 99.95e3:
		return fmt.Sprintf("%.0fk", x/1e3)
	case x >= 9999.5:
		return fmt.Sprintf("%.1fk", x/1e3)
	}
	return fmt.Sprintf("%.0f", x)
}
