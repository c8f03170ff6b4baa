// This file defines the metrics: their names, kinds, labels and help. The
// documentation has the same table, and a test compares them.

package metrics

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is the type of a metric, as Prometheus calls it.
type Kind string

// The kinds in use.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one row of the table.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
}

// Seconds are of scenario time, in all of them.
var table = []Metric{
	{"starfall_run_info", Gauge, []string{"scenario", "engine", "kafka", "seed"}, "What runs, and where. Always 1."},
	{"starfall_run_phase", Gauge, []string{"phase"}, "1 for the phase that the run is in, 0 for the others."},
	{"starfall_run_speed_ratio", Gauge, nil, "Seconds of scenario time in one second of real time."},
	{"starfall_scenario_time_seconds", Gauge, nil, "Scenario time since load started."},
	{"starfall_scenario_left_seconds", Gauge, nil, "Scenario time left until run_for; 0 outside of the phase run."},
	{"starfall_records_per_second", Gauge, []string{"stage"}, "Records over the last second of scenario time, all clients together: accepted by producers, acked, delivered to consumers."},

	{"starfall_producer_records_accepted_total", Counter, []string{"producer"}, "Records that the client took into its buffer."},
	{"starfall_producer_records_acked_total", Counter, []string{"producer"}, "Records that were acknowledged."},
	{"starfall_producer_records_failed_total", Counter, []string{"producer"}, "Records that were definitely not written."},
	{"starfall_producer_records_unknown_total", Counter, []string{"producer"}, "Records that may have been written or not."},
	{"starfall_producer_ack_latency_seconds", Histogram, []string{"producer"}, "Scenario time from when a record was due until it was acknowledged."},

	{"starfall_consumer_records_delivered_total", Counter, []string{"consumer"}, "Records that the consumer got; again delivered ones count again."},
	{"starfall_consumer_lag_records", Gauge, []string{"consumer"}, "Records between the consumer's positions and the high-water marks, over all partitions. Absent while unknown."},
	{"starfall_consumer_group_members", Gauge, []string{"consumer"}, "Members of the consumer's group. Absent while unknown."},
	{"starfall_consumer_group_state", Gauge, []string{"consumer", "state"}, "1 for the state that the consumer's group is in. Absent while unknown."},

	{"starfall_partition_isr_replicas", Gauge, []string{"topic", "partition"}, "In-sync replicas of the partition."},
	{"starfall_partition_replicas", Gauge, []string{"topic", "partition"}, "Replicas of the partition."},
	{"starfall_partition_leader", Gauge, []string{"topic", "partition", "node"}, "1 for the node that leads the partition. Absent while nobody does."},
	{"starfall_partition_offline", Gauge, []string{"topic", "partition"}, "1 while the partition has no leader, else 0."},

	{"starfall_node_up", Gauge, []string{"node"}, "1 while the broker or controller runs and is not fenced, else 0."},
	{"starfall_node_state", Gauge, []string{"node", "state"}, "1 for the state that the node is in: running, fenced, stopped, paused."},

	{"starfall_alarm_active", Gauge, []string{"alarm"}, "1 while the alarm is raised, else 0."},
	{"starfall_fault_active", Gauge, []string{"fault"}, "How many faults of this text are in force. Absent when healed."},
}

// CellLabel stands on every metric of a sweep, and on none of a single run.
const CellLabel = "cell"

// Table gives every metric, in the order of the documentation.
func Table() []Metric { return slices.Clone(table) }

// Markdown is the table as the documentation has it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it tells |\n| --- | --- | --- | --- |\n")
	for _, m := range table {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	return b.String()
}
