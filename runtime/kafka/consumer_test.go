package kafka

import (
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

// drained waits until the group's committed offsets are at the ends.
func (b *bed) drained() {
	b.t.Helper()
	ends := b.ends()
	for {
		g, err := b.control.Group(b.ctx, "kafka", "billing")
		if err != nil {
			b.t.Fatal(err)
		}
		behind := false
		for p, end := range ends {
			behind = behind || g.Committed["orders"][p] < end
		}
		if !behind {
			return
		}
		b.sleep(200 * time.Millisecond)
	}
}

// eachOnce checks that every acknowledged record was delivered, and how many
// more than once.
func (b *bed) eachOnce(s seen, most int) {
	b.t.Helper()
	missing, again := 0, 0
	for k := range s.acked {
		if s.delivered[k] == 0 {
			missing++
		} else if s.delivered[k] > 1 {
			again++
		}
	}
	if missing > 0 || again > most {
		b.t.Errorf("of %d acknowledged: got %d missing and %d delivered again, want none and at most %d", len(s.acked), missing, again, most)
	}
}

// starved gives the bound on repeats, or none when the machine gave so little
// processor time that members may have lost their sessions.
func (b *bed) starved(s seen, most int) int {
	if b.slack() > 10*time.Second {
		return s.accepted
	}
	return most
}

func TestGroup(t *testing.T) {
	for _, assignor := range Assignors() {
		t.Run(assignor, func(t *testing.T) {
			p := scenario()
			p.Consumers[0].Assignor = assignor
			p.Consumers[0].SessionTimeout = plan.Duration(30 * time.Second)
			b := start(t, p, 10)
			members := b.consumers(2)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), 1000)
			b.sleep(3 * time.Second)
			members = append(members, b.consumer(3))
			b.sleep(6 * time.Second)
			b.stop(members[0])
			b.sleep(3 * time.Second)
			b.stop(shop)
			b.drained()
			for _, m := range members[1:] {
				b.stop(m)
			}
			s := b.seen()
			b.eachOnce(s, b.starved(s, 0))
			owned := map[int]int{}
			left := map[int]bool{}
			for _, c := range s.changes {
				owned[c.Member] = len(c.Assigned)
				if c.Left {
					left[c.Member] = true
				}
			}
			for m := 1; m <= 3; m++ {
				if !left[m] {
					t.Errorf("member %d: has not left, want a leave of each", m)
				}
			}
			if s.foreign > 0 {
				t.Errorf("foreign: got %d, want none", s.foreign)
			}
		})
	}
}

// A leader's death stalls its partitions only, and the group goes on.
func TestGroupLeaderKilled(t *testing.T) {
	p := scenario()
	p.Producers[0].Acks = "1"
	p.Producers[0].Config = map[string]string{"request.timeout.ms": "3000"}
	p.Consumers[0].SessionTimeout = plan.Duration(30 * time.Second)
	b := start(t, p, 10)
	members := b.consumers(2)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	b.signal(b.leader(0), runtime.SignalKill)
	b.sleep(20 * time.Second)
	b.stop(shop)
	b.drained()
	for _, m := range members {
		b.stop(m)
	}
	s := b.seen()
	b.eachOnce(s, b.starved(s, 1500)) // the coordinator dies too: what was not committed by then
}

// A crashed member says no goodbye: its share is read again by others after the
// session timeout.
func TestGroupCrash(t *testing.T) {
	b := start(t, scenario(), 10)
	members := b.consumers(2)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	members[0].Crash()
	b.sleep(20 * time.Second)
	b.stop(shop)
	b.drained()
	b.stop(members[1])
	s := b.seen()
	b.eachOnce(s, b.starved(s, 1500)) // commit_every is 1 s
	last := s.changes[len(s.changes)-1]
	for _, c := range s.changes {
		if c.Member == 2 && !c.Left {
			last = c
		}
	}
	if len(last.Assigned) != 6 {
		t.Errorf("the last assignment of member 2: got %v, want all 6 partitions", last.Assigned)
	}
}

// At most once: a crash may skip records and repeats none.
func TestCommitBefore(t *testing.T) {
	p := scenario()
	p.Consumers[0].Commit = "before"
	p.Consumers[0].Work = plan.Duration(500 * time.Microsecond)
	b := start(t, p, 10)
	m := b.consumer(1)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	m.Crash()
	b.sleep(2 * time.Second)
	m = b.consumer(1)
	b.sleep(8 * time.Second)
	b.stop(shop)
	b.drained()
	b.stop(m)
	s := b.seen()
	for k, n := range s.delivered {
		if n > 1 {
			t.Fatalf("record %v: delivered %d times, want at most once", k, n)
		}
	}
	if len(s.delivered) < len(s.acked)/2 {
		t.Errorf("delivered: got %d of %d, want most", len(s.delivered), len(s.acked))
	}
}

// Work takes its time, one record of a member after the other.
func TestWork(t *testing.T) {
	p := scenario()
	p.Consumers[0].Work = plan.Duration(10 * time.Millisecond) // 100 records/s
	b := start(t, p, 10)
	m := b.consumer(1)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	begun := b.clock.Now()
	b.sleep(10 * time.Second)
	s := b.seen()
	took := b.clock.Now() - begun
	most := int(took.Seconds()*100) + 20
	if n := len(s.delivered); n > most || n < int((10*time.Second-2*b.slack()).Seconds()*70) {
		t.Errorf("delivered in %v: got %d, want about %d", took, n, most)
	}
	b.stop(shop)
	b.stop(m)
}

// A log that was cut below a group's position (unclean election) is read again
// from where it parts, and not from its start.
func TestTruncatedBelowPosition(t *testing.T) {
	p := scenario()
	p.Topics[0] = plan.Topic{Name: "orders", Cluster: "kafka", Partitions: 1, Replicas: 2, MinInsync: 1,
		Placement: map[int][]int32{0: {2, 3}},
		Config:    map[string]string{"unclean.leader.election.enable": "true"}}
	p.Clusters[0].Nodes = nil
	for i := 1; i <= 3; i++ {
		p.Clusters[0].Nodes = append(p.Clusters[0].Nodes, plan.Node{ID: int32(i), Role: plan.RoleBroker, Site: plan.ImpliedSite})
	}
	p.Clusters[0].Nodes = append(p.Clusters[0].Nodes, plan.Node{ID: plan.FirstControllerID, Role: plan.RoleController, Site: plan.ImpliedSite})
	p.Clusters[0].Config["broker.session.timeout.ms"] = "2000"
	p.Clusters[0].Config["broker.heartbeat.interval.ms"] = "500"
	b := start(t, p, 10)
	m := b.consumer(1)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 500)
	b.sleep(3 * time.Second)
	b.signal(3, runtime.SignalKill) // the follower
	b.sleep(6 * time.Second)        // the leader is alone
	b.signal(2, runtime.SignalKill)
	b.signal(3, runtime.SignalStart)
	b.sleep(10 * time.Second)
	b.stop(shop)
	b.audit()
	b.sleep(2 * time.Second)
	b.stop(m)
	s := b.seen()
	lost, undelivered, again := 0, 0, 0
	for k := range s.acked {
		if s.audited[k] == 0 {
			lost++
		} else if s.delivered[k] == 0 {
			undelivered++
		}
		if s.delivered[k] > 1 {
			again++
		}
	}
	if lost == 0 {
		t.Error("lost: got none, want what the old leader took alone")
	}
	if undelivered > 0 || again > 0 {
		t.Errorf("got %d undelivered and %d delivered again, want none: the reader goes back to where the logs part", undelivered, again)
	}
}
