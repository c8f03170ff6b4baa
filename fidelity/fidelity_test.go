package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starfall/internal/kept"
)

func seconds(v float64) *float64 { return &v }

func TestNear(t *testing.T) {
	for _, tt := range []struct {
		standard, other *float64
		want            bool
	}{
		{seconds(8), seconds(9.5), true},
		{seconds(8), seconds(9.7), false},
		{seconds(0.2), seconds(0.5), true},
		{seconds(0.2), seconds(0.51), false},
		{nil, nil, true},
		{nil, seconds(1), false},
		{seconds(1), nil, false},
	} {
		if got := near(tt.standard, tt.other); got != tt.want {
			t.Errorf("near(%v, %v): got %v, want %v", tt.standard, tt.other, got, tt.want)
		}
	}
}

// recorded writes what both engines gave of one scenario.
func recorded(t *testing.T, docker, embedded outcome) string {
	t.Helper()
	dir := t.TempDir()
	for engine, o := range map[string]outcome{"docker": docker, "embedded": embedded} {
		if err := kept.Save(resultsOf(dir, engine), map[string]outcome{"x": o}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	all := []scenario{{"x", "examples/x.star"}}
	of := func(result, outcome0 string, stall float64) outcome {
		return outcome{Result: result, Claims: []kept.Claim{
			{Kind: "expect", Text: "a", Outcome: outcome0},
			{Kind: "report", Text: "b", Value: seconds(stall), Unit: "s"},
			{Kind: "report", Text: "c", Value: seconds(stall * 100), Unit: "count"},
		}}
	}
	for _, tt := range []struct {
		name             string
		docker, embedded outcome
		err, out         string
	}{
		{"alike", of("PASS", "held", 8), of("PASS", "held", 9), "", "1 of 1 verdicts, 1 of 1 claims, 1 of 1 lengths equal"},
		{"verdict", of("PASS", "held", 8), of("FAIL", "held", 8), "1 differences", "x: PASS on docker, FAIL on embedded"},
		{"claim", of("PASS", "held", 8), of("PASS", "broken", 8), "1 differences", "0 of 1 claims"},
		{"stall", of("PASS", "held", 8), of("PASS", "held", 11), "1 differences", "0 of 1 lengths"},
		{"other claims", of("PASS", "held", 8), outcome{Result: "PASS"}, "3 claims on docker, 0 on embedded", ""},
	} {
		var out bytes.Buffer
		err := check(all, recorded(t, tt.docker, tt.embedded), true, &out)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.err)
		}
		if !strings.Contains(out.String(), tt.out) {
			t.Errorf("%s: got %q, want %q in it", tt.name, out.String(), tt.out)
		}
	}
	if err := check(all, recorded(t, of("PASS", "held", 8), of("PASS", "held", 11)), false, &bytes.Buffer{}); err != nil {
		t.Errorf("got error %v, want none: lengths do not count", err)
	}
	if err := check(append(all, scenario{name: "y"}), recorded(t, of("PASS", "held", 8), of("PASS", "held", 8)), true, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "y: it has not run on docker") {
		t.Errorf("got error %v, want that y has not run", err)
	}
}

// TestReasons wants every reason to be about a scenario and a claim that exist.
func TestReasons(t *testing.T) {
	t.Chdir("..")
	all, err := scenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reasons() {
		i := -1
		for k, s := range all {
			if s.name == r.scenario {
				i = k
			}
		}
		if i < 0 {
			t.Errorf("reasons: there is no scenario %s", r.scenario)
			continue
		}
		b, err := os.ReadFile(all[i].path)
		if err != nil {
			t.Fatal(err)
		}
		flat := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if !strings.Contains(flat(string(b)), flat(r.claim)) {
			t.Errorf("reasons: %s has no claim %s", r.scenario, r.claim)
		}
	}
}

// TestPageIsFresh wants docs/fidelity.md to be what the kept results give, and no
// verdict and no claim on it to differ without a reason.
func TestPageIsFresh(t *testing.T) {
	t.Chdir("..")
	all, err := scenarios()
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join("fidelity", "results")
	path := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(all, results, path); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("docs", "fidelity.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/fidelity.md is stale; write it anew with: go run ./fidelity page")
	}
	var out bytes.Buffer
	if err := check(all, results, false, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
