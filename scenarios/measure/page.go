// This file defines the page.

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"starfall/internal/kept"
	"starfall/scenarios"
)

//go:embed page.md
var frame string

// marker is where the frame takes the chapter.
const marker = "<!-- chapter -->\n"

// results are outcomes by engine and scenario.
type results map[string]map[string]outcome

func loadAll(folder string) (results, error) {
	have := results{}
	for _, e := range engines() {
		var err error
		if have[e], err = kept.Load[outcome](resultsOf(folder, e)); err != nil {
			return nil, err
		}
	}
	return have, nil
}

func writePage(all []scenarios.Scenario, folder, path string) error {
	have, err := loadAll(folder)
	if err != nil {
		return err
	}
	texts, err := answers()
	if err != nil {
		return err
	}
	before, after, ok := strings.Cut(frame, marker)
	if !ok {
		return fmt.Errorf("page.md: want a line %s", strings.TrimSpace(marker))
	}
	var b bytes.Buffer
	b.WriteString(before)
	missing(&b, all, have)
	for _, row := range scenarios.Rows() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", row.Title, row.Question)
		for _, s := range all {
			if s.Row != row.ID {
				continue
			}
			if err := chapter(&b, s, have, texts[s.Name]); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	b.WriteString(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// missing names what has not been recorded, and says what the rest took.
func missing(b *bytes.Buffer, all []scenarios.Scenario, have results) {
	for _, e := range engines() {
		var names []string
		n, took, untimed := 0, 0.0, 0
		for _, s := range all {
			if !slices.Contains(s.Engines, e) {
				continue
			}
			n++
			o, ok := have[e][s.Name]
			switch {
			case !ok:
				names = append(names, s.Name)
			case o.Took == 0:
				untimed++
			}
			took += o.Took
		}
		fmt.Fprintf(b, "- %s: %d of %d scenarios are recorded.", title(e), n-len(names), n)
		if took > 0 {
			fmt.Fprintf(b, " They took %s in all", clock(took))
			if untimed > 0 {
				fmt.Fprintf(b, ", without %d of which that was not kept", untimed)
			}
			b.WriteString(".")
		}
		if len(names) > 0 {
			fmt.Fprintf(b, " Not yet: %s.", strings.Join(names, ", "))
		}
		b.WriteByte('\n')
	}
}

// chapter writes one scenario: its verdicts, its answers, its tables.
func chapter(b *bytes.Buffer, s scenarios.Scenario, have results, answer string) error {
	fmt.Fprintf(b, "\n### [%s](../scenarios/%s.star)\n\n%s `starfall run @std//%s`\n\n", s.Name, s.Name, sentence(s.Title), s.Name)
	b.WriteString("| engine | verdict | declared | recorded |\n| --- | --- | --- | --- |\n")
	for _, e := range engines() {
		o, ok := have[e][s.Name]
		switch {
		case !slices.Contains(s.Engines, e):
			fmt.Fprintf(b, "| %s | does not run there | | |\n", title(e))
		case !ok:
			fmt.Fprintf(b, "| %s | not recorded | %s | |\n", title(e), s.Verdicts[e])
		default:
			fmt.Fprintf(b, "| %s | %s | %s | Kafka %s, %s, %s |\n", title(e), o.Result, s.Verdicts[e], o.Kafka, o.Date, o.size())
		}
	}
	for _, e := range engines() {
		o, ok := have[e][s.Name]
		if !ok {
			continue
		}
		text, err := o.answer(answer)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n**%s:** %s\n", title(e), text)
	}
	o, ok := have["docker"][s.Name]
	if !ok {
		o, ok = have["embedded"][s.Name]
	}
	if !ok {
		return nil
	}
	if len(o.Cells) == 1 {
		single(b, s.Name, have)
		return nil
	}
	for _, e := range engines() {
		if o, ok := have[e][s.Name]; ok {
			o.matrix(b, e)
		}
	}
	return nil
}

// size says how long a scenario is and how often it runs, what that took, and
// how much memory where the brokers are in the process that is known.
func (o outcome) size() string {
	out := o.length()
	if o.Took > 0 {
		out += " in " + clock(o.Took)
	}
	if o.Memory > 0 && o.Engine == "embedded" {
		out += ", " + o.peak()
	}
	return out
}

// clock writes seconds of wall time.
func clock(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Minute {
		d = d.Round(time.Second)
	}
	return d.String()
}

// length says how long a scenario is, and how often it runs.
func (o outcome) length() string {
	if len(o.Cells) == 1 {
		return fmt.Sprintf("%g s", o.RunFor)
	}
	return fmt.Sprintf("%d × %g s", len(o.Cells), o.RunFor)
}

// single writes a scenario that is one run: a row a claim, a column an engine.
func single(b *bytes.Buffer, name string, have results) {
	heads, rule := []string{"claim"}, "| --- "
	var outcomes []outcome
	for _, e := range engines() {
		if o, ok := have[e][name]; ok {
			heads, rule = append(heads, title(e)), rule+"| --- "
			outcomes = append(outcomes, o)
		}
	}
	fmt.Fprintf(b, "\n| %s |\n%s|\n", strings.Join(heads, " | "), rule)
	for _, text := range outcomes[0].columns() {
		row := []string{"`" + text + "`"}
		for _, o := range outcomes {
			row = append(row, o.Cells[0].told(text))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	for _, o := range outcomes {
		if c := o.Cells[0]; c.inconclusive() {
			fmt.Fprintf(b, "\nThe run on %s says nothing: %s.\n", title(o.Engine), c.why())
		}
	}
}

// matrix writes a sweep on one engine: a row a cell, a column a claim.
func (o outcome) matrix(b *bytes.Buffer, engine string) {
	columns := o.columns()
	heads := []string{title(engine)}
	for _, c := range columns {
		heads = append(heads, "`"+c+"`")
	}
	heads = append(heads, "verdict")
	fmt.Fprintf(b, "\n| %s |\n%s|\n", strings.Join(heads, " | "), strings.Repeat("| --- ", len(heads)))
	for _, c := range o.Cells {
		row := []string{c.name()}
		for _, text := range columns {
			row = append(row, c.told(text))
		}
		row = append(row, c.Result)
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	for _, c := range o.Cells {
		if c.inconclusive() {
			fmt.Fprintf(b, "\n%s says nothing: %s.\n", c.name(), c.why())
		}
	}
}

func (c cell) why() string { return strings.TrimSuffix(oneLine(c.Reason), ".") }

// told gives what became of a claim in a cell; a cell need not have it.
func (c cell) told(text string) string {
	k, ok := c.claim(text)
	if !ok {
		return "–"
	}
	if k.Outcome == "no data" {
		return "no data: " + oneLine(k.Measured)
	}
	mark := marks()[k.Outcome]
	for _, x := range c.Claims {
		if bounds(x, text) {
			mark += marks()[x.Outcome]
		}
	}
	return mark + oneLine(k.Measured)
}

// marks are what the page shows of outcomes.
func marks() map[string]string { return map[string]string{"held": "✓ ", "broken": "✗ "} }

func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

// oneLine keeps a text inside one cell of a table.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
