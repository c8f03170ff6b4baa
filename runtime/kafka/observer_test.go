package kafka

// This file tests observers: consumers without a group, of topics that may not
// be there yet.

import (
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// watching is twoClusters with an observer of the copy, and a producer of the
// fail-over topic whose records stand for what a mirror writes.
func watching() *plan.Plan {
	p := twoClusters()
	p.Consumers = append(p.Consumers, plan.Consumer{Name: "copy", Observes: "copy", Topics: []string{"west/kafka.orders"},
		Members: 1, Start: "earliest", Commit: "none"})
	p.Clusters[1].Nodes = append([]plan.Node(nil), p.Clusters[0].Nodes...)
	return p
}

func (b *bed) observer() runtime.Member {
	b.t.Helper()
	i := len(b.plan.Consumers) - 1
	x := b.plan.Consumers[i]
	addrs, err := b.world.Bootstrap("west", runtime.Place{})
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := b.load.Consumer(b.ctx, runtime.ConsumerSpec{Env: b.env(), Consumer: x, Index: i,
		Topics: []plan.Topic{*b.plan.Topic(x.Topics[0])}, Member: 1, Bootstrap: addrs, Log: b.log.Consumer(x.Name, 1)})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(m.Crash)
	return m
}

// west makes a topic on west.
func (b *bed) west(name string, partitions, replicas int) {
	b.t.Helper()
	err := b.control.Create(b.ctx, "west", []plan.Topic{{Name: name, Cluster: "west", Partitions: partitions, Replicas: replicas, MinInsync: 1}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// first tells when the first record of each partition of the copy came.
func (b *bed) first() map[int32]time.Duration {
	b.t.Helper()
	out := map[int32]time.Duration{}
	_, err := b.log.Recording().Scan(func(k *record.Block) error {
		return k.Spans(func(_ record.Stream, spans []record.Span) error {
			for _, x := range spans {
				if _, ok := out[x.Partition]; !ok && x.Op == record.OpDelivered && b.plan.Topics[x.Topic].Name == "west/kafka.orders" {
					out[x.Partition] = x.At
				}
			}
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// An observer begins before its topic is there, sees it and its new partitions
// within a second, and goes on when a broker is away.
func TestObserver(t *testing.T) {
	p := watching()
	p.Producers[0].Idempotent = true // so that the log has each record once
	p.Producers[0].Config = map[string]string{"metadata.max.age.ms": "1000"}
	b := start(t, p, 10)
	m := b.observer()
	b.sleep(time.Second)
	b.west("kafka.orders", 2, 3)
	x := p.Producers[0]
	shop, err := b.load.Producer(b.ctx, runtime.ProducerSpec{Env: b.env(), Producer: x, Topic: *p.Topic("west/kafka.orders"),
		Member: 1, Members: 1, Bootstrap: b.addresses("west", "shop", 1), Log: b.log.Producer("shop", 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Crash)
	shop.Begin(b.clock.Now(), pace)
	begun := b.clock.Now()
	b.sleep(2 * time.Second)
	if _, err := b.control.Do(b.ctx, "west", plan.Action{Verb: plan.Resize, Partitions: 4,
		Targets: []plan.Ref{{Kind: plan.RefTopic, Name: "west/kafka.orders"}}}); err != nil {
		t.Fatal(err)
	}
	b.sleep(4 * time.Second)
	node := runtime.NodeKey{Cluster: "west", ID: 2}
	for _, s := range []runtime.Signal{runtime.SignalKill, runtime.SignalStart} {
		if proof, err := b.world.(runtime.Processes).Signal(b.ctx, node, s); err != nil || !proof.OK {
			t.Fatalf("%s: got %+v, %v", s, proof, err)
		}
		b.sleep(12 * time.Second)
	}
	b.stop(shop)
	s := b.await(15*time.Second, "all delivered", func(s seen) bool { return len(s.delivered) == len(s.acked) })
	b.stop(m)
	if len(s.acked) != s.accepted || s.accepted < 3000 {
		t.Errorf("acknowledged: got %d of %d, want all", len(s.acked), s.accepted)
	}
	for k, n := range s.delivered {
		if n != 1 {
			t.Errorf("record %v: delivered %d times, want once", k, n)
			break
		}
	}
	first := b.first()
	for part := range int32(4) {
		at, ok := first[part]
		if acks := s.acks[part]; !ok || len(acks) == 0 || at-acks[0] > 1500*time.Millisecond+b.slack() {
			t.Errorf("partition %d: first delivery at %v (%v), first acknowledgement at %v, want about a second between at most", part, at, ok, acks[:min(1, len(acks))])
		}
	}
	if at := first[0]; at-begun > 2*time.Second+b.slack() {
		t.Errorf("first delivery %v after the topic was there, want about a second at most", at-begun)
	}
	if len(s.changes) > 0 {
		t.Errorf("changes of a group: got %v, want none: it has no group", s.changes)
	}
}
