package interp_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.starlark.net/syntax"

	"starfall/interp"
	"starfall/interp/plan"
	"starfall/scenarios"
)

var update = flag.Bool("update", false, "write the golden plans")

// TestGoldenPlans compares the canonical plans of the samples and of the
// scenarios in testdata with what is kept; -update writes them.
func TestGoldenPlans(t *testing.T) {
	var paths []string
	for _, glob := range []string{"testdata/samples/*.star", "testdata/scenarios/*.star"} {
		found, err := filepath.Glob(glob)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: got %d files (%v), want some", glob, len(found), err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		base := strings.TrimSuffix(filepath.Base(path), ".star")
		for name, set := range choicesOf(t, path, base) {
			golden(t, path, name, set)
		}
	}
}

// choicesOf gives the plans that a scenario is kept in: one, or, when it has a
// parameter with choices and is a sample, one for each.
func choicesOf(t *testing.T, path, base string) map[string]map[string]string {
	t.Helper()
	plans := map[string]map[string]string{base: nil}
	params, err := interp.Params(path, interp.Options{Std: scenarios.Std()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		for _, choice := range p.Choices {
			if value, err := strconv.Unquote(choice); err == nil && strings.Contains(path, "samples") && choice != p.Default {
				plans[base+"-"+value] = map[string]string{p.Name: value}
			}
		}
	}
	return plans
}

func golden(t *testing.T, path, name string, set map[string]string) {
	t.Run(name, func(t *testing.T) {
		p, err := interp.Load(path, interp.Options{Std: scenarios.Std(), Set: set, Warn: func(p interp.Problem) { t.Log(p) }})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Files {
			p.Files[i].Text, p.Files[i].SHA256 = "", "" // kept in the file itself
		}
		got, err := p.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata/golden", name+".json")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatalf("%v; write it with: go test ./interp -run Golden -update", err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the plan of %s is not that of %s; compare after: go test ./interp -run Golden -update", path, golden)
		}
	})
}

const base = `"""Title.

More.
"""
scenario(run_for = "60s", seed = 7)
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
shop = producer(orders)
billing = consumer(orders, group = "billing")
expect(shop.stall.at_most("50s"))
`

func mustLoad(t *testing.T, text string, o interp.Options) *plan.Plan {
	t.Helper()
	o.FS, o.Std = moduleFS(t, text), scenarios.Std()
	p, err := interp.Load("chunk.star", o)
	if err != nil {
		t.Fatalf("\n%v", err)
	}
	return p
}

func TestPlanOfScenario(t *testing.T) {
	p := mustLoad(t, base, interp.Options{})
	if p.Name != "chunk" || p.Title != "Title." || p.Doc != "More." {
		t.Errorf("got name %q, title %q, doc %q", p.Name, p.Title, p.Doc)
	}
	if len(p.Sites) != 1 || !p.Sites[0].Implied || p.Sites[0].Name != plan.ImpliedSite {
		t.Errorf("got the sites %v, want only the implied one", p.Sites)
	}
	if p.Scenario.Seed != 7 || p.Format != plan.Format || p.Files[0].Text != base {
		t.Errorf("got seed %d, format %d", p.Scenario.Seed, p.Format)
	}
	seed := int64(9)
	if p := mustLoad(t, base, interp.Options{Seed: &seed}); p.Scenario.Seed != 9 {
		t.Errorf("got seed %d, want that of the options", p.Scenario.Seed)
	}
}

func TestNamesOfThings(t *testing.T) {
	p := mustLoad(t, base+`
alias = kafka
extra = [topic(kafka, name = "t%d" % i) for i in range(2)]
def make():
    return topic(kafka)
made = make()
at("10s", note("a"))
named = at("20s", note("b"))
at(named.end + 5 * second, note("c"), name = "third")
at("40s", note("d"))
`, interp.Options{})
	var names []string
	for _, c := range p.Clusters {
		names = append(names, c.Name)
	}
	for _, x := range p.Topics {
		names = append(names, x.Name)
	}
	for _, e := range p.Events {
		names = append(names, e.Name)
	}
	want := "kafka orders t0 t1 made event-1 named third event-4"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if at := p.Events[2].Trigger.At; at.Event != "named" || at.Edge != plan.End || at.Offset != plan.Duration(5*time.Second) {
		t.Errorf("got %+v, want 5 s after the end of named", at)
	}
}

func TestTextIsVerbatim(t *testing.T) {
	p := mustLoad(t, strings.Replace(base, "producer(orders)", "producer(orders, keys = 10)", 1)+`
expect(
    shop.rate  # what is acknowledged
        .before("30s").per("5s").never_below(
            0.5 *  100,
        ),
    why = "…",
) if False else expect(shop.rate.before( "30s" ).never_below(0.5 *  100))
expect(both(
    shop.failed.none(),
    no(shop.unknown.at_least(5)),  # second
))
cut = at(
    "30s",
    netsplit(
        kafka.broker(1),
        [shop, billing],
        heal_after = "5s",
    ),
)
report(billing.out_of_order.by("key"))
report(shop.latency.p99)
`, interp.Options{})
	var got []string
	for _, c := range p.Claims[1:] {
		got = append(got, c.Text)
	}
	got = append(got, p.Events[0].Text, p.Events[0].Actions[0].Source)
	want := []string{
		`shop.rate.before( "30s" ).never_below(0.5 *  100)`,
		`both(shop.failed.none(), no(shop.unknown.at_least(5)))`,
		`billing.out_of_order.by("key")`,
		`shop.latency.p99`,
		`at("30s", netsplit(kafka.broker(1), [shop, billing], heal_after = "5s"))`,
		`netsplit(kafka.broker(1), [shop, billing], heal_after = "5s")`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("text %d: got %q, want %q", i, got[i], want[i])
		}
	}
	if pos := p.Claims[2].Expr.Args[0].Term.Pos; pos.Line != 20 || pos.Col != 5 {
		t.Errorf("got the term at %v, want line 20, column 5", pos)
	}
}

func TestBoundsAreInTheMeasuresUnit(t *testing.T) {
	p := mustLoad(t, base+`
expect(shop.stall.at_most(90 * second))
expect(orders.size.at_most("1GB"))
expect(shop.late.at_most(0.01))
expect(billing.lag.eventually(at_least = 5, within = "10s"))
`, interp.Options{})
	for i, want := range []plan.Bound{
		{Op: plan.AtMost, Value: 90, Text: `"1m30s"`},
		{Op: plan.AtMost, Value: 1 << 30, Text: `"1GB"`},
		{Op: plan.AtMost, Value: 0.01, Text: "0.01"},
		{Op: plan.Eventually, Value: 5, Text: "5", Within: plan.Duration(10 * time.Second)},
	} {
		if got := *p.Claims[i+1].Expr.Term.Bound; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestBrokersAreAList(t *testing.T) {
	p := mustLoad(t, base+`
at("10s", pause(kafka.brokers[1:], resume_after = "1s"))
at("15s", pause(kafka.brokers[::-2], resume_after = "1s"))
at("20s", netsplit(kafka.brokers[:1], [shop] + kafka.brokers[1:] + [billing], heal_after = "5s"))
at("30s", netsplit([shop], kafka.brokers + [billing], heal_after = "5s"))
at("40s", pause(kafka.brokers[:1] + kafka.brokers[2:], resume_after = "1s"))
at("45s", netsplit(shop, kafka.brokers + kafka.brokers[:0], heal_after = "1s"))
at("50s", netsplit(shop, [billing] + kafka.brokers, heal_after = "1s"))
`, interp.Options{})
	var got []string
	for _, e := range p.Events {
		a := e.Actions[0]
		groups := a.Groups
		if groups == nil {
			groups = [][]plan.Ref{a.Targets}
		}
		s := string(a.Verb)
		for _, g := range groups {
			s += " /"
			for _, r := range g {
				s += fmt.Sprintf(" %s%d", r.Name, r.Index)
			}
		}
		got = append(got, s)
	}
	want := []string{
		"pause / kafka2 kafka3",
		"pause / kafka3 kafka1",
		"netsplit / kafka1 / shop0 kafka2 kafka3 billing0",
		"netsplit / shop0 / kafka1 kafka2 kafka3 billing0",
		"pause / kafka1 kafka3",
		"netsplit / shop0 / kafka1 kafka2 kafka3",
		"netsplit / shop0 / billing0 kafka1 kafka2 kafka3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q,\nwant %q", got, want)
	}
}

func TestPositionsNameBothPlaces(t *testing.T) {
	err := loadText(t, `load("//lib/helper.star", "bad_kill")
scenario(run_for = "60s")
kafka = cluster(brokers = 3)

def twice():
    bad_kill("30s", kafka.broker(1))

twice()
`, interp.Options{})
	var list *interp.Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v, want problems", err)
	}
	p := list.Problems[0]
	if p.Pos.File != "lib/helper.star" || p.Pos.Line != 7 || p.Pos.Via == nil || p.Pos.Via.String() != "chunk.star:8:1" {
		t.Errorf("got %v, want lib/helper.star:7, called from chunk.star:8:1", p)
	}
	if !strings.Contains(p.String(), "\n    called from chunk.star:8:1") {
		t.Errorf("got %q, want it to name the call", p.String())
	}
}

func TestProblemsAreSortedAndSaidOnce(t *testing.T) {
	err := loadText(t, base+`
for i in range(3):
    at("%ds" % (i + 10), kill(kafka.brokr(1)))
x = topic(kafka, partitons = 3)
y = 1 + "a"
`, interp.Options{})
	var list *interp.Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v, want problems", err)
	}
	var got []string
	for _, p := range list.Problems {
		got = append(got, fmt.Sprintf("%d:%d", p.Pos.Line, p.Pos.Col))
	}
	if want := "13:37 14:18 15:7"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s\n%v", got, want, err)
	}
}

func TestSet(t *testing.T) {
	text := base + `
rate = param("rate", 100)
share = param("share", 0.5)
safe = param("safe", True)
mode = param("mode", "fast", choices = ["fast", "slow"], help = "how")
pause_for = param("pause_for", 5 * second)
x = topic(kafka, name = "%s-%s-%s-%s-%s" % (rate + 1, share, safe, mode, pause_for + second))
`
	p := mustLoad(t, text, interp.Options{Set: map[string]string{
		"rate": "200", "share": "0.25", "safe": "false", "mode": "slow", "pause_for": "1m",
	}})
	if got, want := p.Topics[1].Name, "201-0.25-False-slow-1m1s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := p.Params[3], (plan.Param{Name: "mode", Default: `"fast"`, Value: `"slow"`, Help: "how", Choices: []string{`"fast"`, `"slow"`}}); got.Name != want.Name ||
		got.Default != want.Default || got.Value != want.Value || got.Help != want.Help || strings.Join(got.Choices, " ") != strings.Join(want.Choices, " ") {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, tt := range []struct{ text, name, want string }{
		{text, "rat", "chunk.star: --set rat: there is no such parameter\n    did you mean rate?"},
		{text, "qqqq", "it has rate, share, safe, mode or pause_for"},
		{base, "rate", "--set rate: there is no such parameter\n    the scenario has no parameters"},
	} {
		err := loadText(t, tt.text, interp.Options{Set: map[string]string{tt.name: "1"}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("--set %s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestParams(t *testing.T) {
	o := interp.Options{FS: moduleFS(t, base+"rate = param(\"rate\", 100, choices = [100, 200])\n")}
	got, err := interp.Params("chunk.star", o)
	if err != nil || len(got) != 1 || got[0].Name != "rate" || got[0].Default != "100" || len(got[0].Choices) != 2 {
		t.Errorf("got %+v, %v, want rate with its choices", got, err)
	}
}

func TestWarningsAndPrint(t *testing.T) {
	var printed, warned []string
	mustLoad(t, strings.Replace(base, "producer(orders)", "producer(orders, acks = 1)", 1)+"print(\"hello\", 3)\nexpect(billing.missing.none())\n", interp.Options{
		Print: func(pos plan.Pos, text string) { printed = append(printed, pos.String()+" "+text) },
		Warn:  func(p interp.Problem) { warned = append(warned, p.String()) },
	})
	if got := strings.Join(printed, "\n"); got != "chunk.star:11:6 hello 3" {
		t.Errorf("got %q printed", got)
	}
	if len(warned) == 0 || !strings.Contains(warned[0], ": warning: ") {
		t.Errorf("got the warnings %q, want one about acks", warned)
	}
}

func TestRoots(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("secret.star", "x = 1\n")
	write("course/course.toml", "")
	write("course/lib/a.star", "a = 1\n")
	inCourse := write("course/one/x.star", base+"load(\"//lib/a.star\", \"a\")\n")
	p, err := interp.Load(inCourse, interp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Files[0].Path != "one/x.star" || p.Files[1].Path != "lib/a.star" || p.Scenario.Pos.File != "one/x.star" {
		t.Errorf("got the files %s and %s, want names from the root", p.Files[0].Path, p.Files[1].Path)
	}
	if err := os.Symlink(filepath.Join(dir, "secret.star"), filepath.Join(dir, "course", "out.star")); err != nil {
		t.Skip("no symbolic links here")
	}
	for _, tt := range []struct{ text, want string }{
		{"load(\"//out.star\", \"x\")\n", "load: //out.star: "},
		{"load(\"//../secret.star\", \"x\")\n", "want a path that stays within the root"},
		{"load(\"//lib.star\", \"x\")\n", "there is no such file"},
		{"load(\"@std//faults.star\", \"rolling\")\n", "there is no built-in library here"},
		{"x = 3 + \"\"\n", "one/y.star:11:7: unknown binary op"},
	} {
		_, err := interp.Load(write("course/one/y.star", base+tt.text), interp.Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.text, err, tt.want)
		}
	}
	write("course/lib/bad.star", "x = 3 + \"\"\n")
	t.Chdir(filepath.Join(dir, "course", "one"))
	write("course/one/y.star", base+"load(\"//lib/bad.star\", \"x\")\n")
	_, err = interp.Load("y.star", interp.Options{})
	if want := filepath.Join("..", "lib", "bad.star") + ":1:7: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want a path that opens from here: %s", err, want)
	}
	for _, tt := range []struct {
		path, want string
		o          interp.Options
	}{
		{"nothing.star", "nothing.star: there is no such file", interp.Options{}},
		{dir, "it is no file", interp.Options{Root: dir}},
		{"y.star", "the scenario is not under the root", interp.Options{Root: filepath.Join(dir, "course", "lib")}},
		{"../y.star", "want one without ..", interp.Options{FS: fstest.MapFS{}}},
	} {
		_, err := interp.Load(tt.path, tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.path, err, tt.want)
		}
	}
}

func TestRootsInFS(t *testing.T) {
	files := fstest.MapFS{
		"course/course.toml":  {},
		"course/lib/a.star":   {Data: []byte("a = 1 + \"\"\n")},
		"course/one/x.star":   {Data: []byte(base + "load(\"//lib/a.star\", \"a\")\n")},
		"course/two/loose.sh": {},
	}
	_, err := interp.Load("course/one/x.star", interp.Options{FS: files})
	if err == nil || !strings.HasPrefix(err.Error(), "course/lib/a.star:1:7: ") {
		t.Errorf("got %v, want an error in course/lib/a.star", err)
	}
}

func TestSourceLimits(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"large", strings.Repeat("# x\n", 300_000), "chunk.star: the file is too large: more than 1048576 bytes"},
		{"encoding", "x = 1\ny = \"\xff\"\n", "chunk.star:2:1: the file is not UTF-8"},
		{"sum", "x = 1" + strings.Repeat(" + 1", 3000) + "\n", "chunk.star:1:5: the expression is nested too deeply"},
		{"calls", "x = str" + strings.Repeat("()", 200_000) + "\n", "the expression is nested too deeply"},
		{"brackets", "x = " + strings.Repeat("[", 200_000) + "\n", "excessive nesting"},
		{"not", "x = " + strings.Repeat("not ", 200_000) + "1\n", "excessive nesting"},
		{"minus", "x = " + strings.Repeat("-", 200_000) + "1\n", "excessive nesting"},
		{"ifs", strings.Repeat("if 1: ", 100_000) + "pass\n", "chunk.star:1"},
		{"lambda", "x = " + strings.Repeat("lambda: ", 100_000) + "1\n", "excessive nesting"},
		{"open", "x = (1 +\n", "a bracket may not be closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := loadText(t, tt.text, interp.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %s", err, tt.want)
			}
		})
	}
}

// TestMemory ends evaluations that grow in ways no single check sees.
func TestMemory(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"doubling", "def f():\n    x = [0]\n    for i in range(60):\n        x += x\nf()\n"},
		{"appending", "def f():\n    x = []\n    for i in range(100000):\n        x.append([0] * 1000)\nf()\n"},
		{"dicts", "def f():\n    x = {}\n    for i in range(100000):\n        x[i] = \"x\" * 10000 + str(i)\nf()\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := loadText(t, base+tt.text, interp.Options{Limits: interp.Limits{Memory: 128 << 20}})
			if err == nil || !strings.Contains(err.Error(), "the evaluation does not end: more than 128 MB of memory") {
				t.Errorf("got %v, want it to end for want of memory", err)
			}
			runtime.GC()
		})
	}
}

// TestTime leaves an evaluation behind that is inside one long operation.
func TestTime(t *testing.T) {
	err := loadText(t, `
x = [0] * 500
a, b = [x] * 500, [[0] * 500] * 500
same = [a] * 500 == [b] * 500
`, interp.Options{Limits: interp.Limits{Time: 50 * time.Millisecond}})
	if err == nil || !strings.Contains(err.Error(), "the evaluation does not end: more than 50ms") {
		t.Errorf("got %v, want it to end for want of time", err)
	}
}

func TestStandardLibrary(t *testing.T) {
	p := mustLoad(t, base+`
load("@std//faults.star", "flapping", "rolling", "stop_start")
a = rolling(kafka, first = 10 * second, every = "4s", down_for = "2s")
b = flapping(kafka.broker(1), shop, first = "30s", times = 2, down_for = "1s", up_for = 2 * second)
c = stop_start([kafka.broker(3), kafka.broker(2)], first = "45s", down_for = "3s", apart = "5s")
expect(shop.rate.during(a[0]).at_least(0))
`, interp.Options{})
	var got []string
	for _, e := range p.Events {
		a := e.Actions[0]
		s := fmt.Sprintf("%s %s", e.Trigger.At.Offset, a.Verb)
		if len(a.Targets) > 0 {
			s += fmt.Sprintf(" %d", a.Targets[0].Index)
		}
		got = append(got, s)
		if e.Pos.File != "@std//faults.star" || e.Pos.Via == nil {
			t.Errorf("%s: got the position %v, want one in the library with the call", e.Name, e.Pos)
		}
	}
	want := "10s restart 1, 14s restart 2, 18s restart 3, 30s netsplit, 33s netsplit, 45s stop 3, 50s stop 2"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// TestStandardLibraryIsDocumented wants a docstring in every public function,
// with a line for every parameter.
func TestStandardLibraryIsDocumented(t *testing.T) {
	names, err := fs.Glob(scenarios.Std(), "*.star")
	if err != nil || len(names) == 0 {
		t.Fatalf("got %d files (%v), want some", len(names), err)
	}
	for _, name := range names {
		src, err := fs.ReadFile(scenarios.Std(), name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := (&syntax.FileOptions{}).Parse(name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, stmt := range f.Stmts {
			def, ok := stmt.(*syntax.DefStmt)
			if !ok || strings.HasPrefix(def.Name.Name, "_") {
				continue
			}
			doc := ""
			if x, ok := def.Body[0].(*syntax.ExprStmt); ok {
				if lit, ok := x.X.(*syntax.Literal); ok {
					doc, _ = lit.Value.(string)
				}
			}
			for _, p := range def.Params {
				if b, ok := p.(*syntax.BinaryExpr); ok {
					p = b.X
				}
				if id, ok := p.(*syntax.Ident); ok && !strings.Contains(doc, "\n      "+id.Name+": ") {
					t.Errorf("%s: %s: got no line on the parameter %s", name, def.Name.Name, id.Name)
				}
			}
		}
	}
}

// TestCopiesHaveTheReplicasOfTheirMirror: MirrorMaker 2 has one replication.factor
// for all topics of a flow, which the target's brokers bound.
func TestCopiesHaveTheReplicasOfTheirMirror(t *testing.T) {
	files := moduleFS(t, base+`
audit = topic(kafka, name = "audit.log")
west = cluster(brokers = 2)
copy = mirror([audit, orders], to = west)
at("20s", fail_over(shop, to = copy))
`)
	p, err := interp.Load("chunk.star", interp.Options{FS: files})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, x := range p.Topics {
		got[x.Name] = x.Replicas
	}
	want := map[string]int{
		"orders": 3, "audit.log": 1, "west/kafka.orders": 2, "west/kafka.audit.log": 2, "west/orders": 2, "west/audit.log": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if x := p.Copy("copy", "orders"); x == nil || x.KafkaName() != "kafka.orders" {
		t.Errorf("got the copy %v", x)
	}
	if x := p.FailOverTopic("copy", "orders"); x == nil || x.KafkaName() != "orders" || x.MinInsync != 2 {
		t.Errorf("got the topic %v to fail over to", x)
	}
}
