// Package interp turns a scenario file into a plan: it loads, resolves and
// evaluates the file within limits, gives every mistake its position, and
// checks the plan against a model of the cluster over time. It starts nothing.
package interp

import (
	"io/fs"
	"time"

	"starfall/internal/kafkaconf"
	"starfall/interp/plan"
)

// Options say how a scenario is loaded. The zero value reads from the
// operating system's files, with every parameter at its default.
type Options struct {
	// Set overrides parameters by name. The text is read as the type of the
	// parameter's default.
	Set map[string]string

	// Seed replaces the seed that scenario() gives.
	Seed *int64

	// FS is where the scenario and what it loads from // are read; nil is the
	// operating system. Paths in an FS are relative to its root and use slashes.
	FS fs.FS

	// Root is the folder that // in load means, a path of the same kind as the
	// scenario's. Empty: the nearest folder upwards that has a course.toml,
	// else the scenario's own folder.
	Root string

	// Std holds the files of @std//. Nil: load from @std// is an error.
	Std fs.FS

	// Clients gives the configurations of a producer or consumer that the load
	// clients honour, sorted; every other one is an error. Nil honours all that
	// Kafka has.
	Clients func(kafkaconf.Scope) []string

	// Print gets what the scenario prints, without a newline; nil writes to
	// standard error.
	Print func(pos plan.Pos, text string)

	// Warn gets each warning, in the order of their positions. It is called
	// only when there is no error; nil drops them.
	Warn func(Problem)

	Limits Limits
}

// Limits bound an evaluation. A zero field means its default.
type Limits struct {
	Steps  uint64        // computation steps; 10 million
	Memory uint64        // growth of the heap in bytes; 512 MB
	Time   time.Duration // of the wall clock; 20 s
	Source int           // bytes of one source file; 1 MB
}

func (l Limits) withDefaults() Limits {
	if l.Steps == 0 {
		l.Steps = 10_000_000
	}
	if l.Memory == 0 {
		l.Memory = 512 << 20
	}
	if l.Time == 0 {
		l.Time = 20 * time.Second
	}
	if l.Source == 0 {
		l.Source = 1 << 20
	}
	return l
}

// Load evaluates and checks the scenario at path. On failure the error is an
// *Errors with all problems of the file and of what it loads.
func Load(path string, o Options) (*plan.Plan, error) {
	p, problems := load(path, o)
	problems.sort()
	var warnings []Problem
	var errs Errors
	for _, x := range problems {
		if x.Severity == Warning {
			warnings = append(warnings, x)
		} else {
			errs.Problems = append(errs.Problems, x)
		}
	}
	if len(errs.Problems) > 0 {
		errs.Warnings = warnings
		return nil, &errs
	}
	if o.Warn != nil {
		for _, w := range warnings {
			o.Warn(w)
		}
	}
	return p, nil
}

// Params gives the parameters that the scenario declares, with defaults,
// choices and their present values: what a sweep needs to know.
func Params(path string, o Options) ([]plan.Param, error) {
	p, err := Load(path, o)
	if err != nil {
		return nil, err
	}
	return p.Params, nil
}
