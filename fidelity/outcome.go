// This file defines what is kept of a run, and how scenarios are run.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"starfall/internal/kept"
	"starfall/runtime/judge"
)

// outcome is what one engine made of one scenario.
type outcome struct {
	Scenario string       `json:"scenario"`
	Engine   string       `json:"engine"`
	Kafka    string       `json:"kafka"`
	Date     string       `json:"date"`
	Speed    float64      `json:"speed"`
	Result   string       `json:"result"`
	Reason   string       `json:"reason,omitempty"` // why it is not PASS
	Title    string       `json:"title"`
	Claims   []kept.Claim `json:"claims"`
}

// runAll runs scenarios one after the other and keeps each outcome at once.
func runAll(chosen []scenario, engine, binary, results string, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "starfall-fidelity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		if binary, err = kept.Build(dir); err != nil {
			return err
		}
	}
	file := resultsOf(results, engine)
	have, err := kept.Load[outcome](file)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range chosen {
		begin := time.Now()
		start := kept.Start{Binary: binary, Target: s.path, Engine: engine, Out: filepath.Join(dir, "runs")}
		runs, err := start.Settle(kept.Speeds(engine))
		if err == nil && len(runs) != 1 {
			err = fmt.Errorf("got %d runs, want 1", len(runs))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			fmt.Fprintf(progress, "%-22s %v\n", s.name, err)
			continue
		}
		o := summary(s.name, runs[0].Verdict)
		have[s.name] = o
		if err := kept.Save(file, have); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%-22s %-12s %s\n", s.name, o.Result, time.Since(begin).Round(time.Second))
	}
	return errors.Join(errs...)
}

func summary(name string, v *judge.Verdict) outcome {
	o := outcome{
		Scenario: name, Engine: v.Engine, Kafka: v.Kafka, Date: time.Now().UTC().Format(time.DateOnly),
		Speed: v.Speed, Result: string(v.Result), Title: v.Title, Claims: kept.Claims(v),
	}
	if len(v.Reasons) > 0 {
		o.Reason = v.Reasons[0].Text
	}
	return o
}

// resultsOf is the file of what came out on an engine.
func resultsOf(results, engine string) string { return filepath.Join(results, engine+".json") }
