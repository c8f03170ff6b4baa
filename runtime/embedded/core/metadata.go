package core

// This file defines how a broker answers questions about the cluster from its own
// metadata: Metadata, DescribeCluster, FindCoordinator; and who gives out producer ids.

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetsTopic holds the groups' offsets and members.
const offsetsTopic = "__consumer_offsets"

// internalTopic: only the brokers' coordinators write it.
func internalTopic(name string) bool { return name == offsetsTopic || name == txnTopic }

// noOperations is the answer "not asked for" about authorized operations.
const noOperations = -2147483648

func (b *broker) rackOf(id int32) *string {
	if r := b.image().brokers[id]; r != nil && r.rack != "" {
		return kmsg.StringPtr(r.rack)
	}
	return nil
}

// aliveBrokers are those that are not fenced, by id.
func (m *image) aliveBrokers() []int32 {
	return slices.DeleteFunc(m.brokerIDs(), func(id int32) bool { return m.brokers[id].fenced })
}

func (m *image) aliveBroker(id int32) bool {
	r := m.brokers[id]
	return r != nil && !r.fenced
}

// randomAlive is the broker that a KRaft broker names as the controller to clients: any
// one that is alive, since each forwards to the true one.
func (b *broker) randomAlive() int32 {
	alive := b.image().aliveBrokers()
	if len(alive) == 0 {
		return -1
	}
	return alive[b.n.w.rng.IntN(len(alive))]
}

func (b *broker) metadata(from ClientConn, req *kmsg.MetadataRequest, reply func(kmsg.Response)) {
	m := b.image()
	resp := b.metadataFrame(req)
	resp.Brokers = b.aliveAddresses(from)
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = b.operations(from, onCluster, clusterName)
	}
	describe := func(t *topicImage) kmsg.MetadataResponseTopic {
		rt := b.describeTopic(t)
		if req.IncludeTopicAuthorizedOperations {
			rt.AuthorizedOperations = b.operations(from, onTopic, t.name)
		}
		return rt
	}
	// nil means all, except that before version 1 an empty list did.
	if req.Topics == nil || req.GetVersion() == 0 && len(req.Topics) == 0 {
		for _, name := range m.topicNames() {
			resp.Topics = append(resp.Topics, describe(m.topics[name]))
		}
		reply(resp)
		return
	}
	var create []string
	for _, t := range req.Topics {
		name, known := "", false
		if t.Topic != nil {
			name, known = *t.Topic, true
		} else if name, known = m.names[t.TopicID]; !known {
			rt := kmsg.NewMetadataResponseTopic()
			rt.TopicID, rt.ErrorCode, rt.AuthorizedOperations = t.TopicID, codeUnknownTopicID, noOperations
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		if topic := m.topics[name]; topic != nil {
			resp.Topics = append(resp.Topics, describe(topic))
			continue
		}
		rt := kmsg.NewMetadataResponseTopic()
		rt.Topic, rt.ErrorCode, rt.AuthorizedOperations = kmsg.StringPtr(name), codeUnknownTopicOrPartition, noOperations
		rt.IsInternal = internalTopic(name)
		switch {
		case badTopicName(name) != "":
			rt.ErrorCode = codeInvalidTopic
		case b.wouldCreate(req):
			create = append(create, name)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, name := range create {
		b.autoCreate(name)
	}
	reply(resp)
}

// metadataFrame is an answer without brokers and topics.
func (b *broker) metadataFrame(req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = kmsg.StringPtr(b.n.w.opts.ClusterID)
	resp.ControllerID = b.randomAlive()
	resp.AuthorizedOperations = noOperations
	return resp
}

// aliveAddresses are the brokers that are not fenced, as a client's listener reaches them.
func (b *broker) aliveAddresses(from ClientConn) []kmsg.MetadataResponseBroker {
	var out []kmsg.MetadataResponseBroker
	for _, id := range b.image().aliveBrokers() {
		nb := kmsg.NewMetadataResponseBroker()
		nb.NodeID = id
		nb.Host, nb.Port = b.n.w.opts.Address(from.Listener, id)
		nb.Rack = b.rackOf(id)
		out = append(out, nb)
	}
	return out
}

// wouldCreate: the request and auto.create.topics.enable let a topic be made that is named.
func (b *broker) wouldCreate(req *kmsg.MetadataRequest) bool {
	auto, _, _ := b.image().brokerConfig(b.n.cfg, b.n.id, "auto.create.topics.enable")
	return (req.AllowAutoTopicCreation || req.GetVersion() < 4) && strings.EqualFold(auto, "true")
}

func (b *broker) describeTopic(t *topicImage) kmsg.MetadataResponseTopic {
	m := b.image()
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID, rt.IsInternal = kmsg.StringPtr(t.name), t.id, internalTopic(t.name)
	rt.AuthorizedOperations = noOperations
	for _, p := range t.partitions {
		rp := kmsg.NewMetadataResponseTopicPartition()
		rp.Partition, rp.Leader, rp.LeaderEpoch = p.Partition, p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		if !m.aliveBroker(p.Leader) {
			rp.Leader, rp.ErrorCode = -1, codeLeaderNotAvailable
		}
		rp.OfflineReplicas = slices.DeleteFunc(slices.Clone(p.Replicas), m.aliveBroker)
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// autoCreate asks the controller for a topic that a client named; the client asks again.
func (b *broker) autoCreate(name string) {
	if b.creating[name] {
		return
	}
	b.creating[name] = true
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	var configs [][2]string
	switch name {
	case offsetsTopic:
		t.NumPartitions = int32(b.n.cfg.long("offsets.topic.num.partitions"))
		t.ReplicationFactor = int16(b.n.cfg.long("offsets.topic.replication.factor"))
		configs = [][2]string{
			{"cleanup.policy", "compact"},
			{"compression.type", "producer"},
			{"segment.bytes", b.n.cfg.get("offsets.topic.segment.bytes")},
		}
	case txnTopic:
		t.NumPartitions = int32(b.n.cfg.long("transaction.state.log.num.partitions"))
		t.ReplicationFactor = int16(b.n.cfg.long("transaction.state.log.replication.factor"))
		configs = [][2]string{
			{"cleanup.policy", "compact"},
			{"compression.type", "uncompressed"},
			{"min.insync.replicas", b.n.cfg.get("transaction.state.log.min.isr")},
			{"segment.bytes", b.n.cfg.get("transaction.state.log.segment.bytes")},
			{"unclean.leader.election.enable", "false"},
		}
	}
	for _, kv := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = kv[0], kmsg.StringPtr(kv[1])
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	b.toController(chanForward, &forwarded{req: req}, 200, b.n.cfg.requestTimeout, func(resp any) {
		a, ok := resp.(*forwardAnswer)
		if ok {
			topics := a.resp.(*kmsg.CreateTopicsResponse).Topics
			if len(topics) == 1 && topics[0].ErrorCode == 0 {
				return // metadata will bring it
			}
		}
		delete(b.creating, name)
	})
}

func (b *broker) describeCluster(from ClientConn, req *kmsg.DescribeClusterRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterID = b.n.w.opts.ClusterID
	resp.ClusterAuthorizedOperations = noOperations
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = b.operations(from, onCluster, clusterName)
	}
	resp.ControllerID = b.randomAlive()
	resp.EndpointType = 1
	if req.GetVersion() >= 1 && req.EndpointType != 1 {
		// Brokers answer for brokers; controllers have no listener for clients here.
		resp.ErrorCode = 115 // MISMATCHED_ENDPOINT_TYPE
		resp.ErrorMessage = kmsg.StringPtr("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
		return resp
	}
	for _, id := range b.image().aliveBrokers() {
		nb := kmsg.NewDescribeClusterResponseBroker()
		nb.NodeID = id
		nb.Host, nb.Port = b.n.w.opts.Address(from.Listener, id)
		nb.Rack = b.rackOf(id)
		resp.Brokers = append(resp.Brokers, nb)
	}
	return resp
}

// groupPartition is the partition of __consumer_offsets that holds a group.
func (b *broker) groupPartition(group string) int32 {
	return b.coordinatorPartition(offsetsTopic, "offsets.topic.num.partitions", group)
}

// txnPartition is the partition of __transaction_state that holds a transactional id.
func (b *broker) txnPartition(id string) int32 {
	return b.coordinatorPartition(txnTopic, "transaction.state.log.num.partitions", id)
}

// coordinatorPartition is Java's hash of a name, made positive, modulo the number of
// partitions of a coordinator's topic.
func (b *broker) coordinatorPartition(topic, config, name string) int32 {
	n := int32(b.n.cfg.long(config))
	if t := b.image().topics[topic]; t != nil {
		n = int32(len(t.partitions))
	}
	h := javaHash(name)
	if h < 0 {
		h = -h
	}
	if h < 0 { // the smallest int32 has no positive counterpart
		h = 0
	}
	return h % n
}

// javaHash is String.hashCode: over UTF-16 units.
func javaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			h = 31*h + int32(0xd800+r>>10)
			h = 31*h + int32(0xdc00+r&0x3ff)
			continue
		}
		h = 31*h + int32(r)
	}
	return h
}

func (b *broker) findCoordinator(from ClientConn, req *kmsg.FindCoordinatorRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if req.GetVersion() < 4 {
		c := b.coordinator(from, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
		reply(resp)
		return
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, b.coordinator(from, req.CoordinatorType, key))
	}
	reply(resp)
}

func (b *broker) coordinator(from ClientConn, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	fail := func(code int16, message string) kmsg.FindCoordinatorResponseCoordinator {
		c.ErrorCode, c.ErrorMessage = code, kmsg.StringPtr(message)
		return c
	}
	topic, partition := offsetsTopic, b.groupPartition
	switch kind {
	case 0:
	case 1:
		topic, partition = txnTopic, b.txnPartition
	default:
		return fail(codeInvalidRequest, "Unknown coordinator type "+strconv.Itoa(int(kind)))
	}
	m := b.image()
	if m.topics[topic] == nil {
		b.autoCreate(topic)
		return fail(codeCoordinatorNotAvailable, "The coordinator is not available.")
	}
	p := m.partition(partitionKey{topic, partition(key)})
	if p == nil || !m.aliveBroker(p.Leader) {
		return fail(codeCoordinatorNotAvailable, "The coordinator is not available.")
	}
	c.NodeID = p.Leader
	c.Host, c.Port = b.n.w.opts.Address(from.Listener, p.Leader)
	return c
}

// initProducerID gives a producer its id and epoch: one of its own for each that is only
// idempotent, that of its transactional id otherwise.
func (b *broker) initProducerID(req *kmsg.InitProducerIDRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	answer := func(id int64, epoch, code int16) {
		if code == codeProducerFenced && req.GetVersion() < 4 {
			code = codeInvalidProducerEpoch
		}
		if code != 0 {
			id, epoch = -1, -1
		}
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code, id, epoch
		reply(resp)
	}
	expected := producerEpoch{-1, -1}
	if req.GetVersion() >= 3 {
		expected = producerEpoch{req.ProducerID, req.ProducerEpoch}
	}
	if (expected.id < 0) != (expected.epoch < 0) {
		answer(-1, -1, codeInvalidRequest)
		return
	}
	if req.TransactionalID == nil {
		b.newProducerID(func(id int64, code int16) { answer(id, 0, code) })
		return
	}
	b.txns.initProducer(*req.TransactionalID, req.TransactionTimeoutMillis, expected, answer)
}

// newProducerID takes the next id from the block that the controller has granted to this
// broker, and fetches the next block when that is used up.
func (b *broker) newProducerID(done func(id int64, code int16)) {
	give := func(code int16) {
		id := int64(-1)
		if code == 0 {
			id = b.nextPID
			b.nextPID++
		}
		done(id, code)
	}
	if b.nextPID < b.lastPID {
		give(0)
		return
	}
	b.pidWaiter = append(b.pidWaiter, give)
	if len(b.pidWaiter) > 1 {
		return
	}
	b.toController(chanForward, &allocateProducerIDs{b.n.id}, 60, 5*time.Second, func(answer any) {
		code := codeCoordinatorLoading
		if a, ok := answer.(*producerIDsAnswer); ok && a.code == 0 {
			code, b.nextPID, b.lastPID = 0, a.first, a.first+a.count
		}
		waiters := b.pidWaiter
		b.pidWaiter = nil
		for _, w := range waiters {
			w(code)
		}
	})
}

// badTopicName says what is wrong with a topic's name, "" for nothing.
func badTopicName(name string) string {
	switch {
	case name == "":
		return "Topic name is invalid: the empty string is not allowed"
	case name == "." || name == "..":
		return "Topic name is invalid: '" + name + "' is not allowed"
	case len(name) > 249:
		return "Topic name is invalid: the length of '" + name + "' is longer than the max allowed length 249"
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return "Topic name is invalid: '" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
		}
	}
	return ""
}
