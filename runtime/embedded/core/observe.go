package core

// This file defines what can be observed of a World from outside, for proofs, samplers
// and tests.

import (
	"fmt"
	"slices"
	"time"
)

// Nodes lists every node, brokers first, by id.
func (w *World) Nodes() []NodeState {
	var view *image
	if n := w.mostAdvanced(); n != nil {
		view = n.raft.image
		if n.ctl != nil {
			view = n.ctl.image
		}
	}
	out := make([]NodeState, 0, len(w.nodes))
	for _, n := range w.nodes {
		s := NodeState{ID: n.id, Broker: n.isBroker, Controller: n.isVoter, Process: n.state, QuorumLeader: -1, QuorumEpoch: n.disk.raft.epoch}
		if n.raft != nil {
			s.QuorumLeader = n.raft.leaderID
			s.MetadataOffset = n.raft.applied - 1
		}
		s.Active = n.ctl != nil
		if view != nil {
			if reg := view.brokers[n.id]; reg != nil {
				s.Registered, s.Fenced, s.InControlledShutdown = true, reg.fenced, reg.controlledShutdown
			}
		}
		out = append(out, s)
	}
	return out
}

// mostAdvanced is the active controller, or the running controller that knows most.
func (w *World) mostAdvanced() *node {
	var best *node
	for _, n := range w.nodes {
		if !n.isVoter || n.raft == nil {
			continue
		}
		better := best == nil ||
			(n.ctl != nil) != (best.ctl != nil) && n.ctl != nil ||
			(n.ctl != nil) == (best.ctl != nil) && (n.disk.raft.epoch > best.disk.raft.epoch ||
				n.disk.raft.epoch == best.disk.raft.epoch && n.raft.applied > best.raft.applied)
		if better {
			best = n
		}
	}
	return best
}

// ActiveController is the running node that is the active controller; of two that
// believe so, the one with the higher epoch.
func (w *World) ActiveController() (int32, bool) {
	if n := w.mostAdvanced(); n != nil && n.ctl != nil {
		return n.id, true
	}
	return 0, false
}

// Partitions lists every partition as a node's committed metadata has it; viewer 0 means
// the most advanced controller. It is nil for a node without a process.
func (w *World) Partitions(viewer int32) []PartitionState {
	n := w.byID[viewer]
	if viewer == 0 {
		n = w.mostAdvanced()
	}
	if n == nil || n.raft == nil {
		return nil
	}
	var out []PartitionState
	n.raft.image.each(func(p *PartitionState) { out = append(out, *p) })
	return out
}

// Replicas lists the replicas that a broker hosts, by topic and partition, as it sees
// them itself. It is nil for a broker without a process.
func (w *World) Replicas(id int32) []ReplicaState {
	n := w.byID[id]
	if n == nil || n.broker == nil {
		return nil
	}
	var out []ReplicaState
	for _, key := range sortedKeys(n.broker.replicas) {
		out = append(out, n.broker.replicas[key].observed())
	}
	return out
}

// Settled says what is missing until every running broker is unfenced, and its own
// metadata shows each partition with a leader and all its replicas in sync, leaders do
// lead, and followers fetch from them. nil means settled.
func (w *World) Settled() error {
	ctl, ok := w.ActiveController()
	if !ok {
		return fmt.Errorf("cluster: there is no active controller")
	}
	want := w.byID[ctl].ctl.image
	for _, id := range w.brokers {
		n := w.byID[id]
		if n.state != Running {
			continue
		}
		m := n.raft.image
		for _, other := range w.brokers {
			if w.byID[other].state == Running && !m.brokers[other].active() {
				return fmt.Errorf("broker %d: in its metadata broker %d is not registered and unfenced", id, other)
			}
		}
		if len(m.topics) != len(want.topics) {
			return fmt.Errorf("broker %d: its metadata has %d topics, want %d", id, len(m.topics), len(want.topics))
		}
		var problem error
		want.each(func(p *PartitionState) {
			key := partitionKey{p.Topic, p.Partition}
			mine := m.partition(key)
			switch {
			case problem != nil:
			case mine == nil || mine.PartitionEpoch != p.PartitionEpoch:
				problem = fmt.Errorf("broker %d: its metadata of %s-%d is old", id, p.Topic, p.Partition)
			case mine.Leader < 0 || len(mine.ISR) != len(mine.Replicas):
				problem = fmt.Errorf("%s-%d: leader %d, in sync %v of %v", p.Topic, p.Partition, mine.Leader, mine.ISR, mine.Replicas)
			case mine.Leader == id && (n.broker.replicas[key] == nil || !n.broker.replicas[key].leading):
				problem = fmt.Errorf("broker %d: does not lead %s-%d yet", id, p.Topic, p.Partition)
			case mine.Leader == id && !n.broker.replicas[key].followed():
				problem = fmt.Errorf("broker %d: not every follower of %s-%d fetches yet", id, p.Topic, p.Partition)
			case slices.Contains(mine.Replicas, id) && n.broker.replicas[key] == nil:
				problem = fmt.Errorf("broker %d: has no replica of %s-%d yet", id, p.Topic, p.Partition)
			}
		})
		if problem != nil {
			return problem
		}
	}
	return nil
}

// Born is the time at which a World with these options settles for the first time, with
// nothing done to it. A shell whose clock begins that much earlier has a cluster that is
// up at once, and has lived its first second as any other. It is never more than a minute.
func Born(o Options) (time.Duration, error) {
	o.OnDown, o.OnUp, o.CloseConn, o.OnEvent, o.OnReplica, o.OnCommitted = nil, nil, nil, nil, nil, nil
	w, err := New(o)
	if err != nil {
		return 0, err
	}
	for w.Settled() != nil && w.Now() < time.Minute {
		next, ok := w.Next()
		if !ok {
			break
		}
		w.Advance(next)
	}
	return w.Now(), nil
}

func (r *replica) followed() bool {
	for _, f := range r.remotes {
		if f.session == nil || f.session != r.b.sessions[f.id] || f.session.partitions[r.key] != f {
			return false
		}
	}
	return true
}
