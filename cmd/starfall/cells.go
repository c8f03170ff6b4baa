// This file defines the matrix of a sweep: which values each cell runs with.

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// axis is one --sweep: a parameter and its values.
type axis struct {
	name   string
	values []string
}

// cell is one run of a matrix. Values are in the order of the axes.
type cell struct {
	names   []string
	values  []string
	repeat  int // from 1; 0 when nothing is repeated
	plan    *plan.Plan
	folder  string
	started time.Time // when the folders were made
}

// parseSweeps reads --sweep name=a,b flags. A comma inside brackets or quotes
// separates nothing.
func parseSweeps(flags []string, set map[string]string) ([]axis, error) {
	var axes []axis
	for _, f := range flags {
		name, list, ok := strings.Cut(f, "=")
		if !ok || name == "" || list == "" {
			return nil, usage("--sweep: got %q, want name=a,b", f)
		}
		if _, fixed := set[name]; fixed {
			return nil, usage("--sweep: %s is given by --set too", name)
		}
		if slices.ContainsFunc(axes, func(a axis) bool { return a.name == name }) {
			return nil, usage("--sweep: %s is given twice", name)
		}
		a := axis{name: name}
		for _, v := range split(list) {
			if v == "" {
				return nil, usage("--sweep: got %q with an empty value, want name=a,b", f)
			}
			if slices.Contains(a.values, v) {
				return nil, usage("--sweep: %s has the value %s twice", name, v)
			}
			a.values = append(a.values, v)
		}
		axes = append(axes, a)
	}
	return axes, nil
}

func split(list string) []string {
	var out []string
	depth, quote, start := 0, rune(0), 0
	for i, r := range list {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		case r == ',' && depth == 0:
			out = append(out, strings.TrimSpace(list[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(list[start:]))
}

// maxCells bounds a matrix; a thousand clusters in turn is more than a day.
const maxCells = 1000

// matrix gives every combination of the axes, the last axis fastest, each
// repeated.
func matrix(axes []axis, repeat int) ([]cell, error) {
	n := repeat
	for _, a := range axes {
		n *= len(a.values)
		if n > maxCells {
			return nil, usage("the sweep has more than %d cells", maxCells).hint("leave out values, or run it in parts")
		}
	}
	cells := []cell{{}}
	for _, a := range axes {
		var next []cell
		for _, c := range cells {
			for _, v := range a.values {
				next = append(next, cell{names: append(slices.Clone(c.names), a.name), values: append(slices.Clone(c.values), v)})
			}
		}
		cells = next
	}
	if repeat == 1 {
		return cells, nil
	}
	var out []cell
	for _, c := range cells {
		for i := range repeat {
			c.repeat = i + 1
			out = append(out, c)
		}
	}
	return out, nil
}

func (c cell) set() map[string]string {
	m := map[string]string{}
	for i, name := range c.names {
		m[name] = c.values[i]
	}
	return m
}

// label names a cell for people: acks=1 min_insync=2 #3.
func (c cell) label() string {
	var parts []string
	for i, name := range c.names {
		parts = append(parts, name+"="+c.values[i])
	}
	if c.repeat > 0 {
		parts = append(parts, "#"+strconv.Itoa(c.repeat))
	}
	return strings.Join(parts, " ")
}

// dir names a cell's folder: its number first, so that folders sort as cells do.
func (c cell) dir(i, n int) string {
	width := len(strconv.Itoa(n))
	name := fmt.Sprintf("%0*d", width, i+1)
	for j, p := range c.names {
		name += "-" + p + "=" + c.values[j]
	}
	if c.repeat > 0 {
		name += fmt.Sprintf("-%d", c.repeat)
	}
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == 0 || r == ':' {
			return '_'
		}
		return r
	}, name)
}

// known refuses axes that name no parameter of the plan.
func known(axes []axis, p *plan.Plan) error {
	var names []string
	for _, x := range p.Params {
		names = append(names, x.Name)
	}
	for _, a := range axes {
		if slices.Contains(names, a.name) {
			continue
		}
		f := usage("--sweep: the scenario has no parameter %s", a.name)
		if near, ok := spell.Nearest(a.name, names); ok {
			return f.hint("did you mean %s?", near)
		}
		if len(names) == 0 {
			return f.hint("it declares none; add %s = param(%q, …)", a.name, a.name)
		}
		return f.hint("it has %s", spell.List(names))
	}
	return nil
}
