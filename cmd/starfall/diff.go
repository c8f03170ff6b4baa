// This file defines diff: two recorded runs, or two sweeps, against each other.

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"starfall/internal/spell"
	"starfall/report"
	"starfall/report/compare"
)

func diffCommand(e *env) *cobra.Command {
	var asJSON bool
	var despite []string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare recorded runs: verdicts first, then numbers",
		Long: `diff compares two run folders, or the folders of two sweeps or repeats. It says
first whether the two are comparable: the same plan, parameters, seed, images,
engine, version of Kafka, speed and host. Then it names the verdicts that flipped,
then the numbers that the scenario claims or reports.

With 4 runs or more on each side, numbers are medians with an interval, and each
pair is tested (Mann–Whitney U, two-sided, all tests corrected together by Holm);
with fewer they are ranges and nothing is concluded. Runs that are not comparable
are put side by side and not tested, unless --despite says that such differences
are what is wanted: --despite params for a scenario with another acks.

Exit codes: 0 the verdicts are the same, 1 one flipped, 2 a run cannot be read.`,
		Example: `  starfall diff runs/before runs/after
  starfall diff runs/kafka-3.9 runs/kafka-4.3 --despite kafka,images`,
		Args:              exactly(2, "two run folders"),
		ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			var o compare.Options
			for _, name := range despite {
				if !slices.Contains(compare.Kinds(), compare.Kind(name)) {
					var names []string
					for _, k := range compare.Kinds() {
						names = append(names, string(k))
					}
					f := usage("--despite: got %q, want one of %s", name, spell.List(names))
					if near, ok := spell.Nearest(name, names); ok {
						f.hint("did you mean %s?", near)
					}
					return f
				}
				o.Despite = append(o.Despite, compare.Kind(name))
			}
			a, err := side(e, args[0])
			if err != nil {
				return err
			}
			b, err := side(e, args[1])
			if err != nil {
				return err
			}
			c := compare.Compare(a, b, o)
			if asJSON {
				err = report.DiffJSON(e.stdout, c)
			} else {
				err = report.Diff(e.stdout, c)
			}
			if err != nil {
				return err
			}
			if c.Flipped > 0 {
				return verdictCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	cmd.Flags().StringSliceVar(&despite, "despite", nil, "compare despite differences of these `kinds`: plan, params, seed, images, engine, kafka, speed, host")
	return cmd
}

// side judges the runs of a folder for a comparison. Runs of which nothing can
// be read are left out, which is said; one at least must be there.
func side(e *env, path string) (compare.Side, error) {
	folder, err := findRun(path)
	if err != nil {
		return compare.Side{}, err
	}
	out := compare.Side{Folder: folder.path}
	for _, n := range folder.notes {
		fmt.Fprintf(e.stderr, "%s: %s\n", folder.path, n)
	}
	var last error
	for i := range folder.runs {
		run := &folder.runs[i]
		r, rec, err := run.judge(nil)
		if err != nil {
			return out, err
		}
		if rec == nil {
			last = nothing(r)
			fmt.Fprintf(e.stderr, "%s: %v\n", run.folder, last)
			continue
		}
		for _, p := range run.params {
			if !slices.Contains(out.Swept, p.Name) {
				out.Swept = append(out.Swept, p.Name)
			}
		}
		out.Runs = append(out.Runs, compare.Run{Plan: rec.Plan, Info: rec.Info, Verdict: r.Verdict})
	}
	if len(out.Runs) == 0 {
		return out, usage("%s: %w", path, last)
	}
	return out, nil
}

// nothing says why there is nothing to read of a run.
func nothing(r report.Result) error {
	if r.Verdict == nil {
		return errors.New("nothing was recorded: " + strings.TrimSpace(r.Error))
	}
	return errors.New(r.Verdict.Reasons[0].Text)
}
