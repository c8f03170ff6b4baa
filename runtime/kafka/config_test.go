package kafka

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/internal/kafkaconf"
	"starfall/interp/plan"
	"starfall/runtime"
)

// Every mapped name is one of Kafka's, and the tables are sorted.
func TestMapped(t *testing.T) {
	for _, scope := range []kafkaconf.Scope{kafkaconf.Producer, kafkaconf.Consumer} {
		names := Mapped(scope)
		if len(names) == 0 || !slices.IsSorted(names) {
			t.Errorf("%s: got %q, want names in order", scope, names)
		}
		for _, n := range names {
			if _, ok := kafkaconf.Lookup(scope, n); !ok {
				t.Errorf("%s: %s is not a configuration of Kafka", scope, n)
			}
		}
	}
	if got := Mapped(kafkaconf.Topic); got != nil {
		t.Errorf("topic: got %q, want none", got)
	}
}

func TestProducerConfig(t *testing.T) {
	set := defaults(10)
	err := set.apply(kafkaconf.Producer, map[string]string{
		"linger.ms": "50", "batch.size": "2000", "request.timeout.ms": "5000", "retry.backoff.ms": "200",
		"metadata.max.age.ms": "60000", "compression.type": "gzip", "compression.gzip.level": "9",
		"max.request.size": "100000", "socket.connection.setup.timeout.ms": "2000",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Producer{Name: "shop", Acks: "all", Idempotent: true}
	c, err := set.producerConfig("shop-1", p, nil, 136)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		got, want any
	}{
		{"linger.ms", c.Producer.Flush.Frequency, 5 * time.Millisecond},
		{"batch.size", c.Producer.MaxMessageBytes, 2000},
		{"request.timeout.ms", c.Net.ReadTimeout, 500 * time.Millisecond},
		{"request.timeout.ms of the broker", c.Producer.Timeout, 500 * time.Millisecond},
		{"retry.backoff.ms", c.Producer.Retry.Backoff, 20 * time.Millisecond},
		{"metadata.max.age.ms", c.Metadata.RefreshFrequency, 6 * time.Second},
		{"socket.connection.setup.timeout.ms", c.Net.DialTimeout, 200 * time.Millisecond},
		{"compression.type", c.Producer.Compression, sarama.CompressionGZIP},
		{"compression.gzip.level", c.Producer.CompressionLevel, 9},
		{"acks", c.Producer.RequiredAcks, sarama.WaitForAll},
		{"idempotent", c.Net.MaxOpenRequests, 1},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %v, want %v", x.name, x.got, x.want)
		}
	}
	if c, err = set.producerConfig("shop-1", p, nil, 5000); err != nil || c.Producer.MaxMessageBytes != 5001 {
		t.Errorf("a record larger than batch.size: got %d bytes, %v, want room for it alone", c.Producer.MaxMessageBytes, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"buffer.memory", "1", "for config buffer.memory: not mapped to the load client"},
		{"linger.ms", "soon", `for config linger.ms: got "soon", want milliseconds`},
		{"batch.size", "-1", `for config batch.size: got "-1", want a number`},
	} {
		set := defaults(1)
		if err := set.apply(kafkaconf.Producer, map[string]string{c.name: c.value}); err == nil || err.Error() != c.want {
			t.Errorf("%s=%s: got %v, want %s", c.name, c.value, err, c.want)
		}
	}
	set := defaults(1)
	if _, err := set.producerConfig("x", plan.Producer{Name: "shop", Acks: "1", Idempotent: true}, nil, 100); err == nil || !strings.HasPrefix(err.Error(), "producer shop: ") {
		t.Errorf("idempotent with acks=1: got %v, want an error", err)
	}
	spec := runtime.ConsumerSpec{Consumer: plan.Consumer{Assignor: "fair"}}
	if _, err := set.consumerConfig("x", spec, nil); err == nil || !strings.Contains(err.Error(), `got "fair", want one of ["cooperative-sticky" "range" "roundrobin" "sticky"]`) {
		t.Errorf("assignor: got %v, want the list of names", err)
	}
	for _, name := range Assignors() {
		spec.Consumer.Assignor = name
		if _, err := set.consumerConfig("x", spec, nil); err != nil {
			t.Errorf("assignor %s: got %v, want none", name, err)
		}
	}
	if got, want := len(assignors), len(Assignors()); got != want {
		t.Errorf("assignors: got %d, want the %d named", got, want)
	}
}

func TestJudgeError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{sarama.ErrMessageSizeTooLarge, definite},
		{sarama.ErrTopicAuthorizationFailed, definite},
		{fmt.Errorf("wrapped: %w", sarama.ErrInvalidRecord), definite},
		{sarama.ConfigurationError("too large"), definite},
		{sarama.ErrNotEnoughReplicas, again},
		{sarama.ErrNotEnoughReplicasAfterAppend, again},
		{sarama.ErrRequestTimedOut, again},
		{io.EOF, again},
		{sarama.ErrShuttingDown, again},
		{errors.New("circuit breaker is open"), again},
		{sarama.ErrOutOfOrderSequenceNumber, doubtful},
		{sarama.ErrProducerFenced, doubtful},
		{sarama.ErrUnknown, doubtful},
		{sarama.KError(999), doubtful},
	} {
		if got := judgeError(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestReassignment(t *testing.T) {
	topic := &sarama.TopicMetadata{Name: "orders", Partitions: []*sarama.PartitionMetadata{
		{ID: 1, Replicas: []int32{2, 3}}, {ID: 0, Replicas: []int32{1, 2}}, {ID: 2, Replicas: []int32{3, 1}},
	}}
	off := plan.Action{Off: &plan.Ref{Kind: plan.RefBroker, Index: 1}}
	got, moved, err := reassignment(topic, []int32{1, 2, 3, 4}, off)
	if err != nil || moved != 2 || fmt.Sprint(got) != "[[4 2] [2 3] [3 4]]" {
		t.Errorf("off broker 1: got %v, %d moved, %v, want [[4 2] [2 3] [3 4]], 2 moved", got, moved, err)
	}
	got, moved, err = reassignment(topic, []int32{1, 2, 3}, plan.Action{Placement: map[int][]int32{1: {3, 2}}})
	if err != nil || moved != 1 || fmt.Sprint(got) != "[[1 2] [3 2] [3 1]]" {
		t.Errorf("placement: got %v, %d moved, %v, want only partition 1 turned round", got, moved, err)
	}
}
