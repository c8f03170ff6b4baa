package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// testPlan is a plan of three files; what is in them is of no matter here.
func testPlan() *plan.Plan {
	file := func(path, text string) plan.File {
		return plan.File{Path: path, Text: text, SHA256: Sum([]byte(text))}
	}
	return &plan.Plan{
		Format: plan.Format, Name: "x", Title: "An x",
		Files: []plan.File{file("x.star", "scenario()\n"), file("@std//alerts.star", "rule = 1\n"), file("lib/load.star", "rate = 2\n")},
		Scenario: plan.Scenario{
			Pos: plan.Pos{File: "x.star", Line: 1, Col: 1}, RunFor: plan.Duration(10 * time.Second), Seed: 7,
		},
		Params: []plan.Param{
			{Name: "rate", Default: "1000", Value: "500"},
			{Name: "acks", Default: `"all"`, Value: `"1"`},
			{Name: "floor", Default: "800", Value: "800"},
		},
		Claims: []plan.Claim{{Kind: plan.Expect, Text: "orders.lost.none()"}},
	}
}

func testLock() Lock {
	return Lock{Tool: "v1.2.3", Dialect: "d1", Engine: "embedded", Kafka: "3.9", Speed: 10}
}

func testBundle(t *testing.T, sources ...File) *Bundle {
	t.Helper()
	b, err := New(testPlan(), testLock(), sources)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testResult is a run folder's files, of the plan of testPlan.
func testResult(t *testing.T, result judge.Result, started time.Time) Result {
	t.Helper()
	canonical, err := testPlan().Canonical()
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(record.Info{Format: record.Format, Engine: "embedded", Kafka: "3.9", Tool: "v1.2.3", Started: started})
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := json.Marshal(verdictOf(result))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newResult([]File{
		{Path: record.FilePlan, Data: canonical},
		{Path: record.FileInfo, Data: info},
		{Path: record.FileVerdict, Data: verdict},
		{Path: record.FileJournal, Data: nil},
		{Path: "evidence/records.sfe", Data: []byte{0, 1, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verdictOf(result judge.Result) *judge.Verdict {
	outcome := judge.Held
	if result == judge.Fail {
		outcome = judge.Broken
	}
	return &judge.Verdict{
		Result: result, Name: "x", Held: 1, Expected: 1,
		Claims: []judge.Claim{
			{Kind: plan.Expect, Text: "orders.lost.none()", Outcome: outcome},
			{Kind: plan.Report, Text: "shop.rate", Outcome: judge.Tabulated},
		},
	}
}

func tarOf(t *testing.T, b *Bundle) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := b.WriteTar(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func dayOf(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// TestSameBytes wants the same input to give the same bytes, in whatever order it
// comes.
func TestSameBytes(t *testing.T) {
	make := func(order bool) []byte {
		sources := []File{{Path: "shop/a.py", Data: []byte("a")}, {Path: "shop/run.sh", Data: []byte("b"), Executable: true}}
		results := []Result{testResult(t, judge.Pass, dayOf(1)), testResult(t, judge.Fail, dayOf(2))}
		if order {
			slices.Reverse(sources)
			slices.Reverse(results)
			slices.Reverse(results[0].Files)
		}
		b := testBundle(t, sources...)
		for _, r := range results {
			if err := b.Attach(r); err != nil {
				t.Fatal(err)
			}
		}
		return tarOf(t, b)
	}
	if a, b := make(false), make(true); !bytes.Equal(a, b) {
		t.Error("got other bytes when the input came in another order")
	}
}

// TestThereAndBack wants what was packed to come out of the tar file, and the tar file
// of that to be the same.
func TestThereAndBack(t *testing.T) {
	b := testBundle(t, File{Path: "shop/run.sh", Data: []byte("#!/bin/sh\n"), Executable: true}, File{Path: "shop/empty.py"})
	for i, result := range []judge.Result{judge.Pass, judge.Fail} {
		if err := b.Attach(testResult(t, result, dayOf(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Attach(testResult(t, judge.Pass, dayOf(1))); err != nil || len(b.Results) != 2 {
		t.Errorf("the same result again: got %d results and %v, want 2", len(b.Results), err)
	}
	first := tarOf(t, b)
	got, err := ReadTar(context.Background(), "x.tar", bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest() != b.Digest() {
		t.Errorf("got digest %s, want %s", got.Digest(), b.Digest())
	}
	if !bytes.Equal(tarOf(t, got), first) {
		t.Error("got another tar file from what was read, want the same bytes")
	}
	var files []string
	for _, f := range got.Files {
		name := f.Path
		if f.Executable {
			name += "*"
		}
		files = append(files, name)
	}
	if want := "lib/load.star shop/empty.py shop/run.sh* x.star"; strings.Join(files, " ") != want {
		t.Errorf("got files %q, want %s", files, want)
	}
	if len(got.Std) != 1 || got.Std[0].Path != "alerts.star" {
		t.Errorf("got std %v, want alerts.star", got.Std)
	}
	if want := map[string]string{"rate": "500", "acks": "1"}; len(got.Lock.Params) != 2 || got.Lock.Params["rate"] != want["rate"] || got.Lock.Params["acks"] != want["acks"] {
		t.Errorf("got parameters %v, want %v", got.Lock.Params, want)
	}
	if len(got.Results) != 2 || got.Results[0].Verdict.Result != judge.Pass || got.Results[1].Verdict.Result != judge.Fail {
		t.Fatalf("got results %v, want PASS and FAIL, the older first", got.Results)
	}

	dir := filepath.Join(t.TempDir(), "out")
	if err := got.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"files/x.star": "scenario()\n", "files/lib/load.star": "rate = 2\n", "std/alerts.star": "rule = 1\n",
		"files/shop/run.sh": "#!/bin/sh\n", "results/2/evidence/records.sfe": "\x00\x01\x02", "results/1/journal.jsonl": "",
	} {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil || string(text) != want {
			t.Errorf("%s: got %q and %v, want %q", path, text, err, want)
		}
	}
	lock, err := os.ReadFile(filepath.Join(dir, FileLock))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseLock(lock); err != nil || again.Plan != b.Lock.Plan {
		t.Errorf("got %v and %v, want the lock", again, err)
	}
	wantError(t, got.Unpack(dir), "the folder is not empty")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

// TestAttach wants results of other experiments to be refused.
func TestAttach(t *testing.T) {
	b := testBundle(t)
	r := testResult(t, judge.Pass, dayOf(1))
	r.Info.Engine = "docker"
	wantError(t, b.Attach(r), "it ran on the docker engine")
	r = testResult(t, judge.Pass, dayOf(1))
	for i := range r.Files {
		if r.Files[i].Path == record.FilePlan {
			r.Files[i].Data = []byte("{}")
		}
	}
	wantError(t, b.Attach(r), "its plan is another")
}

func TestNewRefuses(t *testing.T) {
	_, err := New(testPlan(), testLock(), []File{{Path: "x.star", Data: []byte("changed")}})
	wantError(t, err, "it has changed since the scenario was read")
	_, err = New(testPlan(), testLock(), []File{{Path: "../x", Data: nil}})
	wantError(t, err, "leads out of the bundle")
	_, err = New(testPlan(), testLock(), []File{{Path: "LIB/load.star", Data: nil}})
	wantError(t, err, "a second file of this name")
	_, err = New(&plan.Plan{}, testLock(), nil)
	wantError(t, err, "no scenario file")
	l := testLock()
	l.Images = []Image{{Cluster: "kafka", Name: "apache/kafka:3.9.1"}}
	_, err = New(testPlan(), l, nil)
	wantError(t, err, "apache/kafka:3.9.1 is not pinned")
}

func TestParseLock(t *testing.T) {
	b := testBundle(t)
	text, err := b.Lock.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, from, to, want string }{
		{"as it is", "", "", ""},
		{"newer", `"format": 1`, `"format": 2`, "got format 2, want 1"},
		{"no format", `"format": 1,`, ``, "got format 0, want 1"},
		{"unknown field", `"format": 1,`, `"format": 1, "exec": "rm",`, `unknown field "exec"`},
		{"no JSON", `"format": 1,`, `"format`, "it cannot be read"},
		{"name with a folder", `"name": "x"`, `"name": "../x"`, "for name: got"},
		{"name like a flag", `"name": "x"`, `"name": "-x"`, "for name: got"},
		{"other scenario", `"scenario": "x.star"`, `"scenario": "y.star"`, "do not begin with the scenario"},
		{"module outside", `"path": "lib/load.star"`, `"path": "../load.star"`, "leads out of the bundle"},
		{"absolute module", `"path": "lib/load.star"`, `"path": "/etc/passwd"`, "leads out of the bundle"},
		{"no digest", `"plan": "`, `"plan": "0`, "for plan: got"},
		{"speed", `"speed": 10`, `"speed": 1e9`, "for speed: got 1e+09, want 0.1 to 100"},
	} {
		changed := strings.Replace(string(text), tt.from, tt.to, 1)
		if tt.from != "" && changed == string(text) {
			t.Fatalf("%s: %s is not in the lock", tt.name, tt.from)
		}
		_, err := ParseLock([]byte(changed))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: got %v, want no error", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDifferences(t *testing.T) {
	image := func(name, digest, id, platform string) []Image {
		return []Image{{Cluster: name, Name: "k:3", Digest: digest, ID: id, Platform: platform}}
	}
	for _, tt := range []struct {
		name   string
		change func(locked, here *Lock)
		want   string
	}{
		{"none", func(_, _ *Lock) {}, ""},
		{"tool", func(_, h *Lock) { h.Tool = "v2" }, "starfall: locked v1.2.3, here v2"},
		{"language", func(_, h *Lock) { h.Dialect = "d2" }, "language: locked d1, here d2"},
		{"engine", func(_, h *Lock) { h.Engine = "docker" }, "engine: locked embedded, here docker"},
		{"speed", func(_, h *Lock) { h.Speed = 2.5 }, "speed: locked 10, here 2.5"},
		{"parameter", func(_, h *Lock) { h.Params = map[string]string{"rate": "1"} }, "parameter acks: locked 1, here none; parameter rate: locked 500, here 1"},
		{"module", func(_, h *Lock) { h.Modules[1].SHA256 = strings.Repeat("a", 64) }, "module @std//alerts.star: locked " + Sum([]byte("rule = 1\n"))[:12] + ", here aaaaaaaaaaaa"},
		{"plan", func(_, h *Lock) { h.Plan = strings.Repeat("b", 64) }, "plan: locked"},
		{"environment", func(l, _ *Lock) { l.Env = map[string]string{"X": "1"} }, "environment X: locked 1, here none"},
		{"image", func(l, h *Lock) {
			l.Images, h.Images = image("k", "sha256:1", "i", "p"), image("k", "sha256:2", "i", "p")
		}, "image of k: locked sha256:1, here sha256:2"},
		{"same image on another platform", func(l, h *Lock) {
			l.Images, h.Images = image("k", "sha256:1", "i", "p"), image("k", "sha256:1", "j", "q")
		}, ""},
		{"local image", func(l, h *Lock) { l.Images, h.Images = image("k", "", "i", "p"), image("k", "sha256:1", "i", "p") }, ""},
		{"local image on another platform", func(l, h *Lock) { l.Images, h.Images = image("k", "", "i", "p"), image("k", "", "j", "q") }, "image of k: locked id i on p, here id j on q"},
		{"no image", func(l, _ *Lock) { l.Images = image("k", "sha256:1", "i", "p") }, "image of k: locked sha256:1, here none"},
	} {
		locked, err := LockOf(testPlan(), testLock())
		if err != nil {
			t.Fatal(err)
		}
		here, err := LockOf(testPlan(), testLock())
		if err != nil {
			t.Fatal(err)
		}
		tt.change(&locked, &here)
		var got []string
		for _, d := range locked.Differences(&here) {
			got = append(got, d.String())
		}
		if s := strings.Join(got, "; "); s != tt.want && (tt.name != "plan" || !strings.HasPrefix(s, tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.name, s, tt.want)
		}
	}
}
