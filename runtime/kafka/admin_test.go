package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

func topicRef() []plan.Ref { return []plan.Ref{{Kind: plan.RefTopic, Name: "orders"}} }

func (b *bed) do(a plan.Action) runtime.Proof {
	b.t.Helper()
	p, err := b.control.Do(b.ctx, "kafka", a)
	if err != nil || !p.OK || p.Text == "" || p.At.IsZero() {
		b.t.Fatalf("%s: got %+v, %v, want a proof", a.Verb, p, err)
	}
	return p
}

func TestAdmin(t *testing.T) {
	p := scenario()
	p.Topics[0] = plan.Topic{Name: "orders", Cluster: "kafka", Partitions: 3, Replicas: 2, MinInsync: 2,
		Placement: map[int][]int32{0: {1, 2}}, Config: map[string]string{"retention.ms": "1000000"}}
	b := start(t, p, 10)

	set := func(target plan.Ref, want map[string]string) {
		t.Helper()
		var names []string
		for n := range want {
			names = append(names, n)
		}
		got, err := b.control.Configs(b.ctx, "kafka", target, names)
		if err != nil {
			t.Fatal(err)
		}
		for n, v := range want {
			if text(got[n]) != v {
				t.Errorf("%s of %v: got %s, want %s", n, target, text(got[n]), v)
			}
		}
	}
	set(topicRef()[0], map[string]string{"min.insync.replicas": "2", "retention.ms": "1000000", "max.message.bytes": "(not set)"})

	before, err := b.control.Configs(b.ctx, "kafka", topicRef()[0], []string{"max.message.bytes", "retention.ms"})
	if err != nil {
		t.Fatal(err)
	}
	b.do(plan.Action{Verb: plan.Configure, Targets: topicRef(), Config: map[string]string{"max.message.bytes": "5000", "retention.ms": "77"}})
	set(topicRef()[0], map[string]string{"max.message.bytes": "5000", "retention.ms": "77"})
	if proof, err := b.control.Restore(b.ctx, "kafka", topicRef()[0], before); err != nil || !proof.OK {
		t.Errorf("restore: got %+v, %v", proof, err)
	}
	set(topicRef()[0], map[string]string{"max.message.bytes": "(not set)", "retention.ms": "1000000"})

	for _, ref := range []plan.Ref{{Kind: plan.RefCluster, Name: "kafka"}, {Kind: plan.RefBroker, Name: "kafka", Index: 2}} {
		b.do(plan.Action{Verb: plan.Configure, Targets: []plan.Ref{ref}, Config: map[string]string{"log.retention.ms": "99"}})
		set(ref, map[string]string{"log.retention.ms": "99"})
	}
	set(plan.Ref{Kind: plan.RefBroker, Name: "kafka", Index: 3}, map[string]string{"log.retention.ms": "(not set)"})

	b.do(plan.Action{Verb: plan.Resize, Targets: topicRef(), Partitions: 4})
	if n := len(b.ends()); n != 4 {
		t.Errorf("partitions: got %d, want 4", n)
	}
	b.do(plan.Action{Verb: plan.Move, Targets: topicRef(), Placement: map[int][]int32{0: {3, 1}}, Bandwidth: 10e6})
	set(topicRef()[0], map[string]string{"leader.replication.throttled.replicas": "(not set)"})
	b.do(plan.Action{Verb: plan.Elect, Targets: topicRef(), Elect: "preferred", Partition: -1})
	if got := b.leader(0); got != 3 {
		t.Errorf("leader of 0: got %d, want 3, the preferred one", got)
	}
	b.do(plan.Action{Verb: plan.Move, Targets: topicRef(), Off: &plan.Ref{Kind: plan.RefBroker, Name: "kafka", Index: 1}})
	s, err := b.world.Inspect(b.ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.Partitions {
		for _, r := range x.Replicas {
			if x.Topic == "orders" && r == 1 {
				t.Errorf("%s/%d: replicas %v, want none on broker 1", x.Topic, x.Partition, x.Replicas)
			}
		}
	}

	sent := b.do(plan.Action{Verb: plan.Send, Targets: topicRef(), Text: "hello", Key: "k"})
	if sent.Wrote == nil || sent.Wrote.Topic != "orders" || sent.Wrote.Offset != 0 {
		t.Errorf("send: got %+v, want where it stands", sent.Wrote)
	}
	b.audit()
	if x := b.seen(); x.foreign != 1 {
		t.Errorf("foreign in the audit: got %d, want the record of send", x.foreign)
	}
	if _, err := b.control.Coordinator(b.ctx, "kafka", "billing"); err != nil {
		t.Errorf("coordinator: %v", err)
	}
}

// What is wrong is said at once, in Kafka's words; what cannot be reached ends
// with the context.
func TestAdminErrors(t *testing.T) {
	p := scenario()
	p.Topics[0].Partitions = 2
	b := start(t, p, 10)
	ref := topicRef()
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"fewer partitions", func() error {
			_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Resize, Targets: ref, Partitions: 1})
			return err
		}, "resize orders: "},
		{"a value that is none", func() error {
			_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Configure, Targets: ref, Config: map[string]string{"retention.ms": "soon"}})
			return err
		}, "configure orders: "},
		{"nowhere to go", func() error {
			_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Move, Targets: ref, Off: &plan.Ref{Kind: plan.RefBroker, Name: "kafka", Index: 1}})
			return err
		}, "no other broker can take the replica of broker 1"},
		{"a topic twice", func() error {
			return b.control.Create(b.ctx, "kafka", p.Topics)
		}, "topic orders: "},
		{"more replicas than brokers", func() error {
			return b.control.Create(b.ctx, "kafka", []plan.Topic{{Name: "x", Cluster: "kafka", Partitions: 1, Replicas: 5}})
		}, "topic x: "},
	} {
		at := time.Now()
		err := c.do()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("%s: took %v, want an answer at once", c.name, took)
		}
	}
	for id := range int32(3) {
		b.signal(id+1, runtime.SignalKill)
	}
	ctx, cancel := context.WithTimeout(b.ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := b.control.Do(ctx, "kafka", plan.Action{Verb: plan.Resize, Targets: ref, Partitions: 4}); err == nil {
		t.Error("resize without brokers: got no error, want one when the context ends")
	}
}

// A record for a partition whose leader has just died goes to the next one: the
// dead one's address refuses connections, so nobody was handed the record.
func TestSendToDeadLeader(t *testing.T) {
	p := scenario()
	p.Topics[0].Partitions, p.Topics[0].MinInsync = 1, 1
	b := start(t, p, 10)
	victim := b.leader(0)
	b.signal(victim, runtime.SignalKill)
	sent := b.do(plan.Action{Verb: plan.Send, Targets: topicRef(), Text: "hello"})
	if sent.Wrote == nil || sent.Wrote.Offset != 0 {
		t.Errorf("send: got %+v, want offset 0", sent.Wrote)
	}
	if now := b.leader(0); now == victim {
		t.Errorf("leader: got %d still, want another", now)
	}
}

// What a frozen leader was handed may be written later: no second attempt, and
// the error says why.
func TestSendInDoubt(t *testing.T) {
	p := scenario()
	p.Topics[0].Partitions, p.Topics[0].Replicas, p.Topics[0].MinInsync = 1, 2, 2
	p.Topics[0].Placement = map[int][]int32{0: {1, 2}}
	b := start(t, p, 1)
	b.signal(2, runtime.SignalPause) // the leader appends, and waits for the follower
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	_, err := b.control.Do(ctx, "kafka", plan.Action{Verb: plan.Send, Targets: topicRef(), Text: "hello"})
	if err == nil || !strings.Contains(err.Error(), "nobody knows whether it was written: ") {
		t.Errorf("send: got %v, want that nobody knows", err)
	}
	b.signal(2, runtime.SignalResume)
	for end := time.Now().Add(10 * time.Second); b.ends()[0] != 1; {
		if time.Now().After(end) {
			t.Fatalf("end: got %d, want the one record", b.ends()[0])
		}
		b.sleep(20 * time.Millisecond)
	}
}

// A frozen broker takes connections and never answers: questions go to others.
func TestControlFrozen(t *testing.T) {
	b := start(t, scenario(), 1)
	coordinator, err := b.control.Coordinator(b.ctx, "kafka", "billing")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.world.Inspect(b.ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	victim := int32(1)
	for victim == coordinator || victim == s.Controllers[0] {
		victim++
	}
	b.signal(victim, runtime.SignalPause)
	for n := range 8 { // whom sarama asks first is a matter of chance
		at := time.Now()
		id, err := b.control.Coordinator(b.ctx, "kafka", "billing")
		if err != nil || id != coordinator {
			t.Errorf("coordinator: got %d, %v, want %d", id, err, coordinator)
		}
		if _, err := b.control.Group(b.ctx, "kafka", "billing"); err != nil {
			t.Errorf("group: %v", err)
		}
		if _, err := b.control.Configs(b.ctx, "kafka", topicRef()[0], []string{"retention.ms"}); err != nil {
			t.Errorf("configs: %v", err)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Fatalf("round %d: took %v, want answers of the others at once", n, took)
		}
	}
}
