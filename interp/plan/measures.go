// This file defines the catalogue of measures: what can be said about whom,
// in which unit, and which words may follow.

package plan

import "sort"

// Unit is what a measure counts.
type Unit string

// The units of measures. A Bound's Value is in the same unit; UnitSeconds is
// written as a duration and UnitBytes as a size in the language.
const (
	UnitRate    Unit = "records/s"
	UnitSeconds Unit = "s"
	UnitShare   Unit = "share"
	UnitCount   Unit = "count"
	UnitBytes   Unit = "bytes"
	UnitTruth   Unit = "truth" // 1 is true; written True and False in the language
)

// Family says how a measure comes about, and so which windows, bounds and
// statistics make sense for it.
type Family string

// The families of measures (judging.md, language.md "What a claim means
// exactly").
//
//	family   from                        judged by the other bounds as   windows cut to warm-up
//	rate     counts in buckets           the mean                        yes
//	fate     each record's end           the total                       no
//	latency  times of records            the longest (or .p50 … .max)    yes
//	stall    gaps between events         the longest                     yes
//	gauge    samples, five a second      every sample                    yes
//	number   one number a run or event   that number                     no
const (
	FamilyRate    Family = "rate"
	FamilyFate    Family = "fate"
	FamilyLatency Family = "latency"
	FamilyStall   Family = "stall"
	FamilyGauge   Family = "gauge"
	FamilyNumber  Family = "number"
)

// Measure describes one measure of one kind of subject.
type Measure struct {
	Subject RefKind // producer, consumer, topic, cluster, mirror, alarm or event
	Name    string
	Unit    Unit
	Family  Family
	By      []string // what .by accepts; the first is what holds when it is not said
	Help    string   // what it is, in one sentence
}

// measures is sorted by subject, then name.
var measures = []Measure{
	{RefAlarm, "lasted", UnitSeconds, FamilyNumber, nil, "how long the alarm was raised, in all"},
	{RefAlarm, "raised", UnitCount, FamilyNumber, nil, "how often the alarm was raised"},
	{RefAlarm, "raised_at", UnitSeconds, FamilyNumber, nil, "when the alarm was first raised, after the start of load"},

	{RefCluster, "active_controllers", UnitCount, FamilyGauge, nil, "nodes that consider themselves the active controller; anything but 1 is wrong"},
	{RefCluster, "alive", UnitCount, FamilyGauge, nil, "brokers that are registered and not fenced"},
	{RefCluster, "controller_changes", UnitCount, FamilyNumber, nil, "how often another node became the active controller"},
	{RefCluster, "cpu", UnitShare, FamilyGauge, []string{"all", "member"}, "processor time that the brokers use; 1 is one core"},
	{RefCluster, "memory", UnitBytes, FamilyGauge, []string{"all", "member"}, "memory that the brokers hold"},
	{RefCluster, "offline", UnitCount, FamilyGauge, nil, "partitions without a leader"},
	{RefCluster, "under_min_insync", UnitCount, FamilyGauge, nil, "partitions with fewer in-sync replicas than min.insync.replicas"},
	{RefCluster, "under_replicated", UnitCount, FamilyGauge, nil, "partitions with fewer in-sync replicas than replicas"},

	{RefConsumer, "assignment", UnitCount, FamilyGauge, []string{"member"}, "partitions that a member owns"},
	{RefConsumer, "delay", UnitSeconds, FamilyLatency, []string{"all", "partition"}, "from the moment a record was due to its delivery"},
	{RefConsumer, "denied", UnitCount, FamilyNumber, nil, "answers of brokers that refused the group or its fetches for want of rights"},
	{RefConsumer, "dropped", UnitCount, FamilyFate, []string{"all", "partition"}, "deliveries that dedup recognised, rightly or wrongly, and did not process; wrongly dropped records are missing"},
	{RefConsumer, "duplicates", UnitCount, FamilyFate, []string{"all", "partition"}, "deliveries of a record beyond the first under this group"},
	{RefConsumer, "idle_members", UnitCount, FamilyGauge, nil, "members that own no partition"},
	{RefConsumer, "lag", UnitCount, FamilyGauge, []string{"all", "partition"}, "records between the group's position and the end of the log"},
	{RefConsumer, "lost", UnitCount, FamilyFate, []string{"all", "partition"}, "acknowledged records that are in no log at the audit, whether or not they were delivered before"},
	{RefConsumer, "members", UnitCount, FamilyGauge, nil, "members that belong to the group's present generation"},
	{RefConsumer, "missing", UnitCount, FamilyFate, []string{"all", "partition"}, "acknowledged records that were not delivered to this group by the end of the drain"},
	{RefConsumer, "out_of_order", UnitCount, FamilyFate, []string{"partition", "key"}, "first deliveries of a record after a later one of the same producer member and partition, or key"},
	{RefConsumer, "pending", UnitCount, FamilyFate, []string{"all", "partition"}, "missing records that lie past the group's position when the drain ended"},
	{RefConsumer, "phantoms", UnitCount, FamilyFate, []string{"all", "partition"}, "delivered records that were never sent, or that definitely failed"},
	{RefConsumer, "rate", UnitRate, FamilyRate, []string{"all", "member", "partition"}, "records delivered and processed per second"},
	{RefConsumer, "rebalances", UnitCount, FamilyNumber, nil, "how often the group began a new generation after its first"},
	{RefConsumer, "stall", UnitSeconds, FamilyStall, []string{"partition", "all"}, "longest time without a delivery from a partition while its log held undelivered records"},
	{RefConsumer, "state_size", UnitBytes, FamilyGauge, []string{"all", "member"}, "memory in which dedup remembers what it has had"},
	{RefConsumer, "undelivered", UnitCount, FamilyFate, []string{"all", "partition"}, "missing records that are in the log but were skipped by the group"},

	{RefEvent, "exit_code", UnitCount, FamilyNumber, nil, "exit code of its tool, the highest of several; 0 is success"},
	{RefEvent, "recovered", UnitSeconds, FamilyNumber, nil, "from its start until the acknowledged rate was back at 90 % of before, for 5 s"},
	{RefEvent, "took", UnitSeconds, FamilyNumber, nil, "from the moment it fired until its effect was proved"},

	{RefMirror, "delay", UnitSeconds, FamilyLatency, []string{"all", "partition"}, "from the moment a record was due at the source to its arrival in the copy"},
	{RefMirror, "identical", UnitTruth, FamilyNumber, nil, "whether the copy is like the source in one respect, compared field by field at the end: records, order, partitions, offsets, config or groups"},
	{RefMirror, "missing", UnitCount, FamilyFate, []string{"all", "partition"}, "acknowledged records of the source that are not in the copy at the audit"},

	{RefProducer, "denied", UnitCount, FamilyFate, []string{"all", "partition"}, "records that were not written for want of rights"},
	{RefProducer, "failed", UnitCount, FamilyFate, []string{"all", "partition"}, "records that were definitely not written"},
	{RefProducer, "late", UnitShare, FamilyNumber, nil, "share of records offered more than 100 ms of real time after they were due, for want of machine"},
	{RefProducer, "latency", UnitSeconds, FamilyLatency, []string{"all", "partition"}, "from the moment a record was due to its acknowledgement"},
	{RefProducer, "rate", UnitRate, FamilyRate, []string{"all", "member", "partition"}, "records acknowledged per second"},
	{RefProducer, "sending", UnitRate, FamilyRate, []string{"all", "member"}, "records accepted by the client per second; it falls when the client's buffer is full"},
	{RefProducer, "stall", UnitSeconds, FamilyStall, []string{"partition", "all"}, "longest gap between acknowledgements of a partition while records were due for it"},
	{RefProducer, "unknown", UnitCount, FamilyFate, []string{"all", "partition"}, "records of which nobody knows whether they were written"},

	{RefTopic, "duplicates", UnitCount, FamilyFate, []string{"all", "partition"}, "copies of a record in the log beyond the first"},
	{RefTopic, "in_sync", UnitCount, FamilyGauge, []string{"all", "partition"}, "smallest in-sync set of its partitions"},
	{RefTopic, "leader_changes", UnitCount, FamilyNumber, nil, "how often a partition got another leader"},
	{RefTopic, "lost", UnitCount, FamilyFate, []string{"all", "partition"}, "acknowledged records that are not in the log at the audit"},
	{RefTopic, "offline", UnitCount, FamilyGauge, nil, "its partitions without a leader"},
	{RefTopic, "out_of_order", UnitCount, FamilyFate, []string{"partition", "key"}, "records in the log behind a later one of the same producer member and partition, or key"},
	{RefTopic, "partitions", UnitCount, FamilyGauge, nil, "number of partitions"},
	{RefTopic, "size", UnitBytes, FamilyGauge, []string{"all", "partition"}, "bytes in its leaders' logs"},
	{RefTopic, "unclean_elections", UnitCount, FamilyNumber, nil, "leaders elected from outside the in-sync set"},
}

// Measures gives the catalogue, sorted by subject, then name.
func Measures() []Measure {
	return append([]Measure(nil), measures...)
}

// Aspects are the respects in which a mirror can be identical to its source.
//
//	records      each record of the source is in the copy, with the same key, value, headers and timestamp
//	order        in each partition they stand in the same order
//	partitions   as many partitions, and each record in the same one
//	offsets      each record at the same offset
//	config       the same topic configs, set or by default
//	groups       each group's committed position stands before the same record
func Aspects() []string {
	return []string{"records", "order", "partitions", "offsets", "config", "groups"}
}

// MeasureOf finds a measure of a subject.
func MeasureOf(subject RefKind, name string) (Measure, bool) {
	i := sort.Search(len(measures), func(i int) bool {
		m := measures[i]
		return m.Subject > subject || m.Subject == subject && m.Name >= name
	})
	if i < len(measures) && measures[i].Subject == subject && measures[i].Name == name {
		return measures[i], true
	}
	return Measure{}, false
}
