// This file defines the forms in which results are told: the table, JSON, JUnit
// and Markdown.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"starfall/report"
)

// outputs are the flags for the forms of results.
type outputs struct {
	json     bool
	junit    string
	markdown string
	noColor  bool
}

func (o *outputs) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&o.json, "json", false, "print the result as JSON instead of a table; starfall doc schema prints its JSON Schema")
	fl.StringVar(&o.junit, "junit", "", "write the result as JUnit XML to `file`, too; - prints it instead of the table")
	fl.StringVar(&o.markdown, "markdown", "", "write the result as Markdown, for a pull request, to `file`, too; - prints it instead of the table")
	fl.BoolVar(&o.noColor, "no-color", false, "no colour (as NO_COLOR)")
}

// form is one form of a result that goes to a file or to stdout.
type form struct {
	flag, file string
	write      func(io.Writer, []report.Result) error
}

func (o *outputs) forms() []form {
	out := []form{{"--junit", o.junit, report.JUnit}, {"--markdown", o.markdown, report.Markdown}}
	if o.json {
		out = append(out, form{"--json", "-", report.JSON})
	}
	return out
}

// check shows, before anything starts, that at most one form goes to stdout and
// that the files can be written to.
func (o *outputs) check() error {
	first := ""
	for _, x := range o.forms() {
		if x.file != "-" {
			continue
		}
		if first != "" {
			return usage("%s and %s: both would print on stdout", first, x.flag).hint("give one of them a file: --junit FILE, --markdown FILE")
		}
		first = x.flag
	}
	for _, x := range o.forms() {
		if x.file == "" || x.file == "-" {
			continue
		}
		file, err := os.OpenFile(x.file, os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return usage("%s: %w", x.flag, err)
		}
		if err := file.Close(); err != nil {
			return asUsage(err)
		}
	}
	return nil
}

// show writes results in all forms that were asked for; the table unless another
// form goes to stdout.
func (o *outputs) show(e *env, results []report.Result) error {
	table := true
	for _, x := range o.forms() {
		var err error
		switch x.file {
		case "":
		case "-":
			table = false
			err = x.write(e.stdout, results)
		default:
			var file *os.File
			if file, err = os.Create(x.file); err == nil {
				err = errors.Join(x.write(file, results), file.Close())
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.flag, err)
		}
	}
	if !table {
		return nil
	}
	t := report.Options{Color: !o.noColor && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb" && e.terminal(e.stdout)}
	if len(results) == 1 && results[0].Repeat == 0 && len(results[0].Params) == 0 {
		return report.Text(e.stdout, results[0], t)
	}
	return report.Table(e.stdout, results, t)
}
