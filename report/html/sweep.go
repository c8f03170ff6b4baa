// This file defines the page of a sweep.

package html

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"starfall/report"
	"starfall/runtime/judge"
)

// sweepPage is the page of many runs.
type sweepPage struct {
	frame
	Sheet report.SweepSheet
	Folds int // columns of the table
	Rows  []sweepRow
}

// sweepRow is one combination of parameters with the runs that it took.
type sweepRow struct {
	verdictView
	report.SweepRow
	Links []sweepLink
}

// sweepLink leads to the page of one run.
type sweepLink struct {
	verdictView
	Href, Text, Summary string
}

func sweepView(title string, results []report.Result) sweepPage {
	sheet := report.SweepSheetOf(results)
	p := sweepPage{frame: newFrame(title, sheet.Verdict), Sheet: sheet, Folds: len(sheet.Params) + len(sheet.Measures) + 2}
	for _, row := range sheet.Rows {
		out := sweepRow{SweepRow: row}
		worst := judge.Pass
		for i, r := range row.Runs {
			worst = worse(worst, r.Word())
			l := sweepLink{verdictView: viewOf(r.Word()), Href: pathTo(r.Folder), Text: fmt.Sprintf("run %d", i+1)}
			if r.Verdict != nil {
				l.Summary = fmt.Sprintf("%d of %d expectations held", r.Verdict.Held, r.Verdict.Expected)
			}
			if len(row.Runs) == 1 {
				l.Text = "open"
			}
			out.Links = append(out.Links, l)
		}
		out.verdictView = viewOf(worst)
		p.Rows = append(p.Rows, out)
	}
	return p
}

func worse(a, b judge.Result) judge.Result {
	if report.Worse(a.Exit(), b.Exit()) == a.Exit() {
		return a
	}
	return b
}

// pathTo is the way from the folder of the sweep to the page of a run. Folders
// are named after parameters, whose values may hold anything.
func pathTo(folder string) string {
	base := filepath.Base(filepath.ToSlash(folder))
	if folder == "" || base == "." || strings.ContainsAny(base, `/\`) {
		return ""
	}
	return "./" + url.PathEscape(base) + "/" + Name
}
