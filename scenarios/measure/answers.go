// This file defines answers: texts with fields, which what was recorded fills.
//
// answers.md has a section for each scenario. Its fields are calls of
//
//	v CLAIM CELL      what was measured, in short; of a claim as written, in the cell of that name
//	full CLAIM CELL   the same in full
//	first CLAIM CELL  the first record that speaks against the claim
//	held CLAIM        the cells in which it held
//	broken CLAIM      the cells in which it did not
//	count CLAIM       how many claims of that text held, of how many
//	least CLAIM       the cell with the smallest value
//	most CLAIM        the cell with the largest
//	best CLAIM GUARD  the same among those in which the guard, a claim, held
//	peak              what the command had in memory at most, all cells together
//	on ENGINE         whether it is that engine's answer
//
// A scenario that is one run has one cell, "". A figure that is not there reads
// "(not recorded)", as does one of a run that says nothing.

package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed answers.md
var answerTexts string

const notRecorded = "(not recorded)"

// answers gives the texts by scenario.
func answers() (map[string]string, error) {
	out := map[string]string{}
	for _, part := range strings.Split("\n"+answerTexts, "\n## ")[1:] {
		name, text, ok := strings.Cut(part, "\n")
		if !ok || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("answers.md: %s: got no text", name)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("answers.md: %s is there twice", name)
		}
		out[name] = strings.Join(strings.Fields(text), " ")
	}
	return out, nil
}

// answer fills a text with what an engine gave.
func (o outcome) answer(text string) (string, error) {
	t, err := template.New(o.Scenario).Option("missingkey=error").Funcs(template.FuncMap{
		"v":      func(claim, cell string) string { return short(o.measured(claim, cell)) },
		"full":   o.measured,
		"first":  o.first,
		"held":   func(claim string) string { return o.with(claim, "held") },
		"broken": func(claim string) string { return o.with(claim, "broken") },
		"count":  o.count,
		"least":  func(claim string) string { return o.extreme(claim, "", less) },
		"most":   func(claim string) string { return o.extreme(claim, "", more) },
		"best":   func(claim, guard string) string { return o.extreme(claim, guard, more) },
		"peak":   o.peak,
		"on":     func(engine string) bool { return o.Engine == engine },
	}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		return "", err
	}
	return oneLine(b.String()), nil
}

func (o outcome) measured(claim, cell string) string {
	for _, c := range o.Cells {
		if c.name() == cell && !c.inconclusive() {
			if k, ok := c.claim(claim); ok && k.Outcome != "no data" {
				return oneLine(k.Measured)
			}
		}
	}
	return notRecorded
}

// peak says what the process of the command had in memory, in which the brokers
// of the embedded engine are, too.
func (o outcome) peak() string {
	if o.Memory == 0 {
		return notRecorded
	}
	return fmt.Sprintf("%d MB", o.Memory>>20)
}

func (o outcome) first(claim, cell string) string {
	for _, c := range o.Cells {
		for _, k := range c.Claims {
			if c.name() == cell && k.Text == claim && k.First != "" {
				return oneLine(k.First)
			}
		}
	}
	return notRecorded
}

// with names the cells in which a claim came out so.
func (o outcome) with(claim, outcome string) string {
	var names []string
	for _, c := range o.Cells {
		for _, k := range c.Claims {
			if k.Text == claim && k.Outcome == outcome && !c.inconclusive() {
				names = append(names, "`"+c.name()+"`")
			}
		}
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) == len(o.Cells) && len(names) > 1:
		return "all cells"
	}
	return strings.Join(names, ", ")
}

// count counts claims of one text, which differ in their ids.
func (o outcome) count(claim string) string {
	held, all := 0, 0
	for _, c := range o.Cells {
		for _, k := range c.Claims {
			if k.Text == claim {
				all++
				if k.Outcome == "held" {
					held++
				}
			}
		}
	}
	if all == 0 {
		return notRecorded
	}
	return fmt.Sprintf("%d of %d", held, all)
}

func less(a, b float64) bool { return a < b }

func more(a, b float64) bool { return a > b }

// extreme names the cells whose value nobody else's is before, of those in
// which the guard held.
func (o outcome) extreme(claim, guard string, before func(a, b float64) bool) string {
	var names []string
	var best float64
	for _, c := range o.Cells {
		k, ok := c.claim(claim)
		if !ok || k.Value == nil || c.inconclusive() {
			continue
		}
		if g, _ := c.claim(guard); guard != "" && g.Outcome != "held" {
			continue
		}
		switch {
		case len(names) == 0 || before(*k.Value, best):
			names, best = []string{"`" + c.name() + "`"}, *k.Value
		case *k.Value == best:
			names = append(names, "`"+c.name()+"`")
		}
	}
	if len(names) == 0 {
		return notRecorded
	}
	return strings.Join(names, ", ")
}

// short leaves out where and when.
func short(measured string) string {
	for _, cut := range []string{";", ", from ", ", first", " on ", " at ", " record "} {
		measured, _, _ = strings.Cut(measured, cut)
	}
	for _, lead := range []string{"lowest ", "highest ", "always "} {
		measured = strings.TrimPrefix(measured, lead)
	}
	return strings.TrimSuffix(measured, ",")
}
