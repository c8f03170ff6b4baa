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
	path, err := writeRunPage(*r)
	if err != nil {
		tell(e.stderr, &failure{code: exitEngine, err: err})
		return
	}
	r.Page = path
}

// writeRunPage writes the page of a run beside its recording.
func writeRunPage(r report.Result) (string, error) {
	rec, err := record.Open(r.Folder)
	if err != nil {
		return "", fmt.Errorf("%s: %w", html.Name, err)
	}
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
	title := results[0].Scenario
	if v := results[0].Verdict; v != nil && v.Title != "" {
		title = v.Title
	}
	dir := filepath.Dir(results[0].Folder)
	var b bytes.Buffer
	path := ""
	err := html.Sweep(&b, title, results)
	if err == nil {
		path, err = savePage(dir, b.Bytes())
	}
	for i := range results {
		results[i].Pages = path
	}
	if err != nil {
		tell(e.stderr, &failure{code: exitEngine, err: err})
	}
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
