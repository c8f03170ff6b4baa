// This file defines how the Java clients' configuration names and the
// parameters of the language become settings of sarama, with every duration
// divided by the speed of the run.

package kafka

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"starfall/internal/kafkaconf"
	"starfall/interp/plan"
	"starfall/runtime"
)

// protocol is the newest Kafka whose requests are used; brokers that are older
// or newer say so in ApiVersions and sarama then takes the version both know.
var protocol = sarama.V3_9_0_0

// mapping is one configuration name of the Java clients that has an equivalent
// here. set receives a legal value; durations are scenario time.
type mapping struct {
	name string
	set  func(s *settings, value string) error
}

// producerNames is sorted. What is missing has no equivalent in sarama, or is a
// parameter of producer() (acks, delivery.timeout.ms, buffer.memory,
// enable.idempotence, partitioner.class). max.in.flight.requests.per.connection
// is missing because sarama 1.61 keeps one batch of a partition in flight
// whatever it is told.
var producerNames = []mapping{
	{"batch.size", func(s *settings, v string) error { return number(&s.batchSize, v) }},
	{"compression.gzip.level", func(s *settings, v string) error { return level(s, "gzip", v) }},
	{"compression.lz4.level", func(s *settings, v string) error { return level(s, "lz4", v) }},
	{"compression.type", func(s *settings, v string) error { s.compression = v; return nil }},
	{"compression.zstd.level", func(s *settings, v string) error { return level(s, "zstd", v) }},
	{"linger.ms", func(s *settings, v string) error { return millis(&s.linger, v) }},
	{"max.request.size", func(s *settings, v string) error { return number(&s.maxRequest, v) }},
	{"metadata.max.age.ms", func(s *settings, v string) error { return millis(&s.metadataAge, v) }},
	{"request.timeout.ms", func(s *settings, v string) error { return millis(&s.requestTimeout, v) }},
	{"retry.backoff.ms", func(s *settings, v string) error { return millis(&s.backoff, v) }},
	{"socket.connection.setup.timeout.ms", func(s *settings, v string) error { return millis(&s.connectTimeout, v) }},
	{"transaction.timeout.ms", func(s *settings, v string) error { return millis(&s.txnTimeout, v) }},
}

// consumerNames is sorted. group.instance.id gets "-" and the member's number
// appended, as static members need ids of their own (KIP-345).
var consumerNames = []mapping{
	{"fetch.max.bytes", func(s *settings, v string) error { return number(&s.fetchMax, v) }},
	{"fetch.max.wait.ms", func(s *settings, v string) error { return millis(&s.fetchWait, v) }},
	{"fetch.min.bytes", func(s *settings, v string) error { return number(&s.fetchMin, v) }},
	{"group.instance.id", func(s *settings, v string) error { s.instance = v; return nil }},
	{"heartbeat.interval.ms", func(s *settings, v string) error { return millis(&s.heartbeat, v) }},
	{"max.partition.fetch.bytes", func(s *settings, v string) error { return number(&s.fetchPartition, v) }},
	{"max.poll.interval.ms", func(s *settings, v string) error { return millis(&s.rebalance, v) }},
	{"max.poll.records", func(s *settings, v string) error { return number(&s.pollRecords, v) }},
	{"metadata.max.age.ms", func(s *settings, v string) error { return millis(&s.metadataAge, v) }},
	{"request.timeout.ms", func(s *settings, v string) error { return millis(&s.requestTimeout, v) }},
	{"retry.backoff.ms", func(s *settings, v string) error { return millis(&s.backoff, v) }},
	{"socket.connection.setup.timeout.ms", func(s *settings, v string) error { return millis(&s.connectTimeout, v) }},
}

// Mapped names the configurations of a Java client that the load clients
// honour, sorted; none for a scope that is not kafkaconf.Producer or
// kafkaconf.Consumer. The check refuses every other name.
func Mapped(scope kafkaconf.Scope) []string {
	var names []string
	for _, m := range mappings(scope) {
		names = append(names, m.name)
	}
	return names
}

// Assignors names the values of consumer(assignor) that the load clients know.
func Assignors() []string { return []string{"cooperative-sticky", "range", "roundrobin", "sticky"} }

func mappings(scope kafkaconf.Scope) []mapping {
	switch scope {
	case kafkaconf.Producer:
		return producerNames
	case kafkaconf.Consumer:
		return consumerNames
	}
	return nil
}

// settings are what the clients work with. Durations are scenario time; wall
// turns them into what goes to sarama and over the wire.
type settings struct {
	speed          float64
	requestTimeout time.Duration
	connectTimeout time.Duration
	local          netip.Addr             // from which connections are made; zero: any
	reaches        func(addr string) bool // a packet comes through to an address; nil: dials show it
	login          runtime.Login
	backoff        time.Duration
	metadataAge    time.Duration

	batchSize, maxRequest int
	linger, txnTimeout    time.Duration
	compression           string
	levels                map[string]int

	fetchMin, fetchMax, fetchPartition, pollRecords int
	fetchWait, heartbeat, rebalance, session        time.Duration
	instance                                        string
}

// defaults are those of the Java clients 3.9, but for the size of batches:
// sarama has one batch of a partition in flight where Java has five, so it is
// not held to 16 KB each unless batch.size says so.
func defaults(speed float64) settings {
	if speed <= 0 {
		speed = 1
	}
	return settings{
		speed:          speed,
		requestTimeout: 30 * time.Second,
		connectTimeout: 10 * time.Second,
		backoff:        100 * time.Millisecond,
		metadataAge:    5 * time.Minute,
		maxRequest:     1 << 20,
		txnTimeout:     time.Minute,
		fetchMin:       1,
		fetchMax:       50 << 20,
		fetchPartition: 1 << 20,
		fetchWait:      500 * time.Millisecond,
		pollRecords:    500,
		heartbeat:      3 * time.Second,
		rebalance:      5 * time.Minute,
		session:        45 * time.Second,
	}
}

// wall is how long a length of scenario time takes, at least a millisecond, as
// Kafka's protocol counts in those.
func (s settings) wall(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)/s.speed), time.Millisecond)
}

func (s *settings) apply(scope kafkaconf.Scope, config map[string]string) error {
	names := make([]string, 0, len(config))
	for name := range config {
		names = append(names, name)
	}
	slices.Sort(names)
	table := mappings(scope)
	for _, name := range names {
		i, ok := slices.BinarySearchFunc(table, name, func(m mapping, n string) int { return strings.Compare(m.name, n) })
		if !ok {
			return fmt.Errorf("for config %s: not mapped to the load client", name)
		}
		if err := table[i].set(s, config[name]); err != nil {
			return fmt.Errorf("for config %s: %w", name, err)
		}
	}
	return nil
}

func number(dst *int, v string) error {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("got %q, want a number", v)
	}
	*dst = int(n)
	return nil
}

func millis(dst *time.Duration, v string) error {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("got %q, want milliseconds", v)
	}
	*dst = time.Duration(n) * time.Millisecond
	return nil
}

func level(s *settings, codec, v string) error {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		return fmt.Errorf("got %q, want a number", v)
	}
	if s.levels == nil {
		s.levels = map[string]int{}
	}
	s.levels[codec] = n
	return nil
}

// sarama gives the settings that every client shares. The circuit breakers,
// retries and metadata of sarama's own client are not used: see cluster.
func (s settings) sarama(clientID string, d *dialer) *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = clientID
	c.Version = protocol
	c.Net.DialTimeout = s.wall(s.connectTimeout)
	c.Net.ReadTimeout = s.wall(s.requestTimeout)
	c.Net.WriteTimeout = s.wall(s.requestTimeout)
	c.Net.Proxy.Enable = d != nil
	if d != nil {
		c.Net.Proxy.Dialer = d
	}
	c.Metadata.Full = false
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.RefreshFrequency = s.wall(s.metadataAge)
	c.Metadata.Retry.Backoff = s.wall(s.backoff)
	logIn(c, s.login)
	return c
}

var codecs = map[string]sarama.CompressionCodec{
	"": sarama.CompressionNone, "none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

var acknowledgements = map[string]sarama.RequiredAcks{
	"": sarama.WaitForAll, "all": sarama.WaitForAll, "-1": sarama.WaitForAll,
	"1": sarama.WaitForLocal, "0": sarama.NoResponse,
}

// saramaRetries is how often sarama itself sends a record again before it hands
// it back; the lane then goes on until the delivery timeout.
const saramaRetries = 1000

// producerConfig gives the settings of one lane. recordSize is the size of one
// record as sarama counts it.
func (s settings) producerConfig(clientID string, p plan.Producer, d *dialer, recordSize int) (*sarama.Config, error) {
	c := s.sarama(clientID, d)
	acks, ok := acknowledgements[p.Acks]
	if !ok {
		return nil, fmt.Errorf("producer %s: for parameter acks: got %q, want all, 1 or 0", p.Name, p.Acks)
	}
	name := s.compression
	if name == "" {
		name = p.Compression
	}
	codec, ok := codecs[name]
	if !ok {
		return nil, fmt.Errorf("producer %s: for parameter compression: got %q, want none, gzip, snappy, lz4 or zstd", p.Name, name)
	}
	c.Producer.RequiredAcks = acks
	c.Producer.Compression = codec
	if l, ok := s.levels[name]; ok {
		c.Producer.CompressionLevel = l
	}
	c.Producer.Idempotent = p.Idempotent
	if p.Idempotent {
		c.Net.MaxOpenRequests = 1
	}
	c.Producer.Timeout = s.wall(s.requestTimeout)
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Retry.Max = saramaRetries
	c.Producer.Retry.Backoff = s.wall(s.backoff)
	c.Producer.Transaction.Retry.Max = saramaRetries
	c.Producer.MaxMessageBytes = s.maxRequest
	if s.batchSize > 0 {
		// sarama has one bound for a record and for a batch: a record that is
		// larger than batch.size goes alone, as in Java.
		c.Producer.MaxMessageBytes = min(s.maxRequest, max(s.batchSize, recordSize+1))
	}
	if s.linger > 0 {
		c.Producer.Flush.Frequency = s.wall(s.linger)
		c.Producer.Flush.Bytes = s.batchSize
		if s.batchSize == 0 {
			c.Producer.Flush.Bytes = 16 << 10 // Java's batch.size: a full batch does not linger
		}
	}
	c.Producer.Partitioner = func(string) sarama.Partitioner { return onlyPartition{} }
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("producer %s: %w", p.Name, err)
	}
	return c, nil
}

// onlyPartition is the partitioner of a lane: its client shows it one partition.
type onlyPartition struct{}

func (onlyPartition) Partition(*sarama.ProducerMessage, int32) (int32, error) { return 0, nil }
func (onlyPartition) RequiresConsistency() bool                               { return true }

// memberID is how a member calls itself to brokers (client.id).
func memberID(name string, member int) string { return name + "-" + strconv.Itoa(member) }
