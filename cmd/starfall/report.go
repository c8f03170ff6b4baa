// This file defines report: the pages of recorded runs are written again.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"starfall/report"
	"starfall/runtime/record"
)

// filePage is the page in the folder of a run or sweep.
const filePage = "report.html"

// pages are what writes the pages.
type pages struct {
	run   func(io.Writer, report.Result, *record.Recording) error
	sweep func(w io.Writer, title string, results []report.Result) error
}

func reportCommand(e *env, p pages) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Write the page of a recorded run again",
		Long: `report judges a run folder again, without an engine, and writes its report.html:
one file that needs nothing else. Of a sweep's folder it writes the pages of all
runs and one that links to them. It prints the path of the page.`,
		Example:           "  starfall report runs/first-20261124-073100",
		Args:              exactly(1, "one run folder"),
		ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := findRun(args[0])
			if err != nil {
				return err
			}
			path, err := p.write(e, folder, quiet)
			if err != nil {
				return asUsage(err)
			}
			fmt.Fprintln(e.stdout, path)
			return nil
		},
	}
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no warnings")
	return cmd
}

// write writes the page of a folder, and those of a sweep's runs, and gives its
// path.
func (p pages) write(e *env, folder *recorded, quiet bool) (string, error) {
	var results []report.Result
	title := folder.index.Scenario
	for _, n := range folder.notes {
		if !quiet {
			fmt.Fprintf(e.stderr, "%s: %s\n", folder.path, n)
		}
	}
	for i := range folder.runs {
		r, rec, err := folder.runs[i].judge(nil)
		if err != nil {
			return "", err
		}
		if r.Scenario == "" {
			r.Scenario = folder.index.Scenario
		}
		results = append(results, r)
		if rec == nil {
			if !folder.sweep {
				return "", usage("%s: %w", folder.path, nothing(r)).hint("there is nothing to show")
			}
			continue
		}
		if r.Verdict.Title != "" {
			title = r.Verdict.Title
		}
		if err := save(filepath.Join(r.Folder, filePage), func(w io.Writer) error { return p.run(w, r, rec) }); err != nil {
			return "", err
		}
	}
	path := filepath.Join(folder.path, filePage)
	if !folder.sweep {
		return path, nil
	}
	return path, save(path, func(w io.Writer) error { return p.sweep(w, title, results) })
}

// save writes a file: the whole of it or nothing.
func save(path string, write func(io.Writer) error) error {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
