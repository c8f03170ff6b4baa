package explore

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"
)

// How much is explored. The figure of docs/performance.md is -schedules 10000.
var (
	schedules = flag.Int("schedules", 300, "random fault schedules to try")
	replay    = flag.String("replay", "", "a file with a schedule to replay and trace")
	firstSeed = flag.Uint64("seed", 0, "the first seed")
)

func TestNothingBreaksUnderRandomFaults(t *testing.T) {
	count := *schedules
	if testing.Short() {
		count = min(count, 100)
	}
	start := time.Now()
	found, done, stats := Many(context.Background(), *firstSeed, count, Options{})
	t.Logf("%d schedules in %v: %d steps, %v of virtual time, %d records acknowledged, %d leaders, %d commits",
		done, time.Since(start).Round(time.Millisecond), stats.Steps, stats.Virtual.Round(time.Second), stats.Acked, stats.Elections, stats.Commits)
	if found != nil {
		small := Shrink(*found, Options{}, 200)
		t.Fatalf("seed %d: %v\nreplay:\n%s\nsmaller, %v:\n%s", found.Schedule.Seed, found.Violation, found.Schedule, small.Violation, small.Schedule)
	}
	if stats.Acked < 20*done || stats.Elections < 4*done || stats.Commits < 2*done {
		t.Errorf("got %+v over %d schedules, want a load and faults worth the name", stats, done)
	}
}

// TestReplay traces the schedule of -replay.
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
	v, _, err := Replay(s, Options{Trace: func(line string) { t.Log(line) }})
	if err != nil || v != nil {
		t.Fatal(err, v)
	}
}
