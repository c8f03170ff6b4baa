// This file defines View: which parts of the screen get which lines of a
// terminal.

package screen

import (
	"slices"
	"strings"
	"time"

	"starfall/runtime/judge"
)

// The smallest terminal that gets a screen; below it is one line.
const (
	MinWidth  = 40
	MinHeight = 8
)

// part is a part of the screen. It is drawn in one of its sizes, which ascend;
// none means that it is not shown.
type part struct {
	rank  rank
	sizes []int
	group int // parts of one group stand together
	draw  func(lines int) []row

	lines int
}

// rank is the order in which parts are left out when lines are short, the
// last first. What is calm (no fault, no alarm, all in sync) goes before what
// is not.
type rank int

const (
	rankStatus     rank = iota // phase, time, time left
	rankRows                   // runs side by side
	rankRates                  // one line or three
	rankFaults                 // what is broken now
	rankBrokers                // any that does not run
	rankAlarms                 // raised ones
	rankPartitions             // without leader, or short of replicas
	rankNotice                 // what a stop is doing
	rankGroups
	rankNext
	rankEvents
	rankCalmBrokers
	rankKeys
	rankTitle
	rankCalm
)

// View is the screen as lines of text, for a terminal of that many columns and
// lines: no line is wider, and there are not more. Without colour there is
// nothing but text. Below MinWidth or MinHeight it is one line.
func View(s *Screen, width, height int, color bool) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	if width < MinWidth || height < MinHeight {
		return []string{cut(s.brief(), width)}
	}
	v := view{s: s, width: width, height: height}
	if width >= 60 {
		v.margin = 1
	}
	rows := v.rows()
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		var b strings.Builder
		all := *new(row).to(v.margin)
		all.join(r)
		all.write(&b, width, color)
		lines = append(lines, b.String())
	}
	return lines
}

// view is one drawing.
type view struct {
	s             *Screen
	width, height int
	margin        int
}

// inner is the width between the margins.
func (v *view) inner() int { return v.width - 2*v.margin }

func (v *view) rows() []row {
	parts := v.runParts()
	if v.s.Side {
		parts = v.sideParts()
	}
	gaps := allot(parts, v.height)
	var rows []row
	group := -1
	for i := range parts {
		p := &parts[i]
		if p.lines == 0 {
			continue
		}
		if gaps && group >= 0 && p.group != group {
			rows = append(rows, row{})
		}
		group = p.group
		if p.group == groupFoot { // at the bottom, whatever is above
			for len(rows) < v.height-p.lines {
				rows = append(rows, row{})
			}
		}
		drawn := p.draw(p.lines)
		for len(drawn) < p.lines {
			drawn = append(drawn, row{})
		}
		rows = append(rows, drawn[:p.lines]...)
	}
	return rows
}

// The groups of parts; a blank line stands between two when there is room.
const (
	groupHead = iota
	groupRates
	groupCluster
	groupEvents
	groupFoot
)

// allot gives each part its lines, and says whether there are blank lines
// between groups.
//
//	step  who           gets
//	1     each by rank  its smallest size, while lines last
//	2     each by rank  its larger sizes, but events and rates no more than three lines
//	3     –             the blank lines
//	4     rates         its larger sizes, while events keep ten lines
//	5     events        the rest
func allot(parts []part, height int) (gaps bool) {
	order := make([]*part, len(parts))
	for i := range parts {
		order[i] = &parts[i]
	}
	slices.SortStableFunc(order, func(a, b *part) int { return int(a.rank - b.rank) })
	left := height
	grow := func(p *part, limit int) {
		for _, n := range p.sizes {
			if n > p.lines && n <= limit && n-p.lines <= left {
				left -= n - p.lines
				p.lines = n
			}
		}
	}
	for _, p := range order {
		if len(p.sizes) > 0 {
			grow(p, p.sizes[0])
		}
	}
	for _, p := range order {
		limit := height
		if p.rank == rankEvents || p.rank == rankRates {
			limit = 3
		}
		grow(p, limit)
	}
	seen := map[int]bool{}
	for _, p := range parts {
		if p.lines > 0 {
			seen[p.group] = true
		}
	}
	if n := len(seen) - 1; n <= left {
		left -= n
		gaps = true
	}
	for _, p := range order {
		if p.rank == rankRates && gaps {
			spare := left
			left = max(spare-7, 0)
			kept := spare - left
			grow(p, height)
			left += kept
		}
	}
	for _, p := range order {
		if p.rank == rankEvents {
			grow(p, height)
		}
	}
	return gaps
}

// label is the width of the column of names.
const label = 12

// named gives rows with a name before the first.
func named(name string, rows []row) []row {
	out := make([]row, len(rows))
	for i, r := range rows {
		if i == 0 {
			out[i].add(dim, name)
		}
		out[i].to(label)
		out[i].join(r)
	}
	return out
}

// cell is one thing of a list: trouble first, when not all fit.
type cell struct {
	row     row
	trouble bool
}

// list sets cells in columns of one width. What does not fit is counted at the
// end.
func list(cells []cell, lines, width int) []row {
	widest := 0
	for _, c := range cells {
		widest = max(widest, c.row.width)
	}
	const gap = 3
	columns := max((width+gap)/(widest+gap), 1)
	if len(cells) > lines*columns {
		cells = slices.Clone(cells)
		slices.SortStableFunc(cells, func(a, b cell) int {
			switch {
			case a.trouble == b.trouble:
				return 0
			case a.trouble:
				return -1
			}
			return 1
		})
		keep := lines * columns
		rest := len(cells) - keep
		var more row
		more.add(dim, plus(rest))
		// The count takes the end of the last line; where it would hide a
		// cell, the cell is counted too.
		used := min(columns, keep)*(widest+gap) - gap
		if used+gap+more.width > width && columns > 1 {
			keep--
			more = row{}
			more.add(dim, plus(rest+1))
		}
		rows := list(cells[:keep], lines, width)
		last := &rows[len(rows)-1]
		if columns == 1 {
			// One a line: the count follows the cell, which gives way.
			last.shorten(width - gap - more.width)
		}
		last.add(plain, strings.Repeat(" ", gap)).join(more)
		return rows
	}
	var rows []row
	for i, c := range cells {
		if i%columns == 0 {
			rows = append(rows, row{})
		}
		r := &rows[len(rows)-1]
		r.to(i % columns * (widest + gap))
		r.join(c.row)
	}
	return rows
}

// need is how many lines a list takes whole, as sizes from one on.
func need(cells []cell, width int) []int {
	if len(cells) == 0 {
		return nil
	}
	widest := 0
	for _, c := range cells {
		widest = max(widest, c.row.width)
	}
	columns := max((width+3)/(widest+3), 1)
	return upTo((len(cells) + columns - 1) / columns)
}

func upTo(n int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = i + 1
	}
	return sizes
}

func plus(n int) string { return "+" + judge.Number(float64(n)) }

// clock writes a moment in whole seconds.
func clock(d time.Duration) string { return judge.Clock(d.Truncate(time.Second)) }
