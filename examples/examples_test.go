package examples

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"starfall/interp"
	"starfall/scenarios"
)

// TestPlanned loads every example: no mistake, in the one style,
// with a title, a description, an expectation, and its place in the order.
func TestPlanned(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, x := range all {
		listed = append(listed, x.Name+".star")
		src, err := fs.ReadFile(FS(), x.Name+".star")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := interp.Format(x.Name+".star", src); err != nil || string(out) != string(src) {
			t.Errorf("%s: not in the style of starfall fmt (%v)", x.Name, err)
		}
		p, err := interp.Load(x.Name+".star", interp.Options{
			FS:  FS(),
			Std: scenarios.Std(),
			Warn: func(w interp.Problem) {
				// What is unwise is what an example that fails is about.
				if x.Verdict == "PASS" {
					t.Errorf("got a warning: %s", w)
				}
			},
		})
		if err != nil {
			t.Errorf("%s:\n%v", x.Name, err)
			continue
		}
		if p.Title != x.Title || p.Doc == "" {
			t.Errorf("%s: got title %q and description %q, want %q and some text", x.Name, p.Title, p.Doc, x.Title)
		}
		if !strings.Contains("PASS FAIL INCONCLUSIVE VOID", x.Verdict) {
			t.Errorf("%s: got verdict %q, want PASS, FAIL, INCONCLUSIVE or VOID", x.Name, x.Verdict)
		}
	}
	files, err := fs.Glob(FS(), "*.star")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 8 {
		t.Errorf("got %d examples, want 8 at least", len(files))
	}
	for _, f := range files {
		if !slices.Contains(listed, f) {
			t.Errorf("%s: is not in the reading order", f)
		}
	}
}
