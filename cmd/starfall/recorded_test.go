package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/report"
	"starfall/report/html"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// healthy is a scenario whose recording passes.
const healthy = `"""A healthy run"""
scenario(run_for = "8s", warmup = "1s")
kafka = cluster(brokers = 1)
orders = topic(kafka, partitions = 3, replicas = 1, min_insync = 1)
shop = producer(orders, rate = 100)
billing = consumer(orders, group = "billing")
outage = at("3s", kill(kafka.broker(1), restart_after = "1s"))
expect(billing.missing.none())
expect(billing.duplicates.none())
expect(orders.lost.none())
expect(shop.rate.before(outage).never_below(90))
expect(shop.rate.never_below(90))
expect(shop.stall.at_most("1s"))
report(shop.latency.p99)
`

// command runs one command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), env{
		args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, now: func() time.Time { return time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC) },
		terminal: func(io.Writer) bool { return false },
	})
	return code, out.String(), errs.String()
}

func recordHealthy(t *testing.T, folder string, words ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "healthy.star")
	if err := os.WriteFile(file, []byte(healthy), 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := takeOf(words)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.recordAs(folder, file); err != nil {
		t.Fatal(err)
	}
}

// TestCutAnywhere cuts a file of a whole run folder off at 200 random places,
// and leaves out each: judge and runs read what is there and say so. Nothing of
// a recording that is not whole passes, and no claim is decided otherwise than
// by the whole of it.
func TestCutAnywhere(t *testing.T) {
	base := filepath.Join(t.TempDir(), "runs")
	whole := filepath.Join(base, "healthy-20261124-073100")
	recordHealthy(t, whole)
	if code, out, errs := command(t, "judge", whole); code != 0 {
		t.Fatalf("the whole run: got exit code %d, want 0\n%s%s", code, out, errs)
	}
	if err := os.WriteFile(filepath.Join(whole, record.DirLogs, "client.log"), []byte("a line\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(whole), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(whole, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) < 8 {
		t.Fatalf("got the files %v, want plan, info, journal, evidence, three series, verdict and log", names)
	}
	random := rand.New(rand.NewPCG(1, 2))
	type place struct {
		file string
		at   int // -1: the file is not there
	}
	var places []place
	for _, name := range names {
		last := len(files[name]) - 1
		if name == record.FileVerdict {
			last-- // but the newline it is whole
		}
		places = append(places, place{name, -1}, place{name, 0}, place{name, last})
	}
	for len(places) < 200 {
		name := names[random.IntN(len(names))]
		places = append(places, place{name, random.IntN(len(files[name]) - 1)})
	}
	for _, p := range places {
		path := filepath.Join(whole, p.file)
		if p.at < 0 {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, files[p.file][:p.at], 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkCut(t, base, whole, fmt.Sprintf("%s cut at %d of %d", p.file, p.at, len(files[p.file])), p.file)
		for _, name := range []string{p.file, record.FileVerdict} {
			if err := os.WriteFile(filepath.Join(whole, name), files[name], 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkCut judges and lists a folder one of whose files is cut off.
func checkCut(t *testing.T, base, folder, where, file string) {
	t.Helper()
	code, out, errs := command(t, "runs", base, "--json")
	var list report.RunsDocument
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || len(list.Runs) != 1 {
		t.Errorf("%s: runs: got exit code %d and %v\n%s%s", where, code, err, out, errs)
		return
	}
	row := list.Runs[0]
	code, out, errs = command(t, "judge", folder, "--json")
	var doc struct {
		Runs []struct{ Verdict *judge.Verdict }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Runs) != 1 || doc.Runs[0].Verdict == nil {
		t.Errorf("%s: judge: got exit code %d and %v\n%s%s", where, code, err, out, errs)
		return
	}
	v := doc.Runs[0].Verdict
	switch {
	case strings.HasPrefix(file, record.DirLogs):
		if code != 0 || row.State != report.Whole {
			t.Errorf("%s: got exit code %d and state %q, want 0 and whole", where, code, row.State)
		}
	case file == record.FileVerdict:
		if code != 0 || row.State != report.NotJudged {
			t.Errorf("%s: got exit code %d and state %q, want 0 and not judged", where, code, row.State)
		}
	case strings.HasPrefix(file, record.DirSeries):
		// A table for people: nothing is judged by it, and it is said.
		if code != 0 || !strings.Contains(errs, file) || !strings.Contains(row.Note, file) {
			t.Errorf("%s: got exit code %d, stderr %q and note %q, want 0 and both naming the file", where, code, errs, row.Note)
		}
	default:
		if code != 3 || v.Result != judge.Inconclusive || row.State != report.CutOff || row.Note == "" {
			t.Errorf("%s: got exit code %d, %s, state %q and note %q, want 3, INCONCLUSIVE, cut off and why", where, code, v.Result, row.State, row.Note)
		}
		if len(v.Reasons) == 0 || !slices.ContainsFunc(v.Reasons, func(r judge.Reason) bool { return strings.HasPrefix(r.Text, "the recording is not whole: ") }) {
			t.Errorf("%s: got the reasons %+v, want that the recording is not whole", where, v.Reasons)
		}
		for _, c := range v.Claims {
			if c.Outcome == judge.Broken {
				t.Errorf("%s: got %s broken: %s, which the whole recording does not say", where, c.Text, c.Measured)
			}
		}
	}
	checkCutPage(t, folder, where, file, v)
}

// checkCutPage writes the page of such a folder: it tells the same, where there is a
// plan to tell of.
func checkCutPage(t *testing.T, folder, where, file string, v *judge.Verdict) {
	t.Helper()
	page := filepath.Join(folder, html.Name)
	defer os.Remove(page)
	code, out, errs := command(t, "report", folder)
	text, err := os.ReadFile(page)
	if file == record.FilePlan || file == record.FileInfo {
		if code != exitUsage || err == nil || !strings.Contains(errs, file) {
			t.Errorf("%s: report: got exit code %d and %q, want 2, the file named, and no page", where, code, errs)
		}
		return
	}
	if code != 0 || out != page+"\n" || err != nil {
		t.Errorf("%s: report: got exit code %d, %q and %v, want 0 and the page\n%s", where, code, out, err, errs)
	}
	if !bytes.Contains(text, []byte(v.Result)) || v.Result != judge.Pass && !bytes.Contains(text, []byte("the recording is not whole")) {
		t.Errorf("%s: report: got a page that does not say %s and why", where, v.Result)
	}
}

// TestKilledRunIsRead: a run that was killed has neither verdict nor end.
func TestKilledRunIsRead(t *testing.T) {
	base := t.TempDir()
	folder := filepath.Join(base, "healthy-20261124-073100")
	recordHealthy(t, folder, "open=true")
	code, out, _ := command(t, "runs", base)
	if code != 0 || !strings.Contains(out, "cut off") || !strings.Contains(out, "INCONCLUSIVE") {
		t.Errorf("runs: got exit code %d\n%s", code, out)
	}
	code, out, _ = command(t, "judge", folder)
	if code != 3 || !strings.Contains(out, "the recording is not whole: journal.jsonl: the run did not end in good order") {
		t.Errorf("judge: got exit code %d\n%s", code, out)
	}
}

// TestNewerFormat: what a newer starfall wrote is refused with what to do.
func TestNewerFormat(t *testing.T) {
	for _, tt := range []struct{ file, was, is, want string }{
		{record.FileInfo, `"format": 2`, `"format": 3`, "run.json: got format 3, want 1 to 2: update starfall to read this run"},
		{record.FilePlan, `"format": 1`, `"format": 2`, "plan.json: plan: got format 2, want 1: update starfall: the run was recorded by starfall test"},
		{record.FilePlan, `"format": 1`, `"format": 1, "moons": 3`, `plan.json: plan: json: unknown field "moons": the run was recorded by starfall test`},
		{record.FileJournal, `{"format":2`, `{"format":3`, "journal.jsonl: got format 3, want 1 to 2: update starfall to read this run"},
	} {
		base := t.TempDir()
		folder := filepath.Join(base, "healthy-20261124-073100")
		recordHealthy(t, folder)
		path := filepath.Join(folder, tt.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(tt.was)) {
			t.Fatalf("%s: got no %s in it", tt.file, tt.was)
		}
		if err := os.WriteFile(path, bytes.Replace(text, []byte(tt.was), []byte(tt.is), 1), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"judge", folder}, {"report", folder}, {"diff", folder, folder}} {
			code, out, errs := command(t, args...)
			if want := "starfall: " + folder + ": " + tt.want + "\n"; code != exitUsage || out != "" || errs != want {
				t.Errorf("%s: %v: got exit code %d and %q, want 2 and %q", tt.file, args, code, errs, want)
			}
		}
		code, out, _ := command(t, "runs", base)
		if code != 0 || !strings.Contains(out, "unreadable") || !strings.Contains(out, tt.file) {
			t.Errorf("%s: runs: got exit code %d, want 0 and the file named\n%s", tt.file, code, out)
		}
	}
}
