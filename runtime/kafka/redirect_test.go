package kafka

// This file tests how members go on at another cluster, with two clusters in one
// plan: fail_over and fail_back as the load sees them.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// pace is the rate of the producers here: enough to tell, and little enough that a
// machine that is busy with other tests keeps up.
const pace = 300

// twoClusters is scenario with a second cluster of one broker, west, and the
// topics that a mirror of orders brings with it there.
func twoClusters() *plan.Plan {
	p := scenario()
	p.Clusters = append(p.Clusters, plan.Cluster{Name: "west", Config: map[string]string{},
		Nodes: []plan.Node{{ID: 1, Role: plan.RoleCombined, Site: plan.ImpliedSite}}})
	p.Topics = append(p.Topics,
		plan.Topic{Name: "west/kafka.orders", Kafka: "kafka.orders", Origin: plan.Mirrored, Of: "orders", Mirror: "copy",
			Cluster: "west", Partitions: 6, Replicas: 1, MinInsync: 1},
		plan.Topic{Name: "west/orders", Kafka: "orders", Origin: plan.FailedTo, Of: "orders", Mirror: "copy",
			Cluster: "west", Partitions: 6, Replicas: 1, MinInsync: 1})
	return p
}

// to is the way to topics of a cluster for a member.
func (b *bed) to(client string, member int, topics ...string) runtime.Destination {
	b.t.Helper()
	var d runtime.Destination
	for _, name := range topics {
		d.Topics = append(d.Topics, *b.plan.Topic(name))
	}
	d.Bootstrap = b.addresses(d.Topics[0].Cluster, client, member)
	return d
}

// cut cuts a client's member off from a cluster, both ways, and from no other.
func (b *bed) cut(client string, member int, cluster string) {
	b.t.Helper()
	me := runtime.Endpoint{Place: runtime.Place{Client: client, Member: member, Site: plan.ImpliedSite}}
	var paths []runtime.Path
	for _, n := range b.plan.Cluster(cluster).Nodes {
		node := runtime.Endpoint{Node: runtime.NodeKey{Cluster: cluster, ID: n.ID}}
		paths = append(paths, runtime.Path{From: me, To: node, Condition: plan.Condition{Cut: true}},
			runtime.Path{From: node, To: me, Condition: plan.Condition{Cut: true}})
	}
	b.shape(paths)
}

func (b *bed) shape(paths []runtime.Path) {
	b.t.Helper()
	if proof, err := b.world.(runtime.Network).Shape(b.ctx, paths); err != nil || !proof.OK {
		b.t.Fatalf("shape: got %+v, %v", proof, err)
	}
}

// redirect sends a member elsewhere and tells how much scenario time that took.
func (b *bed) redirect(m runtime.Member, d runtime.Destination) time.Duration {
	b.t.Helper()
	from := b.clock.Now()
	if err := m.(runtime.Redirecter).Redirect(b.ctx, d); err != nil {
		b.t.Fatalf("redirect: %v", err)
	}
	return b.clock.Now() - from
}

// acknowledged waits for n more acknowledgements.
func (b *bed) acknowledged(n int) {
	b.t.Helper()
	n += len(b.seen().acked)
	b.await(10*time.Second, fmt.Sprintf("%d acknowledged", n), func(s seen) bool { return len(s.acked) >= n })
}

// where counts acknowledged records by the topic that they are in, and checks
// that each has one fate, and that in each partition of the second topic the
// order is that in which they were due.
func (b *bed) where(s seen) map[string]int {
	b.t.Helper()
	if got := len(s.acked) + len(s.failed) + len(s.unknown); got != s.accepted {
		b.t.Errorf("fates: got %d (%d acked, %d failed, %d unknown), want %d, one for each accepted record",
			got, len(s.acked), len(s.failed), len(s.unknown), s.accepted)
	}
	out := map[string]int{}
	type at struct{ seq, offset int64 }
	order := map[record.TopicPartition][]at{}
	for k, spans := range s.acked {
		if len(spans) != 1 {
			b.t.Errorf("record %v: got %d acknowledgements, want 1", k, len(spans))
		}
		name := b.plan.Topics[spans[0].Topic].Name
		out[name]++
		tp := record.TopicPartition{Topic: name, Partition: spans[0].Partition}
		order[tp] = append(order[tp], at{int64(k.seq), spans[0].Offset})
	}
	for tp, list := range order {
		slices.SortFunc(list, func(x, y at) int { return int(x.offset - y.offset) })
		for i := 1; i < len(list); i++ {
			if list[i].seq <= list[i-1].seq {
				b.t.Errorf("%v: record %d stands at offset %d behind record %d", tp, list[i].seq, list[i].offset, list[i-1].seq)
				break
			}
		}
	}
	return out
}

// Two members are cut off from their cluster and go on at another: what was not
// acknowledged is sent again there, before what became due later.
func TestProducerFailsOver(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*plan.Producer)
	}{
		{"plain", func(*plan.Producer) {}},
		{"idempotent", func(p *plan.Producer) { p.Idempotent = true }},
		{"as fast as it goes", func(p *plan.Producer) { p.MaxRate, p.Rate, p.Buffer = true, 0, 1<<20 }},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := twoClusters()
			x.change(&p.Producers[0])
			b := start(t, p, 10)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), pace)
			b.acknowledged(500)
			b.cut("shop", 1, "kafka")
			b.sleep(2 * time.Second)
			if took := b.redirect(shop, b.to("shop", 1, "west/orders")); took > 5*time.Second+b.slack() {
				t.Errorf("redirect: took %v, want no wait for the cluster that is left", took)
			}
			b.sleep(3 * time.Second)
			b.stop(shop)
			s := b.seen()
			at := b.where(s)
			if len(s.failed)+len(s.unknown) > 0 {
				t.Errorf("got %d failed and %d unknown, want every record acknowledged", len(s.failed), len(s.unknown))
			}
			if at["orders"] < 400 || at["west/orders"] < 400 || len(at) != 2 {
				t.Errorf("acknowledged: got %v, want many in both topics", at)
			}
			if s.late > s.accepted/100 && b.slack() < time.Second {
				t.Errorf("late: got %d of %d, want none: the client waited, not the machine", s.late, s.accepted)
			}
		})
	}
}

// With both clusters healthy nothing is disturbed but a moment's acknowledgements.
func TestProducerFailsBack(t *testing.T) {
	b := start(t, twoClusters(), 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), pace)
	for _, topic := range []string{"west/orders", "orders", "west/orders"} {
		b.acknowledged(500)
		b.redirect(shop, b.to("shop", 1, topic))
	}
	b.acknowledged(500)
	b.stop(shop)
	s := b.seen()
	at := b.where(s)
	if len(s.acked) != s.accepted || at["orders"] < 800 || at["west/orders"] < 800 {
		t.Errorf("acknowledged: got %v of %d, want all", at, s.accepted)
	}
	if n := len(s.segments); n != 2 {
		t.Errorf("segments: got %+v, want begin and end: the schedule knows nothing of it", s.segments)
	}
	for part := range int32(6) {
		if gap := s.longest(part); gap > 2*time.Second+b.slack() {
			t.Errorf("partition %d: longest silence %v, want about none", part, gap)
		}
	}
}

// A destination of another number of partitions is noted in the schedule.
func TestProducerFailsOverToFewerPartitions(t *testing.T) {
	p := twoClusters()
	p.Topics[2].Partitions = 4
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), pace)
	b.sleep(time.Second)
	b.cut("shop", 1, "kafka")
	b.sleep(time.Second)
	b.redirect(shop, b.to("shop", 1, "west/orders"))
	b.sleep(2 * time.Second)
	b.stop(shop)
	s := b.seen()
	b.where(s)
	if len(s.acked) != s.accepted {
		t.Errorf("acknowledged: got %d of %d, want all", len(s.acked), s.accepted)
	}
	var parts []int
	for _, g := range s.segments {
		if !g.End {
			parts = append(parts, g.Segment.Partitions)
		}
	}
	if !slices.Equal(parts, []int{6, 4}) {
		t.Errorf("partitions of the schedule: got %v, want 6, then 4", parts)
	}
}

// What cannot be reached yet is an error, and the member goes there all the same
// as soon as it can.
func TestProducerKeepsTrying(t *testing.T) {
	p := twoClusters()
	p.Producers[0].Config = map[string]string{"request.timeout.ms": "2000", "socket.connection.setup.timeout.ms": "2000"}
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), pace)
	b.sleep(time.Second)
	d := b.to("shop", 1, "west/orders")
	b.cut("shop", 1, "west")
	ctx, cancel := context.WithTimeout(b.ctx, 300*time.Millisecond)
	defer cancel()
	err := shop.(runtime.Redirecter).Redirect(ctx, d)
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Fatalf("got error %v, want one that names the deadline", err)
	}
	b.shape(nil)
	b.acknowledged(1200)
	b.stop(shop)
	s := b.seen()
	at := b.where(s)
	if len(s.acked) != s.accepted || at["west/orders"] < 900 {
		t.Errorf("acknowledged: got %v of %d, want all, most in west/orders", at, s.accepted)
	}
}

// A member that crashes on its way, and one that crashes after it, lose nothing:
// the next incarnation goes on where its client is to be.
func TestProducerCrashesOnTheWay(t *testing.T) {
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprintf("early %v", early), func(t *testing.T) {
			p := twoClusters()
			b := start(t, p, 10)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), pace)
			b.sleep(time.Second)
			b.cut("shop", 1, "kafka")
			b.sleep(time.Second)
			d := b.to("shop", 1, "west/orders")
			if early {
				ended := make(chan error)
				go func() { ended <- shop.(runtime.Redirecter).Redirect(b.ctx, d) }()
				shop.Crash()
				<-ended
			} else {
				b.redirect(shop, d)
				shop.Crash()
			}
			b.sleep(time.Second)
			x := p.Producers[0]
			again, err := b.load.Producer(b.ctx, runtime.ProducerSpec{Env: b.env(), Producer: x, Topic: d.Topics[0],
				Member: 1, Members: 1, Bootstrap: d.Bootstrap, Log: b.log.Producer("shop", 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(again.Crash)
			again.Begin(b.clock.Now(), pace)
			b.acknowledged(600)
			b.stop(again)
			s := b.seen()
			at := b.where(s)
			if len(s.failed)+len(s.unknown) > 0 || len(s.acked) != s.accepted || at["west/orders"] < 400 {
				t.Errorf("got %v acknowledged, %d failed, %d unknown of %d, want all acknowledged", at, len(s.failed), len(s.unknown), s.accepted)
			}
		})
	}
}

func TestProducerRefusesDestinations(t *testing.T) {
	p := twoClusters()
	b := start(t, p, 10)
	shop := b.producer(1).(runtime.Redirecter)
	d := b.to("shop", 1, "west/orders")
	for _, x := range []struct {
		name string
		d    runtime.Destination
		want string
	}{
		{"no topic", runtime.Destination{Bootstrap: d.Bootstrap}, "got 0 topics"},
		{"no address", runtime.Destination{Topics: d.Topics}, "bootstrap"},
	} {
		if err := shop.Redirect(b.ctx, x.d); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got error %v, want one with %q", x.name, err, x.want)
		}
	}
	shop.(runtime.Producer).Crash()
	if err := shop.Redirect(b.ctx, d); err == nil {
		t.Error("after a crash: got no error")
	}
}

// A group that cannot be reached holds nobody up; at the destination members
// begin at Consumer.Start, as nothing is committed there, and topics that are
// not there yet are read when they come.
func TestConsumerFailsOver(t *testing.T) {
	p := twoClusters()
	b := start(t, p, 10)
	shop := b.producer(1)
	members := b.consumers(2)
	shop.Begin(b.clock.Now(), pace)
	b.sleep(2 * time.Second)
	for i := range members {
		b.cutAll("kafka", "billing", i+1)
	}
	b.sleep(time.Second)
	b.redirect(shop, b.to("shop", 1, "west/orders"))
	var took [2]time.Duration
	done := make(chan struct{}, 2)
	for i, m := range members {
		d := b.to("billing", i+1, "west/orders", "west/kafka.orders")
		go func() { took[i] = b.redirect(m, d); done <- struct{}{} }()
	}
	<-done
	<-done
	for i := range took {
		if took[i] > 10*time.Second+b.slack() {
			t.Errorf("member %d: took %v, want no wait for the group that is left", i+1, took[i])
		}
	}
	b.sleep(time.Second)
	copied := p.Topics[1]
	copied.Name, copied.Kafka, copied.Origin = copied.Kafka, "", plan.Declared
	if err := b.control.Create(b.ctx, "west", []plan.Topic{copied}); err != nil {
		t.Fatal(err)
	}
	b.await(10*time.Second, "partitions of all three topics assigned", func(s seen) bool {
		owned := map[string]bool{}
		for _, c := range s.changes {
			for _, tp := range c.Assigned {
				owned[tp.Topic] = true
			}
		}
		return owned["orders"] && owned["west/orders"] && owned["west/kafka.orders"]
	})
	b.acknowledged(600)
	b.stop(shop)
	s := b.await(20*time.Second, "what stands in west/orders delivered", func(s seen) bool { return b.undelivered(s, "west/orders") == 0 })
	for _, m := range members {
		b.stop(m)
	}
	if at := b.where(s); at["west/orders"] < 400 {
		t.Errorf("acknowledged: got %v, want many in west/orders", at)
	}
	if s.foreign > 0 {
		t.Errorf("foreign: got %d, want none", s.foreign)
	}
}

// undelivered counts acknowledged records of a topic that nobody had.
func (b *bed) undelivered(s seen, topic string) int {
	n := 0
	for k, spans := range s.acked {
		if b.plan.Topics[spans[0].Topic].Name == topic && s.delivered[k] == 0 {
			n++
		}
	}
	return n
}

// cutAll cuts another member off, keeping what is cut already.
func (b *bed) cutAll(cluster, client string, member int) {
	b.t.Helper()
	b.mu.Lock()
	me := runtime.Endpoint{Place: runtime.Place{Client: client, Member: member, Site: plan.ImpliedSite}}
	for _, n := range b.plan.Cluster(cluster).Nodes {
		node := runtime.Endpoint{Node: runtime.NodeKey{Cluster: cluster, ID: n.ID}}
		b.cuts = append(b.cuts, runtime.Path{From: me, To: node, Condition: plan.Condition{Cut: true}},
			runtime.Path{From: node, To: me, Condition: plan.Condition{Cut: true}})
	}
	paths := slices.Clone(b.cuts)
	b.mu.Unlock()
	b.shape(paths)
}

// A group that fails back first reads what stands where it is, and each member
// waits for the others; after that it goes on from its committed offsets.
func TestConsumerFinishes(t *testing.T) {
	for _, commit := range []string{"after", "before", "auto", "none"} {
		t.Run(commit, func(t *testing.T) {
			p := twoClusters()
			p.Consumers[0].Commit = commit
			p.Consumers[0].Work = plan.Duration(5 * time.Millisecond)      // two members take 400 a second
			p.Consumers[0].SessionTimeout = plan.Duration(5 * time.Minute) // no member is to lose its claims for want of machine
			b := start(t, p, 10)
			members := b.consumers(2)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), 3*pace)
			b.acknowledged(1500)
			b.redirect(shop, b.to("shop", 1, "west/orders"))
			done := make(chan struct{}, 2)
			for i, m := range members {
				d := b.to("billing", i+1, "west/orders")
				d.Finish = true
				go func() { b.redirect(m, d); done <- struct{}{} }()
			}
			<-done
			<-done
			b.stop(shop)
			s := b.seen()
			at := b.where(s)
			if n := b.undelivered(s, "orders"); n > 0 || at["orders"] < 1200 {
				t.Errorf("of %v: got %d of orders not delivered, want none", at, n)
			}
		})
	}
}

// What cannot be read in time is left.
func TestConsumerLeavesWhatItCannotFinish(t *testing.T) {
	p := twoClusters()
	b := start(t, p, 10)
	m := b.consumer(1)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), pace)
	b.sleep(time.Second)
	b.cut("billing", 1, "kafka")
	d := b.to("billing", 1, "west/orders")
	d.Finish = true
	from := b.clock.Now()
	ctx, cancel := context.WithTimeout(b.ctx, 6*time.Second)
	defer cancel()
	if err := m.(runtime.Redirecter).Redirect(ctx, d); err != nil && b.slack() < 10*time.Second {
		t.Errorf("got error %v, want none: it is ready in what is left of the time", err)
	}
	if took := b.clock.Now() - from; took < 30*time.Second {
		t.Errorf("took %v, want the time that finishing may take: three quarters of 60 s", took)
	}
	b.stop(shop)
}

// A member that is stopped on its way still goes there, and one that is sent
// elsewhere before it has come goes where it was sent last.
func TestProducerChangesItsWay(t *testing.T) {
	for _, x := range []string{"stopped", "sent elsewhere"} {
		t.Run(x, func(t *testing.T) {
			p := twoClusters()
			p.Producers[0].Config = map[string]string{"request.timeout.ms": "2000", "socket.connection.setup.timeout.ms": "2000"}
			b := start(t, p, 10)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), pace)
			b.acknowledged(200)
			d := b.to("shop", 1, "west/orders")
			b.cut("shop", 1, "west")
			ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
			defer cancel()
			if err := shop.(runtime.Redirecter).Redirect(ctx, d); err == nil {
				t.Fatal("got no error, want that the destination cannot be reached")
			}
			want := "west/orders"
			if x == "stopped" {
				ended := make(chan error, 1)
				go func() { ended <- shop.Stop(b.ctx) }()
				b.sleep(time.Second)
				b.shape(nil)
				if err := <-ended; err != nil {
					t.Error(err)
				}
			} else {
				want = "orders"
				b.redirect(shop, b.to("shop", 1, "orders"))
				b.shape(nil)
				b.sleep(2 * time.Second)
				b.stop(shop)
			}
			s := b.seen()
			at := b.where(s)
			if len(s.acked) != s.accepted || at[want] < 100 || x != "stopped" && len(at) != 1 {
				t.Errorf("acknowledged: got %v of %d, want all, what was on the way in %s", at, s.accepted, want)
			}
		})
	}
}

// A transaction cannot go on at another cluster.
func TestTransactionsStayWhereTheyAre(t *testing.T) {
	p := twoClusters()
	p.Producers[0].Transaction, p.Producers[0].Idempotent = 10, true
	b := start(t, p, 10)
	shop := b.producer(1)
	err := shop.(runtime.Redirecter).Redirect(b.ctx, b.to("shop", 1, "west/orders"))
	if err == nil || !strings.Contains(err.Error(), "transaction") {
		t.Errorf("got error %v, want one about transactions", err)
	}
}
