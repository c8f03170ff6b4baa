// This file defines the table of a sweep: a row a cell with its parameters,
// its verdict and each reported measure.

package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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
	numbered bool // rows are known by their numbers
}

// sweepRow is one combination of parameters, over all its repeats.
type sweepRow struct {
	params  []string
	verdict string
	values  []string // one a measure: median, and range in brackets
	broken  []string // what did not hold, for the section below the table
}

// How a sweep fits the screen. What stands to the left of the measures is
// repeated in each table, so it may not take more than half; a title that
// would be taller than maxTitle lines has a letter for it.
const (
	maxHeads = Width / 2
	maxParam = 16
	maxTitle = 4
	minTitle = 14
	maxValue = 20
)

// write lays the page out:
//
//	what does not fit                       goes
//	measures beside each other              on in further tables with the same rows
//	the title of a measure in four lines    under MEASURES, and a letter is in its place
//	parameters in half of the width         under RUNS, and a number is in their place
//	a parameter with one value throughout   above the table, once
func (p sweepPage) write(w io.Writer) error {
	spread(w, p.title, p.context)
	p = p.withoutConstants(w)
	p, keys := p.keyed()
	p, legend := p.lettered()
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
	for _, s := range []struct {
		name string
		rows [][]string
	}{{"RUNS", keys}, {"MEASURES", legend}, {"WHY", p.why()}} {
		if len(s.rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n %s\n", s.name)
		if err := grid(w, 3, []column{{wrap: true}, {wrap: true}}, s.rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	spread(w, " "+p.verdict+"  "+p.summary, p.folder)
	return nil
}

// withoutConstants writes the parameters that are the same in all rows of
// several, and takes them out of the table.
func (p sweepPage) withoutConstants(w io.Writer) sweepPage {
	if len(p.rows) < 2 {
		return p
	}
	var same []string
	out := p
	out.params, out.rows = nil, slices.Clone(p.rows)
	for i := range out.rows {
		out.rows[i].params = nil
	}
	for i, name := range p.params {
		if !slices.ContainsFunc(p.rows, func(r sweepRow) bool { return r.params[i] != p.rows[0].params[i] }) {
			same = append(same, name+"="+p.rows[0].params[i])
			continue
		}
		out.params = append(out.params, name)
		for k := range out.rows {
			out.rows[k].params = append(out.rows[k].params, p.rows[k].params[i])
		}
	}
	if len(same) > 0 {
		paragraphs(w, 1, "with "+strings.Join(same, " "))
	}
	return out
}

// keyed gives rows a number instead of their parameters when these take too
// much room, and the legend.
func (p sweepPage) keyed() (sweepPage, [][]string) {
	room := 0
	for i, h := range p.params {
		room += p.width(h, func(r sweepRow) string { return r.params[i] }) + gap
	}
	if room <= maxHeads {
		return p, nil
	}
	out := p
	out.params, out.rows, out.numbered = []string{"run"}, slices.Clone(p.rows), true
	var legend [][]string
	for i := range out.rows {
		key := strconv.Itoa(i + 1)
		out.rows[i].params = []string{key}
		legend = append(legend, []string{key, p.label(i)})
	}
	return out, legend
}

// lettered gives measures a letter whose title is too tall where it stands,
// and the legend.
func (p sweepPage) lettered() (sweepPage, [][]string) {
	out := p
	out.measures = slices.Clone(p.measures)
	var legend [][]string
	for i, h := range p.measures {
		width := min(utf8.RuneCountInString(h), minTitle)
		for _, r := range p.rows {
			width = max(width, min(utf8.RuneCountInString(r.values[i]), maxValue))
		}
		if len(wrap(h, width)) > maxTitle {
			letter := letters(len(legend))
			out.measures[i] = letter
			legend = append(legend, []string{letter, h})
		}
	}
	return out, legend
}

// letters counts A … Z, AA, AB …
func letters(n int) string {
	s := string(rune('A' + n%26))
	if n >= 26 {
		s = letters(n/26-1) + s
	}
	return s
}

// why gives what did not hold in each row.
func (p sweepPage) why() [][]string {
	var rows [][]string
	for i, r := range p.rows {
		name := p.label(i)
		for _, b := range r.broken {
			rows = append(rows, []string{name, b})
			name = ""
		}
	}
	return rows
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

// width is what a column at the left takes.
func (p sweepPage) width(head string, cell func(sweepRow) string) int {
	need := utf8.RuneCountInString(head)
	for _, r := range p.rows {
		need = max(need, utf8.RuneCountInString(cell(r)))
	}
	return min(need, maxParam)
}

// fitting is how many measures from first on go beside the heads when each
// gets what it needs, maxValue characters at most.
func (p sweepPage) fitting(heads []string, first int) int {
	room := Width - 1
	for i, h := range heads {
		room -= p.width(h, func(r sweepRow) string { return r.heads(len(heads))[i] }) + gap
	}
	n := 0
	for _, h := range p.measures[first:] {
		need := min(utf8.RuneCountInString(h), minTitle)
		for _, r := range p.rows {
			need = max(need, min(utf8.RuneCountInString(r.values[first+n]), maxValue))
		}
		if room -= need + gap; room < 0 && n > 0 {
			break
		}
		n++
	}
	return n
}

func (p sweepPage) label(i int) string {
	if p.numbered {
		return "run " + strconv.Itoa(i+1)
	}
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
