package core

// This file tests admin requests, elections, reassignments, and quorums that are lost.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCreateTopicsRefuses(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "there", 1, 3, nil, nil)
	tests := []struct {
		name       string
		topic      string
		partitions int32
		replicas   int16
		placement  [][]int32
		config     [2]string
		code       int16
		message    string
	}{
		{"exists", "there", 1, 1, nil, [2]string{}, codeTopicAlreadyExists, "Topic 'there' already exists."},
		{"name", "a b", 1, 1, nil, [2]string{}, codeInvalidTopic, "contains one or more characters other than"},
		{"replicas", "n", 1, 4, nil, [2]string{}, codeInvalidReplicationFactor, "only 3 broker(s) are registered"},
		{"no replicas", "n", 1, 0, nil, [2]string{}, codeInvalidReplicationFactor, "must be larger than 0"},
		{"partitions", "n", 0, 1, nil, [2]string{}, codeInvalidPartitions, "non-positive"},
		{"config name", "n", 1, 1, nil, [2]string{"min.insync.replica", "2"}, codeInvalidConfig, "min.insync.replica"},
		{"config value", "n", 1, 1, nil, [2]string{"min.insync.replicas", "two"}, codeInvalidConfig, "two"},
		{"unknown broker", "n", -1, -1, [][]int32{{1, 9}}, [2]string{}, codeInvalidReplicaAssignment, "includes broker 9"},
		{"twice", "n", -1, -1, [][]int32{{1, 1}}, [2]string{}, codeInvalidReplicaAssignment, "more than once"},
		{"uneven", "n", -1, -1, [][]int32{{1, 2}, {1}}, [2]string{}, codeInvalidReplicaAssignment, "not consistent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := at(kmsg.NewPtrCreateTopicsRequest())
			rt := kmsg.NewCreateTopicsRequestTopic()
			rt.Topic, rt.NumPartitions, rt.ReplicationFactor = tt.topic, tt.partitions, tt.replicas
			for i, p := range tt.placement {
				a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				a.Partition, a.Replicas = int32(i), p
				rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
			}
			if tt.config[0] != "" {
				c := kmsg.NewCreateTopicsRequestTopicConfig()
				c.Name, c.Value = tt.config[0], kmsg.StringPtr(tt.config[1])
				rt.Configs = append(rt.Configs, c)
			}
			req.Topics = append(req.Topics, rt)
			got := ask(t, w, 2, req).(*kmsg.CreateTopicsResponse).Topics[0]
			if got.ErrorCode != tt.code || got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, tt.message) {
				t.Errorf("got error %d %v, want %d with %q", got.ErrorCode, got.ErrorMessage, tt.code, tt.message)
			}
		})
	}
	if n := len(w.Partitions(0)); n != 1 {
		t.Errorf("got %d partitions, want only the one that was there", n)
	}
}

func TestCreateTopicsTellsEffectiveConfigs(t *testing.T) {
	w := newWorld(t, Options{Brokers: 1, Controllers: 1})
	settle(t, w)
	req := at(kmsg.NewPtrCreateTopicsRequest())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "t", 1, 1
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = "retention.ms", kmsg.StringPtr("60000")
	rt.Configs = append(rt.Configs, c)
	req.Topics = append(req.Topics, rt)
	got := ask(t, w, 1, req).(*kmsg.CreateTopicsResponse).Topics[0]
	if got.ErrorCode != 0 {
		t.Fatalf("got error %d, want none", got.ErrorCode)
	}
	values := map[string]kmsg.CreateTopicsResponseTopicConfig{}
	for _, c := range got.Configs {
		values[c.Name] = c
	}
	for _, want := range []struct {
		name, value string
		source      int8
	}{
		{"retention.ms", "60000", sourceDynamicTopic},
		{"cleanup.policy", "delete", sourceDefault},
	} {
		c := values[want.name]
		if c.Value == nil || *c.Value != want.value || c.Source != want.source {
			t.Errorf("%s: got %v from source %d, want %s from source %d", want.name, c.Value, c.Source, want.value, want.source)
		}
	}
}

func TestPlacementIsBalancedOverBrokersAndRacks(t *testing.T) {
	w := newWorld(t, Options{Brokers: 6, Controllers: 1, Racks: map[int32]string{1: "a", 2: "a", 3: "b", 4: "b", 5: "c", 6: "c"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 12, 3, nil, nil)
	lead, hosted := map[int32]int{}, map[int32]int{}
	for _, p := range w.Partitions(0) {
		lead[p.Leader]++
		racks := map[string]bool{}
		for _, id := range p.Replicas {
			hosted[id]++
			racks[w.opts.Racks[id]] = true
		}
		if len(racks) != 3 || p.Leader != p.Replicas[0] {
			t.Errorf("partition %d: replicas %v stand in %d racks and are led by %d, want 3 racks and the first", p.Partition, p.Replicas, len(racks), p.Leader)
		}
	}
	for id := int32(1); id <= 6; id++ {
		if lead[id] != 2 || hosted[id] < 4 || hosted[id] > 8 {
			t.Errorf("broker %d: leads %d and hosts %d of 12 partitions, want 2 and about 6", id, lead[id], hosted[id])
		}
	}
}

func TestDeleteAndGrowTopic(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 2, 3, nil, nil)
	grow := func(to int32) kmsg.CreatePartitionsResponseTopic {
		req := at(kmsg.NewPtrCreatePartitionsRequest())
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = "t", to
		req.Topics = append(req.Topics, rt)
		return ask(t, w, 1, req).(*kmsg.CreatePartitionsResponse).Topics[0]
	}
	if got := grow(1); got.ErrorCode != codeInvalidPartitions || !strings.Contains(*got.ErrorMessage, "would not be an increase") {
		t.Errorf("fewer: got error %d, want %d", got.ErrorCode, codeInvalidPartitions)
	}
	if got := grow(5); got.ErrorCode != 0 {
		t.Errorf("more: got error %d", got.ErrorCode)
	}
	settle(t, w)
	if got := leaders(w, "t"); len(got) != 5 || slices.Contains(got, -1) {
		t.Errorf("got leaders %v, want five", got)
	}
	if got := ask(t, w, leaders(w, "t")[4], produceRequest("t", 4, -1, makeBatch(0, 1, 1, -1, -1, -1))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 {
		t.Errorf("produce to a new partition: got error %d", got.ErrorCode)
	}
	req := at(kmsg.NewPtrDeleteTopicsRequest())
	dt := kmsg.NewDeleteTopicsRequestTopic()
	dt.Topic = kmsg.StringPtr("t")
	req.Topics = append(req.Topics, dt)
	if got := ask(t, w, 1, req).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		t.Errorf("delete: got error %d", got.ErrorCode)
	}
	settle(t, w)
	for _, n := range w.nodes {
		if len(n.disk.logs) != 0 || len(w.Replicas(n.id)) != 0 {
			t.Errorf("broker %d: got %d logs after the topic was deleted, want none", n.id, len(n.disk.logs))
		}
	}
	if got := ask(t, w, 1, req).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != codeUnknownTopicOrPartition {
		t.Errorf("delete again: got error %d, want %d", got.ErrorCode, codeUnknownTopicOrPartition)
	}
	// A topic of the same name is another one.
	createTopic(t, w, 1, "t", 1, 3, nil, nil)
	if got := produced(t, w, leaders(w, "t")[0], -1, makeBatch(0, 1, 1, -1, -1, -1)); got.BaseOffset != 0 {
		t.Errorf("new topic: got first offset %d, want 0", got.BaseOffset)
	}
}

func alter(t testing.TB, w *World, kind int8, resource, name, value string) (int16, string) {
	t.Helper()
	req := at(kmsg.NewPtrIncrementalAlterConfigsRequest())
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceType(kind), resource
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = name, kmsg.StringPtr(value)
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	got := ask(t, w, 1, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	message := ""
	if got.ErrorMessage != nil {
		message = *got.ErrorMessage
	}
	return got.ErrorCode, message
}

func described(t testing.TB, w *World, broker int32, kind int8, resource, name string) (string, int8) {
	t.Helper()
	req := at(kmsg.NewPtrDescribeConfigsRequest())
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceType(kind), resource, []string{name}
	req.Resources = append(req.Resources, r)
	got := ask(t, w, broker, req).(*kmsg.DescribeConfigsResponse).Resources[0]
	if got.ErrorCode != 0 || len(got.Configs) != 1 {
		t.Fatalf("describe %s of %q: got error %d and %d configs", name, resource, got.ErrorCode, len(got.Configs))
	}
	return *got.Configs[0].Value, int8(got.Configs[0].Source)
}

func TestConfigs(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Config: map[string]string{"log.retention.hours": "2"}, PerBroker: map[int32]map[string]string{2: {"num.network.threads": "7"}}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, map[string]string{"retention.bytes": "1000"}, nil)
	describe := []struct {
		broker   int32
		kind     int8
		resource string
		name     string
		want     string
		source   int8
	}{
		{1, resourceTopic, "t", "retention.bytes", "1000", sourceDynamicTopic},
		{1, resourceTopic, "t", "retention.ms", "7200000", sourceStaticBroker},
		{1, resourceTopic, "t", "min.insync.replicas", "1", sourceDefault},
		{2, resourceBroker, "2", "num.network.threads", "7", sourceStaticBroker},
		{1, resourceBroker, "1", "num.network.threads", "3", sourceDefault},
	}
	for _, d := range describe {
		if v, source := described(t, w, d.broker, d.kind, d.resource, d.name); v != d.want || source != d.source {
			t.Errorf("%s of %s: got %q from %d, want %q from %d", d.name, d.resource, v, source, d.want, d.source)
		}
	}
	refuse := []struct {
		kind     int8
		resource string
		name     string
		value    string
		code     int16
		message  string
	}{
		{resourceTopic, "t", "min.insync", "1", codeInvalidConfig, "Unknown topic config name: min.insync"},
		{resourceTopic, "t", "min.insync.replicas", "0", codeInvalidConfig, "at least 1"},
		{resourceTopic, "nope", "min.insync.replicas", "1", codeUnknownTopicOrPartition, "does not exist"},
		{resourceBroker, "1", "broker.session.timeout.ms", "100", codeInvalidRequest, "Cannot update these configs dynamically"},
		{resourceBroker, "9", "min.insync.replicas", "2", codeInvalidRequest, "No broker with id 9"},
		{3, "x", "min.insync.replicas", "2", codeInvalidRequest, "Unsupported resource type"},
	}
	for _, r := range refuse {
		if code, message := alter(t, w, r.kind, r.resource, r.name, r.value); code != r.code || !strings.Contains(message, r.message) {
			t.Errorf("alter %s of %s: got error %d %q, want %d with %q", r.name, r.resource, code, message, r.code, r.message)
		}
	}
	// A topic's own value, the cluster's default, and both at work.
	lead := leaders(w, "t")[0]
	must(t, w.Kill(lead%3+1))
	must(t, w.Kill((lead+1)%3+1))
	w.Advance(w.Now() + sec)
	must(t, w.Start(lead%3+1))
	w.Advance(w.Now() + 15*sec)
	if code, message := alter(t, w, resourceBroker, "", "min.insync.replicas", "3"); code != 0 {
		t.Fatalf("alter: got error %d %s", code, message)
	}
	w.Advance(w.Now() + sec)
	lead = leaders(w, "t")[0]
	if got := produced(t, w, lead, -1, makeBatch(0, 1, 1, -1, -1, -1)); got.ErrorCode != codeNotEnoughReplicas {
		t.Errorf("two in sync, three wanted: got error %d, want %d", got.ErrorCode, codeNotEnoughReplicas)
	}
	if v, source := described(t, w, lead, resourceTopic, "t", "min.insync.replicas"); v != "3" || source != sourceDynamicBrokerDefault {
		t.Errorf("got %q from %d, want 3 from the cluster's default", v, source)
	}
	alter(t, w, resourceTopic, "t", "min.insync.replicas", "2")
	w.Advance(w.Now() + sec)
	if got := produced(t, w, lead, -1, makeBatch(0, 1, 1, -1, -1, -1)); got.ErrorCode != 0 {
		t.Errorf("two in sync, two wanted by the topic: got error %d, want none", got.ErrorCode)
	}
	if _, err := New(Options{Config: map[string]string{"min.insync.replica": "2"}}); err == nil || !strings.Contains(err.Error(), "min.insync.replica") {
		t.Errorf("a node with an unknown config: got %v, want an error that names it", err)
	}
}

func elect(t testing.TB, w *World, kind int8) *kmsg.ElectLeadersResponse {
	t.Helper()
	req := at(kmsg.NewPtrElectLeadersRequest())
	req.ElectionType = kind
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, rt)
	via := int32(1)
	for w.byID[via].state != Running {
		via++
	}
	return ask(t, w, via, req).(*kmsg.ElectLeadersResponse)
}

func TestPreferredLeaderElection(t *testing.T) {
	for _, auto := range []bool{false, true} {
		t.Run(fmt.Sprint("automatic ", auto), func(t *testing.T) {
			w := newWorld(t, Options{Brokers: 3, Config: map[string]string{"leader.imbalance.check.interval.seconds": "20", "auto.leader.rebalance.enable": fmt.Sprint(auto)}})
			settle(t, w)
			createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
			if code := elect(t, w, 0).Topics[0].Partitions[0].ErrorCode; code != codeElectionNotNeeded {
				t.Errorf("the preferred one leads: got error %d, want %d", code, codeElectionNotNeeded)
			}
			must(t, w.Stop(1, nil))
			w.Advance(w.Now() + sec)
			if got := leaders(w, "t")[0]; got != 2 {
				t.Fatalf("after the stop: got leader %d, want 2", got)
			}
			if code := elect(t, w, 0).Topics[0].Partitions[0].ErrorCode; code != codePreferredNotAvailable {
				t.Errorf("the preferred one is away: got error %d, want %d", code, codePreferredNotAvailable)
			}
			must(t, w.Start(1))
			settle(t, w)
			if got := leaders(w, "t")[0]; got != 2 {
				t.Errorf("after the start: got leader %d, want still 2", got)
			}
			if auto {
				w.Advance(w.Now() + 25*sec)
			} else if code := elect(t, w, 0).Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Errorf("elect: got error %d", code)
			}
			if got := leaders(w, "t")[0]; got != 1 {
				t.Errorf("got leader %d, want the preferred one", got)
			}
		})
	}
}

func TestUncleanElectionByHandOrConfig(t *testing.T) {
	for _, how := range []string{"elect", "topic config", "cluster config"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, Options{Brokers: 3, Controllers: 1, Config: map[string]string{"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}})
			settle(t, w)
			createTopic(t, w, 2, "t", 1, 2, nil, [][]int32{{2, 3}})
			must(t, w.Kill(3))
			w.Advance(w.Now() + 3*sec)
			must(t, w.Kill(2))
			must(t, w.Start(3))
			w.Advance(w.Now() + 5*sec)
			if got := leaders(w, "t")[0]; got != -1 {
				t.Fatalf("got leader %d, want none", got)
			}
			switch how {
			case "elect":
				if code := elect(t, w, 1).Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Errorf("got error %d", code)
				}
			case "topic config":
				alter(t, w, resourceTopic, "t", "unclean.leader.election.enable", "true")
			case "cluster config":
				alter(t, w, resourceBroker, "", "unclean.leader.election.enable", "true")
			}
			w.Advance(w.Now() + sec)
			if p := w.Partitions(0)[0]; p.Leader != 3 || !slices.Equal(p.ISR, []int32{3}) {
				t.Errorf("got leader %d and in sync %v, want 3 alone", p.Leader, p.ISR)
			}
		})
	}
}

func TestReassignment(t *testing.T) {
	w := newWorld(t, Options{Brokers: 4})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 2, nil, [][]int32{{1, 2}})
	l := startLoad(w, "t", 1, -1)[0]
	w.Advance(w.Now() + 2*sec)
	move := func(to []int32) int16 {
		req := at(kmsg.NewPtrAlterPartitionAssignmentsRequest())
		rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		rp.Replicas = to
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return ask(t, w, 1, req).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0].ErrorCode
	}
	if code := move(nil); code != codeNoReassignment {
		t.Errorf("cancel nothing: got error %d, want %d", code, codeNoReassignment)
	}
	// With a target that is dead the reassignment stays under way, and can be cancelled.
	must(t, w.Kill(4))
	w.Advance(w.Now() + 12*sec)
	if code := move([]int32{3, 4}); code != 0 {
		t.Fatalf("move: got error %d", code)
	}
	w.Advance(w.Now() + 3*sec)
	list := ask(t, w, 2, at(kmsg.NewPtrListPartitionReassignmentsRequest())).(*kmsg.ListPartitionReassignmentsResponse)
	if len(list.Topics) != 1 || !slices.Equal(list.Topics[0].Partitions[0].AddingReplicas, []int32{3, 4}) || !slices.Equal(list.Topics[0].Partitions[0].RemovingReplicas, []int32{1, 2}) {
		t.Errorf("got reassignments %v, want 3 and 4 added, 1 and 2 removed", list.Topics)
	}
	if code := move(nil); code != 0 {
		t.Errorf("cancel: got error %d", code)
	}
	w.Advance(w.Now() + sec)
	if p := w.Partitions(0)[0]; !slices.Equal(p.Replicas, []int32{1, 2}) || len(p.Adding)+len(p.Removing) != 0 {
		t.Errorf("cancelled: got replicas %v adding %v removing %v", p.Replicas, p.Adding, p.Removing)
	}
	must(t, w.Start(4))
	settle(t, w)
	start := w.Now()
	if code := move([]int32{3, 4}); code != 0 {
		t.Fatalf("move: got error %d", code)
	}
	err := within(w, 10*sec, func() error {
		if p := w.Partitions(0)[0]; !slices.Equal(p.Replicas, []int32{3, 4}) || len(p.ISR) != 2 || p.Leader < 3 {
			return fmt.Errorf("replicas %v in sync %v leader %d", p.Replicas, p.ISR, p.Leader)
		}
		return nil
	})
	if err != nil {
		t.Errorf("not moved: %v", err)
	}
	w.Advance(start + 6*sec)
	if got := l.stall(start, w.Now()); got > 2*sec {
		t.Errorf("got a stall of %v while moving, want at most 2s; errors %v", got, l.lastErrors)
	}
	l.stopped = true
	w.Advance(w.Now() + sec)
	if lost := lostFrom(w, "t", l.acked); lost > 0 {
		t.Errorf("got %d acknowledged records lost by moving", lost)
	}
	if len(w.Replicas(1)) != 0 || len(w.byID[1].disk.logs) != 0 {
		t.Errorf("broker 1 still has %v", w.Replicas(1))
	}
}

func TestLostQuorumElectsAndCommitsNothing(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Controllers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 3, 3, map[string]string{"min.insync.replicas": "1"}, nil)
	loads := startLoad(w, "t", 3, 1)
	w.Advance(w.Now() + 3*sec)
	ctl, _ := w.ActiveController()
	for i := int32(1); i <= 2; i++ {
		must(t, w.Kill((ctl-1001+i)%3+1001))
	}
	lost := w.Now()
	err := within(w, 10*sec, func() error {
		if _, ok := w.ActiveController(); ok {
			return fmt.Errorf("there is an active controller")
		}
		return nil
	})
	// 1.5 times the fetch timeout of 2 s since a majority was heard of.
	if took := w.Now() - lost; err != nil || took < 2400*ms || took > 3200*ms {
		t.Errorf("got no active controller after %v (%v), want 2.5s to 3s", took, err)
	}
	before := leaders(w, "t")
	victim := before[0]
	must(t, w.Kill(victim))
	killed := w.Now()
	w.Advance(killed + 30*sec)
	if got := leaders(w, "t"); !slices.Equal(got, before) {
		t.Errorf("got leaders %v, want %v: nobody can elect", got, before)
	}
	for p, l := range loads {
		got := l.stall(killed, w.Now())
		if before[p] == victim && got < 25*sec {
			t.Errorf("partition %d of the dead leader: got a stall of only %v", p, got)
		}
		if before[p] != victim && got > 100*ms {
			t.Errorf("partition %d of a living leader, acks=1: got a stall of %v, want none", p, got)
		}
	}
	req := at(kmsg.NewPtrCreateTopicsRequest())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "x", 1, 1
	req.Topics = append(req.Topics, rt)
	start := w.Now()
	living := victim%3 + 1
	got := ask(t, w, living, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	if took := w.Now() - start; got != codeRequestTimedOut || took < 29*sec || took > 32*sec {
		t.Errorf("create topic without a controller: got error %d after %v, want %d after request.timeout.ms", got, took, codeRequestTimedOut)
	}
	must(t, w.Start((ctl-1001+1)%3+1001))
	back := w.Now()
	w.Advance(back + 20*sec)
	if got := leaders(w, "t"); got[0] == victim || got[0] < 0 {
		t.Errorf("the quorum is back: got leaders %v, want another than %d", got, victim)
	}
}

func TestPowerOffLosesWhatIsNotFlushed(t *testing.T) {
	tests := []struct {
		name   string
		config map[string]string
		rest   time.Duration
		want   int64 // records of the second batch that are left
	}{
		{"young data is lost", nil, 0, 0},
		{"after 30 s the system has flushed", nil, 31 * sec, 5},
		{"flush.messages", map[string]string{"flush.messages": "1"}, 0, 5},
		{"kill loses nothing", map[string]string{"flush.messages": "9223372036854775807"}, -1, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := one(t, tt.config)
			produced(t, w, 1, -1, makeBatch(0, 3, 10, -1, -1, -1))
			w.Advance(w.Now() + 40*sec)
			produced(t, w, 1, -1, makeBatch(3, 5, 10, -1, -1, -1))
			if tt.rest < 0 {
				must(t, w.Kill(1))
			} else {
				w.Advance(w.Now() + tt.rest)
				must(t, w.PowerOff(1))
			}
			must(t, w.Start(1))
			settle(t, w)
			if got := w.Replicas(1)[0].LogEnd; got != 3+tt.want {
				t.Errorf("got log end %d, want %d", got, 3+tt.want)
			}
			if got := w.Replicas(1)[0].HighWatermark; got != 3+tt.want {
				t.Errorf("got high-water mark %d, want %d", got, 3+tt.want)
			}
		})
	}
}

func TestPowerOffIsFoundOutByTimeouts(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 6, 3, map[string]string{"min.insync.replicas": "2"}, nil)
	loads := startLoad(w, "t", 6, -1)
	for _, l := range loads {
		l.readTimeout = 2 * sec
	}
	w.Advance(w.Now() + 3*sec)
	ctl, _ := w.ActiveController()
	victim := ctl%3 + 1
	before := leaders(w, "t")
	off := w.Now()
	must(t, w.PowerOff(victim))
	w.Advance(off + 20*sec)
	for p, l := range loads {
		if got := l.stall(off, w.Now()); before[p] != victim && (got < 7*sec || got > 9600*ms) || before[p] == victim && (got < 7*sec || got > 12*sec) {
			t.Errorf("partition %d (leader %d, victim %d): got a stall of %v, want about 8s", p, before[p], victim, got)
		}
	}
	must(t, w.Start(victim))
	settle(t, w)
	w.Advance(w.Now() + 2*sec)
	for _, l := range loads {
		l.stopped = true
	}
	w.Advance(w.Now() + 2*sec)
	if lost := lostFrom(w, "t", loads[0].acked); lost > 0 {
		t.Errorf("got %d acknowledged records lost with two replicas alive", lost)
	}
}

func TestPausedBrokerIsFencedAndComesBack(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 6, 3, map[string]string{"min.insync.replicas": "2"}, nil)
	loads := startLoad(w, "t", 6, -1)
	w.Advance(w.Now() + 3*sec)
	ctl, _ := w.ActiveController()
	victim := ctl%3 + 1
	before := leaders(w, "t")
	paused := w.Now()
	must(t, w.Pause(victim))
	w.Advance(paused + 15*sec)
	fenced := false
	for _, n := range w.Nodes() {
		fenced = fenced || n.ID == victim && n.Fenced && n.Process == Paused
	}
	if !fenced {
		t.Error("a broker that is paused for 15s is not fenced")
	}
	for p, l := range loads {
		if got := l.stall(paused, w.Now()); before[p] != victim && (got < 7*sec || got > 9600*ms) {
			t.Errorf("partition %d: got a stall of %v, want about 8s", p, got)
		}
	}
	must(t, w.Resume(victim))
	settle(t, w)
	w.Advance(w.Now() + 40*sec)
	for _, l := range loads {
		l.stopped = true
	}
	w.Advance(w.Now() + 5*sec)
	for p, l := range loads {
		if len(l.queue) > 0 {
			t.Errorf("partition %d: got %d records never acknowledged; errors %v", p, len(l.queue), l.lastErrors)
		}
	}
}

func TestFaultsThatCannotBe(t *testing.T) {
	w := newWorld(t, Options{Brokers: 1})
	settle(t, w)
	must(t, w.Kill(1))
	for _, tt := range []struct {
		err  error
		want string
	}{
		{w.Kill(1), "node 1: cannot kill: it is killed"},
		{w.Kill(7), "node 7: there is no such node"},
		{w.Stop(1, nil), "node 1: cannot stop: it is killed"},
		{w.Pause(1), "node 1: cannot pause: it is killed"},
		{w.Resume(1), "node 1: cannot resume: it is killed"},
		{w.PowerOff(1), "node 1: cannot power off: it is killed"},
		{w.Start(1), "<nil>"},
		{w.Start(1), "node 1: cannot start: it is starting"},
	} {
		if got := fmt.Sprint(tt.err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
