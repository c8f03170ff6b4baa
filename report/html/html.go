// Package html renders runs as pages that open in any browser, from disk: one
// file each, with nothing from elsewhere.
//
// This file defines Page, Run and Sweep, and what all pages share.
package html

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

//go:embed *.gohtml page.css dark.css page.js
var files embed.FS

// Name is what a page is called in its run folder, or in the folder of a sweep.
const Name = "report.html"

// Page is what the page of a run is made of. Without a verdict it says that
// nothing was recorded. A recording that was cut off is shown up to there;
// without one there is no picture.
type Page struct {
	Result    report.Result
	Recording *record.Recording
}

// Run writes the page of one run. It fails when the evidence cannot be read, or
// w does not take the page.
func Run(w io.Writer, p Page) error {
	v, err := runView(p)
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	return execute(w, "page.gohtml", v)
}

// Sweep writes the page of many runs: a row for each combination of parameters,
// with links to the page of each run. Those are relative to the folder above
// the run folders, in which this page is to lie.
func Sweep(w io.Writer, title string, results []report.Result) error {
	return execute(w, "sweep.gohtml", sweepView(title, results))
}

// frame is what every page begins and ends with.
type frame struct {
	Title   string
	Mark    string // of the verdict, before the title in the browser's tab
	Style   template.CSS
	Script  template.JS
	Policy  string // what the browser may load and run: this page alone
	Verdict verdictView
}

// verdictView is a verdict for the eye: a class for its colour, a mark and a
// word, so that nothing hangs on the colour.
type verdictView struct{ Class, Mark, Word string }

func viewOf(r judge.Result) verdictView {
	switch r {
	case judge.Pass:
		return verdictView{"held", "✓", string(r)}
	case judge.Inconclusive:
		return verdictView{"open", "?", string(r)}
	}
	return verdictView{"broken", "✗", string(r)}
}

func newFrame(title string, r judge.Result) frame {
	light, dark, script := asset("page.css"), asset("dark.css"), asset("page.js")
	// The dark colours hold where the system asks for them, unless the reader
	// chose the light ones, and where the reader chose them.
	style := light +
		"@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) {\n" + dark + "} }\n" +
		":root[data-theme=dark] {\n" + dark + "}\n" +
		"@media print { :root { color-scheme: light; } }\n"
	sum := sha256.Sum256([]byte(script))
	v := viewOf(r)
	return frame{
		Title: title, Mark: v.Mark, Verdict: v,
		Style: template.CSS(style), Script: template.JS(script),
		Policy: "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

// asset gives a file of this package, which is there: it is part of the program.
func asset(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// breaks divides code where a line may end: before a dot, behind a parenthesis
// that opens, and behind a comma.
func breaks(code string) (out []string) {
	start := 0
	for i, r := range code {
		switch {
		case r == '.' && i > start:
			out, start = append(out, code[start:i]), i
		case r == '(' || r == ',':
			out, start = append(out, code[start:i+1]), i+1
		}
	}
	return append(out, code[start:])
}

func execute(w io.Writer, name string, data any) error {
	t, err := template.New(name).Funcs(template.FuncMap{"breaks": breaks}).ParseFS(files, "*.gohtml")
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	if err := t.Execute(w, data); err != nil {
		return fmt.Errorf("html: %w", err)
	}
	return nil
}
