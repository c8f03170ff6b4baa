// This file defines judge: a recording is judged again, by its own claims or by
// those of another file.

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"starfall/internal/spell"
	"starfall/interp"
	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

type judgeFlags struct {
	source
	outputs
	with  string
	quiet bool
}

func judgeCommand(e *env) *cobra.Command {
	var f judgeFlags
	cmd := &cobra.Command{
		Use:   "judge RUN",
		Short: "Judge a recorded run again, also by other claims",
		Long: `judge computes the verdict of a run folder, or of all runs of a sweep's folder,
from what was recorded, prints the same table as run did, and ends with the same
exit code. It needs no engine. The verdict.json of each run is written anew.

--with judges by the claims of another file. That file declares what its claims
name, as any scenario does; what has the same name in the recording is meant.
Its parameters have the values that they had in the recording, unless --set says
otherwise. Claims about things or times that were not recorded are refused, with
their places. verdict.json stays as it is.

A recording that was cut off is judged up to there, and is never a PASS.`,
		Example: `  starfall judge runs/first-20261124-073100
  starfall judge runs/first-20261124-073100 --with stricter.star`,
		Args:              exactly(1, "one run folder"),
		ValidArgsFunction: folders,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, e, args[0]) },
	}
	f.source.flags(cmd)
	f.outputs.flags(cmd)
	cmd.Flags().StringVar(&f.with, "with", "", "judge by the claims of `file` instead of the recorded ones")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "no warnings")
	return cmd
}

func (f *judgeFlags) run(cmd *cobra.Command, e *env, path string) error {
	if f.with == "" {
		for _, name := range []string{"set", "seed"} {
			if cmd.Flags().Changed(name) {
				return usage("--%s: what was recorded stays as it was", name).hint("with other claims it sets their parameters: --with FILE --%s …", name)
			}
		}
	}
	folder, err := findRun(path)
	if err != nil {
		return err
	}
	if err := f.outputs.check(); err != nil {
		return err
	}
	var claims func(*record.Recording) (*plan.Plan, error)
	if f.with != "" {
		claims = f.claims(cmd, e)
	}
	results, err := folder.judgeAll(e, claims, f.quiet)
	if err != nil {
		return err
	}
	if f.with == "" {
		for i, r := range results {
			if err := keepVerdict(folder, &folder.runs[i], r); err != nil {
				return asUsage(err)
			}
		}
		if err := folder.saveIndex(results); err != nil {
			return asUsage(err)
		}
	}
	if err := f.outputs.show(e, results); err != nil {
		return err
	}
	return verdictCode(folder.exit(results))
}

// exit is the exit code of all results. A sweep of which something is missing
// is not passed.
func (r *recorded) exit(results []report.Result) int {
	code := exitOK
	for _, x := range results {
		code = report.Worse(code, x.Exit)
	}
	if !r.whole() {
		code = report.Worse(code, judge.Inconclusive.Exit())
	}
	return code
}

// judgeAll judges all runs of a folder. What was cut off and is not in a verdict
// is told.
func (r *recorded) judgeAll(e *env, claims func(*record.Recording) (*plan.Plan, error), quiet bool) ([]report.Result, error) {
	say := func(format string, args ...any) {
		if !quiet {
			fmt.Fprintf(e.stderr, format+"\n", args...)
		}
	}
	for _, n := range r.notes {
		say("%s: %s", r.path, n)
	}
	var out []report.Result
	for i := range r.runs {
		x, rec, err := r.runs[i].judge(claims)
		if err != nil {
			return nil, err
		}
		if x.Scenario == "" {
			x.Scenario = r.index.Scenario
		}
		if rec != nil {
			for _, s := range rec.Short {
				say("%s: %s; no claim is judged by it", r.runs[i].folder, s)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// keepVerdict writes the verdict of a run into its folder, when there is one.
func keepVerdict(folder *recorded, run *recordedRun, r report.Result) error {
	if r.Verdict == nil {
		return nil
	}
	if err := record.SaveVerdict(run.folder, r.Verdict); err != nil {
		return trimmed(err)
	}
	return nil
}

// saveIndex writes the index of a sweep whose runs were judged again, if it had
// one.
func (r *recorded) saveIndex(results []report.Result) error {
	if !r.sweep || r.index.Format == 0 {
		return nil
	}
	for _, x := range results {
		for k := range r.index.Runs {
			run := &r.index.Runs[k]
			if filepath.Join(r.path, filepath.FromSlash(run.Folder)) == x.Folder {
				run.Exit = x.Exit
			}
		}
	}
	return report.SaveIndex(r.path, r.index)
}

// claims gives the plan of another file for a recording, once it fits.
func (f *judgeFlags) claims(cmd *cobra.Command, e *env) func(*record.Recording) (*plan.Plan, error) {
	set, asked := f.source.values()
	told := map[string]bool{}
	return func(rec *record.Recording) (*plan.Plan, error) {
		if asked != nil {
			return nil, asked
		}
		p, err := f.load(cmd, e, f.with, nil, f.quiet || len(told) > 0)
		if err != nil {
			return nil, err
		}
		told[""] = true
		more := map[string]string{}
		for _, x := range p.Params {
			for _, was := range rec.Plan.Params {
				if _, given := set[x.Name]; was.Name == x.Name && was.Value != x.Value && !given {
					more[x.Name] = raw(was.Value)
				}
			}
		}
		if len(more) > 0 {
			if p, err = f.load(cmd, e, f.with, more, true); err != nil {
				return nil, err
			}
		}
		found, err := judge.Unfits(p, rec)
		if err != nil {
			return nil, err
		}
		open := opener(f.with, p)
		var wrong []interp.Problem
		for _, u := range found {
			x := interp.Problem{Pos: open(u.Pos), Severity: interp.Error, Message: u.Message, Suggestion: unfitHint(u)}
			if !u.Warning {
				wrong = append(wrong, x)
				continue
			}
			x.Severity = interp.Warning
			if !f.quiet && !told[x.String()] {
				told[x.String()] = true
				fmt.Fprintln(e.stderr, x)
			}
		}
		if len(wrong) > 0 {
			return nil, &interp.Errors{Problems: wrong}
		}
		return p, nil
	}
}

// unfitHint says what the recording has instead.
func unfitHint(u judge.Unfit) string {
	switch {
	case u.Name == "":
		return ""
	case len(u.Have) == 0:
		return "it has none"
	}
	if near, ok := spell.Nearest(u.Name, u.Have); ok {
		return "did you mean " + near + "?"
	}
	return "it has " + spell.List(u.Have)
}

// unquote reads a string literal as plans have it.
func unquote(literal string) (string, error) {
	if !strings.HasPrefix(literal, `"`) {
		return "", strconv.ErrSyntax
	}
	return strconv.Unquote(literal)
}
