// This file defines the table of recorded runs.

package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"starfall/runtime/judge"
)

// State says how much of a run there is.
type State string

// The states of recorded runs.
const (
	Whole      State = "whole"
	CutOff     State = "cut off"    // or still running: no file tells the two apart
	NotJudged  State = "not judged" // whole, without a verdict
	Unreadable State = "unreadable"
)

// RunRow is a recorded run or sweep in a list. Its JSON is what runs --json
// prints.
type RunRow struct {
	Folder  string       `json:"folder"` // in the folder that was listed
	Name    string       `json:"name"`   // of the scenario
	Title   string       `json:"title,omitempty"`
	Started time.Time    `json:"started"`
	Engine  string       `json:"engine,omitempty"`
	Kafka   string       `json:"kafka,omitempty"`
	State   State        `json:"state"`
	Note    string       `json:"note,omitempty"`
	Verdict judge.Result `json:"verdict,omitempty"` // of a sweep: the worst
	// Of a run: the expectations that held, and all.
	Held     int `json:"held"`
	Expected int `json:"expected"`
	// Of a sweep: its runs, and those that passed.
	Sweep  bool    `json:"sweep,omitempty"`
	Runs   int     `json:"runs,omitempty"`
	Passed int     `json:"passed,omitempty"`
	Params []Param `json:"params,omitempty"` // of a run: those without their default value; of a sweep: with all their values
}

// RunsDocument is what runs --json prints.
type RunsDocument struct {
	Format int      `json:"format"` // JSONFormat
	Folder string   `json:"folder"`
	Runs   []RunRow `json:"runs"`
}

// WorseResult gives the worse of two verdicts; none is better than any.
func WorseResult(a, b judge.Result) judge.Result {
	if a == "" {
		return b
	}
	return worst(a, b)
}

// Runs writes the list of the runs in a folder. Now is the present time: of runs
// of the last half year the time of the day is shown, of others the year.
func Runs(w io.Writer, folder string, list []RunRow, now time.Time) error {
	var rows [][]string
	for _, r := range list {
		name := r.Folder
		var more []string
		if r.Folder != r.Name && !strings.HasPrefix(r.Folder, r.Name+"-") {
			more = append(more, r.Name)
		}
		for _, p := range r.Params {
			more = append(more, p.Name+"="+p.Value)
		}
		if len(more) > 0 {
			name += "\n" + strings.Join(more, " ")
		}
		if r.Note != "" {
			name += "\n" + r.Note
		}
		held := fmt.Sprintf("%d of %d", r.Held, r.Expected)
		verdict := string(r.Verdict)
		switch {
		case r.Sweep:
			held = fmt.Sprintf("%s\n%d passed", count(r.Runs, "run"), r.Passed)
		case r.State != Whole:
			held = none
		}
		if r.State != Whole {
			verdict = strings.TrimPrefix(verdict+"\n"+string(r.State), "\n")
		}
		rows = append(rows, []string{when(r.Started, now), name, r.Engine, r.Kafka, verdict, held})
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, " in %s\n\n", folder)
	columns := []column{{head: "when"}, {head: "run", wrap: true}, {head: "engine"}, {head: "kafka"}, {head: "verdict"}, {head: "held"}}
	if err := grid(&b, 1, columns, rows); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// when writes a time in twelve characters, as ls does.
func when(t, now time.Time) string {
	t = t.In(now.Location())
	if age := now.Sub(t); age < 0 || age > 183*24*time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}
