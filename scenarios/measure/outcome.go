// This file defines what is kept of a scenario, and how scenarios are run.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"starfall/internal/kept"
	"starfall/runtime/judge"
	"starfall/scenarios"
)

// outcome is what one engine made of one scenario.
type outcome struct {
	Scenario string  `json:"scenario"`
	Engine   string  `json:"engine"`
	Kafka    string  `json:"kafka"`
	Date     string  `json:"date"`
	Result   string  `json:"result"` // of a matrix the worst
	RunFor   float64 `json:"run_for"`
	Took     float64 `json:"took,omitempty"`   // wall time of all its runs in seconds, repeated ones included
	Memory   int64   `json:"memory,omitempty"` // largest resident set of the command in bytes
	Cells    []cell  `json:"cells"`
}

// cell is one run of it.
type cell struct {
	Params []kept.Param `json:"params,omitempty"`
	Speed  float64      `json:"speed"`
	Result string       `json:"result"`
	Reason string       `json:"reason,omitempty"` // why it is not PASS
	Claims []kept.Claim `json:"claims"`
}

// name says which cell it is: "acks=all min_insync=2".
func (c cell) name() string {
	var out []string
	for _, p := range c.Params {
		out = append(out, p.Name+"="+p.Value)
	}
	return strings.Join(out, " ")
}

// key is what tells the claims of a cell apart: the text, and where the
// scenario gives one, the id.
func key(k kept.Claim) string {
	if k.ID == "" {
		return k.Text
	}
	return k.ID + ": " + k.Text
}

// claim finds a claim of a cell by its key; a report goes before an
// expectation, as its text says more.
func (c cell) claim(text string) (kept.Claim, bool) {
	for _, report := range []bool{true, false} {
		for _, k := range c.Claims {
			if key(k) == text && (k.Kind == "report") == report {
				return k, true
			}
		}
	}
	return kept.Claim{}, false
}

// runAll runs scenarios one after the other and keeps each outcome at once.
func runAll(chosen []scenarios.Scenario, engine, binary, results string, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "starfall-measure-")
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
	var errs []error
	for _, s := range chosen {
		begin := time.Now()
		start := kept.Start{Binary: binary, Target: "@std//" + s.Name, Engine: engine, Out: filepath.Join(dir, "runs")}
		runs, err := start.Settle(kept.Speeds(engine))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
			fmt.Fprintf(progress, "%-22s %v\n", s.Name, err)
			continue
		}
		o := summary(s.Name, runs)
		o.Took = time.Since(begin).Round(100 * time.Millisecond).Seconds()

		// Another one may have kept something since.
		have, err := kept.Load[outcome](file)
		if err != nil {
			return err
		}
		if old, ok := have[s.Name]; ok && o.inconclusive() && !old.inconclusive() {
			fmt.Fprintf(progress, "%-22s %-12s says nothing: what is kept stays\n", s.Name, o.Result)
			continue
		}
		have[s.Name] = o
		if err := kept.Save(file, have); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%-22s %-12s declared %-12s %s\n", s.Name, o.Result, s.Verdicts[engine], time.Since(begin).Round(time.Second))
	}
	return errors.Join(errs...)
}

// resultsOf is the file of what came out on an engine.
func resultsOf(results, engine string) string { return filepath.Join(results, engine+".json") }

func summary(name string, runs []kept.Run) outcome {
	first := runs[0].Verdict
	o := outcome{
		Scenario: name, Engine: first.Engine, Kafka: first.Kafka, Date: time.Now().UTC().Format(time.DateOnly),
		Result: string(kept.Worst(runs)), RunFor: time.Duration(first.RunFor).Seconds(),
	}
	for _, r := range runs {
		o.Memory = max(o.Memory, r.Peak)
		c := cell{Params: r.Params, Speed: r.Verdict.Speed, Result: string(r.Verdict.Result), Claims: kept.Claims(r.Verdict)}
		if len(r.Verdict.Reasons) > 0 {
			c.Reason = r.Verdict.Reasons[0].Text
		}
		o.Cells = append(o.Cells, c)
	}
	return o
}

// columns are the claims of all cells, in their order, each once: reports, and
// expectations whose measure no report shows. Those of reports have the mark of
// the expectation.
func (o outcome) columns() []string {
	var out []string
	for _, c := range o.Cells {
		at := 0
		for _, k := range c.Claims {
			if k.Kind == "assume" || c.reported(k) {
				continue
			}
			i := slices.Index(out, key(k))
			if i < 0 {
				i = min(at, len(out))
				out = slices.Insert(out, i, key(k))
			}
			at = i + 1
		}
	}
	return out
}

// reported tells whether a report of the cell shows what an expectation
// measured: the report's text, and a bound.
func (c cell) reported(k kept.Claim) bool {
	return slices.ContainsFunc(c.Claims, func(r kept.Claim) bool { return r.Kind == "report" && bounds(k, r.Text) })
}

var bound = regexp.MustCompile(`^\.(none|equals|at_least|at_most|never_below|never_above)\([^()]*\)$`)

// bounds tells whether a claim is an expectation of the measure of that text.
func bounds(k kept.Claim, text string) bool {
	rest, ok := strings.CutPrefix(k.Text, text)
	return ok && k.Kind == "expect" && bound.MatchString(rest)
}

func (o outcome) inconclusive() bool { return slices.ContainsFunc(o.Cells, cell.inconclusive) }

// inconclusive tells whether a cell says nothing.
func (c cell) inconclusive() bool {
	return c.Result == string(judge.Inconclusive) || c.Result == string(judge.EngineError)
}
