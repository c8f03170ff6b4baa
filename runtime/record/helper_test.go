package record

import (
	"math/rand"
	"time"

	"starfall/interp/plan"
)

// onePlan is a topic with a producer and a group.
func onePlan(partitions, members int, partitioner string) *plan.Plan {
	return &plan.Plan{
		Format: plan.Format, Name: "test",
		Scenario: plan.Scenario{RunFor: plan.Duration(10 * time.Second), Warmup: plan.Duration(time.Second), Seed: 1},
		Clusters: []plan.Cluster{{Name: "kafka"}},
		Topics:   []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: partitions, Replicas: 3, MinInsync: 2}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Rate: 1000, Members: members, Acks: "all", Size: 100,
			Partitioner: partitioner}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 1}},
	}
}

// load plays a healthy run of n records at rate a second over partitions:
// acknowledgements come 3 to 7 ms after a record was due, in batches of what
// was due in lingering; deliveries 1 to 3 ms later.
func load(w *Writer, n int, rate float64, partitions int, lingering time.Duration, partitioner string, seed int64) {
	r := rand.New(rand.NewSource(seed))
	part := NewPartitioner(partitioner, 1, 0, 1, 1, 0)
	p, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	p.Due(0, 0, rate, partitions)
	offsets := make([]int64, partitions)
	audit := make([][]Identity, partitions)
	batches := make([][]uint64, partitions)
	schedule := Segment{Rate: rate}
	for seq := uint64(0); seq < uint64(n); {
		began := schedule.Due(seq)
		for i := range batches {
			batches[i] = batches[i][:0]
		}
		for ; seq < uint64(n) && schedule.Due(seq) <= began+lingering; seq++ {
			p.Accepted(seq, 1, schedule.Due(seq))
			k := part.Partition(seq, partitions)
			batches[k] = append(batches[k], seq)
		}
		for k, batch := range batches {
			if len(batch) == 0 {
				continue
			}
			at := began + lingering + 3*time.Millisecond + time.Duration(r.Intn(4000))*time.Microsecond
			later := at + time.Millisecond + time.Duration(r.Intn(2000))*time.Microsecond
			for i, s := range batch {
				id := Identity{Run: 7, Member: 1, Seq: s}
				step := time.Duration(i) * 4 * time.Microsecond // what sarama takes for each
				p.Acked(s, int32(k), offsets[k], at+step)
				c.Delivered("orders", int32(k), offsets[k], id, later+step)
				audit[k] = append(audit[k], id)
				offsets[k]++
			}
		}
	}
	for k, ids := range audit {
		a := w.Audit("orders", int32(k), 0, int64(len(ids)))
		for i, id := range ids {
			a.Record(int64(i), id)
		}
		a.Close(nil)
	}
	p.End(uint64(n), schedule.Due(uint64(n)))
}
