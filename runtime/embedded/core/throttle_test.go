package core

// This file tests the throttling of replication.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestQuotaMeasuresARate(t *testing.T) {
	q := quota{window: time.Second, windows: 11}
	steps := []struct {
		at    time.Duration
		bytes int
		want  bool // more than 1000 bytes a second
	}{
		{0, 900, false}, {500 * ms, 200, true}, {1050 * ms, 0, true}, {1500 * ms, 0, false},
		{1600 * ms, 5000, true}, {5 * sec, 0, true}, {7 * sec, 0, false}, {40 * sec, 0, false}, {40 * sec, 1001, true},
	}
	for i, s := range steps {
		if s.bytes > 0 {
			q.record(s.at, s.bytes)
		}
		if got := q.exceeded(s.at, 1000); got != s.want {
			t.Errorf("step %d at %v: got exceeded %v, want %v", i, s.at, got, s.want)
		}
	}
}

func TestThrottledReplicas(t *testing.T) {
	tests := []struct {
		list              string
		partition, broker int32
		want              bool
	}{
		{"", 0, 1, false}, {"*", 7, 9, true}, {"0:1,3:2", 0, 1, true}, {"0:1, 3:2", 3, 2, true}, {"0:1,3:2", 0, 2, false},
	}
	for _, tt := range tests {
		list := parseThrottled(tt.list)
		if got := list.has(tt.partition, tt.broker); got != tt.want {
			t.Errorf("%q, partition %d on broker %d: got %v, want %v", tt.list, tt.partition, tt.broker, got, tt.want)
		}
	}
}

func TestThrottledMoveTakesItsTime(t *testing.T) {
	// 100 kB to a new replica, in answers of 5 kB.
	move := func(broker, topic map[string]string) time.Duration {
		w := newWorld(t, Options{Brokers: 2, Config: map[string]string{"replica.fetch.response.max.bytes": "5000"}})
		settle(t, w)
		createTopic(t, w, 1, "t", 1, 1, topic, [][]int32{{1}})
		req := at(kmsg.NewPtrIncrementalAlterConfigsRequest())
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType = kmsg.ConfigResourceTypeBroker
		for _, name := range sortedNames(broker) {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = name, kmsg.StringPtr(broker[name])
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		if got := ask(t, w, 1, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]; got.ErrorCode != 0 {
			t.Fatalf("configs: got error %d", got.ErrorCode)
		}
		for i := range int64(100) {
			produced(t, w, 1, 1, makeBatch(i, 1, 900, -1, -1, -1))
		}
		alter := at(kmsg.NewPtrAlterPartitionAssignmentsRequest())
		rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		rp.Replicas = []int32{1, 2}
		rt.Partitions = append(rt.Partitions, rp)
		alter.Topics = append(alter.Topics, rt)
		start := w.Now()
		ask(t, w, 1, alter)
		if err := within(w, 60*sec, func() error {
			if p := w.Partitions(0)[0]; !slices.Equal(p.ISR, []int32{1, 2}) {
				return fmt.Errorf("in sync %v", p.ISR)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return w.Now() - start
	}
	if d := move(nil, nil); d > 2*sec {
		t.Errorf("without a throttle: got %v, want less than 2s", d)
	}
	for _, side := range []string{"leader", "follower"} {
		d := move(map[string]string{side + ".replication.throttled.rate": "10000"}, map[string]string{side + ".replication.throttled.replicas": "*"})
		if d < 7*sec || d > 15*sec {
			t.Errorf("%s throttled to 10 kB/s: got %v for 97 kB, want about 9s", side, d)
		}
		if d := move(map[string]string{side + ".replication.throttled.rate": "10000"}, map[string]string{side + ".replication.throttled.replicas": "1:1,1:2"}); d > 2*sec {
			t.Errorf("%s, another partition throttled: got %v, want less than 2s", side, d)
		}
	}
}
