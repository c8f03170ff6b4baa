// This file defines exit codes and how errors become lines on stderr.

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"starfall/internal/spell"
	"starfall/interp"
)

// The exit codes (docs/reference.md). A verdict's code is its own; these are
// the others.
const (
	exitOK          = 0
	exitUsage       = 2 // the command line or the scenario is wrong; nothing was started
	exitEngine      = 4 // the engine failed
	exitInterrupted = 130
)

// failure is an error with its exit code and what to do about it.
type failure struct {
	code  int
	err   error
	hints []string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is a wrong command line.
func usage(format string, args ...any) *failure {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func (f *failure) hint(format string, args ...any) *failure {
	f.hints = append(f.hints, fmt.Sprintf(format, args...))
	return f
}

// verdictCode ends the command with the code of a verdict that was already
// shown.
type verdictCode int

func (c verdictCode) Error() string { return fmt.Sprintf("verdict with exit code %d", int(c)) }

// tell writes an error to stderr and gives the exit code. Positions and
// their hints come from the scenario; hints of the command follow, indented.
func tell(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var code verdictCode
	if errors.As(err, &code) {
		return int(code)
	}
	var scenario *interp.Errors
	if errors.As(err, &scenario) {
		for _, p := range scenario.Warnings {
			fmt.Fprintln(stderr, p)
		}
		for _, p := range scenario.Problems {
			fmt.Fprintln(stderr, p)
		}
		return exitUsage
	}
	f := &failure{code: exitEngine, err: err}
	errors.As(err, &f)
	fmt.Fprintln(stderr, "starfall: "+strings.ReplaceAll(f.err.Error(), "\n", "\n  "))
	for _, h := range f.hints {
		fmt.Fprintln(stderr, "  "+h)
	}
	return f.code
}

// meant is a hint with the nearest of names, or with all of them when they are
// few and none is near.
func meant(f *failure, name string, names []string) *failure {
	if near, ok := spell.Nearest(name, names); ok {
		return f.hint("did you mean %s?", near)
	}
	if len(names) > 0 && len(names) <= 12 {
		return f.hint("there is %s", spell.List(names))
	}
	return f
}
