package core

// This file tests what the controller takes from leaders and from brokers that register.

import (
	"testing"
)

func TestAlterPartitionRules(t *testing.T) {
	w := newWorld(t, Options{Brokers: 4, Controllers: 1})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	must(t, w.Kill(3))
	w.Advance(w.Now() + 12*sec) // fenced: in sync are 1 and 2
	c := w.byID[ControllerID(1)].ctl
	p := c.image.partition(partitionKey{"t", 0})
	ask := func(leaderEpoch, partitionEpoch int32, isr ...int32) alterISR {
		return alterISR{partitionKey{"t", 0}, p.TopicID, p.LeaderEpoch + leaderEpoch, p.PartitionEpoch + partitionEpoch, isr}
	}
	other := ask(0, 0, 1, 2)
	other.topicID[0]++
	tests := []struct {
		name   string
		broker int32
		req    alterISR
		want   int16
	}{
		{"another topic of that name", 1, other, codeUnknownTopicID},
		{"old leader epoch", 1, ask(-1, 0, 1, 2), codeFencedLeaderEpoch},
		{"leader epoch of the future", 1, ask(1, 0, 1, 2), codeNotController},
		{"old partition epoch", 1, ask(0, -1, 1, 2), codeInvalidUpdateVersion},
		{"partition epoch of the future", 1, ask(0, 1, 1, 2), codeNotController},
		{"not from the leader", 2, ask(0, 0, 1, 2), codeInvalidRequest},
		{"without the leader", 1, ask(0, 0, 2), codeInvalidRequest},
		{"not a replica", 1, ask(0, 0, 1, 2, 4), codeInvalidRequest},
		{"a fenced broker", 1, ask(0, 0, 1, 2, 3), codeIneligibleReplica},
		{"shrinks", 1, ask(0, 0, 1), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := c.n.raft.end()
			code, _ := c.alterISR(tt.broker, tt.req)
			if code != tt.want {
				t.Errorf("got error %d, want %d", code, tt.want)
			}
			if wrote := c.n.raft.end() > before; wrote != (tt.want == 0) {
				t.Errorf("got written %v with error %d", wrote, code)
			}
		})
	}
	stale := c.alterPartition(&alterPartition{broker: 1, epoch: c.image.brokers[1].epoch - 1, partitions: []alterISR{ask(0, 0, 1)}})
	if stale.code != codeStaleBrokerEpoch {
		t.Errorf("old broker epoch: got error %d, want %d", stale.code, codeStaleBrokerEpoch)
	}
}

func TestRegistrationRules(t *testing.T) {
	w := newWorld(t, Options{Brokers: 2, Controllers: 1})
	settle(t, w)
	c := w.byID[ControllerID(1)].ctl
	old := c.image.brokers[2]
	if a := c.register(&registerBroker{id: 2, incarnation: old.incarnation}); a.code != 0 || a.epoch != old.epoch {
		t.Errorf("the same process again: got error %d epoch %d, want its epoch %d", a.code, a.epoch, old.epoch)
	}
	if a := c.register(&registerBroker{id: 2, incarnation: old.incarnation + 1}); a.code != codeDuplicateBroker {
		t.Errorf("another process within the session: got error %d, want %d", a.code, codeDuplicateBroker)
	}
	c.sessions[2].lastContact -= 10 * sec
	if a := c.register(&registerBroker{id: 2, incarnation: old.incarnation + 1}); a.code != 0 || a.epoch <= old.epoch {
		t.Errorf("another process after the session: got error %d epoch %d, want a later epoch than %d", a.code, a.epoch, old.epoch)
	}
	if a, _ := c.heartbeat(&brokerHeartbeat{id: 2, epoch: old.epoch}); a.code != codeStaleBrokerEpoch {
		t.Errorf("heartbeat of the old process: got error %d, want %d", a.code, codeStaleBrokerEpoch)
	}
	if a, _ := c.heartbeat(&brokerHeartbeat{id: 9}); a.code != codeBrokerIDNotRegistered {
		t.Errorf("heartbeat of a stranger: got error %d, want %d", a.code, codeBrokerIDNotRegistered)
	}
}

// TestOldPartitionEpochKeepsWhatWasAskedFor: an answer that the partition epoch is old can
// mean that the same change was made when it was asked for the first time. The follower it
// let in counts until metadata says how things stand.
func TestOldPartitionEpochKeepsWhatWasAskedFor(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	r := w.byID[1].broker.replicas[partitionKey{"t", 0}]
	for _, c := range []struct {
		code int16
		want int // members that the high-water mark waits for
	}{
		{codeInvalidUpdateVersion, 3},
		{codeInvalidRequest, 3},
		{codeFencedLeaderEpoch, 3},
		{codeNewLeaderElected, 3},
		{codeIneligibleReplica, 2},
	} {
		before := *r.state
		shrunk := before
		shrunk.ISR = []int32{1, 2}
		r.state, r.pendingISR = &shrunk, []int32{1, 2, 3}
		r.isrAnswered(alterISRAnswer{code: c.code})
		if got := len(r.maximalISR()); got != c.want {
			t.Errorf("after error %d: the high-water mark waits for %d members, want %d", c.code, got, c.want)
		}
		r.state, r.pendingISR = &before, nil
	}
}
