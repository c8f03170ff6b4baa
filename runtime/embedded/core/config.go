package core

// This file defines how configs are found: what a node's properties say, what was
// altered at run time, what a topic has of its own, and Kafka's defaults, in that
// table's names.

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"starfall/internal/kafkaconf"
	"starfall/runtime/embedded/codec"
)

// nodeConfig is what a node reads from its properties when it starts, with the few
// values that its state machines use again and again already parsed.
type nodeConfig struct {
	static map[string]string

	quorumFetchTimeout    time.Duration
	quorumElectionTimeout time.Duration
	quorumElectionBackoff time.Duration
	quorumRequestTimeout  time.Duration

	heartbeatInterval time.Duration
	sessionTimeout    time.Duration
	requestTimeout    time.Duration
	controllerTimeout time.Duration // controller.socket.timeout.ms

	replicaLag           time.Duration
	replicaFetchWait     time.Duration
	replicaFetchBackoff  time.Duration
	replicaSocketTimeout time.Duration
	replicaFetchMax      int
	replicaFetchResponse int
	fetchMaxBytes        int
}

// newNodeConfig reports the first name, in order, that Kafka does not have for a
// broker, or the first value that it refuses.
func newNodeConfig(cluster, own map[string]string) (*nodeConfig, error) {
	c := &nodeConfig{static: map[string]string{}}
	maps.Copy(c.static, cluster)
	maps.Copy(c.static, own)
	for _, name := range slices.Sorted(maps.Keys(c.static)) {
		e, ok := kafkaconf.Lookup(kafkaconf.Broker, name)
		if !ok {
			return nil, fmt.Errorf("config: for name %s: Kafka has no such broker config", name)
		}
		if err := e.Check(c.static[name]); err != nil {
			return nil, err
		}
	}
	c.quorumFetchTimeout = c.ms("controller.quorum.fetch.timeout.ms")
	c.quorumElectionTimeout = c.ms("controller.quorum.election.timeout.ms")
	c.quorumElectionBackoff = c.ms("controller.quorum.election.backoff.max.ms")
	c.quorumRequestTimeout = c.ms("controller.quorum.request.timeout.ms")
	c.heartbeatInterval = c.ms("broker.heartbeat.interval.ms")
	c.sessionTimeout = c.ms("broker.session.timeout.ms")
	c.requestTimeout = c.ms("request.timeout.ms")
	c.controllerTimeout = c.ms("controller.socket.timeout.ms")
	c.replicaLag = c.ms("replica.lag.time.max.ms")
	c.replicaFetchWait = c.ms("replica.fetch.wait.max.ms")
	c.replicaFetchBackoff = c.ms("replica.fetch.backoff.ms")
	c.replicaSocketTimeout = c.ms("replica.socket.timeout.ms")
	c.replicaFetchMax = int(c.long("replica.fetch.max.bytes"))
	c.replicaFetchResponse = int(c.long("replica.fetch.response.max.bytes"))
	c.fetchMaxBytes = int(c.long("fetch.max.bytes"))
	return c, nil
}

// get is the value of a broker config by what the node knows at its start; "" for a
// name without value.
func (c *nodeConfig) get(name string) string {
	if v, ok := c.static[name]; ok {
		return strings.TrimSpace(v)
	}
	e, ok := kafkaconf.Lookup(kafkaconf.Broker, name)
	if !ok || e.Null || e.Required {
		return ""
	}
	return e.Default
}

func (c *nodeConfig) long(name string) int64 {
	v, _ := strconv.ParseInt(c.get(name), 10, 64) // checked when it was set
	return v
}

func (c *nodeConfig) ms(name string) time.Duration {
	return time.Duration(c.long(name)) * time.Millisecond
}

// The places that a config can come from, as DescribeConfigs numbers them.
const (
	sourceDynamicTopic         int8 = 1
	sourceDynamicBroker        int8 = 2
	sourceDynamicBrokerDefault int8 = 3
	sourceStaticBroker         int8 = 4
	sourceDefault              int8 = 5
)

// brokerConfig is the value of a broker config on a node with what was altered at run
// time, its source, and whether it has a value at all.
func (m *image) brokerConfig(c *nodeConfig, broker int32, name string) (value string, source int8, ok bool) {
	if v, ok := m.configs[configResource{resourceBroker, strconv.Itoa(int(broker))}][name]; ok {
		return v, sourceDynamicBroker, true
	}
	if v, ok := m.configs[configResource{resourceBroker, ""}][name]; ok {
		return v, sourceDynamicBrokerDefault, true
	}
	if v, ok := c.static[name]; ok {
		return strings.TrimSpace(v), sourceStaticBroker, true
	}
	e, known := kafkaconf.Lookup(kafkaconf.Broker, name)
	if !known || e.Null || e.Required {
		return "", sourceDefault, false
	}
	return e.Default, sourceDefault, true
}

// topicConfig is the value of a topic config as a node sees it.
func (m *image) topicConfig(c *nodeConfig, broker int32, topic, name string) (value string, source int8, ok bool) {
	if v, ok := m.configs[configResource{resourceTopic, topic}][name]; ok {
		return v, sourceDynamicTopic, true
	}
	e, known := kafkaconf.Lookup(kafkaconf.Topic, name)
	if !known {
		return "", sourceDefault, false
	}
	for _, server := range e.Server {
		v, source, ok := m.brokerConfig(c, broker, server)
		if ok && source != sourceDefault {
			return convertUnit(v, server, e), source, true
		}
	}
	for _, server := range e.Server {
		if v, _, ok := m.brokerConfig(c, broker, server); ok {
			return convertUnit(v, server, e), sourceDefault, true
		}
	}
	if e.Null || e.Required {
		return "", sourceDefault, false
	}
	return e.Default, sourceDefault, true
}

// convertUnit turns a broker's hours or minutes into a topic's milliseconds.
func convertUnit(value, server string, topic kafkaconf.Entry) string {
	e, _ := kafkaconf.Lookup(kafkaconf.Broker, server)
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || topic.Unit != kafkaconf.Milliseconds || n < 0 {
		return value
	}
	switch e.Unit {
	case kafkaconf.Seconds:
		n *= 1000
	case kafkaconf.Minutes:
		n *= 60_000
	case kafkaconf.Hours:
		n *= 3_600_000
	}
	return strconv.FormatInt(n, 10)
}

// topicSettings are the topic configs that a replica uses on its hot path.
type topicSettings struct {
	minISR          int
	maxMessageBytes int
	logAppendTime   bool
	flushMessages   int64
	flushMS         int64
	uncleanElection bool
	// compression is what batches are packed in; compressAsSent leaves them alone.
	compression      codec.Type
	compressAsSent   bool
	compressionLevel int
	compact, deletes bool // what cleanup.policy has

	segmentBytes, segmentMS                int64
	retentionBytes, retentionMS            int64 // -1 for no limit
	minCompactionLagMS, maxCompactionLagMS int64
	deleteRetentionMS                      int64
	minDirtyRatio                          float64

	throttledLeader, throttledFollower throttled

	// beforeMaxMS and afterMaxMS are how far a record's time may be from the broker's
	// (KIP-937); limitTime is false where both are without limit.
	beforeMaxMS, afterMaxMS int64
	limitTime               bool
}

func (m *image) topicSettings(c *nodeConfig, broker int32, topic string) topicSettings {
	long := func(name string) int64 {
		v, _, _ := m.topicConfig(c, broker, topic, name)
		n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n
	}
	text := func(name string) string {
		v, _, _ := m.topicConfig(c, broker, topic, name)
		return v
	}
	s := topicSettings{
		minISR:          int(long("min.insync.replicas")),
		maxMessageBytes: int(long("max.message.bytes")),
		logAppendTime:   text("message.timestamp.type") == "LogAppendTime",
		flushMessages:   long("flush.messages"),
		flushMS:         long("flush.ms"),
		uncleanElection: strings.EqualFold(text("unclean.leader.election.enable"), "true"),
	}
	var named bool
	s.compression, named = codec.Named(text("compression.type"))
	s.compressAsSent = !named
	switch s.compression {
	case codec.Gzip, codec.LZ4, codec.Zstd:
		s.compressionLevel = int(long("compression." + text("compression.type") + ".level"))
	}
	if s.compressionLevel < 0 {
		s.compressionLevel = 0 // gzip's -1: the default
	}
	for _, policy := range strings.Split(text("cleanup.policy"), ",") {
		switch strings.TrimSpace(policy) {
		case "compact":
			s.compact = true
		case "delete":
			s.deletes = true
		}
	}
	s.segmentBytes, s.segmentMS = long("segment.bytes"), long("segment.ms")
	s.retentionBytes, s.retentionMS = long("retention.bytes"), long("retention.ms")
	s.minCompactionLagMS, s.maxCompactionLagMS = long("min.compaction.lag.ms"), long("max.compaction.lag.ms")
	s.deleteRetentionMS = long("delete.retention.ms")
	s.beforeMaxMS, s.afterMaxMS = long("message.timestamp.before.max.ms"), long("message.timestamp.after.max.ms")
	s.limitTime = !s.logAppendTime && (s.beforeMaxMS < math.MaxInt64 || s.afterMaxMS < math.MaxInt64)
	s.throttledLeader = parseThrottled(text("leader.replication.throttled.replicas"))
	s.throttledFollower = parseThrottled(text("follower.replication.throttled.replicas"))
	s.minDirtyRatio, _ = strconv.ParseFloat(strings.TrimSpace(text("min.cleanable.dirty.ratio")), 64)
	return s
}
