// This file defines the page that a run's text is made of, and how it is laid
// out on 80 columns.

package report

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// none stands where there is no value.
const none = "–"

// page is one run as it is printed. Everything in it is text already.
type page struct {
	title    string
	context  string // engine · kafka · length · seed
	warnings []string
	timeline []timelineRow
	phases   []phaseRow
	claims   []claimRow
	reports  []reportRow
	verdict  string // PASS, FAIL …
	summary  string // 1 of 3 expectations held
	folder   string
	reasons  []string // why a verdict that is neither PASS nor FAIL
}

type timelineRow struct{ at, what, proof, took string }

// text is what happened and how it is known, on one line when that fits.
func (r timelineRow) text(width int) string {
	if r.proof == "" {
		return r.what
	}
	if one := r.what + " · " + r.proof; utf8.RuneCountInString(one) <= width {
		return one
	}
	return r.what + "\n" + r.proof
}

type phaseRow struct{ name, from, sent, acked, worst, p50, p99, stall, where string }

type claimRow struct {
	mark, text, measured string
	pos                  string
	notes                []string
}

type reportRow struct{ text, value string }

// write lays the page out.
func (p page) write(w io.Writer) error {
	spread(w, p.title, p.context)
	for _, line := range p.warnings {
		paragraphs(w, 1, line)
	}

	if len(p.timeline) > 0 {
		var rows [][]string
		for _, r := range p.timeline {
			rows = append(rows, []string{r.at, r.text(Width - 3 - len(r.at) - gap - utf8.RuneCountInString(r.took) - gap), r.took})
		}
		fmt.Fprintf(w, "\n TIMELINE\n")
		if err := grid(w, 3, []column{{right: true}, {wrap: true}, {right: true}}, rows); err != nil {
			return err
		}
	}

	if len(p.phases) > 0 {
		var rows [][]string
		for _, r := range p.phases {
			rows = append(rows, []string{r.name, r.from, r.sent, r.acked, r.worst, r.p50, r.p99, r.stall, r.where})
		}
		columns := []column{
			{head: "", wrap: true}, {head: "from", right: true}, {head: "sent/s", right: true},
			{head: "acked/s", right: true}, {head: "worst s", right: true}, {head: "p50", right: true},
			{head: "p99", right: true}, {head: "stall", right: true}, {wrap: true},
		}
		fmt.Fprintf(w, "\n PHASES\n")
		if err := grid(w, 3, columns, rows); err != nil {
			return err
		}
	}

	if len(p.claims) > 0 {
		var rows [][]string
		for _, r := range p.claims {
			rows = append(rows, []string{r.mark, r.text, r.measured})
			if len(r.notes) > 0 {
				rows = append(rows, []string{"", r.pos, strings.Join(r.notes, "\n")})
			}
		}
		fmt.Fprintf(w, "\n CLAIMS\n")
		if err := grid(w, 3, []column{{}, {wrap: true}, {wrap: true}}, rows); err != nil {
			return err
		}
	}

	if len(p.reports) > 0 {
		var rows [][]string
		for _, r := range p.reports {
			rows = append(rows, []string{r.text, r.value})
		}
		fmt.Fprintf(w, "\n REPORTS\n")
		if err := grid(w, 3, []column{{wrap: true}, {wrap: true}}, rows); err != nil {
			return err
		}
	}

	fmt.Fprintln(w)
	spread(w, " "+p.verdict+"  "+p.summary, p.folder)
	for _, r := range p.reasons {
		paragraphs(w, 3, r)
	}
	return nil
}

// What colours mark in a page: the verdict at the start of its line, and the
// mark of a row. Nothing else is coloured, so nothing is lost without.
var (
	verdictWord = regexp.MustCompile(`^ (PASS|FAIL|INCONCLUSIVE|VOID|ENGINE ERROR)(  |$)`)
	rowMark     = regexp.MustCompile(`^( +)([✓✗?])(  )`)
)

// paint colours the text of a page for a terminal.
func paint(text []byte) []byte {
	const green, red, yellow, off = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
	colour := func(s string) string {
		switch s {
		case "PASS", markPass:
			return green
		case "FAIL", "VOID", "ENGINE ERROR", markFail:
			return red
		}
		return yellow
	}
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if m := verdictWord.FindSubmatchIndex(line); m != nil {
			word := string(line[m[2]:m[3]])
			fmt.Fprintf(&out, " \x1b[1m%s%s%s%s", colour(word), word, off, line[m[3]:])
			continue
		}
		if m := rowMark.FindSubmatchIndex(line); m != nil {
			mark := string(line[m[4]:m[5]])
			fmt.Fprintf(&out, "%s%s%s%s%s", line[:m[4]], colour(mark), mark, off, line[m[5]:])
			continue
		}
		out.Write(line)
	}
	return out.Bytes()
}
