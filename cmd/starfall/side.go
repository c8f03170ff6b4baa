// This file defines how the cells of a sweep run: in turn, or side by side
// while cores allow.

package main

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync"

	"starfall/report"
	"starfall/report/screen"
	"starfall/runtime/docker"
)

// defaultJobs is how many cells run side by side on an engine. Each cluster of
// the Docker engine is to have the machine to itself; an embedded one leaves
// room for another on every second core.
func defaultJobs(engine string) int {
	if engine == docker.Name {
		return 1
	}
	return max(goruntime.NumCPU()/2, 1)
}

// runCells runs all cells, up to jobs side by side, and gives their results in
// the order of the cells; those after an interrupt are left out. A cell for
// which the machine was too slow beside others is run again by itself, and
// that is said: what ran side by side has the verdict that it has alone.
func (f *runFlags) runCells(ctx context.Context, e *env, engine *driver, cells []cell, stop *interrupts) ([]report.Result, error) {
	shown, e := f.screen(e, engine, cells, stop)
	var (
		mu      sync.Mutex
		wait    sync.WaitGroup
		results = make([]*report.Result, len(cells))
		failed  error
	)
	if shown != nil {
		defer shown.guard()
		defer func() { shown.close(untold(results, len(cells))) }()
	}
	say := func(format string, args ...any) {
		if len(cells) > 1 && !f.quiet && shown == nil {
			fmt.Fprintf(e.stderr, format+"\n", args...)
		}
	}
	slots := make(chan struct{}, f.jobs)
	one := func(i int, quiet bool) {
		var progress watching = newProgress(e, quiet)
		if shown != nil {
			defer shown.guard()
			progress = shown.begin(i)
		}
		r, err := f.runCell(ctx, e, engine, &cells[i], stop, progress)
		mu.Lock()
		defer mu.Unlock()
		if shown != nil {
			shown.change(func(s *screen.Screen) { s.Done(i, string(r.Word())) })
		}
		if err != nil {
			failed = err
			f.tellCell(e, &cells[i], err)
		}
		results[i] = &r
		say("run %d of %d: %s  %s", i+1, len(cells), r.Word(), r.Folder)
	}
	for i := range cells {
		slots <- struct{}{}
		if stop.seen() {
			break
		}
		mu.Lock()
		say("run %d of %d: %s", i+1, len(cells), cells[i].label())
		mu.Unlock()
		wait.Go(func() {
			defer func() { <-slots }()
			one(i, f.quiet || f.jobs > 1)
		})
	}
	wait.Wait()
	if f.jobs > 1 {
		for i, r := range results {
			if r == nil || r.Verdict == nil || !r.Verdict.Busy() || stop.seen() {
				continue
			}
			say("run %d of %d: the machine was too slow for it beside others: again, by itself", i+1, len(cells))
			if shown != nil {
				fmt.Fprintf(shown, "run %d of %d: the machine was too slow for it beside others: again, by itself\n", i+1, len(cells))
			}
			cells[i].folder += "-again"
			one(i, f.quiet)
		}
	}
	var out []report.Result
	for _, r := range results {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out, failed
}
