// This file defines the mirror of engines that have no MirrorMaker: a copier that
// goes by MirrorMaker 2's rules (Kafka 3.9, connect/mirror).
//
//	what              rule                                                  MirrorMaker's name for it
//	partition         the same number                                       MirrorSourceTask.convertRecord
//	records           key, value, headers, timestamp; read uncommitted,     isolation.level (consumer's default)
//	                  so those of aborted transactions too, as plain ones
//	writing           acks=all, not idempotent, one batch of a partition    Connect's producer of a source task
//	                  in flight, no compression: at least once
//	from              the earliest record, later the position that was      auto.offset.reset, offset.flush.interval.ms
//	                  kept last before a crash
//	the copy          as many partitions; grows with the source             refresh.topics
//	its configs       what is set on the topic or for all brokers, but      DefaultConfigPropertyFilter
//	                  for six names; defaults are the target's
//	its rights        literal ones of the topic; Write is not allowed       sync.topic.acls
//	groups            translated positions, written while the group has     MirrorCheckpointTask
//	                  no member at the target, and only forward
//
// Its positions, offset syncs and checkpoints are in the memory of the run, not in
// topics, and outlive its members.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"starfall/runtime"
	"starfall/runtime/record"
)

// How often a mirror looks after things, in scenario time. Those of one second are
// what MirrorMaker is set to; rights and configs are its default.
const (
	mirrorRefresh     = time.Second      // refresh.topics.interval.seconds
	mirrorFlush       = time.Second      // offset.flush.interval.ms
	mirrorCheckpoints = time.Second      // emit.checkpoints.interval.seconds, refresh.groups.interval.seconds
	mirrorConfigs     = 10 * time.Minute // sync.topic.configs.interval.seconds, sync.topic.acls.interval.seconds
)

// mirrorQueue is how many fetches of a partition wait to be written.
const mirrorQueue = 4

var _ runtime.Mirrorer = (*Control)(nil)

// mirrorMemory is what a mirror keeps over its restarts.
type mirrorMemory struct {
	mu    sync.Mutex
	acked map[record.TopicPartition]int64 // next offset of the source, by Kafka's names
	kept  map[record.TopicPartition]int64 // of acked, at the last flush
	syncs map[record.TopicPartition]*offsetSyncs
	// checkpoints are the translated positions by group.
	checkpoints map[string]map[record.TopicPartition]syncPoint
}

func newMirrorMemory() *mirrorMemory {
	return &mirrorMemory{acked: map[record.TopicPartition]int64{}, kept: map[record.TopicPartition]int64{},
		syncs: map[record.TopicPartition]*offsetSyncs{}, checkpoints: map[string]map[record.TopicPartition]syncPoint{}}
}

// took notes that records stand in the copy from offset down on.
func (m *mirrorMemory) took(tp record.TopicPartition, records []logRecord, down int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.syncs[tp]
	if s == nil {
		s = &offsetSyncs{}
		m.syncs[tp] = s
	}
	for i, r := range records {
		s.add(syncPoint{r.offset, down + int64(i)})
	}
	m.acked[tp] = records[len(records)-1].offset + 1
}

func (m *mirrorMemory) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = maps.Clone(m.acked)
}

// begin is where a partition is copied from; false: from its start.
func (m *mirrorMemory) begin(tp record.TopicPartition) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.kept[tp]
	return at, ok
}

// mirror is one that runs.
type mirror struct {
	spec   runtime.MirrorSpec
	id     string // client.id
	memory *mirrorMemory
	side   *Control // admin requests, from where the mirror stands
	read   settings // of connections to the source
	write  settings // of connections to the target
	source *cluster
	target *cluster

	ctx     context.Context // ends when nothing more is to be done
	cancel  context.CancelFunc
	reading context.Context // ends when nothing more is to be read
	halt    context.CancelFunc
	wait    sync.WaitGroup // all goroutines
	drained sync.WaitGroup // the copiers

	mu      sync.Mutex
	copiers map[record.TopicPartition]*copier
	failed  error
	told    string // the last warning that is not to be repeated
	once    sync.Once
}

// Mirror starts a mirror. It returns once each topic has its copy, and of each
// partition the source's leader has answered and the copy's is known.
func (c *Control) Mirror(ctx context.Context, s runtime.MirrorSpec) (runtime.Member, error) {
	if len(s.Topics) != len(s.Copies) {
		return nil, fmt.Errorf("mirror %s: got %d copies, want %d", s.Mirror.Name, len(s.Copies), len(s.Topics))
	}
	if s.Log == nil {
		s.Log = func(string) {}
	}
	m := &mirror{spec: s, id: memberID(s.Mirror.Name, 1), memory: c.mirrorMemory(s.Mirror.Name), copiers: map[record.TopicPartition]*copier{}}
	m.read, m.write = c.mirrorSettings(s, s.Mirror.From), c.mirrorSettings(s, s.Mirror.To)
	m.side = &Control{Plan: c.Plan, Speed: s.Speed,
		Bootstrap: func(cluster string) ([]string, error) {
			if cluster == s.Mirror.From {
				return s.From, nil
			}
			return s.To, nil
		},
		from: func(cluster string) settings {
			if cluster == s.Mirror.From {
				return m.read
			}
			return m.write
		}}
	var from, to []string
	for i := range s.Topics {
		from, to = append(from, s.Topics[i].KafkaName()), append(to, s.Copies[i].KafkaName())
	}
	m.source = newCluster(m.read, m.id, s.From, from, nil)
	m.target = newCluster(m.write, m.id, s.To, to, nil)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.reading, m.halt = context.WithCancel(m.ctx)
	broken := context.AfterFunc(ctx, m.cancel)
	err := m.prepare(ctx)
	if broken() && err == nil {
		m.wait.Go(m.refreshTopics)
		m.wait.Go(m.keep)
		if s.Mirror.SyncOffsetsEvery > 0 {
			m.wait.Go(m.syncGroups)
		}
		return m, nil
	}
	m.end()
	return nil, fmt.Errorf("mirror %s: %w", s.Mirror.Name, errors.Join(context.Cause(ctx), err))
}

// mirrorSettings are those of a mirror's connections to a cluster.
func (c *Control) mirrorSettings(s runtime.MirrorSpec, cluster string) settings {
	set := defaults(s.Speed)
	set.login = s.Operators[cluster]
	if c.Reaches != nil {
		set.reaches = func(addr string) bool { return c.Reaches(s.Place.Client, s.Place.Member, addr) }
	}
	return set
}

func (c *Control) mirrorMemory(name string) *mirrorMemory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mirrors == nil {
		c.mirrors = map[string]*mirrorMemory{}
	}
	if c.mirrors[name] == nil {
		c.mirrors[name] = newMirrorMemory()
	}
	return c.mirrors[name]
}

// prepare makes the copies and starts a copier for each partition.
func (m *mirror) prepare(ctx context.Context) error {
	var last error
	for {
		err := m.refresh()
		if err == nil {
			err = m.ready()
		}
		if err == nil {
			m.syncSettings()
			return nil
		}
		last = err
		if !m.pause(m.read.wall(m.read.backoff)) {
			return errors.Join(m.err(), last)
		}
	}
}

// ready tells whether each partition passes records.
func (m *mirror) ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range m.spec.Topics {
		n := m.source.partitions(t.KafkaName())
		if n == 0 {
			return fmt.Errorf("topic %s is not there", t.Name)
		}
		for p := range int32(n) {
			k := m.copiers[record.TopicPartition{Topic: t.KafkaName(), Partition: p}]
			if k == nil || !k.answered.Load() {
				return fmt.Errorf("%s/%d does not pass records yet", t.Name, p)
			}
			if _, _, _, ok := m.target.leader(m.spec.Copies[i].KafkaName(), p); !ok {
				return fmt.Errorf("%s/%d has no leader", m.spec.Copies[i].Name, p)
			}
		}
	}
	return nil
}

// pause lets wall time pass; false when the mirror has ended meanwhile.
func (m *mirror) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.ctx.Done():
		return false
	}
}

func (m *mirror) warn(format string, args ...any) {
	m.spec.Log(fmt.Sprintf("mirror %s: %s", m.spec.Mirror.Name, fmt.Sprintf(format, args...)))
}

// fail ends the mirror as Connect ends a task: what no repetition mends stops all
// of it, and nobody starts it again.
func (m *mirror) fail(err error) {
	m.mu.Lock()
	first := m.failed == nil
	if first {
		m.failed = err
	}
	m.mu.Unlock()
	if first {
		m.warn("stopped: %v", err)
		m.cancel()
	}
}

func (m *mirror) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// keep notes the positions from time to time.
func (m *mirror) keep() {
	for m.pause(m.read.wall(mirrorFlush)) {
		m.memory.flush()
	}
}

// Stop reads no more, writes until ctx ends what has been read, and keeps the
// positions.
func (m *mirror) Stop(ctx context.Context) error {
	m.mu.Lock()
	m.halt() // no copier begins after this
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		m.drained.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("mirror %s: records that it has read are not in the copy: %w", m.spec.Mirror.Name, context.Cause(ctx))
	}
	m.memory.flush()
	m.end()
	return errors.Join(m.err(), err)
}

// Crash ends it without keeping its positions.
func (m *mirror) Crash() { m.end() }

func (m *mirror) end() {
	m.once.Do(func() {
		m.mu.Lock()
		m.cancel()
		m.mu.Unlock()
		m.source.close(true)
		m.target.close(true)
		within(patience, m.wait.Wait)
	})
}
