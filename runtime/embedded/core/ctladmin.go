package core

// This file defines admin requests as the active controller carries them out: topics,
// partitions, configs, elections, reassignments. Messages follow Kafka's.

import (
	"fmt"
	"slices"
	"strconv"
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
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
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
	for _, kv := range t.Configs {
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.Value, rc.Source = kv.Name, kv.Value, sourceDynamicTopic
		out.Configs = append(out.Configs, rc)
	}
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

// checkConfig refuses names that Kafka does not have and values that it does not take.
func checkConfig(scope kafkaconf.Scope, name, value string) *apiError {
	e, ok := kafkaconf.Lookup(scope, name)
	if !ok {
		return apiErrorf(codeInvalidConfig, "Unknown %s config name: %s", scope, name)
	}
	if err := e.Check(value); err != nil {
		return apiErrorf(codeInvalidConfig, "Invalid value %s for configuration %s: %s", value, name, err)
	}
	return nil
}

// configTarget checks the resource and whether a name may be altered there at run time.
func (c *controller) configTarget(kind int8, name string) (configResource, kafkaconf.Scope, *apiError) {
	target := configResource{kind, name}
	switch kind {
	case resourceTopic:
		if c.image.topics[name] == nil {
			return target, "", apiErrorf(codeUnknownTopicOrPartition, "The topic '%s' does not exist.", name)
		}
		return target, kafkaconf.Topic, nil
	case resourceBroker:
		if name != "" {
			id, err := strconv.Atoi(name)
			if err != nil || c.image.brokers[int32(id)] == nil {
				return target, "", apiErrorf(codeInvalidRequest, "No broker with id %s found.", name)
			}
		}
		return target, kafkaconf.Broker, nil
	}
	return target, "", apiErrorf(codeInvalidRequest, "Unsupported resource type: %d", kind)
}

func checkDynamic(scope kafkaconf.Scope, target configResource, name string) *apiError {
	if scope != kafkaconf.Broker {
		return nil
	}
	e, ok := kafkaconf.Lookup(scope, name)
	switch {
	case ok && !e.Dynamic():
		return apiErrorf(codeInvalidRequest, "Cannot update these configs dynamically: %s", name)
	case ok && target.name == "" && e.Update == kafkaconf.PerBroker:
		return apiErrorf(codeInvalidRequest, "Cannot update per-broker configs dynamically as a cluster default: %s", name)
	}
	return nil
}

func (c *controller) incrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		if err := c.alterIncrementally(r, req.ValidateOnly); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

func (c *controller) alterIncrementally(r *kmsg.IncrementalAlterConfigsRequestResource, dry bool) *apiError {
	target, scope, err := c.configTarget(int8(r.ResourceType), r.ResourceName)
	if err != nil {
		return err
	}
	var records []*configRecord
	for _, kv := range r.Configs {
		if err := checkDynamic(scope, target, kv.Name); err != nil {
			return err
		}
		e, known := kafkaconf.Lookup(scope, kv.Name)
		if !known {
			return apiErrorf(codeInvalidConfig, "Unknown %s config name: %s", scope, kv.Name)
		}
		if kv.Op == kmsg.IncrementalAlterConfigOpDelete {
			records = append(records, &configRecord{target, kv.Name, nil})
			continue
		}
		if kv.Value == nil {
			return apiErrorf(codeInvalidRequest, "Null value not supported for : %s", kv.Name)
		}
		value := *kv.Value
		if kv.Op == kmsg.IncrementalAlterConfigOpAppend || kv.Op == kmsg.IncrementalAlterConfigOpSubtract {
			if e.Type != kafkaconf.List {
				return apiErrorf(codeInvalidConfig, "Can't %s to key %s because its type is not LIST.", map[bool]string{true: "append", false: "subtract"}[kv.Op == kmsg.IncrementalAlterConfigOpAppend], kv.Name)
			}
			value = c.editList(target, e, kv.Name, value, kv.Op == kmsg.IncrementalAlterConfigOpAppend)
		}
		if err := checkConfig(scope, kv.Name, value); err != nil {
			return err
		}
		records = append(records, &configRecord{target, kv.Name, &value})
	}
	if !dry {
		c.writeConfigs(target, records)
	}
	return nil
}

func (c *controller) editList(target configResource, e kafkaconf.Entry, name, value string, add bool) string {
	old, ok := c.image.configs[target][name]
	if !ok {
		old = e.Default
	}
	var list []string
	for _, v := range strings.Split(old, ",") {
		if v = strings.TrimSpace(v); v != "" {
			list = append(list, v)
		}
	}
	for _, v := range strings.Split(value, ",") {
		v = strings.TrimSpace(v)
		i := slices.Index(list, v)
		switch {
		case add && i < 0 && v != "":
			list = append(list, v)
		case !add && i >= 0:
			list = slices.Delete(list, i, i+1)
		}
	}
	return strings.Join(list, ",")
}

func (c *controller) alterConfigs(req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		if err := c.replaceConfigs(r, req.ValidateOnly); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// replaceConfigs is the older request: what it does not name goes back to the default.
func (c *controller) replaceConfigs(r *kmsg.AlterConfigsRequestResource, dry bool) *apiError {
	target, scope, err := c.configTarget(int8(r.ResourceType), r.ResourceName)
	if err != nil {
		return err
	}
	var records []*configRecord
	named := map[string]bool{}
	for _, kv := range r.Configs {
		named[kv.Name] = true
		if err := checkDynamic(scope, target, kv.Name); err != nil {
			return err
		}
		if kv.Value == nil {
			return apiErrorf(codeInvalidRequest, "Null value not supported for : %s", kv.Name)
		}
		if err := checkConfig(scope, kv.Name, *kv.Value); err != nil {
			return err
		}
		records = append(records, &configRecord{target, kv.Name, kmsg.StringPtr(*kv.Value)})
	}
	for _, name := range sortedNames(c.image.configs[target]) {
		if !named[name] {
			records = append(records, &configRecord{target, name, nil})
		}
	}
	if !dry {
		c.writeConfigs(target, records)
	}
	return nil
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// writeConfigs writes and, where unclean elections have become allowed, elects at once.
func (c *controller) writeConfigs(target configResource, records []*configRecord) {
	unclean := false
	for _, r := range records {
		c.write(r)
		unclean = unclean || r.name == "unclean.leader.election.enable"
	}
	if unclean {
		c.electAll(func(p *PartitionState) bool {
			return p.Leader < 0 && (target.kind == resourceBroker || target.name == p.Topic)
		}, 0)
	}
}

func (c *controller) electLeaders(req *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	unclean := req.ElectionType == 1
	topics := req.Topics
	all := topics == nil
	if all {
		for _, name := range c.image.topicNames() {
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic = name
			for _, p := range c.image.topics[name].partitions {
				t.Partitions = append(t.Partitions, p.Partition)
			}
			topics = append(topics, t)
		}
	}
	for _, t := range topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = t.Topic
		for _, id := range t.Partitions {
			err := c.elect(partitionKey{t.Topic, id}, unclean)
			if all && err != nil && err.code == codeElectionNotNeeded {
				continue
			}
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = id
			if err != nil {
				rp.ErrorCode, rp.ErrorMessage = err.code, err.ptr()
			}
			out.Partitions = append(out.Partitions, rp)
		}
		if len(out.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	return resp
}

func (c *controller) elect(key partitionKey, unclean bool) *apiError {
	p := c.image.partition(key)
	switch {
	case p == nil:
		return apiErrorf(codeUnknownTopicOrPartition, "No such topic as %s", key.topic)
	case unclean && p.Leader >= 0, !unclean && p.Leader == p.Replicas[0]:
		return apiErrorf(codeElectionNotNeeded, "Leader election not needed for topic partition.")
	}
	next := c.change(p, partitionChange{preferred: !unclean, unclean: unclean})
	switch {
	case unclean && next.Leader < 0:
		return apiErrorf(codeEligibleNotAvailable, "Eligible topic partition leaders are not available.")
	case !unclean && next.Leader != next.Replicas[0]:
		return apiErrorf(codePreferredNotAvailable, "The preferred leader was not available.")
	}
	return nil
}

func (c *controller) reassign(req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for j := range t.Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			if err := c.reassignOne(partitionKey{t.Topic, rp.Partition}, t.Partitions[j].Replicas); err != nil {
				rp.ErrorCode, rp.ErrorMessage = err.code, err.ptr()
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// reassignOne begins, replaces or, with no target, cancels a reassignment (KIP-455).
func (c *controller) reassignOne(key partitionKey, target []int32) *apiError {
	p := c.image.partition(key)
	if p == nil {
		return apiErrorf(codeUnknownTopicOrPartition, "Unable to find a topic named %s.", key.topic)
	}
	// What the partition had before a reassignment that is under way.
	original := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.Adding, id) })
	if target == nil {
		if len(p.Adding) == 0 && len(p.Removing) == 0 {
			return apiErrorf(codeNoReassignment, "No partition reassignment is in progress.")
		}
		isr := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !slices.Contains(original, id) })
		if len(isr) == 0 {
			return apiErrorf(codeInvalidReplicaAssignment, "The partition cannot go back: none of its former replicas is in sync.")
		}
		c.change(p, partitionChange{replicas: original, isr: isr})
		return nil
	}
	if err := c.checkAssignment(target, len(target)); err != nil {
		return err
	}
	var adding, removing []int32
	for _, id := range target {
		if !slices.Contains(original, id) {
			adding = append(adding, id)
		}
	}
	for _, id := range original {
		if !slices.Contains(target, id) {
			removing = append(removing, id)
		}
	}
	if len(adding) == 0 && len(removing) == 0 {
		// Only the order is new: that holds at once.
		c.change(p, partitionChange{replicas: slices.Clone(target)})
		return nil
	}
	replicas := slices.Concat(target, removing)
	isr := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !slices.Contains(replicas, id) })
	c.change(p, partitionChange{replicas: replicas, adding: adding, removing: removing, isr: isr})
	return nil
}

func (c *controller) listReassignments(req *kmsg.ListPartitionReassignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	wanted := map[partitionKey]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted[partitionKey{t.Topic, p}] = true
		}
	}
	c.image.each(func(p *PartitionState) {
		if len(p.Adding) == 0 && len(p.Removing) == 0 || req.Topics != nil && !wanted[partitionKey{p.Topic, p.Partition}] {
			return
		}
		rp := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		rp.Partition, rp.Replicas, rp.AddingReplicas, rp.RemovingReplicas = p.Partition, p.Replicas, p.Adding, p.Removing
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != p.Topic {
			t := kmsg.NewListPartitionReassignmentsResponseTopic()
			t.Topic = p.Topic
			resp.Topics = append(resp.Topics, t)
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, rp)
	})
	return resp
}
