// This file defines report: the pages of recorded runs are written again.

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"starfall/report"
)

func reportCommand(e *env) *cobra.Command {
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
			path, err := rewritePages(e, folder, quiet)
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

// rewritePages writes the page of a folder, and those of a sweep's runs, and
// gives its path.
func rewritePages(e *env, folder *recorded, quiet bool) (string, error) {
	var results []report.Result
	path := ""
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
		if rec == nil && !folder.sweep {
			return "", usage("%s: %w", folder.path, nothing(r)).hint("there is nothing to show")
		}
		if rec != nil {
			if path, err = writeRunPage(r, rec); err != nil {
				return "", err
			}
		}
		results = append(results, r)
	}
	if !folder.sweep {
		return path, nil
	}
	return writeSweepPage(folder.path, results)
}
