package kafkaconf

// This file defines what a small cluster needs set for the topics that brokers
// make for themselves.

import (
	"maps"
	"strconv"
)

// WithInternalTopics gives a copy of a cluster's config in which the
// replication factors of the coordinators' topics, and the in-sync replicas
// that transactions need, are lowered to the number of brokers, as images for a
// single broker do: with Kafka's default of 3 a smaller cluster never gets an
// offsets topic and no group ever a coordinator. What config sets stays.
func WithInternalTopics(config map[string]string, brokers int) map[string]string {
	out := map[string]string{}
	maps.Copy(out, config)
	for _, c := range []struct {
		name      string
		otherwise int
	}{
		{"offsets.topic.replication.factor", 3},
		{"transaction.state.log.replication.factor", 3},
		{"transaction.state.log.min.isr", 2},
	} {
		if _, set := config[c.name]; set || brokers >= c.otherwise {
			continue
		}
		out[c.name] = strconv.Itoa(brokers)
	}
	return out
}
