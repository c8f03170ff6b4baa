// This file defines what is kept of a run, and how scenarios are run.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"starfall/runtime/judge"
)

// outcome is what one engine made of one scenario.
type outcome struct {
	Scenario string  `json:"scenario"`
	Engine   string  `json:"engine"`
	Kafka    string  `json:"kafka"`
	Date     string  `json:"date"`
	Speed    float64 `json:"speed"`
	Result   string  `json:"result"`
	Reason   string  `json:"reason,omitempty"` // why it is not PASS
	Title    string  `json:"title"`
	Claims   []claim `json:"claims"`
}

// claim is one row of a verdict.
type claim struct {
	Kind     string   `json:"kind"`
	Text     string   `json:"text"`
	Outcome  string   `json:"outcome"`
	Measured string   `json:"measured"`
	Value    *float64 `json:"value"`
	Unit     string   `json:"unit,omitempty"`
}

// Speeds at which the embedded engine is tried, as a machine too busy for the
// first gives no verdict. Docker knows only 1.
func speeds(engine string) []string {
	if engine == "docker" {
		return []string{"1", "1"}
	}
	return []string{"10", "5", "2", "1"}
}

// runAll runs scenarios one after the other and keeps each outcome at once.
func runAll(chosen []scenario, engine, binary, results string, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "starfall-fidelity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		binary = filepath.Join(dir, "starfall")
		build := exec.Command("go", "build", "-o", binary, "./cmd/starfall")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	kept, err := load(results, engine)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range chosen {
		begin := time.Now()
		o, err := runOne(s, engine, binary, filepath.Join(dir, "runs"))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			fmt.Fprintf(progress, "%-22s %v\n", s.name, err)
			continue
		}
		kept[s.name] = o
		if err := save(results, engine, kept); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%-22s %-12s %s\n", s.name, o.Result, time.Since(begin).Round(time.Second))
	}
	return errors.Join(errs...)
}

// runOne runs a scenario until it has a verdict that says something, or gives
// the last one.
func runOne(s scenario, engine, binary, out string) (outcome, error) {
	var o outcome
	for _, speed := range speeds(engine) {
		cmd := exec.Command(binary, "run", s.path, "--json", "--quiet", "--engine", engine, "--speed", speed, "--out", out)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		printed, runErr := cmd.Output()
		var doc struct {
			Runs []struct {
				Error   string
				Verdict *judge.Verdict
			}
		}
		if err := json.Unmarshal(printed, &doc); err != nil || len(doc.Runs) != 1 || doc.Runs[0].Verdict == nil {
			return o, fmt.Errorf("no verdict: %w\n%s", errors.Join(runErr, err), bytes.TrimSpace(stderr.Bytes()))
		}
		if doc.Runs[0].Error != "" {
			return o, errors.New(doc.Runs[0].Error)
		}
		o = summary(s.name, doc.Runs[0].Verdict)
		if doc.Runs[0].Verdict.Result != judge.Inconclusive {
			break
		}
	}
	return o, nil
}

func summary(name string, v *judge.Verdict) outcome {
	o := outcome{
		Scenario: name, Engine: v.Engine, Kafka: v.Kafka, Date: time.Now().UTC().Format(time.DateOnly),
		Speed: v.Speed, Result: string(v.Result), Title: v.Title,
	}
	if len(v.Reasons) > 0 {
		o.Reason = v.Reasons[0].Text
	}
	for _, c := range v.Claims {
		o.Claims = append(o.Claims, claim{
			Kind: string(c.Kind), Text: c.Text, Outcome: string(c.Outcome), Measured: c.Measured, Value: c.Value, Unit: string(c.Unit),
		})
	}
	return o
}

// load reads what is kept of an engine; nothing yet is no error.
func load(results, engine string) (map[string]outcome, error) {
	path := filepath.Join(results, engine+".json")
	b, err := os.ReadFile(path)
	kept := map[string]outcome{}
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return kept, nil
}

func save(results, engine string, kept map[string]outcome) error {
	b, err := json.MarshalIndent(kept, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(results, engine+".json"), append(b, '\n'), 0o644)
}
