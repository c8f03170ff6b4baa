package explore

import (
	"context"
	"testing"

	"starfall/runtime/embedded/internal/rules"
)

// TestPlantedBugsAreFound leaves out one rule of the protocol at a time. Exploration must
// notice each within the number of schedules beside it, which is some four times as many
// as it took when the table was made.
//
// CaughtUpWait is there only with MaximalISR: alone it is no rule of safety. Kafka waits
// for followers that may join soon so that they do join, and while a join is under way
// the maximal in-sync set waits for them anyway.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, plant := range []struct {
		name   string
		rule   rules.Set
		within int
	}{
		{"MaximalISR", rules.MaximalISR, 4000},
		{"MaximalISR and CaughtUpWait", rules.MaximalISR | rules.CaughtUpWait, 600},
		{"FetchEpoch", rules.FetchEpoch, 1500},
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
		{"VoteOnce", rules.VoteOnce, 500},
		{"VoteUpToDate", rules.VoteUpToDate, 500},
		{"MetadataMajority", rules.MetadataMajority, 100},
		{"AnswerCommitted", rules.AnswerCommitted, 100},
		{"FenceOnTimeout", rules.FenceOnTimeout, 50},
		{"Generation", rules.Generation, 50},
		{"CommitStored", rules.CommitStored, 50},
		{"StableOffset", rules.StableOffset, 1500},
		{"AbortedKept", rules.AbortedKept, 1500},
		{"EveryMarker", rules.EveryMarker, 1500},
		{"DecidedFirst", rules.DecidedFirst, 1500},
		{"FinishDecided", rules.FinishDecided, 1500},
		{"ProducerEpoch", rules.ProducerEpoch, 1500},
		{"FenceOnInit", rules.FenceOnInit, 1500},
		{"TxnTimeout", rules.TxnTimeout, 1500},
		{"VerifyTxn", rules.VerifyTxn, 1500},
		{"MarkerEpoch", rules.MarkerEpoch, 1500},
		{"PendingOffsets", rules.PendingOffsets, 1500},
		{"KillKeeps", rules.KillKeeps, 1500},
		{"LoadPending", rules.LoadPending, 1500},
	} {
		t.Run(plant.name, func(t *testing.T) {
			if plant.within > 200 && (raceDetector || testing.Short()) {
				t.Skip("a schedule runs in one goroutine, and this takes hundreds of them")
			}
			found, done, _ := Many(context.Background(), 0, plant.within, Options{Without: plant.rule})
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
