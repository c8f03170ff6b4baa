// Command fidelity runs the same scenarios on both engines and writes the page
// that says, claim by claim, where they agree:
//
//	go run ./fidelity run -engine docker      runs, and keeps what came out in fidelity/results
//	go run ./fidelity run -engine embedded
//	go run ./fidelity page                    writes docs/fidelity.md from what is kept
//	go run ./fidelity check                   fails when anything differs without a reason
//
// A scenario is a file of fidelity/scenarios, made for the purpose, or one of
// examples. This file defines the command line.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "fidelity: got no command, want run, page or check")
		return 2
	}
	f := flag.NewFlagSet("fidelity "+args[0], flag.ContinueOnError)
	f.SetOutput(stderr)
	engine := f.String("engine", "docker", "docker or embedded")
	only := f.String("only", "", "a comma-separated list of scenarios; empty: all")
	results := f.String("results", filepath.Join("fidelity", "results"), "folder of what came out, a file an engine")
	lengths := f.Bool("lengths", true, "check stalls and latencies too; a busy machine stretches them")
	binary := f.String("starfall", "", "the command; empty: it is built")
	if err := f.Parse(args[1:]); err != nil {
		return 2
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "fidelity %s: got %s, want only flags\n", args[0], f.Arg(0))
		return 2
	}
	all, err := scenarios()
	if err != nil {
		fmt.Fprintf(stderr, "fidelity: %v\n", err)
		return 1
	}
	chosen, unknown := pick(all, *only)
	if len(unknown) > 0 {
		fmt.Fprintf(stderr, "fidelity %s: for flag -only: there is no scenario %s\n", args[0], strings.Join(unknown, ", "))
		return 2
	}
	switch args[0] {
	case "run":
		if !slices.Contains(engines(), *engine) {
			fmt.Fprintf(stderr, "fidelity run: for flag -engine: got %q, want docker or embedded\n", *engine)
			return 2
		}
		err = runAll(chosen, *engine, *binary, *results, stderr)
	case "page":
		err = writePage(all, *results, filepath.Join("docs", "fidelity.md"))
	case "check":
		err = check(chosen, *results, *lengths, stdout)
	default:
		fmt.Fprintf(stderr, "fidelity: got %q, want run, page or check\n", args[0])
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "fidelity %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// engines are the columns of the page, the standard first.
func engines() []string { return []string{"docker", "embedded"} }

// scenario is one file that both engines run.
type scenario struct {
	name string // of the file, without .star
	path string
}

// scenarios lists those made for the purpose, then the examples, each by name.
func scenarios() ([]scenario, error) {
	var out []scenario
	for _, pattern := range []string{"fidelity/scenarios/*.star", "examples/*.star"} {
		paths, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s: no such files; start it in the root of the repository", pattern)
		}
		slices.Sort(paths)
		for _, p := range paths {
			out = append(out, scenario{strings.TrimSuffix(filepath.Base(p), ".star"), p})
		}
	}
	return out, nil
}

// pick chooses scenarios by name, in the order of all.
func pick(all []scenario, only string) (chosen []scenario, unknown []string) {
	if only == "" {
		return all, nil
	}
	names := strings.Split(only, ",")
	for _, s := range all {
		if slices.Contains(names, s.name) {
			chosen = append(chosen, s)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(s scenario) bool { return s.name == n }) {
			unknown = append(unknown, n)
		}
	}
	return chosen, unknown
}
