// This file defines problems: what is wrong with a scenario, where, and what
// to do about it.

package interp

import (
	"cmp"
	"slices"
	"strings"

	"starfall/interp/model"
)

// Problem is one mistake, or something unwise. Here Pos.File is the path by which
// the user can open the file; without a line, the problem is not in a file.
type Problem = model.Problem

// The severities. A scenario with an error never starts.
const (
	Error   = model.Error
	Warning = model.Warning
)

// Errors is the error of a scenario that cannot run: all its problems, sorted
// by position. Warnings are those found besides.
type Errors struct {
	Problems []Problem
	Warnings []Problem
}

// Error gives every problem, one after the other.
func (e *Errors) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

type problems []Problem

// sort orders problems by position and drops repetitions, as a mistake inside
// a loop makes them.
func (ps *problems) sort() {
	slices.SortStableFunc(*ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Message, b.Message),
		)
	})
	*ps = slices.CompactFunc(*ps, func(a, b Problem) bool {
		return a.Pos.File == b.Pos.File && a.Pos.Line == b.Pos.Line && a.Pos.Col == b.Pos.Col && a.Message == b.Message
	})
}
