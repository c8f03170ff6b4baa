// This file defines the checks of a finished plan.

package interp

import (
	"starfall/interp/model"
	"starfall/interp/plan"
)

// check adds what a model of the cluster over time finds.
func (l *loader) check(p *plan.Plan) {
	for _, x := range model.Check(p) {
		severity := Error
		if x.Severity == model.Warning {
			severity = Warning
		}
		l.out = append(l.out, Problem{l.tree.shown(x.Pos), severity, x.Message, x.Suggestion})
	}
}
