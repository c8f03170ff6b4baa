// This file defines how the folders of recorded runs and sweeps are found and
// read again.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starfall/internal/spell"
	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// recorded is a run folder, or the folder of a sweep with its runs.
type recorded struct {
	path  string
	sweep bool
	index report.Index // of a sweep
	runs  []recordedRun
	notes []string // what is not as it should be
}

// recordedRun is one run as its sweep knows it.
type recordedRun struct {
	folder string
	params []report.Param
	repeat int
	ran    bool // as far as the sweep knows
	wall   time.Duration
	err    string // what the engine failed with
}

// isRun tells whether a folder is a run's: it has one of the files that a run
// writes first.
func isRun(dir string) bool {
	for _, name := range []string{record.FileInfo, record.FilePlan, record.FileJournal} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// cellDir is how the folders of a sweep's runs are named (cell.dir).
var cellDir = regexp.MustCompile(`^\d+(-[A-Za-z_]\w*=.*|-\d+)?(-again)?$`)

// cellDirs gives the run folders of a sweep, in the order of its cells.
func cellDirs(dir string) []string {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, x := range all {
		if x.IsDir() && cellDir.MatchString(x.Name()) && isRun(filepath.Join(dir, x.Name())) {
			out = append(out, x.Name())
		}
	}
	// A run that was done again counts, and not its first try.
	return slices.DeleteFunc(out, func(name string) bool { return slices.Contains(out, name+"-again") })
}

// isSweep tells whether a folder is a sweep's.
func isSweep(dir string) bool {
	if info, err := os.Stat(filepath.Join(dir, report.FileIndex)); err == nil && info.Mode().IsRegular() {
		return true
	}
	return len(cellDirs(dir)) > 0
}

// findRun finds the folder of a run or sweep. A name that is no path is looked
// for in the usual place too.
func findRun(path string) (*recorded, error) {
	dir := filepath.Clean(path)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(dir) {
		if in, err2 := os.Stat(filepath.Join(defaultOut, dir)); err2 == nil {
			dir, info, err = filepath.Join(defaultOut, dir), in, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noFolder(path)
	case err != nil:
		return nil, usage("%w", err)
	case !info.IsDir():
		f := usage("%s: is a file, want a run folder", path)
		if parent := filepath.Dir(dir); isRun(parent) || isSweep(parent) {
			return nil, f.hint("did you mean %s?", parent)
		}
		return nil, f.hint("starfall runs lists them")
	case isRun(dir):
		return &recorded{path: dir, runs: []recordedRun{{folder: dir, ran: true}}}, nil
	case isSweep(dir):
		return readSweep(dir)
	}
	f := usage("%s: is not a run folder: it has no %s", path, record.FileInfo)
	if names := runNames(dir); len(names) > 0 {
		f.hint("there are runs in it: starfall runs %s", path)
	}
	return nil, f
}

// noFolder says that there is no such run, with the one that was meant: the
// nearest name, or the newest run of a scenario of that name.
func noFolder(path string) error {
	f := usage("%s: no such folder", path)
	base := filepath.Base(path)
	for _, dir := range slices.Compact([]string{filepath.Dir(path), defaultOut}) {
		names := runNames(dir)
		newest := ""
		for _, n := range names {
			if strings.HasPrefix(n, base) {
				newest = max(newest, n) // names end in their time
			}
		}
		if near, ok := spell.Nearest(base, names); newest == "" && ok {
			newest = near
		}
		if newest != "" {
			return f.hint("did you mean %s?", filepath.Join(dir, newest))
		}
	}
	return f.hint("starfall runs lists the runs that there are")
}

// runNames gives the folders of runs and sweeps in a folder, sorted.
func runNames(dir string) []string {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, x := range all {
		if full := filepath.Join(dir, x.Name()); x.IsDir() && (isRun(full) || isSweep(full)) {
			out = append(out, x.Name())
		}
	}
	return out
}

// readSweep reads what a sweep's folder holds: from its index, and where that is
// missing or cut off, from the folders below.
func readSweep(dir string) (*recorded, error) {
	r := &recorded{path: dir, sweep: true}
	index, err := report.ReadIndex(dir)
	var newer *report.IndexFormatError
	switch {
	case errors.As(err, &newer):
		return nil, usage("%s: %w", dir, err)
	case errors.Is(err, fs.ErrNotExist):
		r.notes = append(r.notes, fmt.Sprintf("%s: missing: the runs are taken from the folders", report.FileIndex))
	case errors.Is(err, report.ErrIndexCut):
		r.notes = append(r.notes, fmt.Sprintf("%s: cut off: the runs are taken from the folders", report.FileIndex))
	case err != nil:
		return nil, usage("%s: %w", dir, err)
	}
	if err != nil {
		r.fromFolders(cellDirs(dir))
		return r, nil
	}
	r.index = index
	left := 0
	for _, x := range index.Runs {
		folder := filepath.Join(dir, filepath.FromSlash(x.Folder))
		run := recordedRun{folder: folder, params: x.Params, repeat: x.Repeat, ran: x.Ran,
			wall: time.Duration(x.WallMS) * time.Millisecond, err: x.Error}
		if !x.Ran && !isRun(folder) {
			left++
			continue
		}
		r.runs = append(r.runs, run)
	}
	switch {
	case left > 0 && index.Ended:
		r.notes = append(r.notes, fmt.Sprintf("interrupted: %d of %s did not begin", left, few(len(index.Runs), "run")))
	case !index.Ended:
		r.notes = append(r.notes, fmt.Sprintf("the sweep did not end, or goes on: %d of %s did not begin", left, few(len(index.Runs), "run")))
	}
	if len(r.runs) == 0 {
		return nil, usage("%s: none of its %s began", dir, few(len(index.Runs), "run"))
	}
	return r, nil
}

// fromFolders makes the runs of a sweep of its folders. Its parameters are those
// in which they differ.
func (r *recorded) fromFolders(names []string) {
	values := map[string]map[string]bool{}
	params := map[string]map[string]string{}
	for _, name := range names {
		params[name] = map[string]string{}
		rec, err := record.Open(filepath.Join(r.path, name))
		if err != nil {
			continue
		}
		for _, p := range rec.Plan.Params {
			if values[p.Name] == nil {
				values[p.Name] = map[string]bool{}
			}
			values[p.Name][p.Value] = true
			params[name][p.Name] = p.Value
		}
	}
	repeats := map[string]int{}
	for _, name := range names {
		run := recordedRun{folder: filepath.Join(r.path, name), ran: true}
		for _, p := range slices.Sorted(maps.Keys(values)) {
			if len(values[p]) > 1 {
				run.params = append(run.params, report.Param{Name: p, Value: raw(params[name][p])})
			}
		}
		cell := fmt.Sprint(run.params)
		repeats[cell]++
		run.repeat = repeats[cell]
		r.runs = append(r.runs, run)
	}
	if len(repeats) == len(names) {
		for i := range r.runs {
			r.runs[i].repeat = 0
		}
	}
}

// raw is a value of a parameter as --set takes it.
func raw(literal string) string {
	if s, err := unquote(literal); err == nil {
		return s
	}
	return literal
}

// whole tells whether all runs that a sweep planned are there and ended.
func (r *recorded) whole() bool {
	if !r.sweep {
		return true
	}
	return len(r.notes) == 0
}

// open reads a recording. An error is one of the command line, with what to do.
func (r *recordedRun) open() (*record.Recording, error) {
	rec, err := record.Open(r.folder)
	var format *record.FormatError
	var beginning *record.BeginningError
	switch {
	case err == nil:
		return rec, nil
	case errors.As(err, &beginning):
		return nil, err
	case errors.As(err, &format):
		return nil, usage("%s: %w", r.folder, trimmed(err))
	}
	return nil, asUsage(err)
}

// trimmed leaves out the name of the layer, which a command's errors do without.
func trimmed(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "record: ")) }

// judge judges a run again. Its plan's own claims are judged when claims is nil.
// What is cut off is in the verdict; the recording is nil when nothing can be
// read.
func (r *recordedRun) judge(claims func(*record.Recording) (*plan.Plan, error)) (report.Result, *record.Recording, error) {
	out := report.Result{Params: r.params, Repeat: r.repeat, Folder: r.folder, Wall: r.wall}
	if !isRun(r.folder) {
		// The engine failed before anything was recorded.
		out.Exit, out.Error = exitEngine, r.err
		return out, nil, nil
	}
	rec, err := r.open()
	var beginning *record.BeginningError
	if errors.As(err, &beginning) {
		out.Scenario = filepath.Base(r.folder)
		out.Verdict = judge.Unread(out.Scenario, err)
		out.Exit = out.Verdict.Exit
		return out, nil, nil
	}
	if err != nil {
		return out, nil, err
	}
	p := rec.Plan
	if claims != nil {
		if p, err = claims(rec); err != nil {
			return out, nil, err
		}
	}
	v, err := judge.Judge(p, rec)
	if err != nil {
		return out, nil, &failure{code: exitUsage, err: fmt.Errorf("%s: %w", r.folder, err)}
	}
	out.Scenario, out.Verdict, out.Exit = rec.Plan.Name, v, v.Exit
	if out.Wall == 0 {
		out.Wall = lasted(rec)
	}
	return out, rec, nil
}

// lasted is how long a run took in real time, as its journal tells: from its
// first event to its last.
func lasted(rec *record.Recording) time.Duration {
	if len(rec.Events) == 0 {
		return 0
	}
	speed := rec.Info.Speed
	if speed <= 0 {
		speed = 1
	}
	d := rec.Events[len(rec.Events)-1].At - rec.Events[0].At
	return time.Duration(float64(d) / speed).Round(time.Millisecond)
}

// folders completes the names of run folders.
func folders(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, n := range runNames(defaultOut) {
		out = append(out, filepath.Join(defaultOut, n))
	}
	return out, cobra.ShellCompDirectiveFilterDirs
}
