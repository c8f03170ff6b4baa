package interp_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"starfall/interp"
	"starfall/interp/plan"
	"starfall/scenarios"
)

// corpus gives the sources of testdata: whole scenarios, and every chunk.
func corpus(t testing.TB) []string {
	t.Helper()
	var out []string
	paths, err := filepath.Glob("testdata/*/*.star")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d files (%v), want some", len(paths), err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(b), "\n---\n")
		for _, p := range parts[1:] {
			out = append(out, parts[0]+"\n"+p+"\n")
		}
		if len(parts) == 1 {
			out = append(out, string(b))
		}
	}
	return out
}

// checkLoad loads a source that may be anything and fails on what must never
// be: a panic, a hang, an error without a place, a plan that cannot be read.
func checkLoad(t testing.TB, src string) (wrong bool) {
	t.Helper()
	begin := time.Now()
	p, err := interp.Load("chunk.star", interp.Options{
		FS: moduleFS(t, src), Std: scenarios.Std(), Print: func(plan.Pos, string) {},
		Limits: interp.Limits{Steps: 100_000, Memory: 256 << 20},
	})
	if d := time.Since(begin); d > 15*time.Second {
		t.Errorf("loading took %v", d)
	}
	if err == nil {
		b, err := p.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `\u0000`) && !strings.Contains(src, "\x00") && !strings.Contains(src, `\`) {
			t.Errorf("a provisional name is left in the plan")
		}
		return false
	}
	var list *interp.Errors
	if !errors.As(err, &list) || len(list.Problems) == 0 {
		t.Fatalf("got %v, want problems", err)
	}
	for _, x := range list.Problems {
		if strings.HasPrefix(x.Message, "internal error") {
			t.Errorf("got %v", x)
		}
		if x.Pos.Line < 1 && !strings.Contains(x.Message, "scenario") && !strings.Contains(x.Message, "too large") && !strings.Contains(x.Message, "does not end") {
			t.Errorf("got a problem without a place: %v", x)
		}
	}
	return true
}

func FuzzLoad(f *testing.F) {
	for _, src := range corpus(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) { checkLoad(t, src) })
}

func FuzzFormat(f *testing.F) {
	for _, src := range corpus(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		out, err := interp.Format("x.star", []byte(src))
		if err != nil {
			return
		}
		if shape(t, string(out)) != shape(t, src) {
			t.Errorf("got another meaning:\n%s\nof\n%s", out, src)
		}
		again, err := interp.Format("x.star", out)
		if err != nil || string(again) != string(out) {
			t.Errorf("got another layout the second time (%v):\n%s\nthen\n%s", err, out, again)
		}
	})
}

var wordPattern = regexp.MustCompile(`"[^"\n]*"|[A-Za-z_]\w*|\d[\w.]*|[-+*/%=<>.,:()\[\]{}]`)

// TestPlantedMistakes changes one word of a good scenario at a time. What comes
// of it is an error with a place, or still a plan; never a panic.
func TestPlantedMistakes(t *testing.T) {
	t.Run("everything", func(t *testing.T) { plantMistakes(t, "everything", "load(\"@std//faults.star\", \"flapping\")\n") })
	t.Run("chapter", func(t *testing.T) { plantMistakes(t, "chapter", "") })
}

func plantMistakes(t *testing.T, name, load string) {
	b, err := os.ReadFile("testdata/scenarios/" + name + ".star")
	if err != nil {
		t.Fatal(err)
	}
	src := string(b)
	src = src[strings.Index(src, "scenario("):]
	words := wordPattern.FindAllStringIndex(src, -1)
	wrong := 0
	for i, at := range words {
		word := src[at[0]:at[1]]
		var instead []string
		switch c := word[0]; {
		case c == '"':
			instead = []string{`""`, "5", "None"}
		case c >= '0' && c <= '9':
			instead = []string{`"x"`, "-1", "1e300", "[]"}
		case c == '(' || c == ')' || c == '[' || c == ']' || c == '.' || c == ',':
			instead = []string{""}
		case len(word) > 1:
			instead = []string{word[1:], word + "x", "None"}
		}
		if i%4 != 0 {
			continue // enough of them, in a few seconds
		}
		for _, w := range instead {
			changed := load + src[:at[0]] + w + src[at[1]:]
			if checkLoad(t, changed) {
				wrong++
			}
			if t.Failed() {
				t.Fatalf("after %q became %q at %d", word, w, at[0])
			}
		}
	}
	if wrong < 100 {
		t.Errorf("got %d mistakes that were found, want at least 100", wrong)
	}
}

// thousandLines is a scenario of about a thousand lines.
func thousandLines() string {
	var b strings.Builder
	b.WriteString("\"\"\"A long scenario.\"\"\"\n\nscenario(run_for = \"30m\", warmup = \"10s\")\n\n")
	for i := range 100 {
		fmt.Fprintf(&b, `
kafka_%[1]d = cluster(brokers = 3, config = {"broker.session.timeout.ms": 6000})
orders_%[1]d = topic(kafka_%[1]d, partitions = 6, replicas = 3, min_insync = 2)
shop_%[1]d = producer(orders_%[1]d, rate = 1000, idempotent = True)
billing_%[1]d = consumer(orders_%[1]d, group = "billing-%[1]d", members = 2)
outage_%[1]d = at("%[2]ds", kill(orders_%[1]d.leader(partition = 0), restart_after = "30s"))
assume(shop_%[1]d.rate.before(outage_%[1]d).per("5s").never_below(0.9 * 1000))
expect(shop_%[1]d.stall.during(outage_%[1]d).at_most("15s"))
expect(billing_%[1]d.missing.none())
expect(kafka_%[1]d.under_replicated.at_end().none())
`, i, 30+i)
	}
	return b.String()
}

func BenchmarkLoadThousandLines(b *testing.B) {
	files := moduleFS(b, thousandLines())
	for b.Loop() {
		if _, err := interp.Load("chunk.star", interp.Options{FS: files}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestThousandLinesAllocateLittle stands for the figure of 50 ms, which a test
// on a busy machine cannot hold: what is superlinear shows here as well.
func TestThousandLinesAllocateLittle(t *testing.T) {
	files := moduleFS(t, thousandLines())
	allocs := testing.AllocsPerRun(3, func() {
		if _, err := interp.Load("chunk.star", interp.Options{FS: files}); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 400_000 {
		t.Errorf("got %.0f allocations, want at most 400000", allocs)
	}
}
