package kafkaconf

import (
	"maps"
	"testing"
)

func TestWithInternalTopics(t *testing.T) {
	for _, tt := range []struct {
		brokers int
		config  map[string]string
		want    map[string]string
	}{
		{3, nil, map[string]string{}},
		{2, nil, map[string]string{"offsets.topic.replication.factor": "2", "transaction.state.log.replication.factor": "2"}},
		{1, map[string]string{"offsets.topic.replication.factor": "3", "a": "b"}, map[string]string{
			"offsets.topic.replication.factor": "3", "a": "b",
			"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
		}},
	} {
		before := maps.Clone(tt.config)
		if got := WithInternalTopics(tt.config, tt.brokers); !maps.Equal(got, tt.want) {
			t.Errorf("%d brokers: got %v, want %v", tt.brokers, got, tt.want)
		}
		if !maps.Equal(before, tt.config) {
			t.Errorf("%d brokers: the config that was given is changed: %v", tt.brokers, tt.config)
		}
	}
}
