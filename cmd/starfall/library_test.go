package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"starfall/internal/kafkatools"
	"starfall/internal/kept"
	"starfall/interp"
	"starfall/runtime"
	"starfall/runtime/docker"
	"starfall/runtime/embedded"
	"starfall/runtime/kafka"
	"starfall/scenarios"
)

// libraryCells gives the cells of a scenario's matrix.
func libraryCells(t *testing.T, s scenarios.Scenario) []cell {
	t.Helper()
	axes, err := parseSweeps(s.Sweeps, nil)
	if err != nil {
		t.Fatal(err)
	}
	cells, err := matrix(axes, 1)
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

// TestLibraryPlans plans every cell of every scenario of the library, and wants
// each engine to take those that are declared for it and to refuse the others.
func TestLibraryPlans(t *testing.T) {
	all, err := scenarios.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			for _, c := range libraryCells(t, s) {
				set := map[string]string{}
				for i, name := range c.names {
					set[name] = c.values[i]
				}
				p, err := interp.Load(s.Name+".star", interp.Options{
					Set: set, FS: scenarios.FS(), Root: ".", Std: scenarios.Std(), Clients: kafka.Mapped,
				})
				if err != nil {
					t.Errorf("%v: %v", set, err)
					continue
				}
				for _, engine := range []runtime.Engine{embedded.Engine{}, docker.Engine{}} {
					refused := engine.Refuse(p)
					switch declared := slices.Contains(s.Engines, engine.Name()); {
					case declared && len(refused) > 0:
						t.Errorf("%v: the %s engine refuses it: %s", set, engine.Name(), refused[0].Message)
					case !declared && len(refused) == 0:
						t.Errorf("%v: the %s engine takes it, though it is not declared for it", set, engine.Name())
					}
				}
			}
		})
	}
}

// TestLibrary runs every scenario of the library on the embedded engine, as the
// matrix that it is meant to be, and wants the verdict that it declares, which
// is that of the worst cell. A cell that is INCONCLUSIVE says nothing about the
// scenario and is tried again slower.
func TestLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole library")
	}
	bin := filepath.Join(plainBinary(t), "starfall")
	all, err := scenarios.List()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	t.Run("run", func(t *testing.T) {
		for _, s := range all {
			if !slices.Contains(s.Engines, "embedded") {
				continue
			}
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel() // one waits most of its time, so a processor has room for it
				start := kept.Start{Binary: bin, Target: stdPrefix + s.Name, Engine: "embedded", Out: t.TempDir()}
				runs, err := start.Settle(kept.Speeds("embedded"))
				if err != nil {
					t.Fatal(err)
				}
				if got, want := string(kept.Worst(runs)), s.Verdicts["embedded"]; got != want {
					t.Errorf("got %s, want %s", got, want)
					for _, r := range runs {
						t.Errorf("%v: %s\n%s", r.Params, r.Verdict.Result, outcomes(r.Verdict, true))
					}
				}
			})
		}
	})
	t.Logf("the library took %s", time.Since(begin).Round(time.Second))
}

// TestToolsAreShown wants each scenario that the table of Kafka's tools names to
// be one of the library.
func TestToolsAreShown(t *testing.T) {
	names, err := scenarios.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range kafkatools.Table() {
		if tool.Scenario != "" && !slices.Contains(names, tool.Scenario) {
			t.Errorf("%s: got scenario %s, want one of the library", tool.Name, tool.Scenario)
		}
	}
}
