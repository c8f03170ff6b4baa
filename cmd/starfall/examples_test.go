package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starfall/examples"
	"starfall/runtime/judge"
)

var repeats = flag.Int("repeats", 1, "how often TestExamples runs each example; all must agree, claim by claim")

// TestExamples runs every example on the embedded engine and wants the verdict
// that it declares. With -repeats 20 every one of twenty runs must give it, and
// the same outcome claim by claim:
//
//	go test ./cmd/starfall -run TestExamples -repeats 20 -timeout 2h
//
// A run that is INCONCLUSIVE says nothing about the example, most often because
// the machine could not keep the load up; it is tried again slower, and the log
// says why. At the lowest speed every verdict counts.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every example")
	}
	bin := filepath.Join(plainBinary(t), "starfall")
	all, err := examples.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		t.Run(x.Name, func(t *testing.T) {
			first := ""
			for i := range *repeats {
				v := runExample(t, bin, x.Name)
				if string(v.Result) != x.Verdict {
					t.Errorf("run %d: got %s, want %s\n%s", i+1, v.Result, x.Verdict, outcomes(v, true))
				}
				got := outcomes(v, false)
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("run %d: got other outcomes than in the first run\n%s\nfirst\n%s", i+1, got, first)
				}
			}
		})
	}
}

// plainBinary builds the command without the race detector, which would slow
// clusters down so much that runs say nothing, and gives the folder it is in.
// Scripts run the command with the detector, when the tests have it.
func plainBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "starfall"), ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

func runExample(t *testing.T, bin, name string) *judge.Verdict {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repoRoot(t), "examples", name+".star"))
	if err != nil {
		t.Fatal(err)
	}
	speeds := []string{"10", "5", "2"}
	for i, speed := range speeds {
		dir := t.TempDir()
		cmd := exec.Command(bin, "run", path, "--json", "--quiet", "--engine", "embedded", "--speed", speed)
		cmd.Dir = dir
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var doc struct {
			Runs []struct {
				Error   string
				Verdict *judge.Verdict
			}
		}
		if jsonErr := json.Unmarshal(out, &doc); jsonErr != nil || len(doc.Runs) != 1 || doc.Runs[0].Verdict == nil {
			t.Fatalf("got no verdict (%v, %v)\n%s%s", err, jsonErr, out, stderr.String())
		}
		v := doc.Runs[0].Verdict
		if v.Result == judge.Inconclusive && i+1 < len(speeds) {
			t.Logf("at speed %s: %s: %s", speed, v.Result, v.Reasons[0].Text)
			continue
		}
		return v
	}
	panic("the last speed returns")
}

// outcomes lists the claims with what became of them, and with measured what
// was measured and why the run has its verdict.
func outcomes(v *judge.Verdict, measured bool) string {
	var b strings.Builder
	for _, c := range v.Claims {
		fmt.Fprintf(&b, "  %-9s %s", c.Outcome, c.Text)
		if measured {
			fmt.Fprintf(&b, ": %s", c.Measured)
		}
		b.WriteByte('\n')
	}
	if measured {
		for _, r := range v.Reasons {
			fmt.Fprintf(&b, "  %s: %s\n", r.Result, r.Text)
		}
	}
	return b.String()
}
