package docker

import (
	"encoding/json"
	"reflect"
	"testing"

	"starfall/interp/plan"
)

// TestQuorumState compares with the file that Kafka 3.9.1 wrote when it was its
// only voter: the same fields, of the same types.
func TestQuorumState(t *testing.T) {
	const written = `{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}`
	var got, want map[string]any
	if err := json.Unmarshal([]byte(quorumState(2, []int32{1, 2, 3})), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(written), &want); err != nil {
		t.Fatal(err)
	}
	// It has voted for itself, and nobody leads yet.
	want["leaderId"], want["votedId"] = -1.0, 2.0
	want["currentVoters"] = []any{map[string]any{"voterId": 1.0}, map[string]any{"voterId": 2.0}, map[string]any{"voterId": 3.0}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestStands: where there is an election to be won, one voter stands for it at
// once, and which one it is is left to chance.
func TestStands(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster plan.Cluster
		voters  int
	}{
		{"combined", combined(3), 3},
		{"combined of one", combined(1), 0},
		{"controllers", layout(2, 3, 0), 3},
		{"zookeeper", layout(2, 0, 3), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := map[int32]int{}
			for run := range 200 {
				w := &world{run: string(rune('a' + run))}
				for _, n := range tt.cluster.Nodes {
					s := &server{node: node{Node: n, cluster: &tt.cluster, label: tt.cluster.Label(n.ID)}}
					if w.stands(s) {
						first[n.ID]++
					}
				}
			}
			sum := 0
			for id, n := range first {
				sum += n
				if n < 200/tt.voters/2 {
					t.Errorf("node %d is first in %d of 200 runs with %d voters", id, n, tt.voters)
				}
			}
			if len(first) != tt.voters || tt.voters > 0 && sum != 200 {
				t.Errorf("got %v in 200 runs, want each of %d voters, one a run", first, tt.voters)
			}
		})
	}
}
