// This file defines how the pages of runs and sweeps get into their folders.

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"starfall/report"
	"starfall/report/html"
	"starfall/runtime/record"
)

// page writes report.html into the folder of a run and notes where it is. A
// verdict stands without its page, so what goes wrong is only told. Without a
// recording there is nothing to show.
func (f *runFlags) page(e *env, r *report.Result) {
	if _, err := os.Stat(filepath.Join(r.Folder, record.FilePlan)); err != nil {
		return
	}
	rec, err := record.Open(r.Folder)
	if err == nil {
		r.Page, err = writeRunPage(*r, rec)
	}
	if err != nil {
		tell(e.stderr, &failure{code: exitEngine, err: err})
	}
}

// writeRunPage writes the page of a run beside its recording.
func writeRunPage(r report.Result, rec *record.Recording) (string, error) {
	var b bytes.Buffer
	if err := html.Run(&b, html.Page{Result: r, Recording: rec}); err != nil {
		return "", fmt.Errorf("%s: %w", html.Name, err)
	}
	return savePage(r.Folder, b.Bytes())
}

// sweepPage writes the page of many runs into the folder above theirs.
func (f *runFlags) sweepPage(e *env, results []report.Result) {
	if len(results) < 2 {
		return
	}
	path, err := writeSweepPage(filepath.Dir(results[0].Folder), results)
	if err != nil {
		tell(e.stderr, &failure{code: exitEngine, err: err})
	}
	for i := range results {
		results[i].Pages = path
	}
}

// writeSweepPage writes the page that links to those of many runs.
func writeSweepPage(dir string, results []report.Result) (string, error) {
	title := results[0].Scenario
	for _, r := range results {
		if r.Verdict != nil && r.Verdict.Title != "" {
			title = r.Verdict.Title
			break
		}
	}
	var b bytes.Buffer
	if err := html.Sweep(&b, title, results); err != nil {
		return "", fmt.Errorf("%s: %w", html.Name, err)
	}
	return savePage(dir, b.Bytes())
}

// savePage puts a page into a folder: the whole page or none.
func savePage(dir string, page []byte) (string, error) {
	path := filepath.Join(dir, html.Name)
	tmp := path + ".part"
	if err := os.WriteFile(tmp, page, 0o644); err != nil {
		return "", fmt.Errorf("%s: %w", html.Name, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("%s: %w", html.Name, err)
	}
	return path, nil
}
