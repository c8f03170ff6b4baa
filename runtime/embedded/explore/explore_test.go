package explore

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"testing"
	"time"
)

// How much is explored. The figure of docs/performance.md is -schedules 10000.
var (
	schedules = flag.Int("schedules", 300, "random fault schedules to try")
	replay    = flag.String("replay", "", "a file with a schedule to replay and trace")
	firstSeed = flag.Uint64("seed", 0, "the first seed")
	without   = flag.String("without", "", "the name of a planted bug, to see how it is found")
)

// flagged are the options that the flags give.
func flagged(t *testing.T) Options {
	t.Helper()
	if *without == "" {
		return Options{}
	}
	rule, ok := planted(*without)
	if !ok {
		t.Fatalf("-without: no planted bug %s", *without)
	}
	return Options{Without: rule}
}

// command is how a schedule, saved in a file, is run again.
func command() string {
	line := "go test ./runtime/embedded/explore -run TestReplay$ -v -replay FILE"
	if *without != "" {
		line += fmt.Sprintf(" -without %q", *without)
	}
	return line
}

func TestNothingBreaksUnderRandomFaults(t *testing.T) {
	count := *schedules
	if testing.Short() {
		count = min(count, 100)
	}
	start, o := time.Now(), flagged(t)
	found, done, stats := Many(context.Background(), *firstSeed, count, o)
	t.Logf("%d schedules in %v: %d steps, %v of virtual time, %d records acknowledged, %d leaders, %d commits, %d transactions; in %d power took what was committed",
		done, time.Since(start).Round(time.Millisecond), stats.Steps, stats.Virtual.Round(time.Second), stats.Acked, stats.Elections, stats.Commits, stats.Committed, stats.Lost)
	if found != nil {
		small := Shrink(*found, o, 200)
		t.Fatalf("seed %d: %v\nreplay with: %s\n%s\nsmaller, %v:\n%s",
			found.Schedule.Seed, found.Violation, command(), found.Schedule, small.Violation, small.Schedule)
	}
	if stats.Acked < 20*done || stats.Elections < 4*done || stats.Commits < 2*done || stats.Committed < 4*done {
		t.Errorf("got %+v over %d schedules, want a load and faults worth the name", stats, done)
	}
}

// TestReplay traces the schedule of -replay. The last line is a digest of the trace.
func TestReplay(t *testing.T) {
	if *replay == "" {
		t.Skip("no -replay")
	}
	text, err := os.ReadFile(*replay)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	o, h := flagged(t), fnv.New64a()
	o.Trace = func(line string) {
		t.Log(line)
		fmt.Fprintln(h, line)
	}
	v, stats, err := Replay(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps, trace %016x", stats.Steps, h.Sum64())
	if v != nil {
		t.Fatal(v)
	}
}

// TestSchedulesThatFoundSomething replays what once broke a rule. The comments say what
// was wrong.
func TestSchedulesThatFoundSomething(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{
			// The leader asked for a follower to join; the controller wrote that down, lost
			// its quorum, came back, committed it, and answered the repeated request that
			// its partition epoch is old. The leader took that for a refusal.
			"a join that was made and then refused", `
seed 3546
brokers 3
controllers 0
partitions 2
members 2
unclean false
for 20s
at 116ms on isr stop 2
at 1.674s split 1
at 4.127s on isr kill 3
at 4.576s on isr split 1,2
at 7.914s start 3
at 8.254s heal
`,
		},
		{
			// A rule of this package was: what a new coordinator had read from its log, but was
			// not committed, counted.
			"a coordinator that has read more than is committed", `
seed 3314
brokers 3
controllers 0
partitions 2
members 2
unclean false
for 6.479s
at 783ms power_off 1
at 811ms start 1
at 815ms stop 2
at 2.877s split 1
at 6.479s power_off 3
`,
		},
		{
			// A rule of this package was: what a coordinator answers to EndTxn holds. One that
			// had been replaced took it for the end of the transaction before.
			"an end that a replaced coordinator answers", `
seed 20816
brokers 3
controllers 0
partitions 2
members 2
transactions 1
unclean false
for 20s
at 6.077s lead 3 1
at 7.551s split 2,3
at 10.084s on end rival 1
at 13.866s kill 3
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if v, _, err := Replay(s, Options{}); err != nil || v != nil {
				t.Errorf("got %v and %v", v, err)
			}
		})
	}
}
