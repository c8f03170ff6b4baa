package core

// This file defines the harness of the tests: a World under a virtual clock, and
// producers that behave as sarama does, one for each partition.

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func newWorld(t testing.TB, o Options) *World {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// must ends the test on an error of a fault.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle advances until the cluster is settled.
func settle(t testing.TB, w *World) {
	t.Helper()
	if err := within(w, 60*sec, func() error { return w.Settled() }); err != nil {
		t.Fatalf("not settled at %v: %v", w.Now(), err)
	}
}

// within advances until ok gives nil, for at most d.
func within(w *World, d time.Duration, ok func() error) error {
	end := w.Now() + d
	for {
		err := ok()
		if err == nil || w.Now() >= end {
			return err
		}
		w.Advance(w.Now() + 10*ms)
	}
}

// ask sends one request to a broker and advances until the answer is there.
func ask(t testing.TB, w *World, broker int32, req kmsg.Request) kmsg.Response {
	t.Helper()
	var got kmsg.Response
	w.Request(broker, ClientConn{ID: 1, ClientID: "test"}, req, func(r kmsg.Response) { got = r })
	err := within(w, 60*sec, func() error {
		if got == nil {
			return fmt.Errorf("no answer")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("request %s to broker %d: %v", kmsg.NameForKey(req.Key()), broker, err)
	}
	if got.GetVersion() != req.GetVersion() && req.Key() != int16(kmsg.ApiVersions) {
		t.Fatalf("request %s: got an answer of version %d, want %d", kmsg.NameForKey(req.Key()), got.GetVersion(), req.GetVersion())
	}
	return got
}

// at sets a request's version to the highest that the brokers answer.
func at[R kmsg.Request](req R) R {
	_, highest, _ := Supported(req.Key())
	req.SetVersion(highest)
	return req
}

// createTopic makes a topic and waits until it is settled. placement may be nil.
func createTopic(t testing.TB, w *World, via int32, name string, partitions int, replicas int, configs map[string]string, placement [][]int32) {
	t.Helper()
	req := at(kmsg.NewPtrCreateTopicsRequest())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, int32(partitions), int16(replicas)
	for i, p := range placement {
		rt.NumPartitions, rt.ReplicationFactor = -1, -1
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), p
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	}
	for _, k := range sortedNames(configs) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, kmsg.StringPtr(configs[k])
		rt.Configs = append(rt.Configs, c)
	}
	req.Topics = append(req.Topics, rt)
	resp := ask(t, w, via, req).(*kmsg.CreateTopicsResponse)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("create topic %s: got error %d %v", name, code, *resp.Topics[0].ErrorMessage)
	}
	settle(t, w)
}

// testTime is 2026-06-01, younger than any retention in the time of these tests.
const testTime = 1_780_272_000_000

// makeBatch makes a v2 batch of n records of size bytes each, numbered from first.
func makeBatch(first int64, n, size int, producerID int64, epoch int16, sequence int32) []byte {
	var body []byte
	for i := range n {
		value := make([]byte, max(size, 8))
		binary.BigEndian.PutUint64(value, uint64(first+int64(i)))
		rec := kmsg.Record{OffsetDelta: int32(i), Value: value}
		rec.Length = int32(len(rec.AppendTo(nil)) - 1)
		body = rec.AppendTo(body)
	}
	rb := kmsg.RecordBatch{
		Length: int32(batchHeader - 12 + len(body)), PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(n - 1),
		ProducerID: producerID, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: int32(n), Records: body,
		FirstTimestamp: testTime, MaxTimestamp: testTime,
	}
	data := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(data[batchCRC:], crc32.Checksum(data[batchAttributes:], castagnoli))
	return data
}

// values reads back the numbers that makeBatch put into a log.
func values(l *partitionLog) []int64 {
	var out []int64
	for _, e := range l.entries {
		for _, r := range e.b.groupRecords() {
			out = append(out, int64(binary.BigEndian.Uint64(r.Value)))
		}
	}
	return out
}

func produceRequest(topic string, partition int32, acks int16, data []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(10)
	req.Acks, req.TimeoutMillis = acks, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, data
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// load is one producer for one partition, in the manner of sarama: it keeps one request
// under way, tries again 100 ms after an error with fresh metadata from a living
// broker, and gives a silent connection readTimeout.
type load struct {
	w         *World
	topic     string
	partition int32
	acks      int16
	every     time.Duration
	// reach are the brokers that the client can talk to.
	reach       func(broker int32) bool
	readTimeout time.Duration

	leader     int32
	next       int64
	queue      []int64
	busy       bool
	stopped    bool
	acked      []int64
	ackedAt    []time.Duration
	lastErrors map[int16]int
	fails      int
}

func (l *load) start() {
	if l.every == 0 {
		l.every = 10 * ms
	}
	if l.readTimeout == 0 {
		l.readTimeout = 30 * sec
	}
	if l.reach == nil {
		l.reach = func(int32) bool { return true }
	}
	l.lastErrors = map[int16]int{}
	l.tick()
}

func (l *load) tick() {
	if l.stopped {
		return
	}
	l.queue = append(l.queue, l.next)
	l.next++
	l.send()
	l.w.at(l.w.now+l.every, l.tick)
}

// refresh asks the living brokers, from a different one each time, as sarama does.
func (l *load) refresh() {
	for i := range l.w.brokers {
		id := l.w.brokers[(l.fails+i)%len(l.w.brokers)]
		n := l.w.byID[id]
		if !n.accepts(chanFetch) || !l.reach(id) {
			continue
		}
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(7)
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = kmsg.StringPtr(l.topic)
		req.Topics = append(req.Topics, mt)
		l.w.Request(id, ClientConn{ID: 2}, req, func(r kmsg.Response) {
			for _, p := range r.(*kmsg.MetadataResponse).Topics[0].Partitions {
				if p.Partition == l.partition && p.ErrorCode == 0 {
					l.leader = p.Leader
				}
			}
		})
		return
	}
}

func (l *load) again() {
	l.busy = false
	l.fails++
	l.w.at(l.w.now+100*ms, func() {
		l.leader = 0
		l.refresh()
		l.send()
	})
	l.busy = true
	l.w.at(l.w.now+100*ms, func() {
		l.busy = false
		l.send()
	})
}

func (l *load) send() {
	if l.busy || len(l.queue) == 0 || l.stopped {
		return
	}
	if l.leader == 0 {
		l.refresh()
	}
	n := l.w.byID[l.leader]
	if n == nil || !n.accepts(chanFetch) && n.state != PoweredOff || !l.reach(l.leader) {
		l.again()
		return
	}
	l.busy = true
	count := len(l.queue)
	first := l.queue[0]
	inc, settled := n.incarnation, false
	finish := func(ok bool) {
		if settled {
			return
		}
		settled = true
		l.busy = false
		if !ok {
			l.again()
			return
		}
		for _, v := range l.queue[:count] {
			l.acked = append(l.acked, v)
			l.ackedAt = append(l.ackedAt, l.w.now)
		}
		l.queue = l.queue[count:]
		l.send()
	}
	deadline := l.w.now + l.readTimeout
	// A killed broker resets the connection.
	var watch func()
	watch = func() {
		switch {
		case settled:
		case n.incarnation != inc && n.state != PoweredOff || l.w.now >= deadline:
			finish(false)
		default:
			l.w.at(l.w.now+20*ms, watch)
		}
	}
	watch()
	if l.reach(l.leader) {
		l.w.Request(l.leader, ClientConn{ID: 3}, produceRequest(l.topic, l.partition, l.acks, makeBatch(first, count, 8, -1, -1, -1)), func(r kmsg.Response) {
			code := r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
			if code != 0 {
				l.lastErrors[code]++
			}
			finish(code == 0)
		})
	}
}

// stall is the longest silence between two acknowledgements in [from, to].
func (l *load) stall(from, to time.Duration) time.Duration {
	last, worst := from, time.Duration(0)
	for _, at := range l.ackedAt {
		if at < from || at > to {
			continue
		}
		worst = max(worst, at-last)
		last = at
	}
	return max(worst, to-last)
}

func startLoad(w *World, topic string, partitions int, acks int16) []*load {
	var loads []*load
	for p := range partitions {
		l := &load{w: w, topic: topic, partition: int32(p), acks: acks}
		l.start()
		loads = append(loads, l)
	}
	return loads
}

// leaders gives the leader of each partition, as the controllers have it.
func leaders(w *World, topic string) []int32 {
	var out []int32
	for _, p := range w.Partitions(0) {
		if p.Topic == topic {
			out = append(out, p.Leader)
		}
	}
	return out
}

func TestClusterSettlesAndCarriesRecords(t *testing.T) {
	for _, o := range []Options{{Brokers: 1}, {Brokers: 3}, {Brokers: 3, Controllers: 3}, {Brokers: 5, Controllers: 1}} {
		t.Run(fmt.Sprintf("%d brokers %d controllers", o.Brokers, o.Controllers), func(t *testing.T) {
			w := newWorld(t, o)
			settle(t, w)
			if w.Now() > 6*sec {
				t.Errorf("settled at %v, want before 6s", w.Now())
			}
			createTopic(t, w, 1, "t", 6, min(3, o.Brokers), nil, nil)
			loads := startLoad(w, "t", 6, -1)
			start := w.Now()
			w.Advance(start + 5*sec)
			for _, l := range loads {
				if got := l.stall(start, w.Now()); got > 50*ms {
					t.Errorf("partition %d: got a stall of %v, want at most 50ms; errors %v", l.partition, got, l.lastErrors)
				}
				if got := len(l.acked); got < 490 {
					t.Errorf("partition %d: got %d acknowledged, want at least 490", l.partition, got)
				}
			}
			for _, r := range w.Replicas(1) {
				if r.LogEnd < 400 {
					t.Errorf("%s-%d on broker 1: got log end %d, want it replicated", r.Topic, r.Partition, r.LogEnd)
				}
			}
		})
	}
}

func TestBornIsWhenItSettles(t *testing.T) {
	for _, o := range []Options{{Brokers: 1}, {Brokers: 3}, {Brokers: 3, Controllers: 3}, {Brokers: 5, Controllers: 1, Seed: 7}} {
		born, err := Born(o)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, o)
		w.Advance(born - 1)
		if w.Settled() == nil {
			t.Errorf("%d brokers, %d controllers: settled before %v", o.Brokers, o.Controllers, born)
		}
		w.Advance(born)
		if err := w.Settled(); err != nil {
			t.Errorf("%d brokers, %d controllers: at %v: %v", o.Brokers, o.Controllers, born, err)
		}
	}
	if _, err := Born(Options{Config: map[string]string{"no.such": "1"}}); err == nil {
		t.Error("a config that Kafka does not have: got no error")
	}
}

// parseBatch is parse for a batch by itself.
func parseBatch(data []byte, maxBytes int) (*batch, error) {
	b := new(batch)
	return b, b.parse(data, maxBytes)
}
