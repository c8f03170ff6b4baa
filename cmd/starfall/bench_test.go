// This file measures whole processes and whole runs, for docs/performance.md.

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starfall/internal/cputime"
	"starfall/interp"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/judge"
	"starfall/runtime/kafka"
	"starfall/runtime/record"
)

// thousandLines is a scenario of 1,000 lines: a hundred clusters, each with a
// topic, load, a fault and four claims.
func thousandLines() string {
	var b strings.Builder
	b.WriteString("scenario(run_for = \"30m\", warmup = \"10s\")\n")
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

// BenchmarkProcess starts the command anew each time: check of a scenario of
// 1,000 lines, and beside it version, which is what a start alone costs.
func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	bin := filepath.Join(dir, "starfall")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	source := thousandLines()
	if n := strings.Count(source, "\n"); n < 1000 {
		b.Fatalf("got %d lines, want 1000", n)
	}
	file := filepath.Join(dir, "long.star")
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"version"}, {"check", file}} {
		b.Run(args[0], func(b *testing.B) {
			for b.Loop() {
				if out, err := exec.Command(bin, args...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
		})
	}
}

// busy is a healthy scenario with records enough to weigh what each one costs:
// 600,000 in 30 s of scenario.
const busy = `
scenario(run_for = "30s", warmup = "2s")

kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
shop = producer(orders, rate = %d)
billing = consumer(orders, group = "billing")

expect(billing.missing.none())
expect(billing.duplicates.none())
expect(orders.lost.none())
`

// BenchmarkRun runs load on the embedded engine at speed 1 and judges what was
// recorded. It reports bytes a record on disk and how many records of this
// recording are judged in a second of processor time. Its profile shows what a record costs where:
//
//	go test -run xxx -bench Run/rate=20000 -benchtime 1x -cpuprofile cpu.out ./cmd/starfall
//	go tool pprof -top -focus runtime/record -ignore runtime/judge cpu.out
func BenchmarkRun(b *testing.B) {
	for _, rate := range []int{1000, 20_000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			dir := b.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "busy.star"), fmt.Appendf(nil, busy, rate), 0o666); err != nil {
				b.Fatal(err)
			}
			p, err := interp.Load("busy.star", interp.Options{FS: os.DirFS(dir)})
			if err != nil {
				b.Fatal(err)
			}
			for i := range b.N {
				folder := filepath.Join(dir, fmt.Sprint(i))
				if _, err := runtime.Run(context.Background(), p, runtime.Options{
					Engine: embedded.Engine{}, Connect: kafka.Connect, Speed: 1, Folder: folder,
				}); err != nil {
					b.Fatal(err)
				}
				judged(b, folder, 30*rate)
			}
		})
	}
}

// judged judges a recording of so many records, ten times since once is over in
// milliseconds, and reports how fast and how much it takes on disk.
func judged(b *testing.B, folder string, records int) {
	const times = 10
	var v *judge.Verdict
	before := cputime.Used()
	for range times {
		rec, err := record.Open(folder)
		if err != nil {
			b.Fatal(err)
		}
		if v, err = judge.Judge(rec.Plan, rec); err != nil {
			b.Fatal(err)
		}
	}
	took := cputime.Used() - before
	if v.Result == judge.Fail {
		b.Fatalf("got %s\n%s", v.Result, outcomes(v, true))
	}
	for _, r := range v.Reasons {
		b.Logf("%s: %s", r.Result, r.Text)
	}
	if took > 0 {
		b.ReportMetric(times*float64(records)/1e6/took.Seconds(), "judged-Mrecords/cpu-s")
	}
	var size int64
	err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size)/float64(records), "disk-B/record")
}
