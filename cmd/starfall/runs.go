// This file defines runs: what has been recorded, in a table.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

func runsCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "runs [DIR]",
		Short: "List recorded runs, newest first",
		Long: `runs lists the run folders in a folder, runs/ if none is given: when each ran,
on what, with which verdict. A sweep is one row with the worst of its verdicts. A
run that was cut off or cannot be read is listed as such.`,
		Args: atMost(1, "one folder at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := defaultOut
			if len(args) == 1 {
				dir = filepath.Clean(args[0])
			}
			list, err := listRuns(dir)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(e.stdout)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(report.RunsDocument{Format: report.JSONFormat, Folder: dir, Runs: list})
			}
			if len(list) == 0 {
				fmt.Fprintf(e.stderr, "no runs in %s\n", dir)
				return nil
			}
			return report.Runs(e.stdout, dir, list, e.now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

// listRuns gives the runs of a folder, newest first.
func listRuns(dir string) ([]report.RunRow, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f := usage("%s: no such folder", dir)
		if dir == defaultOut {
			return nil, f.hint("nothing has run here yet; runs of elsewhere: starfall runs DIR")
		}
		var names []string
		all, _ := os.ReadDir(filepath.Dir(dir))
		for _, x := range all {
			if x.IsDir() {
				names = append(names, x.Name())
			}
		}
		return nil, meant(f, filepath.Base(dir), names)
	case err != nil:
		return nil, usage("%w", err)
	case !info.IsDir():
		return nil, usage("%s: is a file, want a folder with runs", dir)
	case isRun(dir):
		return nil, usage("%s: is one run, want the folder that it is in", dir).hint("its table: starfall judge %s", dir)
	}
	list := []report.RunRow{}
	if isSweep(dir) {
		s, err := readSweep(dir)
		if err != nil {
			return nil, err
		}
		for _, r := range s.runs {
			row := rowOf(r.folder)
			row.Folder = filepath.Base(r.folder)
			list = append(list, row)
		}
		return list, nil
	}
	for _, name := range runNames(dir) {
		full := filepath.Join(dir, name)
		var row report.RunRow
		if isRun(full) {
			row = rowOf(full)
		} else {
			row = sweepRow(full)
		}
		row.Folder = name
		list = append(list, row)
	}
	slices.SortStableFunc(list, func(a, b report.RunRow) int {
		if c := b.Started.Compare(a.Started); c != 0 {
			return c
		}
		return strings.Compare(a.Folder, b.Folder)
	})
	return list, nil
}

// began is when a run began, as far as its folder tells: its name, else when it
// was last written to.
func began(folder string) time.Time {
	name := strings.Split(filepath.Base(folder), "-")
	if n := len(name); n > 2 {
		if t, err := time.ParseInLocation("20060102-150405", name[n-2]+"-"+name[n-1], time.Local); err == nil {
			return t
		}
	}
	if info, err := os.Stat(folder); err == nil {
		return info.ModTime().UTC().Truncate(time.Second)
	}
	return time.Time{}
}

// rowOf tells about one run, from the files that are quick to read.
func rowOf(folder string) report.RunRow {
	row := report.RunRow{Name: filepath.Base(folder), State: report.Whole, Started: began(folder)}
	rec, err := record.Open(folder)
	if err != nil {
		row.State, row.Note = report.Unreadable, trimmed(err).Error()
		var beginning *record.BeginningError
		if errors.As(err, &beginning) {
			row.State, row.Verdict = report.CutOff, judge.Inconclusive
		}
		return row
	}
	row.Name, row.Title, row.Started = rec.Plan.Name, rec.Plan.Title, rec.Info.Started
	row.Engine, row.Kafka = rec.Info.Engine, rec.Info.Kafka
	for _, p := range rec.Plan.Params {
		if p.Value != p.Default {
			row.Params = append(row.Params, report.Param{Name: p.Name, Value: raw(p.Value)})
		}
	}
	if !rec.Whole {
		row.State, row.Note, row.Verdict = report.CutOff, rec.Cut, judge.Inconclusive
		return row
	}
	if len(rec.Short) > 0 {
		row.Note = rec.Short[0]
	}
	var v judge.Verdict
	b, err := os.ReadFile(filepath.Join(folder, record.FileVerdict))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil || v.Result == "" {
		row.State, row.Note = report.NotJudged, record.FileVerdict+" is missing or cut off: starfall judge writes it"
		return row
	}
	row.Verdict, row.Held, row.Expected = v.Result, v.Held, v.Expected
	return row
}

// sweepRow tells about a sweep in one row.
func sweepRow(folder string) report.RunRow {
	row := report.RunRow{Name: filepath.Base(folder), State: report.Whole, Started: began(folder)}
	s, err := readSweep(folder)
	if err != nil {
		row.State, row.Note = report.Unreadable, err.Error()
		return row
	}
	if len(s.notes) > 0 {
		row.State, row.Note = report.CutOff, s.notes[0]
	}
	if s.index.Format != 0 {
		row.Name, row.Started = s.index.Scenario, s.index.Started
	}
	row.Sweep, row.Runs = true, len(s.runs)
	var names []string
	values := map[string][]string{}
	for i, r := range s.runs {
		one := report.RunRow{Verdict: judge.EngineError}
		if isRun(r.folder) {
			one = rowOf(r.folder)
		}
		if i == 0 || row.Engine == "" {
			row.Title, row.Engine, row.Kafka = one.Title, one.Engine, one.Kafka
			if s.index.Format == 0 && one.Engine != "" {
				row.Name, row.Started = one.Name, one.Started
			}
		}
		if one.State == report.CutOff || one.State == report.Unreadable || one.State == report.NotJudged {
			if row.State == report.Whole {
				row.State, row.Note = one.State, filepath.Base(r.folder)+": "+one.Note
			}
		}
		if one.Verdict == judge.Pass {
			row.Passed++
		}
		if one.Verdict == "" {
			one.Verdict = judge.Inconclusive
		}
		row.Verdict = report.WorseResult(row.Verdict, one.Verdict)
		for _, p := range r.params {
			if values[p.Name] == nil {
				names = append(names, p.Name)
			}
			if !slices.Contains(values[p.Name], p.Value) {
				values[p.Name] = append(values[p.Name], p.Value)
			}
		}
	}
	if row.State == report.CutOff && row.Verdict == judge.Pass {
		row.Verdict = judge.Inconclusive
	}
	for _, n := range names {
		row.Params = append(row.Params, report.Param{Name: n, Value: strings.Join(values[n], ",")})
	}
	return row
}
