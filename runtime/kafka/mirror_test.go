package kafka

// This file tests mirrors between two embedded clusters: what the copy keeps,
// what survives a restart, and where groups stand.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// mirrorScenario is scenario with a cluster west of one broker, to which mirror
// copy copies topic orders.
func mirrorScenario() *plan.Plan {
	p := scenario()
	p.Topics[0].Partitions = 2
	p.Clusters = append(p.Clusters, plan.Cluster{Name: "west", Config: map[string]string{},
		Nodes: []plan.Node{{ID: 1, Role: plan.RoleCombined, Site: plan.ImpliedSite}}})
	p.Topics = append(p.Topics, plan.Topic{Name: "west/kafka.orders", Kafka: "kafka.orders", Origin: plan.Mirrored, Of: "orders",
		Mirror: "copy", Cluster: "west", Partitions: 2, Replicas: 1, MinInsync: 1})
	p.Mirrors = []plan.Mirror{{Name: "copy", Topics: []string{"orders"}, From: "kafka", To: "west", Site: plan.ImpliedSite,
		Rename: plan.RenameDefault, SyncOffsetsEvery: plan.Duration(time.Second)}}
	return p
}

func (b *bed) mirrorSpec() runtime.MirrorSpec {
	b.t.Helper()
	return mirrorSpecOf(b.t, b)
}

func mirrorSpecOf(t testing.TB, b *bed) runtime.MirrorSpec {
	t.Helper()
	m := b.plan.Mirrors[0]
	s := runtime.MirrorSpec{Env: b.env(), Mirror: m, Place: runtime.Place{Client: m.Name, Member: 1, Site: m.Site}}
	for _, t := range m.Topics {
		s.Topics = append(s.Topics, *b.plan.Topic(t))
		s.Copies = append(s.Copies, *b.plan.Copy(m.Name, t))
	}
	for _, x := range []struct {
		cluster string
		to      *[]string
	}{{m.From, &s.From}, {m.To, &s.To}} {
		addrs, err := b.world.Bootstrap(x.cluster, s.Place)
		if err != nil {
			t.Fatal(err)
		}
		*x.to = addrs
	}
	return s
}

func (b *bed) mirror() runtime.Member {
	b.t.Helper()
	m, err := b.control.Mirror(b.ctx, b.mirrorSpec())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(m.Crash)
	return m
}

// until waits for something that takes a while.
func (b *bed) until(what string, ok func() bool) {
	b.t.Helper()
	for !ok() {
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("%s: not in time", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (b *bed) connected(cluster, topic string) *cluster {
	b.t.Helper()
	k, err := b.control.connect(b.ctx, cluster, topic)
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

// put writes records to a partition, by Kafka's names.
func (b *bed) put(cluster, topic string, partition int32, records ...logRecord) {
	b.t.Helper()
	if err := b.write(cluster, topic, partition, records); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) write(cluster, topic string, partition int32, records []logRecord) error {
	k, err := b.control.connect(b.ctx, cluster, topic)
	if err != nil {
		return err
	}
	defer k.close(true)
	set := b.control.settings(cluster)
	d := set.dialer()
	c := newClient(k, set.sarama(controlID, d), d)
	defer c.end(true)
	w := batchWriter{client: c, set: set, topic: topic, partition: partition, producer: -1}
	for len(records) > 0 {
		n := min(len(records), 5000)
		if _, err := w.write(records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// read gives a partition up to an offset.
func (b *bed) read(cluster, topic string, partition int32, end int64) []logRecord {
	b.t.Helper()
	k := b.connected(cluster, topic)
	defer k.close(true)
	f := newFetcher(k, b.control.settings(cluster), controlID, topic, partition, 0)
	defer f.end(true)
	stop := context.AfterFunc(b.ctx, func() { f.end(true) })
	defer stop()
	var out []logRecord
	for f.offset < end {
		x, err := f.records()
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, x.records...)
	}
	return out
}

// end is the high-water mark of a partition; -1 where it is not there.
func (b *bed) end(cluster, topic string, partition int32) int64 {
	b.t.Helper()
	s, err := b.world.Inspect(b.ctx, cluster)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range s.Partitions {
		if p.Topic == topic && p.Partition == partition {
			return p.HighWater
		}
	}
	return -1
}

// ancient is when the records of tests were made: long ago, and yet not so long
// that retention takes them away.
var ancient = time.Now().Add(-48 * time.Hour).Truncate(time.Second)

func numbered(from, n int) []logRecord {
	var out []logRecord
	for i := from; i < from+n; i++ {
		out = append(out, logRecord{key: fmt.Appendf(nil, "k%d", i%7), value: fmt.Appendf(nil, "v%d", i), timestamp: ancient.UnixMilli() + int64(i)})
	}
	return out
}

func same(a, b logRecord) bool {
	f := newPrints()
	return f.whole(a) == f.whole(b)
}

func TestMirrorCopies(t *testing.T) {
	p := mirrorScenario()
	p.Topics[0].Config = map[string]string{"retention.ms": "864000000", "message.timestamp.type": "CreateTime", "min.insync.replicas": "2"}
	b := start(t, p, 10)
	first := []logRecord{
		{key: []byte("k"), value: []byte("v"), timestamp: ancient.UnixMilli() + 123, headers: []*sarama.RecordHeader{{Key: []byte("h"), Value: []byte("1")}, {Key: []byte("h"), Value: nil}}},
		{key: nil, value: []byte{}, timestamp: ancient.UnixMilli() + 1},
		{key: []byte{}, value: nil, timestamp: ancient.UnixMilli() + 500},
	}
	b.put("kafka", "orders", 0, first...)
	m := b.mirror()
	more := numbered(0, 3000)
	b.put("kafka", "orders", 1, more...)
	b.until("the copy", func() bool {
		return b.end("west", "kafka.orders", 0) >= 3 && b.end("west", "kafka.orders", 1) >= 3000
	})
	for part, want := range map[int32][]logRecord{0: first, 1: more} {
		got := b.read("west", "kafka.orders", part, int64(len(want)))
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("partition %d: the copy differs: %d records, want %d", part, len(got), len(want))
		}
	}
	copied := plan.Ref{Kind: plan.RefTopic, Name: "west/kafka.orders"}
	got, err := b.control.Configs(b.ctx, "west", copied, []string{"retention.ms", "min.insync.replicas", "message.timestamp.type"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"retention.ms": "864000000", "min.insync.replicas": "(not set)", "message.timestamp.type": "(not set)"} {
		if text(got[name]) != want {
			t.Errorf("%s of the copy: got %s, want %s", name, text(got[name]), want)
		}
	}

	// The source grows, and so does the copy.
	b.do(plan.Action{Verb: plan.Resize, Targets: topicRef(), Partitions: 3})
	b.put("kafka", "orders", 2, numbered(0, 10)...)
	b.until("the new partition", func() bool { return b.end("west", "kafka.orders", 2) == 10 })

	// Deleted by hand, the copy is made again.
	if _, err := b.control.Do(b.ctx, "west", plan.Action{Verb: plan.Delete, Targets: []plan.Ref{copied}}); err != nil {
		t.Fatal(err)
	}
	b.until("the copy made again", func() bool { return b.end("west", "kafka.orders", 2) >= 0 })
	b.stop(m)
}

// What aborted stands in the copy as any record does, and the marker does not.
func TestMirrorReadsUncommitted(t *testing.T) {
	b := start(t, mirrorScenario(), 10)
	conf := sarama.NewConfig()
	conf.Version = protocol
	conf.Producer.Idempotent, conf.Net.MaxOpenRequests, conf.Producer.RequiredAcks = true, 1, sarama.WaitForAll
	conf.Producer.Return.Successes, conf.Producer.Transaction.ID = true, "t"
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	addrs, err := b.world.Bootstrap("kafka", runtime.Place{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := sarama.NewSyncProducer(addrs, conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, commit := range []bool{false, true} {
		if err := x.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := x.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder(fmt.Sprint(commit))}); err != nil {
			t.Fatal(err)
		}
		end := x.AbortTxn
		if commit {
			end = x.CommitTxn
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	m := b.mirror()
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) >= 2 })
	b.stop(m)
	got := b.read("west", "kafka.orders", 0, 2)
	if len(got) != 2 || string(got[0].value) != "false" || string(got[1].value) != "true" {
		t.Errorf("got %d records, want the aborted and the committed one", len(got))
	}
	if end := b.end("west", "kafka.orders", 0); end != 2 {
		t.Errorf("end of the copy: got %d, want 2, without markers", end)
	}
}

// A mirror that was stopped in order goes on where it was; one that crashed, where
// it last kept its position. Either way nothing is left out.
func TestMirrorRestarts(t *testing.T) {
	b := start(t, mirrorScenario(), 1)
	m := b.mirror()
	b.put("kafka", "orders", 0, numbered(0, 50)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) == 50 })
	b.stop(m)
	m = b.mirror()
	b.put("kafka", "orders", 0, numbered(50, 50)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) >= 100 })
	if end := b.end("west", "kafka.orders", 0); end != 100 {
		t.Errorf("after a stop: the copy ends at %d, want 100: nothing twice", end)
	}
	// The position of a crash is that of the last second.
	mem := b.control.mirrorMemory("copy")
	b.until("positions kept", func() bool {
		mem.mu.Lock()
		defer mem.mu.Unlock()
		for _, at := range mem.kept {
			if at == 100 {
				return true
			}
		}
		return false
	})
	b.put("kafka", "orders", 0, numbered(100, 20)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) >= 120 })
	m.Crash()
	mem.mu.Lock()
	again := int64(120)
	for _, at := range mem.kept {
		again = 120 - at
	}
	mem.mu.Unlock()
	m = b.mirror()
	b.put("kafka", "orders", 0, numbered(120, 5)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) >= 125+again })
	b.stop(m)
	seen := map[string]int{}
	for _, r := range b.read("west", "kafka.orders", 0, 125+again) {
		seen[string(r.value)]++
	}
	if len(seen) != 125 {
		t.Errorf("after a crash: got %d records in the copy, want all 125", len(seen))
	}
	if end := b.end("west", "kafka.orders", 0); end != 125+again {
		t.Errorf("after a crash: the copy ends at %d, want %d: %d records twice", end, 125+again, again)
	}
}

// Positions are translated and written while the group has no member at the
// target, never backwards.
func TestMirrorGroups(t *testing.T) {
	b := start(t, mirrorScenario(), 10)
	// Offsets of the copy are its own: the source's log has lost its beginning.
	b.put("kafka", "orders", 0, numbered(0, 40)...)
	b.do(plan.Action{Verb: plan.DeleteRecords, Targets: topicRef(), Offsets: &plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{0: 30}}})
	m := b.mirror()
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) == 10 })
	at := func(offset int64) {
		t.Helper()
		if err := b.control.commitFor(b.ctx, "kafka", "billing", map[string]map[int32]int64{"orders": {0: offset}}); err != nil {
			t.Fatal(err)
		}
	}
	there := func() int64 {
		t.Helper()
		g, err := b.control.Group(b.ctx, "west", "billing")
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := g.Committed["west/kafka.orders"][0]; ok {
			return n
		}
		return -1
	}
	at(40)
	b.until("the position at the end", func() bool { return there() == 10 })
	b.put("kafka", "orders", 0, numbered(40, 10)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) == 20 })
	at(50)
	b.until("the position further on", func() bool { return there() == 20 })
	at(45) // a group that goes back at the source does not at the target
	b.sleep(3 * time.Second)
	if n := there(); n != 20 {
		t.Errorf("position after going back at the source: got %d, want 20 still", n)
	}

	// With a member at the target the group is left alone.
	conf := sarama.NewConfig()
	conf.Version, conf.Consumer.Offsets.AutoCommit.Enable = protocol, false
	addrs, err := b.world.Bootstrap("west", runtime.Place{})
	if err != nil {
		t.Fatal(err)
	}
	group, err := sarama.NewConsumerGroup(addrs, "billing", conf)
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan struct{})
	ctx, leave := context.WithCancel(b.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = group.Consume(ctx, []string{"kafka.orders"}, idle{joined})
	}()
	<-joined
	b.put("kafka", "orders", 0, numbered(50, 10)...)
	at(60)
	b.until("the refusal", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.lines, func(s string) bool { return strings.Contains(s, "it has members at the target") })
	})
	if n := there(); n != 20 {
		t.Errorf("position of a group with members: got %d, want 20 still", n)
	}
	leave()
	<-ended
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	b.until("the position after the member left", func() bool { return there() == 30 })
	b.stop(m)
}

// idle is a member that reads nothing.
type idle struct{ joined chan struct{} }

func (h idle) Setup(sarama.ConsumerGroupSession) error   { close(h.joined); return nil }
func (h idle) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (h idle) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}

// A mirror that is cut off from its source, and then from its target, goes on when
// the cuts heal.
func TestMirrorCutOff(t *testing.T) {
	b := start(t, mirrorScenario(), 20)
	b.control.Reaches = func(client string, member int, addr string) bool {
		return b.world.(runtime.Reacher).Reaches(runtime.Place{Client: client, Member: member}, addr)
	}
	m := b.mirror()
	here := runtime.Endpoint{Place: b.mirrorSpec().Place}
	total := 0
	for _, cluster := range []string{"kafka", "west"} {
		b.put("kafka", "orders", 0, numbered(total, 10)...)
		total += 10
		b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) >= int64(total) })
		var paths []runtime.Path
		for _, n := range b.plan.Cluster(cluster).Nodes {
			there := runtime.Endpoint{Node: runtime.NodeKey{Cluster: cluster, ID: n.ID}}
			for _, x := range [][2]runtime.Endpoint{{here, there}, {there, here}} {
				paths = append(paths, runtime.Path{From: x[0], To: x[1], Condition: plan.Condition{Cut: true}})
			}
		}
		shape := func(paths []runtime.Path) {
			t.Helper()
			if p, err := b.world.(runtime.Network).Shape(b.ctx, paths); err != nil || !p.OK {
				t.Fatalf("shape: got %+v, %v", p, err)
			}
		}
		before := b.end("west", "kafka.orders", 0)
		shape(paths)
		b.put("kafka", "orders", 0, numbered(total, 10)...)
		total += 10
		b.sleep(5 * time.Second)
		if end := b.end("west", "kafka.orders", 0); end != before {
			t.Errorf("cut off from %s: the copy went from %d to %d", cluster, before, end)
		}
		shape(nil)
		b.until("the copy after healing", func() bool { return b.end("west", "kafka.orders", 0) >= before+10 })
	}
	b.stop(m)
	seen := map[string]bool{}
	for _, r := range b.read("west", "kafka.orders", 0, b.end("west", "kafka.orders", 0)) {
		seen[string(r.value)] = true
	}
	if len(seen) != total {
		t.Errorf("got %d of %d records in the copy", len(seen), total)
	}
}

// A record that the target refuses for good stops the mirror, and it says so; a
// batch that is too large is written in parts.
func TestMirrorStopsOnRefusal(t *testing.T) {
	b := start(t, mirrorScenario(), 10)
	m := b.mirror()
	copied := plan.Ref{Kind: plan.RefTopic, Name: "west/kafka.orders"}
	if _, err := b.control.Do(b.ctx, "west", plan.Action{Verb: plan.Configure, Targets: []plan.Ref{copied}, Config: map[string]string{"max.message.bytes": "200"}}); err != nil {
		t.Fatal(err)
	}
	b.put("kafka", "orders", 0, numbered(0, 50)...)
	b.until("the copy in parts", func() bool { return b.end("west", "kafka.orders", 0) == 50 })
	if got := b.read("west", "kafka.orders", 0, 50); !slices.EqualFunc(got, numbered(0, 50), same) {
		t.Errorf("the copy in parts differs: got %d records", len(got))
	}
	b.put("kafka", "orders", 0, logRecord{value: make([]byte, 1000), timestamp: ancient.UnixMilli()})
	b.until("the end", func() bool { return m.(*mirror).err() != nil })
	if err := m.Stop(b.ctx); !errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		t.Errorf("stop: got %v, want MESSAGE_TOO_LARGE", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.lines, func(s string) bool { return strings.Contains(s, "mirror copy: stopped: ") }) {
		t.Errorf("got %q, want that it stopped", b.lines)
	}
}

// A mirror whose target cannot take the copy says why; with as many replicas as
// brokers it goes.
func TestMirrorNeedsBrokers(t *testing.T) {
	p := mirrorScenario()
	p.Topics[1].Replicas = 3
	b := start(t, p, 10)
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	if m, err := b.control.Mirror(ctx, b.mirrorSpec()); err == nil || !strings.Contains(err.Error(), "mirror copy: ") {
		t.Errorf("three replicas on one broker: got %v, %v, want an error", m, err)
	}
	p.Topics[1].Replicas = 1
	b.stop(b.mirror())
}

// Translation never leads behind the record that a position stands before, is
// exact close to the newest pair, and declines what is older than all pairs.
func TestOffsetSyncs(t *testing.T) {
	var s offsetSyncs
	if _, ok := s.translate(0); ok {
		t.Error("without a pair: got a translation")
	}
	const shift, first, last = 1000, 5000, 25000
	for up := int64(first); up <= last; up++ {
		s.add(syncPoint{up, up - shift})
	}
	for _, c := range []struct {
		up   int64
		want int64
	}{{last + 1, last + 1 - shift}, {last + 500, last + 1 - shift}, {last, last - shift}, {last - 1, last - 1 - shift}} {
		if got, ok := s.translate(c.up); !ok || got != c.want {
			t.Errorf("translate(%d): got %d, %v, want %d", c.up, got, ok, c.want)
		}
	}
	for up := int64(first); up <= last; up++ {
		got, ok := s.translate(up)
		if !ok {
			if up >= first+last/2 {
				t.Fatalf("translate(%d): got none", up)
			}
			continue
		}
		if got > up-shift {
			t.Fatalf("translate(%d): got %d, which is behind %d", up, got, up-shift)
		}
		if far := last - up; up-shift-got > 2*far+1 {
			t.Fatalf("translate(%d): got %d, %d too early at a distance of %d", up, got, up-shift-got, far)
		}
	}
	if _, ok := s.translate(first - 1); ok {
		t.Error("before the first pair: got a translation")
	}
	// Where the source begins again, what was known of it is wrong.
	s.add(syncPoint{10, 90000})
	if got, ok := s.translate(last); !ok || got != 90001 {
		t.Errorf("after a rewind: got %d, %v, want 90001", got, ok)
	}
}
