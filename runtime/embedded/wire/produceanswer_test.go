package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// TestAppendProduce compares answers with what kmsg makes of them, in each version that is
// served.
func TestAppendProduce(t *testing.T) {
	part := func(id int32, code int16) kmsg.ProduceResponseTopicPartition {
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.ErrorCode = id, code
		p.BaseOffset, p.LogAppendTime, p.LogStartOffset = int64(id)<<33+7, int64(id)-1, 1<<40+int64(id)
		return p
	}
	topic := func(name string, parts ...kmsg.ProduceResponseTopicPartition) kmsg.ProduceResponseTopic {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.Partitions = name, parts
		return t
	}
	message := "why"
	refused, elsewhere := part(1, 87), part(2, 6)
	refused.ErrorMessage = &message
	elsewhere.CurrentLeader.LeaderID, elsewhere.CurrentLeader.LeaderEpoch = 3, 9
	many := topic("many")
	for id := range int32(300) {
		many.Partitions = append(many.Partitions, part(id, 0))
	}
	lowest, highest, ok := core.Supported(kmsg.Produce.Int16())
	if !ok || highest < 9 {
		t.Fatalf("produce: got versions to %d, want flexible ones too", highest)
	}
	for _, tt := range []struct {
		name   string
		topics []kmsg.ProduceResponseTopic
	}{
		{"nothing", nil},
		{"one", []kmsg.ProduceResponseTopic{topic("t", part(0, 0))}},
		{"two topics", []kmsg.ProduceResponseTopic{topic("t", part(0, 0), part(5, 0)), topic("a longer name", part(1<<20, 0))}},
		{"a topic without partitions", []kmsg.ProduceResponseTopic{topic("t")}},
		{"many partitions", []kmsg.ProduceResponseTopic{many}},
		{"refused", []kmsg.ProduceResponseTopic{topic("t", part(0, 0), refused)}},
		{"another leads", []kmsg.ProduceResponseTopic{topic("t", elsewhere, part(0, 0))}},
	} {
		for version := lowest; version <= highest; version++ {
			t.Run(fmt.Sprintf("%s v%d", tt.name, version), func(t *testing.T) {
				resp := kmsg.NewPtrProduceResponse()
				resp.Version, resp.Topics, resp.ThrottleMillis = version, tt.topics, 11
				want := resp.AppendTo([]byte("head"))
				if got := appendProduce([]byte("head"), resp); !bytes.Equal(got, want) {
					t.Errorf("got  %x\nwant %x", got, want)
				}
			})
		}
	}
}
