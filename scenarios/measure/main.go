// Command measure runs the library's scenarios and writes the page that answers
// the chapter's questions with what came out:
//
//	go run ./scenarios/measure run -engine embedded    runs, and keeps what came out in scenarios/measure/results
//	go run ./scenarios/measure run -engine docker
//	go run ./scenarios/measure page                    writes docs/chapter.md from what is kept
//
// A scenario runs as the matrix that it is meant to be. This file defines the
// command line.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"starfall/scenarios"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "measure: got no command, want run or page")
		return 2
	}
	f := flag.NewFlagSet("measure "+args[0], flag.ContinueOnError)
	f.SetOutput(stderr)
	engine := f.String("engine", "embedded", "embedded or docker")
	only := f.String("only", "", "a comma-separated list of scenarios; empty: all that run on the engine")
	results := f.String("results", filepath.Join("scenarios", "measure", "results"), "folder of what came out, a file an engine")
	binary := f.String("starfall", "", "the command; empty: it is built")
	if err := f.Parse(args[1:]); err != nil {
		return 2
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "measure %s: got %s, want only flags\n", args[0], f.Arg(0))
		return 2
	}
	all, err := scenarios.List()
	if err != nil {
		fmt.Fprintf(stderr, "measure: %v\n", err)
		return 1
	}
	switch args[0] {
	case "run":
		if !slices.Contains(engines(), *engine) {
			fmt.Fprintf(stderr, "measure run: for flag -engine: got %q, want embedded or docker\n", *engine)
			return 2
		}
		chosen, err := pick(all, *engine, *only)
		if err != nil {
			fmt.Fprintf(stderr, "measure run: for flag -only: %v\n", err)
			return 2
		}
		if err := runAll(chosen, *engine, *binary, *results, stderr); err != nil {
			fmt.Fprintf(stderr, "measure run: %v\n", err)
			return 1
		}
	case "page":
		if err := writePage(all, *results, filepath.Join("docs", "chapter.md")); err != nil {
			fmt.Fprintf(stderr, "measure page: %v\n", err)
			return 1
		}
	default:
		fmt.Fprintf(stderr, "measure: got %q, want run or page\n", args[0])
		return 2
	}
	return 0
}

// engines are the columns of the page, the standard first.
func engines() []string { return []string{"docker", "embedded"} }

// title is what an engine is called on the page.
func title(engine string) string {
	if engine == "docker" {
		return "Kafka on Docker"
	}
	return "embedded"
}

// pick chooses scenarios by name, in the given order; without names all that
// run on the engine.
func pick(all []scenarios.Scenario, engine, only string) ([]scenarios.Scenario, error) {
	var chosen []scenarios.Scenario
	if only == "" {
		for _, s := range all {
			if slices.Contains(s.Engines, engine) {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s scenarios.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %s", name)
		}
		if !slices.Contains(all[i].Engines, engine) {
			return nil, fmt.Errorf("%s does not run on %s", name, engine)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
