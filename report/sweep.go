// This file defines the table of a sweep: a row a cell with its parameters,
// its verdict and each reported measure.

package report

import (
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// sweepPage is a sweep as it is printed.
type sweepPage struct {
	title    string
	context  string
	params   []string // heads
	measures []string // heads
	rows     []sweepRow
	verdict  string
	summary  string
	folder   string
}

// sweepRow is one combination of parameters, over all its repeats.
type sweepRow struct {
	params  []string
	verdict string
	values  []string // one a measure: median, and range in brackets
	broken  []string // what did not hold, for the section below the table
}

// write lays the page out. Measures that do not fit beside each other go into
// further tables with the same rows.
func (p sweepPage) write(w io.Writer) error {
	spread(w, p.title, p.context)
	for first := 0; first == 0 || first < len(p.measures); {
		heads := p.heads(first)
		n := p.fitting(heads, first)
		var columns []column
		for _, h := range heads {
			columns = append(columns, column{head: h, wrap: true})
		}
		for _, h := range p.measures[first : first+n] {
			columns = append(columns, column{head: h, right: true, wrap: true})
		}
		var rows [][]string
		for _, r := range p.rows {
			rows = append(rows, append(r.heads(len(heads)), r.values[first:first+n]...))
		}
		fmt.Fprintln(w)
		if err := grid(w, 1, columns, rows); err != nil {
			return err
		}
		first += max(n, 1)
	}

	var rows [][]string
	for i, r := range p.rows {
		name := p.label(i)
		for _, b := range r.broken {
			rows = append(rows, []string{name, b})
			name = ""
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n WHY\n")
		if err := grid(w, 3, []column{{wrap: true}, {wrap: true}}, rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	spread(w, " "+p.verdict+"  "+p.summary, p.folder)
	return nil
}

// heads are the columns at the left: parameters, and in the first table the
// verdict. Without parameters every table has the verdict.
func (p sweepPage) heads(first int) []string {
	if first > 0 && len(p.params) > 0 {
		return p.params
	}
	return append(slices.Clone(p.params), "verdict")
}

func (r sweepRow) heads(n int) []string {
	return append(slices.Clone(r.params), r.verdict)[:n]
}

// fitting is how many measures from first on go beside the heads when each
// gets what it needs, twenty characters at most.
func (p sweepPage) fitting(heads []string, first int) int {
	room := Width - 1
	for i, h := range heads {
		need := utf8.RuneCountInString(h)
		for _, r := range p.rows {
			need = max(need, utf8.RuneCountInString(r.heads(len(heads))[i]))
		}
		room -= min(need, 16) + gap
	}
	n := 0
	for _, h := range p.measures[first:] {
		need := min(utf8.RuneCountInString(h), 14)
		for _, r := range p.rows {
			need = max(need, min(utf8.RuneCountInString(r.values[first+n]), 20))
		}
		if room -= need + gap; room < 0 && n > 0 {
			break
		}
		n++
	}
	return n
}

func (p sweepPage) label(i int) string {
	s := ""
	for j, name := range p.params {
		if j > 0 {
			s += " "
		}
		s += name + "=" + p.rows[i].params[j]
	}
	if s == "" {
		s = "all runs"
	}
	return s
}
