// This file defines how text is laid out: grids of columns that never pass a
// width, wrapping, and the few colours.

package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Width is how many columns every table fits in.
const Width = 80

// column is one column of a grid. A column that wraps gives way, narrowest
// need first, when the grid is wider than it may be; the others keep the width
// of their widest cell.
type column struct {
	head  string
	right bool
	wrap  bool
}

// grid writes rows under their heads, indented, within Width. Rows that are
// shorter than the columns leave the rest empty. Nothing is cut off: what does
// not fit goes on in further lines of its cell.
func grid(w io.Writer, indent int, columns []column, rows [][]string) error {
	widths := fit(columns, rows, Width-indent)
	var align []tw.Align
	var heads []string
	for _, c := range columns {
		a := tw.AlignLeft
		if c.right {
			a = tw.AlignRight
		}
		align = append(align, a)
		heads = append(heads, c.head)
	}

	var buf bytes.Buffer
	table := tablewriter.NewTable(&buf,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{
				Separators: tw.SeparatorsNone,
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithConfig(tablewriter.Config{
			Row: cellConfig(align),
			Behavior: tw.Behavior{
				TrimSpace: tw.Off,
				AutoHide:  tw.Off,
			},
		}),
	)
	if strings.Join(heads, "") != "" {
		rows = append([][]string{heads}, rows...)
	}
	for _, row := range rows {
		for _, line := range wrapRow(row, widths) {
			if err := table.Append(line); err != nil {
				return fmt.Errorf("table: %w", err)
			}
		}
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("table: %w", err)
	}

	margin := strings.Repeat(" ", indent)
	for line := range strings.Lines(buf.String()) {
		line = strings.TrimRight(line, " \n")
		if line != "" {
			line = margin + line
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// gap is the space between two columns.
const gap = 2

func cellConfig(align []tw.Align) tw.CellConfig {
	return tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{PerColumn: align},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: strings.Repeat(" ", gap), Overwrite: true}},
	}
}

// fit gives each column its width, so that all of them with the gaps between
// make at most total. The columns that wrap share what the others leave; none
// gets less than ten, or than its need when that is smaller.
func fit(columns []column, rows [][]string, total int) []int {
	need := make([]int, len(columns))
	for i, c := range columns {
		need[i] = utf8.RuneCountInString(c.head)
		for _, row := range rows {
			if i < len(row) {
				for line := range strings.SplitSeq(row[i], "\n") {
					need[i] = max(need[i], utf8.RuneCountInString(line))
				}
			}
		}
	}
	left := total - gap*(len(columns)-1)
	var open []int
	for i, c := range columns {
		if c.wrap {
			open = append(open, i)
		} else {
			left -= need[i]
		}
	}
	// Columns that need less than an equal share give the rest to the others.
	for len(open) > 0 {
		share := max(left/len(open), 10)
		var wider []int
		for _, i := range open {
			if need[i] <= share {
				left -= need[i]
			} else {
				wider = append(wider, i)
			}
		}
		if len(wider) == len(open) {
			for n, i := range wider {
				need[i] = share
				if n == 0 && left > share*len(open) {
					need[i] += left - share*len(open)
				}
			}
			break
		}
		open = wider
	}
	return need
}

func wrapRow(row []string, widths []int) [][]string {
	cells := make([][]string, len(widths))
	height := 1
	for i := range widths {
		if i < len(row) {
			cells[i] = wrap(row[i], widths[i])
		}
		height = max(height, len(cells[i]))
	}
	lines := make([][]string, height)
	for l := range lines {
		lines[l] = make([]string, len(widths))
		for i := range widths {
			if l < len(cells[i]) {
				lines[l][i] = cells[i][l]
			}
		}
	}
	return lines
}

// wrap breaks text into lines of at most width characters: after a space, else
// before a dot or an opening parenthesis or after a comma, slash or hyphen (so that claims break
// between their words), else anywhere.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		rest := []rune(paragraph)
		for len(rest) > width {
			cut := breakAt(rest, width)
			lines = append(lines, strings.TrimRight(string(rest[:cut]), " "))
			rest = rest[cut:]
			for len(rest) > 0 && rest[0] == ' ' {
				rest = rest[1:]
			}
		}
		lines = append(lines, string(rest))
	}
	return lines
}

func breakAt(r []rune, width int) int {
	for i := width; i > width/4; i-- {
		if r[i] == ' ' && !joined(r, i) {
			return i
		}
	}
	for i := width; i > width/4; i-- {
		if r[i] == '.' || i < width && (r[i] == '(' || r[i-1] == ',' || r[i-1] == '/' || r[i-1] == '-') {
			return i
		}
	}
	return width
}

// joined tells whether the space at i stands inside a quantity: between the
// groups of a number, or between a number and its unit.
func joined(r []rune, i int) bool {
	if i == 0 || i+1 >= len(r) || !unicode.IsDigit(r[i-1]) {
		return false
	}
	end := i + 1
	for end < len(r) && r[end] != ' ' && r[end] != ',' && r[end] != ';' && r[end] != ':' {
		end++
	}
	switch next := string(r[i+1 : end]); next {
	case "s", "ms", "µs", "%", "B", "KB", "MB", "GB":
		return true
	default:
		_, err := strconv.Atoi(next)
		return err == nil && len(next) == 3
	}
}

// paragraphs writes text wrapped within Width under an indentation.
func paragraphs(w io.Writer, indent int, text string) {
	for _, line := range wrap(text, Width-indent) {
		fmt.Fprintln(w, strings.TrimRight(strings.Repeat(" ", indent)+line, " "))
	}
}

// spread writes left and right at the two ends of a line, or on two lines when
// they do not fit on one.
func spread(w io.Writer, left, right string) {
	room := Width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if room < 2 {
		paragraphs(w, 0, left)
		for _, line := range wrap(right, Width) {
			fmt.Fprintln(w, strings.Repeat(" ", Width-utf8.RuneCountInString(line))+line)
		}
		return
	}
	fmt.Fprintln(w, left+strings.Repeat(" ", room)+right)
}

// Finding is what was found out about one thing, in lines for people.
type Finding struct {
	Name  string
	OK    bool
	Lines []string
}

// Findings writes findings, each with a mark.
func Findings(w io.Writer, findings []Finding) error {
	var rows [][]string
	for _, f := range findings {
		mark := markFail
		if f.OK {
			mark = markPass
		}
		rows = append(rows, []string{mark, f.Name, strings.Join(f.Lines, "\n")})
	}
	return grid(w, 1, []column{{}, {}, {wrap: true}}, rows)
}

// The marks of verdicts. They tell without colour.
const (
	markPass = "✓"
	markFail = "✗"
	markOpen = "?"
)

// Rows writes a plain table; the second column wraps.
func Rows(w io.Writer, heads []string, rows [][]string) error {
	var columns []column
	for i, h := range heads {
		columns = append(columns, column{head: h, wrap: i == 1})
	}
	return grid(w, 0, columns, rows)
}

// Addresses writes rows of cluster, place and address. The last column is
// written whole, however long it is, so that it can be copied.
func Addresses(w io.Writer, rows [][]string) {
	widths := [2]int{}
	for _, r := range rows {
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %-*s  %s\n", widths[0], r[0], widths[1], r[1], r[2])
	}
}
