package core

// This file defines admin requests as the active controller carries them out, and of
// these the ones about topics and partitions. Messages follow Kafka's.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/internal/kafkaconf"
)

// admin carries out a forwarded request. The answer waits for what was written.
func (c *controller) admin(m *forwarded, respond func(any, int)) {
	before := c.n.raft.end()
	resp := c.adminAnswer(m.req)
	answer := func(ok bool) {
		if ok {
			respond(&forwardAnswer{resp}, 500)
		} else {
			respond(&notController{}, 50)
		}
	}
	if c.n.raft.end() == before {
		answer(true)
		return
	}
	c.committed(answer)
}

func (c *controller) adminAnswer(req kmsg.Request) kmsg.Response {
	switch r := req.(type) {
	case *kmsg.CreateTopicsRequest:
		return c.createTopics(r)
	case *kmsg.DeleteTopicsRequest:
		return c.deleteTopics(r)
	case *kmsg.CreatePartitionsRequest:
		return c.createPartitions(r)
	case *kmsg.AlterConfigsRequest:
		return c.alterConfigs(r)
	case *kmsg.IncrementalAlterConfigsRequest:
		return c.incrementalAlterConfigs(r)
	case *kmsg.ElectLeadersRequest:
		return c.electLeaders(r)
	case *kmsg.AlterPartitionAssignmentsRequest:
		return c.reassign(r)
	case *kmsg.ListPartitionReassignmentsRequest:
		return c.listReassignments(r)
	case *kmsg.CreateACLsRequest:
		return c.createACLs(r)
	case *kmsg.DeleteACLsRequest:
		return c.deleteACLs(r)
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		return c.alterSCRAM(r)
	case *kmsg.DescribeQuorumRequest:
		return c.describeQuorum(r)
	}
	return unsupported(req)
}

// apiError is an error code with its message.
type apiError struct {
	code    int16
	message string
}

func (e *apiError) ptr() *string { return kmsg.StringPtr(e.message) }

func apiErrorf(code int16, format string, args ...any) *apiError {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

func (c *controller) createTopics(req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	count := map[string]int{}
	for i := range req.Topics {
		count[req.Topics[i].Topic]++
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = t.Topic, -1, -1
		var err *apiError
		if count[t.Topic] > 1 {
			err = apiErrorf(codeInvalidRequest, "Duplicate topic name.")
		} else {
			err = c.createTopic(t, req.ValidateOnly, &out)
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
			out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// effectiveConfigs lists all configs that a topic will have, those not asked for too
// (KIP-525). The list is never nil: Java's admin client reads it without looking.
func (c *controller) effectiveConfigs(t *kmsg.CreateTopicsRequestTopic) []kmsg.CreateTopicsResponseTopicConfig {
	asked := map[string]*string{}
	for _, kv := range t.Configs {
		asked[kv.Name] = kv.Value
	}
	configs := []kmsg.CreateTopicsResponseTopicConfig{}
	for _, name := range kafkaconf.Names(kafkaconf.Topic) {
		e, _ := kafkaconf.Lookup(kafkaconf.Topic, name)
		if e.Internal {
			continue
		}
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.ReadOnly = name, !e.Dynamic()
		if v := asked[name]; v != nil {
			rc.Value, rc.Source = v, sourceDynamicTopic
		} else if v, source, ok := c.image.topicConfig(c.n.cfg, c.n.id, t.Topic, name); ok {
			rc.Value, rc.Source = kmsg.StringPtr(v), source
		} else {
			rc.Source = sourceDefault
		}
		configs = append(configs, rc)
	}
	return configs
}

func (c *controller) createTopic(t *kmsg.CreateTopicsRequestTopic, dry bool, out *kmsg.CreateTopicsResponseTopic) *apiError {
	if c.image.topics[t.Topic] != nil {
		return apiErrorf(codeTopicAlreadyExists, "Topic '%s' already exists.", t.Topic)
	}
	if bad := badTopicName(t.Topic); bad != "" {
		return apiErrorf(codeInvalidTopic, "%s", bad)
	}
	for _, kv := range t.Configs {
		if kv.Value == nil {
			return apiErrorf(codeInvalidConfig, "Null value not supported for topic configs: %s", kv.Name)
		}
		if err := checkConfig(kafkaconf.Topic, kv.Name, *kv.Value); err != nil {
			return err
		}
	}
	var assignment [][]int32
	if len(t.ReplicaAssignment) > 0 {
		if t.ReplicationFactor != -1 || t.NumPartitions != -1 {
			return apiErrorf(codeInvalidRequest, "A manual partition assignment was specified, but numPartitions or replication factor was not set to -1.")
		}
		assignment = make([][]int32, len(t.ReplicaAssignment))
		for _, a := range t.ReplicaAssignment {
			if a.Partition < 0 || int(a.Partition) >= len(assignment) || assignment[a.Partition] != nil {
				return apiErrorf(codeInvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d, or partitions are not consecutive from 0", a.Partition)
			}
			if err := c.checkAssignment(a.Replicas, len(t.ReplicaAssignment[0].Replicas)); err != nil {
				return err
			}
			assignment[a.Partition] = a.Replicas
		}
	} else {
		n, rf := t.NumPartitions, int(t.ReplicationFactor)
		if n == -1 {
			n = int32(c.n.cfg.long("num.partitions"))
		}
		if rf == -1 {
			rf = int(c.n.cfg.long("default.replication.factor"))
		}
		if n <= 0 {
			return apiErrorf(codeInvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
		}
		var err *apiError
		if assignment, err = c.place(int(n), rf, 0); err != nil {
			return err
		}
	}
	out.NumPartitions, out.ReplicationFactor = int32(len(assignment)), int16(len(assignment[0]))
	out.Configs = c.effectiveConfigs(t)
	if dry {
		return nil
	}
	var id topicID
	for i := 0; i < len(id); i += 8 {
		v := c.n.w.rng.Uint64() | 1
		for j := range 8 {
			id[i+j] = byte(v >> (8 * j))
		}
	}
	out.TopicID = id
	c.write(&topicRecord{t.Topic, id})
	for _, kv := range t.Configs {
		c.write(&configRecord{configResource{resourceTopic, t.Topic}, kv.Name, kmsg.StringPtr(*kv.Value)})
	}
	for i, replicas := range assignment {
		c.writePartition(t.Topic, id, int32(i), replicas)
	}
	return nil
}

// writePartition makes a new partition: its ISR are the replicas that are active.
func (c *controller) writePartition(topic string, id topicID, partition int32, replicas []int32) {
	p := &PartitionState{Topic: topic, TopicID: id, Partition: partition, Replicas: slices.Clone(replicas), Leader: -1}
	for _, r := range replicas {
		if c.image.brokers[r].active() {
			p.ISR = append(p.ISR, r)
		}
	}
	if len(p.ISR) > 0 {
		p.Leader = p.ISR[0]
	} else {
		p.ISR = slices.Clone(replicas)
	}
	c.write(&partitionRecord{p})
	c.n.w.emit(Event{Kind: EventLeader, Node: p.Leader, Topic: topic, Partition: partition, ISR: p.ISR})
}

func (c *controller) checkAssignment(replicas []int32, rf int) *apiError {
	if len(replicas) == 0 {
		return apiErrorf(codeInvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	active := false
	for i, r := range replicas {
		if slices.Contains(replicas[:i], r) {
			return apiErrorf(codeInvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", r)
		}
		reg := c.image.brokers[r]
		if reg == nil {
			return apiErrorf(codeInvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", r)
		}
		active = active || reg.active()
	}
	if len(replicas) != rf {
		return apiErrorf(codeInvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), rf)
	}
	if !active {
		return apiErrorf(codeInvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition are fenced or in controlled shutdown.")
	}
	return nil
}

// place spreads partitions over brokers: leaders round robin from a random start, each
// partition over as many racks as there are, brokers that are fenced last.
func (c *controller) place(partitions, rf, first int) ([][]int32, *apiError) {
	if rf <= 0 {
		return nil, apiErrorf(codeInvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	}
	ids := c.image.brokerIDs()
	if rf > len(ids) {
		return nil, apiErrorf(codeInvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be reached because only %d broker(s) are registered.", rf, rf, len(ids))
	}
	ring := c.ring(ids)
	if len(ring) == 0 || !c.image.brokers[ring[0]].active() {
		return nil, apiErrorf(codeInvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", rf)
	}
	active := 0
	for active < len(ring) && c.image.brokers[ring[active]].active() {
		active++
	}
	start := c.n.w.rng.IntN(active)
	out := make([][]int32, partitions)
	for p := range out {
		lead := (start + first + p) % active
		// The followers' order moves on each time round, so that a dead leader's
		// partitions do not all go to the same neighbour.
		shift := (first + p) / active
		rest := slices.Concat(ring[lead+1:active], ring[:lead])
		if len(rest) > 0 {
			shift %= len(rest)
			rest = slices.Concat(rest[shift:], rest[:shift])
		}
		out[p] = c.spread(ring[lead], slices.Concat(rest, ring[active:]), rf)
	}
	return out, nil
}

// ring lists the active brokers with racks alternating, then the others.
func (c *controller) ring(ids []int32) []int32 {
	byRack := map[string][]int32{}
	var racks []string
	var rest []int32
	for _, id := range ids {
		reg := c.image.brokers[id]
		if !reg.active() {
			rest = append(rest, id)
			continue
		}
		if byRack[reg.rack] == nil {
			racks = append(racks, reg.rack)
		}
		byRack[reg.rack] = append(byRack[reg.rack], id)
	}
	slices.Sort(racks)
	var ring []int32
	for i := 0; len(ring)+len(rest) < len(ids); i++ {
		for _, rack := range racks {
			if i < len(byRack[rack]) {
				ring = append(ring, byRack[rack][i])
			}
		}
	}
	return append(ring, rest...)
}

// spread picks rf replicas, each from the rack that has the fewest of them so far.
func (c *controller) spread(lead int32, candidates []int32, rf int) []int32 {
	replicas := []int32{lead}
	used := map[string]int{c.image.brokers[lead].rack: 1}
	for len(replicas) < rf {
		best := -1
		for i, id := range candidates {
			if slices.Contains(replicas, id) {
				continue
			}
			if best < 0 || used[c.image.brokers[id].rack] < used[c.image.brokers[candidates[best]].rack] {
				best = i
			}
		}
		replicas = append(replicas, candidates[best])
		used[c.image.brokers[candidates[best]].rack]++
	}
	return replicas
}

func (c *controller) deleteTopics(req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	remove := func(name *string, id topicID) {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = name, id
		fail := func(code int16, message string) {
			out.ErrorCode, out.ErrorMessage = code, kmsg.StringPtr(message)
			resp.Topics = append(resp.Topics, out)
		}
		if name == nil {
			n, ok := c.image.names[id]
			if !ok {
				fail(codeUnknownTopicID, "This server does not host this topic ID.")
				return
			}
			name = &n
		}
		t := c.image.topics[*name]
		if t == nil {
			fail(codeUnknownTopicOrPartition, "This server does not host this topic-partition.")
			return
		}
		if !strings.EqualFold(c.n.cfg.get("delete.topic.enable"), "true") {
			fail(73, "Topic deletion is disabled.") // TOPIC_DELETION_DISABLED
			return
		}
		out.Topic, out.TopicID = kmsg.StringPtr(*name), t.id
		c.write(&removeTopicRecord{*name})
		resp.Topics = append(resp.Topics, out)
	}
	for _, name := range req.TopicNames {
		remove(kmsg.StringPtr(name), topicID{})
	}
	for _, t := range req.Topics {
		remove(t.Topic, t.TopicID)
	}
	return resp
}

func (c *controller) createPartitions(req *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = t.Topic
		if err := c.growTopic(t, req.ValidateOnly); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (c *controller) growTopic(t *kmsg.CreatePartitionsRequestTopic, dry bool) *apiError {
	topic := c.image.topics[t.Topic]
	if topic == nil {
		return apiErrorf(codeUnknownTopicOrPartition, "This server does not host this topic-partition.")
	}
	have := len(topic.partitions)
	add := int(t.Count) - have
	switch {
	case add == 0:
		return apiErrorf(codeInvalidPartitions, "Topic already has %d partition(s).", have)
	case add < 0:
		return apiErrorf(codeInvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	case t.Assignment != nil && len(t.Assignment) != add:
		return apiErrorf(codeInvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", add, len(t.Assignment))
	}
	rf := len(topic.partitions[0].Replicas)
	var assignment [][]int32
	for _, a := range t.Assignment {
		if err := c.checkAssignment(a.Replicas, rf); err != nil {
			return err
		}
		assignment = append(assignment, a.Replicas)
	}
	if assignment == nil {
		var err *apiError
		if assignment, err = c.place(add, rf, have); err != nil {
			return err
		}
	}
	if dry {
		return nil
	}
	for i, replicas := range assignment {
		c.writePartition(t.Topic, topic.id, int32(have+i), replicas)
	}
	return nil
}
