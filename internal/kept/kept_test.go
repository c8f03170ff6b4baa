package kept

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"starfall/runtime/judge"
)

// command writes a program that prints text in the place of starfall, and keeps
// how it was called.
func command(t *testing.T, script string) (start Start, calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	binary := filepath.Join(dir, "starfall")
	text := "#!/bin/sh\necho \"$*\" >>" + calls + "\n" + script
	if err := os.WriteFile(binary, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Start{Binary: binary, Target: "x.star", Engine: "embedded", Out: "runs"}, calls
}

// TestSettle wants only what says nothing to be run again, with the values of
// its cell, at the next speed.
func TestSettle(t *testing.T) {
	start, calls := command(t, `
case "$*" in
*"--speed 10 "*) echo '{"runs": [
	{"params": [{"name": "a", "value": "1"}], "verdict": {"result": "PASS"}},
	{"params": [{"name": "a", "value": "2"}], "verdict": {"result": "INCONCLUSIVE"}}]}' ;;
*) echo '{"runs": [{"verdict": {"result": "FAIL"}}]}'; exit 1 ;;
esac
`)
	runs, err := start.Settle([]string{"10", "5", "2"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, r.Params[0].Value+" "+string(r.Verdict.Result))
	}
	if want := []string{"1 PASS", "2 FAIL"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Worst(runs); got != judge.Fail {
		t.Errorf("Worst: got %s, want FAIL", got)
	}
	if got := runs[1].Peak; runtime.GOOS == "linux" && got < 100<<10 {
		t.Errorf("Peak: got %d bytes, want those of a shell", got)
	}
	said, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	want := "run x.star --json --quiet --engine embedded --speed 10 --out runs\n" +
		"run x.star --json --quiet --engine embedded --speed 5 --out runs --set a=2\n"
	if string(said) != want {
		t.Errorf("got calls\n%swant\n%s", said, want)
	}
}

func TestDoFails(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"no output", "echo why >&2; exit 4", "no verdict: exit status 4\n"},
		{"no runs", `echo '{"runs": []}'`, "no verdict"},
		{"an error", `echo '{"runs": [{"error": "the engine failed"}]}'; exit 4`, "the engine failed"},
		{"no verdict", `echo '{"runs": [{"folder": "x"}]}'; exit 3`, "no verdict"},
	} {
		start, _ := command(t, tt.script)
		if _, err := start.Do(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWorst(t *testing.T) {
	for _, tt := range []struct {
		results []judge.Result
		want    judge.Result
	}{
		{[]judge.Result{judge.Pass, judge.Pass}, judge.Pass},
		{[]judge.Result{judge.Pass, judge.Fail, judge.Pass}, judge.Fail},
		{[]judge.Result{judge.Inconclusive, judge.Fail}, judge.Inconclusive},
		{[]judge.Result{judge.Void, judge.Inconclusive}, judge.Void},
		{[]judge.Result{judge.EngineError, judge.Void}, judge.EngineError},
	} {
		var runs []Run
		for _, r := range tt.results {
			runs = append(runs, Run{Verdict: &judge.Verdict{Result: r}})
		}
		if got := Worst(runs); got != tt.want {
			t.Errorf("Worst(%v): got %s, want %s", tt.results, got, tt.want)
		}
	}
}

func TestClaimsKeepTheFirstWitness(t *testing.T) {
	offset := int64(7)
	v := &judge.Verdict{Claims: []judge.Claim{
		{Text: "a", Outcome: judge.Broken, Witnesses: []judge.Witness{{Producer: "shop", Member: 1, Seq: 3, Topic: "orders", Offset: &offset}, {}}},
		{Text: "b", Outcome: judge.Held, Witnesses: []judge.Witness{{}}},
	}}
	got := Claims(v)
	if want := "shop-1 #3, orders/0 offset 7"; got[0].First != want || got[1].First != "" {
		t.Errorf("got %q and %q, want %q and none", got[0].First, got[1].First, want)
	}
}

func TestLoadAndSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "embedded.json")
	have, err := Load[[]int](path)
	if err != nil || len(have) != 0 {
		t.Fatalf("got %v, %v, want nothing and no error", have, err)
	}
	have["x"] = []int{1, 2}
	if err := Save(path, have); err != nil {
		t.Fatal(err)
	}
	got, err := Load[[]int](path)
	if err != nil || !reflect.DeepEqual(got, have) {
		t.Errorf("got %v, %v, want %v", got, err, have)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load[[]int](path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one that names the file", err)
	}
}
