// This file defines run: it runs the cells of a scenario in turn, judges each
// recording, and shows the result.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/report/metrics"
	"starfall/runtime"
	"starfall/runtime/docker"
	"starfall/runtime/judge"
	"starfall/runtime/record"
	"starfall/scenarios"
)

// defaultOut is where run folders go.
const defaultOut = "runs"

// defaultSpeed is how many seconds of scenario pass in one second on the
// embedded engine.
const defaultSpeed = 10

// runFlags are the flags of run.
type runFlags struct {
	source
	target
	outputs
	sweeps  []string
	repeat  int
	quiet   bool
	plain   bool
	out     string
	jobs    int
	clients clientFlags
	metrics metricsFlag
}

func runCommand(e *env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a scenario and print what it cost",
		Long: `run brings the scenario's cluster up, puts load on it, plays the timeline,
records what happens into a run folder, judges the recording, prints a table,
and takes everything down.

Exit codes: 0 every expectation held, 1 one did not, 2 the command line or the
scenario is wrong and nothing was started, 3 inconclusive, 4 the engine failed,
5 a rule was broken, 130 interrupted. The first Ctrl-C heals all faults and
winds the run down; the second takes everything down at once.

With --engine docker it runs on real Kafka, in real time. Each broker's JVM gets
-Xmx512m; STARFALL_JVM_OPTS="-Xmx1g" gives all of them other options.`,
		Example: `  starfall run first.star
  starfall run first.star --set rate=2000 --repeat 5
  starfall run first.star --sweep rate=500,1000,2000 --json`,
		Args:              exactly(1, "one scenario"),
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, e, args[0])
		},
	}
	f.source.flags(cmd)
	f.target.flags(cmd)
	f.target.keepFlag(cmd)
	fl := cmd.Flags()
	fl.Float64Var(&f.speed, "speed", defaultSpeed, "how much faster than life the embedded engine runs")
	fl.StringArrayVar(&f.sweeps, "sweep", nil, "run once for each value of a parameter: `name=a,b`, repeatable")
	fl.IntVar(&f.repeat, "repeat", 1, "run each cell `n` times")
	f.outputs.flags(cmd)
	fl.BoolVar(&f.quiet, "quiet", false, "no progress and no warnings")
	fl.BoolVar(&f.plain, "plain", false, "a line an event instead of a live screen")
	fl.StringVar(&f.out, "out", defaultOut, "`folder` for run folders")
	fl.IntVar(&f.jobs, "jobs", 0, "run up to `n` cells of a sweep side by side (default one for two cores; on the docker engine 1)")
	f.clients.flags(cmd)
	f.metrics.flag(cmd)
	return cmd
}

func (f *runFlags) run(cmd *cobra.Command, e *env, path string) error {
	defer func() { f.metrics.close(cmd.Context(), e) }()
	cells, engine, err := f.prepare(cmd, e, path)
	if err != nil {
		return err
	}
	stop := watch(e)
	defer stop.close()

	results, failed := f.runMatrix(cmd.Context(), e, engine, cells, stop)
	if err := f.outputs.show(e, results); err != nil {
		return err
	}
	// A Ctrl-C that came when everything was recorded has changed nothing.
	code, broken := exitOK, len(results) < len(cells)
	for _, r := range results {
		code = report.Worse(code, r.Exit)
		broken = broken || r.Exit == exitInterrupted
	}
	if broken && stop.seen() {
		code = exitInterrupted
	}
	if failed != nil && code == exitOK {
		code = exitCode(nil, failed, false)
	}
	return verdictCode(code)
}

// runMatrix runs all cells. Of many, the folder above theirs gets the page and the
// index.
func (f *runFlags) runMatrix(ctx context.Context, e *env, engine *driver, cells []cell, stop *interrupts) ([]report.Result, error) {
	results, failed := f.runCells(ctx, e, engine, cells, stop)
	f.sweepPage(e, results)
	if err := saveSweep(e, cells, results, true); err != nil {
		fmt.Fprintf(e.stderr, "starfall: %v\n", err)
	}
	return results, failed
}

// prepare does everything that can go wrong before anything starts: the
// command line, every cell's plan, the engine, the folders.
func (f *runFlags) prepare(cmd *cobra.Command, e *env, path string) ([]cell, *driver, error) {
	if f.jobs < 0 {
		return nil, nil, usage("--jobs: got %d, want 1 or more", f.jobs)
	}
	if f.repeat < 1 {
		return nil, nil, usage("--repeat: got %d, want 1 or more", f.repeat)
	}
	if err := f.clients.parse(cmd, &f.target); err != nil {
		return nil, nil, err
	}
	name, err := f.resolve(cmd, e)
	if err != nil {
		return nil, nil, err
	}
	if f.jobs == 0 {
		f.jobs = defaultJobs(name)
	}
	if f.jobs > 1 && name == docker.Name {
		return nil, nil, usage("--jobs: got %d, want 1: on the docker engine each cluster has the machine to itself", f.jobs)
	}
	set, err := f.values()
	if err != nil {
		return nil, nil, err
	}
	if len(f.sweeps) == 0 && len(set) == 0 {
		f.sweeps, err = declared(path)
		if err != nil {
			return nil, nil, err
		}
		if len(f.sweeps) > 0 && !f.quiet {
			fmt.Fprintf(e.stderr, "%s is a table: --sweep %s (--set name=value runs one cell)\n", path, strings.Join(f.sweeps, " --sweep "))
		}
	}
	axes, err := parseSweeps(f.sweeps, set)
	if err != nil {
		return nil, nil, err
	}
	if len(axes) > 0 {
		// With the defaults first, so that a mistake of the scenario is not
		// told once a cell, and unknown parameters by name.
		p, err := f.load(cmd, e, path, nil, true)
		if err != nil {
			return nil, nil, err
		}
		if err := known(axes, p); err != nil {
			return nil, nil, err
		}
	}
	cells, err := matrix(axes, f.repeat)
	if err != nil {
		return nil, nil, err
	}
	for i := range cells {
		if i > 0 && cells[i].repeat > 1 {
			cells[i].plan = cells[i-1].plan
			continue
		}
		cells[i].plan, err = f.load(cmd, e, path, cells[i].set(), f.quiet || i > 0)
		if err != nil {
			if l := cells[i].label(); l != "" {
				fmt.Fprintf(e.stderr, "with %s:\n", l)
			}
			return nil, nil, err
		}
	}
	bare := f.bare(e, name)
	var plans []*plan.Plan
	for i, c := range cells {
		if err := fits(e, path, c.plan, bare, f.speed, f.quiet || i > 0); err != nil {
			return nil, nil, err
		}
		if err := f.clients.fits(path, c.plan, name); err != nil {
			return nil, nil, err
		}
		plans = append(plans, c.plan)
	}
	engine, err := f.open(cmd.Context(), e, name, plans, f.clients.any())
	if err != nil {
		return nil, nil, err
	}
	if err := f.metrics.open(cmd, e, f.quiet); err != nil {
		return nil, nil, err
	}
	if err := f.folders(e, cells); err != nil {
		return nil, nil, err
	}
	return cells, engine, nil
}

// declared gives the matrix that a scenario of the library is meant to run as.
func declared(path string) ([]string, error) {
	name, ok := strings.CutPrefix(path, stdPrefix)
	if !ok {
		return nil, nil
	}
	all, err := scenarios.List()
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if x.Name == strings.TrimSuffix(name, ".star") {
			return x.Sweeps, nil
		}
	}
	return nil, nil
}

// folders names the cells' run folders, and shows that they can be written to
// and that the files of results can, before anything starts.
func (f *runFlags) folders(e *env, cells []cell) error {
	base := cells[0].plan.Name + "-" + e.now().Format("20060102-150405")
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return usage("--out: cannot make the folder for runs: %w", err).hint("choose another one: --out DIR")
	}
	// Making it claims the name: two runs in one second get two folders.
	dir := filepath.Join(f.out, base)
	for n := 2; ; n++ {
		err := os.Mkdir(dir, 0o777)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) || n > 1000 {
			return usage("--out: cannot write in %s: %w", f.out, err).hint("choose another folder: --out DIR")
		}
		dir = filepath.Join(f.out, fmt.Sprintf("%s-%d", base, n))
	}
	for i := range cells {
		cells[i].started = e.now()
		cells[i].folder = dir
		if len(cells) > 1 {
			cells[i].folder = filepath.Join(dir, cells[i].dir(i, len(cells)))
		}
	}
	err := f.outputs.check()
	if err == nil {
		err = asUsage(saveSweep(e, cells, nil, false))
	}
	if err != nil {
		os.Remove(dir)
	}
	return err
}

// saveSweep writes the index of a sweep into its folder: with the runs that are
// to come, and at its end with what became of them.
func saveSweep(e *env, cells []cell, results []report.Result, ended bool) error {
	if len(cells) < 2 {
		return nil
	}
	dir := filepath.Dir(cells[0].folder)
	x := report.Index{Scenario: cells[0].plan.Name, Started: cells[0].started, Tool: version(), Ended: ended}
	for i := range cells {
		c := &cells[i]
		run := report.IndexRun{Folder: filepath.Base(c.folder), Params: params(c.plan, c), Repeat: c.repeat}
		for _, r := range results {
			if r.Folder == c.folder {
				run.Ran, run.WallMS, run.Exit, run.Error = true, r.Wall.Milliseconds(), r.Exit, r.Error
			}
		}
		x.Runs = append(x.Runs, run)
	}
	return report.SaveIndex(dir, x)
}

// runCell runs one cell and judges its recording. The result says as much as
// is known, also beside an error.
func (f *runFlags) runCell(ctx context.Context, e *env, engine *driver, c *cell, stop *interrupts, progress watching) (report.Result, error) {
	told, over, err := f.metrics.follow(metrics.About{
		Scenario: c.plan.Name, Engine: engine.Name(), Kafka: engine.kafka, Seed: c.plan.Scenario.Seed, Speed: f.speed, Cell: c.label(),
	}, progress.told())
	if err != nil {
		return report.Result{Scenario: c.plan.Name, Folder: c.folder, Exit: exitEngine, Error: err.Error()}, err
	}
	defer over()
	began := e.now()
	ran, runErr := runtime.Run(ctx, c.plan, runtime.Options{
		Engine:    engine.Engine,
		Connect:   f.clients.connect(engine.connect, c.folder),
		Strangers: f.clients.strangers(engine.Name()),
		Speed:     f.speed,
		Folder:    c.folder,
		Tool:      version(),
		Kafka:     engine.kafka,
		Images:    engine.images,
		Progress:  told,
		Interrupt: stop.channel(),
	})
	progress.end()
	engine.tellKept(e)
	r := report.Result{
		Scenario: c.plan.Name,
		Params:   params(c.plan, c),
		Repeat:   c.repeat,
		Folder:   c.folder,
		Wall:     e.now().Sub(began).Round(time.Millisecond),
	}
	v, err := judgeFolder(c.folder)
	r.Verdict = v
	if err != nil && runErr == nil {
		// After a run that failed, that its recording is not whole is no news.
		runErr = err
	}
	r.Exit = exitCode(v, runErr, ran.Interrupted)
	if runErr != nil && r.Exit != exitInterrupted {
		r.Error = runErr.Error()
		f.page(e, &r)
		return r, runErr
	}
	f.page(e, &r)
	return r, nil
}

// judgeFolder computes the verdict from the recording alone and keeps it
// there. A verdict that cannot be kept is given beside the error.
func judgeFolder(folder string) (*judge.Verdict, error) {
	rec, err := record.Open(folder)
	if err != nil {
		return nil, err
	}
	v, err := judge.Judge(rec.Plan, rec)
	if err != nil {
		return nil, err
	}
	return v, record.SaveVerdict(folder, v)
}

// params are the values that a table shows: those of the sweep, and those set
// by hand.
func params(p *plan.Plan, c *cell) []report.Param {
	var out []report.Param
	for i, name := range c.names {
		out = append(out, report.Param{Name: name, Value: c.values[i]})
	}
	return out
}

// tellCell writes a run's error to stderr, with what may help.
func (f *runFlags) tellCell(e *env, c *cell, err error) {
	fail := &failure{code: exitEngine, err: err}
	text := err.Error()
	switch {
	case strings.Contains(text, "no space left"), strings.Contains(text, "file too large"), strings.Contains(text, "disk quota"):
		fail.hint("the disk is full: free some, or choose another folder with --out DIR")
	}
	dockerHints(fail, err)
	if _, statErr := os.Stat(filepath.Join(c.folder, record.FileJournal)); statErr == nil {
		fail.hint("what was recorded up to then is in %s", c.folder)
	}
	tell(e.stderr, fail)
}

// exitCode is the code of one run: that of its verdict, unless the run itself
// failed or was interrupted.
func exitCode(v *judge.Verdict, runErr error, interrupted bool) int {
	var refused *runtime.RefusedError
	switch {
	case errors.As(runErr, &refused): // what only the containers could tell
		return exitUsage
	case errors.Is(runErr, runtime.ErrInterrupted), interrupted && runErr == nil:
		return exitInterrupted
	case runErr != nil || v == nil:
		return exitEngine
	}
	return v.Exit
}
