package explore

import (
	"context"
	"testing"

	"starfall/runtime/embedded/internal/rules"
)

// TestPlantedBugsAreFound leaves out one rule of the protocol at a time. Exploration must
// notice each within the number of schedules beside it.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, plant := range []struct {
		name   string
		rule   rules.Set
		within int
	}{
		{"MaximalISR", rules.MaximalISR, 2000},
		{"MaximalISR and CaughtUpWait", rules.MaximalISR | rules.CaughtUpWait, 2000},
		{"FetchEpoch", rules.FetchEpoch, 2000},
		{"Divergence", rules.Divergence, 2000},
		{"MinISR", rules.MinISR, 2000},
		{"PartitionEpoch", rules.PartitionEpoch, 2000},
		{"AlterLeaderEpoch", rules.AlterLeaderEpoch, 2000},
		{"FencedJoin", rules.FencedJoin, 2000},
		{"JoinCaughtUp", rules.JoinCaughtUp, 2000},
		{"LeaderInSync", rules.LeaderInSync, 2000},
		{"EpochBump", rules.EpochBump, 2000},
		{"HighWatermark", rules.HighWatermark, 2000},
		{"ReadBelowHighWatermark", rules.ReadBelowHighWatermark, 2000},
		{"LostLeadership", rules.LostLeadership, 2000},
		{"Sequence", rules.Sequence, 2000},
		{"VoteOnce", rules.VoteOnce, 2000},
		{"VoteUpToDate", rules.VoteUpToDate, 2000},
		{"MetadataMajority", rules.MetadataMajority, 2000},
		{"AnswerCommitted", rules.AnswerCommitted, 2000},
		{"FenceOnTimeout", rules.FenceOnTimeout, 2000},
		{"Generation", rules.Generation, 2000},
		{"CommitStored", rules.CommitStored, 2000},
	} {
		t.Run(plant.name, func(t *testing.T) {
			found, done, _ := Many(context.Background(), 0, plant.within, Options{Without: plant.rule})
			if found == nil {
				t.Fatalf("nothing noticed in %d schedules", done)
			}
			t.Logf("seed %d: %v", found.Schedule.Seed, found.Violation)
		})
	}
}
