package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starfall/internal/kept"
	"starfall/scenarios"
)

// TestPageIsFresh wants docs/chapter.md to be what the kept results give.
func TestPageIsFresh(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	all, err := scenarios.List()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(all, filepath.Join("scenarios", "measure", "results"), path); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("docs", "chapter.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/chapter.md is stale; write it anew with: go run ./scenarios/measure page")
	}
}

// TestVerdicts wants every kept run to have given the verdict that the scenario
// declares.
func TestVerdicts(t *testing.T) {
	all, err := scenarios.List()
	if err != nil {
		t.Fatal(err)
	}
	have, err := loadAll("results")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, e := range engines() {
			if o, ok := have[e][s.Name]; ok && o.Result != s.Verdicts[e] {
				t.Errorf("%s on %s: got %s, want %s as declared", s.Name, e, o.Result, s.Verdicts[e])
			}
		}
	}
}

var fields = regexp.MustCompile("`([^`]+)`")

// without are the fields that name no claim.
var without = regexp.MustCompile(`^\{\{(peak|if on "(docker|embedded)"|else|end)\}\}$`)

// TestAnswers wants an answer for every scenario and no other, and each claim
// that a field names to be one of the scenario's.
func TestAnswers(t *testing.T) {
	texts, err := answers()
	if err != nil {
		t.Fatal(err)
	}
	all, err := scenarios.List()
	if err != nil {
		t.Fatal(err)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for _, s := range all {
		text, ok := texts[s.Name]
		if !ok {
			t.Errorf("answers.md: %s has no answer", s.Name)
			continue
		}
		delete(texts, s.Name)
		source, err := scenarios.Text(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`\{\{.*?\}\}`).FindAllString(text, -1) {
			claims := fields.FindAllStringSubmatch(call, -1)
			if claims == nil && !without.MatchString(call) {
				t.Errorf("answers.md: %s: %s: got no claim", s.Name, call)
			}
			for _, m := range claims {
				said := "(" + flat(m[1])
				if all := flat(string(source)); !strings.Contains(all, said+")") && !strings.Contains(all, said+",id=") {
					t.Errorf("answers.md: %s has no claim %s", s.Name, m[1])
				}
			}
		}
	}
	for name := range texts {
		t.Errorf("answers.md: there is no scenario %s", name)
	}
}

func number(v float64) *float64 { return &v }

// recorded is a matrix of two cells and one that says nothing.
func recorded() outcome {
	cellOf := func(value, result, outcome string, v float64) cell {
		return cell{
			Params: []kept.Param{{Name: "a", Value: value}}, Result: result, Reason: "why",
			Claims: []kept.Claim{
				{Kind: "report", Text: "x.lost", Outcome: "tabulated", Measured: "3 of 10", Value: number(v)},
				{Kind: "expect", Text: "x.lost.none()", Outcome: outcome, Measured: "3 of 10", Value: number(v), First: "x-1 #7"},
				{Kind: "report", Text: "x.stall", Outcome: "tabulated", Measured: "1.20 s on orders/2, from 0:12.023", Value: number(v), Unit: "s"},
			},
		}
	}
	return outcome{Scenario: "x", Engine: "embedded", Cells: []cell{
		cellOf("1", "PASS", "held", 2), cellOf("2", "FAIL", "broken", 1), cellOf("3", "INCONCLUSIVE", "broken", 0),
	}}
}

func TestAnswer(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"{{v `x.stall` `a=1`}}", "1.20 s"},
		{"{{full `x.stall` `a=1`}}", "1.20 s on orders/2, from 0:12.023"},
		{"{{v `x.stall` `a=3`}}", notRecorded},
		{"{{v `x.stall` `a=4`}}", notRecorded},
		{"{{v `y.stall` `a=1`}}", notRecorded},
		{"{{first `x.lost.none()` `a=2`}}", "x-1 #7"},
		{"{{held `x.lost.none()`}}", "`a=1`"},
		{"{{broken `x.lost.none()`}}", "`a=2`"},
		{"{{broken `y.lost.none()`}}", "none"},
		{"{{count `x.lost.none()`}}", "1 of 3"},
		{"{{count `y.lost.none()`}}", notRecorded},
		{"{{least `x.stall`}}", "`a=2`"},
		{"{{most `x.stall`}}", "`a=1`"},
		{"{{most `y.stall`}}", notRecorded},
		{"{{best `x.stall` `x.lost.none()`}}", "`a=1`"},
		{"{{best `x.stall` `y.lost.none()`}}", notRecorded},
		{"{{peak}}", notRecorded},
	} {
		got, err := recorded().answer(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	o := recorded()
	o.Memory = 25 << 20
	if got, err := o.answer(`{{if on "embedded"}}{{peak}}{{end}}{{if on "docker"}}no{{end}}`); err != nil || got != "25 MB" {
		t.Errorf("got %q, %v, want 25 MB", got, err)
	}
	if _, err := recorded().answer("{{v `x.stall`}}"); err == nil {
		t.Error("got no error, want one: the field lacks its cell")
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct{ measured, want string }{
		{"0/s at 0:13; below 800/s from 0:12 for 7 s", "0/s"},
		{"lowest 878/s at 0:12", "878/s"},
		{"1 803 of 9 600", "1 803 of 9 600"},
		{"8.39 s on orders/2, from 0:12.023", "8.39 s"},
		{"18.9 s, at 0:18.94", "18.9 s"},
		{"4, first: orders/2 to leader 2 at 0:19.465", "4"},
		{"never", "never"},
	} {
		if got := short(tt.measured); got != tt.want {
			t.Errorf("short(%q): got %q, want %q", tt.measured, got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		o    outcome
		want string
	}{
		{outcome{Engine: "docker", RunFor: 30, Cells: make([]cell, 1)}, "30 s"},
		{outcome{Engine: "docker", RunFor: 30, Cells: make([]cell, 2), Took: 83.4, Memory: 9 << 20}, "2 × 30 s in 1m23s"},
		{outcome{Engine: "embedded", RunFor: 30, Cells: make([]cell, 1), Took: 4.2, Memory: 90 << 20}, "30 s in 4.2s, 90 MB"},
	} {
		if got := tt.o.size(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestMatrixSaysWhatSaysNothing(t *testing.T) {
	var b bytes.Buffer
	recorded().matrix(&b, "embedded")
	for _, want := range []string{
		"| embedded | `x.lost` | `x.stall` | verdict |",
		"| a=2 | ✗ 3 of 10 | 1.20 s on orders/2, from 0:12.023 | FAIL |",
		"a=3 says nothing: why.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%swant %q in it", b.String(), want)
		}
	}
}

func TestPick(t *testing.T) {
	all := []scenarios.Scenario{
		{Name: "a", Engines: []string{"embedded", "docker"}},
		{Name: "b", Engines: []string{"docker"}},
	}
	for _, tt := range []struct {
		engine, only, want, err string
	}{
		{"embedded", "", "a", ""},
		{"docker", "", "a b", ""},
		{"docker", "b", "b", ""},
		{"embedded", "b", "", "b does not run on embedded"},
		{"docker", "c", "", "there is no scenario c"},
	} {
		got, err := pick(all, tt.engine, tt.only)
		var names []string
		for _, s := range got {
			names = append(names, s.Name)
		}
		if err == nil != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("pick(%s, %q): got error %v, want %q", tt.engine, tt.only, err, tt.err)
		}
		if err == nil && strings.Join(names, " ") != tt.want {
			t.Errorf("pick(%s, %q): got %v, want %s", tt.engine, tt.only, names, tt.want)
		}
	}
}
