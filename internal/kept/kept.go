// Package kept runs scenarios with the command, and keeps what came out in
// files that pages are written from: those of ./fidelity and of
// ./scenarios/measure.
//
// This file defines how the command is built and run; claim.go what is kept.
package kept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"starfall/runtime/judge"
)

// Param is one value that a run was given.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Run is one run as the command prints it with --json.
type Run struct {
	Params  []Param
	Folder  string
	Error   string
	Verdict *judge.Verdict
	Peak    int64 `json:"-"` // the command's largest resident set in bytes, all cells of a matrix together; 0: not known
}

// Build builds the command into a folder and gives its path.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "starfall")
	build := exec.Command("go", "build", "-o", binary, "./cmd/starfall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// Start is how the command is run. Binary, Target and Out are needed.
type Start struct {
	Binary string
	Target string // a file, or @std//NAME
	Engine string
	Speed  string
	Out    string // folder of the run folders
	More   []string
}

// Do runs the command and gives its runs, of which each has a verdict.
func (s Start) Do() ([]Run, error) {
	args := []string{"run", s.Target, "--json", "--quiet", "--engine", s.Engine, "--speed", s.Speed, "--out", s.Out}
	cmd := exec.Command(s.Binary, append(args, s.More...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	printed, runErr := cmd.Output()
	var doc struct{ Runs []Run }
	if err := json.Unmarshal(printed, &doc); err != nil || len(doc.Runs) == 0 {
		return nil, fmt.Errorf("no verdict: %w\n%s", errors.Join(runErr, err), bytes.TrimSpace(stderr.Bytes()))
	}
	for i, r := range doc.Runs {
		doc.Runs[i].Peak = peak(cmd.ProcessState)
		switch {
		case r.Error != "":
			return nil, errors.New(r.Error)
		case r.Verdict == nil:
			return nil, fmt.Errorf("no verdict: %w\n%s", runErr, bytes.TrimSpace(stderr.Bytes()))
		}
	}
	return doc.Runs, nil
}

// Speeds are those at which an engine is tried in turn, as a machine too busy
// for the first gives no verdict. Docker knows only 1.
func Speeds(engine string) []string {
	if engine == "docker" {
		return []string{"1", "1"}
	}
	return []string{"10", "5", "2", "1"}
}

// Settle runs a scenario, or its matrix, and each run that comes out
// INCONCLUSIVE again at the next of the speeds. What is INCONCLUSIVE at the
// last one stays so.
func (s Start) Settle(speeds []string) ([]Run, error) {
	s.Speed = speeds[0]
	runs, err := s.Do()
	if err != nil {
		return nil, err
	}
	for _, speed := range speeds[1:] {
		for i, r := range runs {
			if r.Verdict.Result != judge.Inconclusive {
				continue
			}
			again := s
			again.Speed = speed
			for _, p := range r.Params {
				again.More = append(again.More, "--set", p.Name+"="+p.Value)
			}
			one, err := again.Do()
			if err != nil {
				return nil, err
			}
			one[0].Params = r.Params
			runs[i] = one[0]
		}
	}
	return runs, nil
}

// Worst gives the worst result of runs, in the order of precedence of verdicts.
func Worst(runs []Run) judge.Result {
	order := []judge.Result{judge.Pass, judge.Fail, judge.Inconclusive, judge.Void, judge.EngineError}
	worst := judge.Pass
	for _, r := range runs {
		if slices.Index(order, r.Verdict.Result) > slices.Index(order, worst) {
			worst = r.Verdict.Result
		}
	}
	return worst
}
