package explore

import (
	"context"
	"fmt"
	"hash/fnv"
	"testing"

	"starfall/runtime/embedded/internal/rules"
)

// plant is a rule of the protocol that is left out, and the number of schedules within
// which exploration must notice.
type plant struct {
	name   string
	rule   rules.Set
	within int
}

// plants lists all of them. The numbers are some four times what it took when the table
// was made.
//
// CaughtUpWait is there only with MaximalISR: alone it is no rule of safety. Kafka waits
// for followers that may join soon so that they do join, and while a join is under way
// the maximal in-sync set waits for them anyway.
func plants() []plant {
	return []plant{
		{"MaximalISR", rules.MaximalISR, 8000},
		{"MaximalISR and CaughtUpWait", rules.MaximalISR | rules.CaughtUpWait, 600},
		{"FetchEpoch", rules.FetchEpoch, 2500},
		{"Divergence", rules.Divergence, 50},
		{"MinISR", rules.MinISR, 50},
		{"PartitionEpoch", rules.PartitionEpoch, 3000},
		{"AlterLeaderEpoch", rules.AlterLeaderEpoch, 1000},
		{"FencedJoin", rules.FencedJoin, 50},
		{"JoinCaughtUp", rules.JoinCaughtUp, 50},
		{"LeaderInSync", rules.LeaderInSync, 50},
		{"EpochBump", rules.EpochBump, 50},
		{"HighWatermark", rules.HighWatermark, 50},
		{"ReadBelowHighWatermark", rules.ReadBelowHighWatermark, 50},
		{"LostLeadership", rules.LostLeadership, 50},
		{"Sequence", rules.Sequence, 50},
		{"VoteOnce", rules.VoteOnce, 1500},
		{"VoteUpToDate", rules.VoteUpToDate, 500},
		{"MetadataMajority", rules.MetadataMajority, 100},
		{"AnswerCommitted", rules.AnswerCommitted, 100},
		{"FenceOnTimeout", rules.FenceOnTimeout, 50},
		{"RegisterFences", rules.RegisterFences, 500},
		{"Generation", rules.Generation, 50},
		{"CommitStored", rules.CommitStored, 50},
		{"KillKeeps", rules.KillKeeps, 50},
		{"StableOffset", rules.StableOffset, 50},
		{"AbortedKept", rules.AbortedKept, 500},
		{"EveryMarker", rules.EveryMarker, 50},
		{"DecidedFirst", rules.DecidedFirst, 200},
		{"FinishDecided", rules.FinishDecided, 100},
		{"ProducerEpoch", rules.ProducerEpoch, 50},
		{"FenceOnInit", rules.FenceOnInit, 200},
		{"TxnTimeout", rules.TxnTimeout, 100},
		{"VerifyTxn", rules.VerifyTxn, 100},
		{"MarkerEpoch", rules.MarkerEpoch, 2000},
		{"PendingOffsets", rules.PendingOffsets, 50},
		{"LoadPending", rules.LoadPending, 100},
	}
}

// planted finds the rules of a plant by its name.
func planted(name string) (rules.Set, bool) {
	for _, p := range plants() {
		if p.name == name {
			return p.rule, true
		}
	}
	return 0, false
}

// TestPlantedBugsAreFound leaves out one rule of the protocol at a time. The one that takes
// thousands of schedules is tried when as many are asked for.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, p := range plants() {
		t.Run(p.name, func(t *testing.T) {
			switch {
			case p.within > 200 && (raceDetector || testing.Short()):
				t.Skip("a schedule runs in one goroutine, and this takes hundreds of them")
			case p.within > 5000 && p.within > *schedules:
				t.Skipf("it takes up to %d schedules, and -schedules is %d", p.within, *schedules)
			}
			found, done, _ := Many(context.Background(), 0, p.within, Options{Without: p.rule})
			if found == nil {
				t.Fatalf("nothing noticed in %d schedules", done)
			}
			t.Logf("seed %d: %v", found.Schedule.Seed, found.Violation)
		})
	}
}

func TestShrunkScheduleStillBreaks(t *testing.T) {
	o := Options{Without: rules.Divergence}
	found, done, _ := Many(context.Background(), 0, 50, o)
	if found == nil {
		t.Fatalf("nothing noticed in %d schedules", done)
	}
	small := Shrink(*found, o, 100)
	if small.Violation.Rule != found.Violation.Rule || len(small.Schedule.Actions) >= len(found.Schedule.Actions) {
		t.Errorf("got %d actions that break %q, want fewer than %d that break %q",
			len(small.Schedule.Actions), small.Violation.Rule, len(found.Schedule.Actions), found.Violation.Rule)
	}
	s, err := Parse(small.Schedule.String())
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := Replay(s, o)
	if err != nil || v == nil || *v != *small.Violation {
		t.Errorf("replay from text: got %v and %v, want %v", v, err, small.Violation)
	}
}

// TestAFailureReplaysToTheLetter: what is printed of a schedule that breaks something is
// enough to see the same again, event by event, as often as one likes.
func TestAFailureReplaysToTheLetter(t *testing.T) {
	for _, name := range []string{"Divergence", "VerifyTxn", "FinishDecided", "LoadPending"} {
		rule, ok := planted(name)
		if !ok {
			t.Fatalf("no plant %s", name)
		}
		found, done, _ := Many(context.Background(), 0, 200, Options{Without: rule})
		if found == nil {
			t.Fatalf("%s: nothing noticed in %d schedules", name, done)
		}
		var digests [3]uint64
		for i := range digests {
			s := found.Schedule
			if i > 0 {
				var err error
				if s, err = Parse(found.Schedule.String()); err != nil {
					t.Fatal(err)
				}
			}
			h := fnv.New64a()
			v, _, err := Replay(s, Options{Without: rule, Trace: func(line string) { fmt.Fprintln(h, line) }})
			if err != nil || v == nil || *v != *found.Violation {
				t.Fatalf("%s: replay %d: got %v and %v, want %v", name, i, v, err, found.Violation)
			}
			digests[i] = h.Sum64()
		}
		if digests[1] != digests[0] || digests[2] != digests[0] {
			t.Errorf("%s: got traces %x, want them all the same", name, digests)
		}
	}
}
