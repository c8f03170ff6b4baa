// This file defines replay: it runs the experiment of a bundle again and says whether
// it comes out as the results that are attached.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"starfall/bundle"
	"starfall/report"
)

type replayFlags struct {
	target
	n          int
	frozen     bool
	runClients bool
	json       bool
	noColor    bool
	quiet      bool
	out        string
	jobs       int
}

func replayCommand(e *env) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay BUNDLE",
		Short: "Run the experiment of a bundle again and compare the verdicts",
		Long: `replay reads a bundle, from a file, a layout folder or a registry, checks every
digest, compares what is here with experiment.lock, runs the scenario, and compares the
verdicts, claim by claim, with the results that are attached.

A difference from the lock is told; with --frozen it is an error, before anything
starts. The seed fixes victims, keys and ids. It does not fix how Kafka schedules what
it does: repeat the run with -n to see how stable a verdict is.

Programs that the bundle has in the place of clients are other people's code. They are
started only with --run-clients, on this machine, with the rights of this user.

Exit codes: 0 same verdicts, 1 different verdicts, 2 refused, 3 not comparable, 4 the
engine failed, 130 interrupted.`,
		Example: `  starfall replay failover.tar
  starfall replay registry.example.com/lab/failover:v1 -n 5 --frozen`,
		Args: exactly(1, "one bundle"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBundle(cmd, e, args[0])
			if err != nil {
				return err
			}
			return f.replay(cmd, e, b)
		},
	}
	f.target.flags(cmd)
	f.target.keepFlag(cmd)
	fl := cmd.Flags()
	fl.Float64Var(&f.speed, "speed", 0, "how much faster than life the embedded engine runs (default the bundle's)")
	fl.IntVarP(&f.n, "repeat", "n", 1, "run it `n` times")
	fl.BoolVar(&f.frozen, "frozen", false, "whatever differs from experiment.lock is an error")
	fl.BoolVar(&f.runClients, "run-clients", false, "start the programs that the bundle has in the place of clients")
	fl.BoolVar(&f.json, "json", false, "print the comparison as JSON")
	fl.BoolVar(&f.noColor, "no-color", false, "no colour (as NO_COLOR)")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress and no warnings")
	fl.StringVar(&f.out, "out", defaultOut, "`folder` for run folders")
	fl.IntVar(&f.jobs, "jobs", 0, "run up to `n` side by side (default one for two cores; on the docker engine 1)")
	return cmd
}

func (f *replayFlags) replay(cmd *cobra.Command, e *env, b *bundle.Bundle) error {
	l := b.Lock
	if len(l.Clients) > 0 && !f.runClients {
		fail := usage("the bundle has programs of its own, which are other people's code")
		for _, c := range l.Clients {
			fail.hint("in the place of %s: %s", plainText(c.Name, ""), plainText(commandLine(c.Command), ""))
		}
		return fail.hint("look at them: starfall pull BUNDLE -o DIR; then --run-clients starts them, with the rights of this user")
	}
	dir, err := os.MkdirTemp("", "starfall-replay-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.UnpackFiles(dir); err != nil {
		return refused(err)
	}
	// The one variable that changes a run is the experiment's here.
	locked, getenv := *e, e.getenv
	locked.getenv = func(name string) string {
		if name == jvmOptions {
			return l.Env[jvmOptions]
		}
		return getenv(name)
	}
	e = &locked
	run := f.runFlags(cmd, l, dir)
	path := filepath.Join(dir, filepath.FromSlash(l.Scenario))
	differences, err := f.differences(cmd, e, run, b, path)
	if err != nil {
		return err
	}
	if f.frozen && len(differences) > 0 {
		fail := usage("--frozen: here it is not what experiment.lock says")
		for _, d := range differences {
			fail.hint("%s", plainText(d.String(), ""))
		}
		return fail
	}
	if !f.quiet {
		for _, d := range differences {
			fmt.Fprintf(e.stderr, "not as locked: %s\n", plainText(d.String(), ""))
		}
	}
	cells, engine, err := run.prepare(cmd, e, path)
	if err != nil {
		return err
	}
	stop := watch(e)
	defer stop.close()
	results, failed := run.runMatrix(cmd.Context(), e, engine, cells, stop)
	var before, now []bundle.Run
	for i, r := range b.Results {
		before = append(before, bundle.Run{Plan: b.Plan, Engine: r.Info.Engine, Kafka: r.Info.Kafka, Verdict: r.Verdict, Name: fmt.Sprintf("result %d", i+1)})
	}
	interrupted := stop.seen() && len(results) < len(cells)
	for _, r := range results {
		interrupted = interrupted || r.Exit == exitInterrupted
		now = append(now, bundle.Run{Plan: cells[0].plan, Engine: engine.Name(), Kafka: engine.kafka, Verdict: r.Verdict, Name: r.Folder})
	}
	c := bundle.Compare(before, now)
	if err := f.show(e, run, results, c, differences); err != nil {
		return err
	}
	switch {
	case interrupted:
		return verdictCode(exitInterrupted)
	case failed != nil && c.Outcome != bundle.Different:
		return verdictCode(exitCode(nil, failed, false))
	}
	return verdictCode(c.Outcome.Exit())
}

// runFlags are the flags of the run that a lock describes.
func (f *replayFlags) runFlags(cmd *cobra.Command, l *bundle.Lock, dir string) *runFlags {
	r := &runFlags{
		source:  source{seed: l.Seed, fixed: true, root: dir},
		target:  f.target,
		outputs: outputs{noColor: f.noColor},
		repeat:  f.n, quiet: f.quiet, out: f.out, jobs: f.jobs,
		clients: clientFlags{dir: dir},
	}
	for _, name := range sortedKeys(l.Params) {
		r.set = append(r.set, name+"="+l.Params[name])
	}
	for _, c := range l.Clients {
		r.clients.list = append(r.clients.list, c.Name+"="+commandLine(c.Command))
	}
	if r.engine == "" {
		r.engine = l.Engine
	}
	if !cmd.Flags().Changed("speed") {
		r.speed = l.Speed
	}
	return r
}

// differences loads the scenario as it is understood here and compares it, with all
// that it would run on, with the lock.
func (f *replayFlags) differences(cmd *cobra.Command, e *env, run *runFlags, b *bundle.Bundle, path string) ([]bundle.Difference, error) {
	trial := *run
	if err := trial.clients.parse(cmd, &trial.target); err != nil {
		return nil, err
	}
	engine, err := trial.resolve(cmd, e)
	if err != nil {
		return nil, err
	}
	p, err := trial.load(cmd, e, path, nil, true)
	if err != nil {
		return nil, err
	}
	here, err := trial.conditions(cmd.Context(), e, engine, p)
	if err != nil {
		return nil, err
	}
	if here, err = bundle.LockOf(p, here); err != nil {
		return nil, err
	}
	out := b.Lock.Differences(&here)
	for i, d := range out {
		if d.What != "plan" {
			continue
		}
		if parts := bundle.Parts(b.Plan, p); len(parts) > 0 {
			out[i].What = "plan (" + strings.Join(parts, ", ") + ")"
		} else {
			out[i].What = "plan (only where things stand in the source)"
		}
	}
	return out, nil
}

// replayed is what replay --json prints.
type replayed struct {
	Format      int               `json:"format"`
	Exit        int               `json:"exit"`
	Comparison  bundle.Comparison `json:"comparison"`
	Differences []string          `json:"differences"`
	Folders     []string          `json:"folders"`
}

func (f *replayFlags) show(e *env, run *runFlags, results []report.Result, c bundle.Comparison, differences []bundle.Difference) error {
	if f.json {
		out := replayed{Format: 1, Exit: c.Outcome.Exit(), Comparison: c, Differences: []string{}, Folders: []string{}}
		for _, d := range differences {
			out.Differences = append(out.Differences, d.String())
		}
		for _, r := range results {
			out.Folders = append(out.Folders, r.Folder)
		}
		enc := json.NewEncoder(e.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	if err := run.outputs.show(e, results); err != nil {
		return err
	}
	return tellComparison(e.stdout, c)
}

// tellComparison says what came out, with a line a claim.
func tellComparison(w io.Writer, c bundle.Comparison) error {
	fmt.Fprintln(w)
	switch c.Outcome {
	case bundle.NotComparable:
		fmt.Fprintf(w, "%s\n", c.Outcome)
		for _, r := range c.Reasons {
			fmt.Fprintf(w, "  %s\n", plainText(r, ""))
		}
	default:
		fmt.Fprintf(w, "%s: attached %s; now %s\n", c.Outcome, tally(c.Before), tally(c.Now))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range c.Claims {
		mark := "="
		if !p.Same {
			mark = "≠"
		}
		fmt.Fprintf(t, "  %s %s\tattached %s\tnow %s\n", mark, plainText(p.Text, ""), tally(p.Before), tally(p.Now))
	}
	return t.Flush()
}

// tally writes counts: held 4 of 5, broken 1 of 5.
func tally(counts map[string]int) string {
	all := 0
	for _, n := range counts {
		all += n
	}
	var out []string
	for _, name := range sortedKeys(counts) {
		if all == 1 {
			return plainText(name, "")
		}
		out = append(out, fmt.Sprintf("%s %d of %d", plainText(name, ""), counts[name], all))
	}
	return strings.Join(out, ", ")
}
