package core

// This file defines what a client needs the right to for each request, and what it is told
// where it lacks it (KafkaApis and AuthHelper of Kafka 3.9). Parts of a request that are
// not allowed are taken out before it is carried out and put back, refused, in its answer.

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// right is an operation on a resource; the message of a refusal is Kafka's default for its
// code unless the request has one of its own.
type right struct {
	op   kmsg.ACLOperation
	kind kmsg.ACLResourceType
	name string
}

func (r right) refusal() (code int16, message string) {
	switch r.kind {
	case onTopic:
		return codeTopicAuthorization, "Topic authorization failed."
	case onGroup:
		return codeGroupAuthorization, "Group authorization failed."
	case onTxnID:
		return codeTxnIDAuthorization, "Transactional Id authorization failed."
	}
	return codeClusterAuthorization, "Cluster authorization failed."
}

// needs are the rights without which a request is refused as a whole.
//
//	request                                      right
//	JoinGroup SyncGroup Heartbeat LeaveGroup     READ group
//	OffsetCommit                                 READ group
//	OffsetFetch (before 8)                       DESCRIBE group
//	OffsetDelete                                 DELETE group
//	ElectLeaders AlterPartitionReassignments     ALTER cluster
//	CreateAcls DeleteAcls AlterReplicaLogDirs    ALTER cluster
//	AlterUserScramCredentials                    ALTER cluster
//	ListPartitionReassignments DescribeAcls      DESCRIBE cluster
//	DescribeLogDirs DescribeQuorum               DESCRIBE cluster
//	DescribeUserScramCredentials                 DESCRIBE cluster
//	DescribeClientQuotas                         DESCRIBE_CONFIGS cluster
//	AddPartitionsToTxn (before 4) EndTxn         WRITE transactional id
//	AddOffsetsToTxn TxnOffsetCommit              WRITE transactional id, READ group
//	Produce of transactional records             WRITE transactional id
//	AddPartitionsToTxn (from 4)                  CLUSTER_ACTION cluster
//	WriteTxnMarkers                              ALTER or CLUSTER_ACTION cluster
func needs(req kmsg.Request) []right {
	cluster := func(op kmsg.ACLOperation) []right { return []right{{op, onCluster, clusterName}} }
	group := func(op kmsg.ACLOperation, name string) []right { return []right{{op, onGroup, name}} }
	switch r := req.(type) {
	case *kmsg.JoinGroupRequest:
		return group(opRead, r.Group)
	case *kmsg.SyncGroupRequest:
		return group(opRead, r.Group)
	case *kmsg.HeartbeatRequest:
		return group(opRead, r.Group)
	case *kmsg.LeaveGroupRequest:
		return group(opRead, r.Group)
	case *kmsg.OffsetCommitRequest:
		return group(opRead, r.Group)
	case *kmsg.OffsetFetchRequest:
		if r.Version < 8 {
			return group(opDescribe, r.Group)
		}
	case *kmsg.OffsetDeleteRequest:
		return group(opDelete, r.Group)
	case *kmsg.ElectLeadersRequest, *kmsg.AlterPartitionAssignmentsRequest, *kmsg.CreateACLsRequest, *kmsg.DeleteACLsRequest,
		*kmsg.AlterReplicaLogDirsRequest, *kmsg.AlterUserSCRAMCredentialsRequest:
		return cluster(opAlter)
	case *kmsg.ListPartitionReassignmentsRequest, *kmsg.DescribeACLsRequest, *kmsg.DescribeLogDirsRequest, *kmsg.DescribeQuorumRequest,
		*kmsg.DescribeUserSCRAMCredentialsRequest:
		return cluster(opDescribe)
	case *kmsg.DescribeClientQuotasRequest:
		return cluster(opDescribeConfigs)
	case *kmsg.ProduceRequest:
		if r.TransactionID != nil && transactionalRecords(r) {
			return []right{{opWrite, onTxnID, *r.TransactionID}}
		}
	case *kmsg.EndTxnRequest:
		return []right{{opWrite, onTxnID, r.TransactionalID}}
	case *kmsg.AddOffsetsToTxnRequest:
		return []right{{opWrite, onTxnID, r.TransactionalID}, {opRead, onGroup, r.Group}}
	case *kmsg.TxnOffsetCommitRequest:
		return []right{{opWrite, onTxnID, r.TransactionalID}, {opRead, onGroup, r.Group}}
	case *kmsg.AddPartitionsToTxnRequest:
		if r.Version < 4 {
			return []right{{opWrite, onTxnID, r.TransactionalID}}
		}
		return cluster(opClusterAction) // from brokers only
	case *kmsg.WriteTxnMarkersRequest:
		return cluster(opClusterAction)
	}
	return nil
}

// authorize gives the request with what the client may have of it, and the reply that adds
// the rest; ok is false when the request has been answered.
func (b *broker) authorize(from ClientConn, req kmsg.Request, reply func(kmsg.Response)) (_ kmsg.Request, _ func(kmsg.Response), ok bool) {
	_, markers := req.(*kmsg.WriteTxnMarkersRequest)
	for _, n := range needs(req) {
		if !b.allowed(from, n.op, n.kind, n.name) && !(markers && b.allowed(from, opAlter, onCluster, clusterName)) {
			if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
				b.refuse(from, reply) // there is no answer to put the error in
				return nil, nil, false
			}
			code, message := n.refusal()
			reply(errorResponse(req, code, message))
			return nil, nil, false
		}
	}
	z := b.authorizer()
	may := func(op kmsg.ACLOperation, kind kmsg.ACLResourceType, name string) bool {
		return z.allows(from.principal, from.host(), op, kind, name)
	}
	var kept, refused kmsg.Request
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.ProduceRequestTopic) bool { return may(opWrite, onTopic, t.Topic) })
		if r.Acks == 0 && len(d.Topics) > 0 {
			inner := reply
			reply = func(kmsg.Response) { b.refuse(from, inner) }
			return &a, reply, true
		}
		kept, refused = &a, &d
	case *kmsg.ListOffsetsRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.ListOffsetsRequestTopic) bool { return may(opDescribe, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.OffsetForLeaderEpochRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.OffsetForLeaderEpochRequestTopic) bool { return may(opDescribe, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.OffsetCommitRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return may(opRead, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.OffsetDeleteRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.OffsetDeleteRequestTopic) bool { return may(opRead, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.CreatePartitionsRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.CreatePartitionsRequestTopic) bool { return may(opAlter, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.DeleteRecordsRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.DeleteRecordsRequestTopic) bool { return may(opDelete, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.CreateTopicsRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.CreateTopicsRequestTopic) bool {
			return may(opCreate, onCluster, clusterName) || may(opCreate, onTopic, t.Topic)
		})
		kept, refused = &a, &d
		inner := reply
		reply = func(resp kmsg.Response) {
			topics := resp.(*kmsg.CreateTopicsResponse).Topics
			for i := range topics {
				if t := &topics[i]; t.ErrorCode == 0 && !may(opDescribeConfigs, onTopic, t.Topic) {
					hideConfigs(t)
				}
			}
			inner(resp)
		}
	case *kmsg.DescribeGroupsRequest:
		a, d := *r, *r
		a.Groups, d.Groups = divide(r.Groups, func(g string) bool { return may(opDescribe, onGroup, g) })
		kept, refused = &a, &d
		if r.IncludeAuthorizedOperations {
			inner := reply
			reply = func(resp kmsg.Response) {
				groups := resp.(*kmsg.DescribeGroupsResponse).Groups
				for i := range groups {
					if groups[i].AuthorizedOperations != noOperations {
						groups[i].AuthorizedOperations = b.operations(from, onGroup, groups[i].Group)
					}
				}
				inner(resp)
			}
		}
	case *kmsg.DeleteGroupsRequest:
		a, d := *r, *r
		a.Groups, d.Groups = divide(r.Groups, func(g string) bool { return may(opDelete, onGroup, g) })
		kept, refused = &a, &d
	case *kmsg.DescribeConfigsRequest:
		a, d := *r, *r
		a.Resources, d.Resources = divide(r.Resources, func(c kmsg.DescribeConfigsRequestResource) bool {
			return mayConfigs(may, opDescribeConfigs, c.ResourceType, c.ResourceName)
		})
		kept, refused = &a, &d
	case *kmsg.AlterConfigsRequest:
		a, d := *r, *r
		a.Resources, d.Resources = divide(r.Resources, func(c kmsg.AlterConfigsRequestResource) bool {
			return mayConfigs(may, opAlterConfigs, c.ResourceType, c.ResourceName)
		})
		kept, refused = &a, &d
	case *kmsg.IncrementalAlterConfigsRequest:
		a, d := *r, *r
		a.Resources, d.Resources = divide(r.Resources, func(c kmsg.IncrementalAlterConfigsRequestResource) bool {
			return mayConfigs(may, opAlterConfigs, c.ResourceType, c.ResourceName)
		})
		kept, refused = &a, &d
	case *kmsg.TxnOffsetCommitRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return may(opRead, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.DescribeProducersRequest:
		a, d := *r, *r
		a.Topics, d.Topics = divide(r.Topics, func(t kmsg.DescribeProducersRequestTopic) bool { return may(opRead, onTopic, t.Topic) })
		kept, refused = &a, &d
	case *kmsg.DescribeTransactionsRequest:
		a, d := *r, *r
		a.TransactionalIDs, d.TransactionalIDs = divide(r.TransactionalIDs, func(id string) bool { return may(opDescribe, onTxnID, id) })
		kept, refused = &a, &d
		inner := reply
		reply = func(resp kmsg.Response) {
			// Topics that the client may not DESCRIBE are left out.
			states := resp.(*kmsg.DescribeTransactionsResponse).TransactionStates
			for i := range states {
				states[i].Topics = slices.DeleteFunc(states[i].Topics, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic) bool {
					return !may(opDescribe, onTopic, t.Topic)
				})
			}
			inner(resp)
		}
	case *kmsg.ListTransactionsRequest:
		inner := reply
		return req, func(resp kmsg.Response) {
			out := resp.(*kmsg.ListTransactionsResponse)
			out.TransactionStates = slices.DeleteFunc(out.TransactionStates, func(s kmsg.ListTransactionsResponseTransactionState) bool {
				return !may(opDescribe, onTxnID, s.TransactionalID)
			})
			inner(out)
		}, true
	case *kmsg.FindCoordinatorRequest:
		return b.authorizeCoordinators(may, r, reply)
	case *kmsg.OffsetFetchRequest:
		return authorizeOffsetFetch(may, r, reply)
	case *kmsg.DeleteTopicsRequest:
		a, d := b.authorizeDeletes(may, r)
		inner := reply
		return a, func(resp kmsg.Response) {
			out := resp.(*kmsg.DeleteTopicsResponse)
			out.Topics = append(out.Topics, d...)
			inner(out)
		}, true
	case *kmsg.MetadataRequest:
		return b.authorizeMetadata(from, may, r, reply)
	case *kmsg.ListGroupsRequest:
		if may(opDescribe, onCluster, clusterName) {
			return req, reply, true
		}
		inner := reply
		return req, func(resp kmsg.Response) {
			out := resp.(*kmsg.ListGroupsResponse)
			out.Groups = slices.DeleteFunc(out.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return !may(opDescribe, onGroup, g.Group) })
			inner(out)
		}, true
	case *kmsg.InitProducerIDRequest:
		// Since 2.8 the right to write to any topic is enough (KIP-679).
		switch {
		case r.TransactionalID != nil && !may(opWrite, onTxnID, *r.TransactionalID):
			reply(errorResponse(req, codeTxnIDAuthorization, ""))
			return nil, nil, false
		case r.TransactionalID == nil && !may(opIdempotentWrite, onCluster, clusterName) && !z.allowsSome(from.principal, from.host(), opWrite, onTopic):
			reply(errorResponse(req, codeClusterAuthorization, ""))
			return nil, nil, false
		}
		return req, reply, true
	default:
		return req, reply, true
	}
	refusal := b.refusedParts(refused)
	if refusal == nil {
		return req, reply, true
	}
	inner := reply
	return kept, func(resp kmsg.Response) { inner(joined(resp, refusal)) }, true
}

// divide keeps what is allowed and what is not.
func divide[T any](list []T, allowed func(T) bool) (kept, refused []T) {
	for _, x := range list {
		if allowed(x) {
			kept = append(kept, x)
		} else {
			refused = append(refused, x)
		}
	}
	return kept, refused
}

type mayFunc func(op kmsg.ACLOperation, kind kmsg.ACLResourceType, name string) bool

// mayConfigs: configs of a topic are the topic's, all others the cluster's.
func mayConfigs(may mayFunc, op kmsg.ACLOperation, kind kmsg.ConfigResourceType, name string) bool {
	if kind == kmsg.ConfigResourceTypeTopic {
		return may(op, onTopic, name)
	}
	return may(op, onCluster, clusterName)
}

// authorizeCoordinators: DESCRIBE of the group or transactional id whose coordinator is
// asked for.
func (b *broker) authorizeCoordinators(may mayFunc, r *kmsg.FindCoordinatorRequest, reply func(kmsg.Response)) (kmsg.Request, func(kmsg.Response), bool) {
	kind, code := onGroup, codeGroupAuthorization
	if r.CoordinatorType == 1 {
		kind, code = onTxnID, codeTxnIDAuthorization
	}
	if r.Version < 4 {
		if !may(opDescribe, kind, r.CoordinatorKey) {
			resp := r.ResponseKind().(*kmsg.FindCoordinatorResponse)
			resp.ErrorCode, resp.NodeID, resp.Port = code, -1, -1
			reply(resp)
			return nil, nil, false
		}
		return r, reply, true
	}
	a := *r
	var refused []string
	a.CoordinatorKeys, refused = divide(r.CoordinatorKeys, func(key string) bool { return may(opDescribe, kind, key) })
	return &a, func(resp kmsg.Response) {
		out := resp.(*kmsg.FindCoordinatorResponse)
		for _, key := range refused {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.ErrorCode, c.NodeID, c.Port = key, code, -1, -1
			out.Coordinators = append(out.Coordinators, c)
		}
		reply(out)
	}, true
}

// authorizeOffsetFetch: DESCRIBE of each group and topic. Where all topics are asked for,
// those that are not allowed are left out.
func authorizeOffsetFetch(may mayFunc, r *kmsg.OffsetFetchRequest, reply func(kmsg.Response)) (kmsg.Request, func(kmsg.Response), bool) {
	a := *r
	var refusedTopics []kmsg.OffsetFetchRequestTopic
	a.Topics, refusedTopics = divide(r.Topics, func(t kmsg.OffsetFetchRequestTopic) bool { return may(opDescribe, onTopic, t.Topic) })
	if r.Topics != nil && a.Topics == nil {
		a.Topics = []kmsg.OffsetFetchRequestTopic{} // nil would ask for all
	}
	groups, refusedGroups := divide(r.Groups, func(g kmsg.OffsetFetchRequestGroup) bool { return may(opDescribe, onGroup, g.Group) })
	a.Groups = slices.Clone(groups)
	refusedOf := map[string][]kmsg.OffsetFetchRequestGroupTopic{}
	for i := range a.Groups {
		g := &a.Groups[i]
		if g.Topics == nil {
			continue
		}
		var no []kmsg.OffsetFetchRequestGroupTopic
		g.Topics, no = divide(g.Topics, func(t kmsg.OffsetFetchRequestGroupTopic) bool { return may(opDescribe, onTopic, t.Topic) })
		if g.Topics == nil {
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		refusedOf[g.Group] = no
	}
	return &a, func(resp kmsg.Response) {
		out := resp.(*kmsg.OffsetFetchResponse)
		out.Topics = slices.DeleteFunc(out.Topics, func(t kmsg.OffsetFetchResponseTopic) bool { return !may(opDescribe, onTopic, t.Topic) })
		for _, t := range refusedTopics {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetFetchResponseTopicPartition()
				rp.Partition, rp.Offset, rp.LeaderEpoch, rp.ErrorCode, rp.Metadata = p, -1, -1, codeTopicAuthorization, kmsg.StringPtr("")
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
		for i := range out.Groups {
			g := &out.Groups[i]
			g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool { return !may(opDescribe, onTopic, t.Topic) })
			for _, t := range refusedOf[g.Group] {
				rt := kmsg.NewOffsetFetchResponseGroupTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
					rp.Partition, rp.Offset, rp.LeaderEpoch, rp.ErrorCode, rp.Metadata = p, -1, -1, codeTopicAuthorization, kmsg.StringPtr("")
					rt.Partitions = append(rt.Partitions, rp)
				}
				g.Topics = append(g.Topics, rt)
			}
		}
		for _, g := range refusedGroups {
			rg := kmsg.NewOffsetFetchResponseGroup()
			rg.Group, rg.ErrorCode = g.Group, codeGroupAuthorization
			out.Groups = append(out.Groups, rg)
		}
		reply(out)
	}, true
}

// authorizeDeletes: DELETE of each topic; who may not even DESCRIBE one that is asked for by
// id is not told its name.
func (b *broker) authorizeDeletes(may mayFunc, r *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsRequest, []kmsg.DeleteTopicsResponseTopic) {
	a := *r
	var refused []kmsg.DeleteTopicsResponseTopic
	refuse := func(name *string, id topicID) {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID, t.ErrorCode, t.ErrorMessage = name, id, codeTopicAuthorization, kmsg.StringPtr("Topic authorization failed.")
		refused = append(refused, t)
	}
	a.TopicNames, a.Topics = nil, nil
	for _, name := range r.TopicNames {
		if may(opDelete, onTopic, name) {
			a.TopicNames = append(a.TopicNames, name)
		} else {
			refuse(kmsg.StringPtr(name), topicID{})
		}
	}
	for _, t := range r.Topics {
		name, known := "", true
		if t.Topic != nil {
			name = *t.Topic
		} else {
			name, known = b.image().names[t.TopicID]
		}
		switch {
		case !known || may(opDelete, onTopic, name):
			a.Topics = append(a.Topics, t)
		case t.Topic == nil && may(opDescribe, onTopic, name):
			refuse(kmsg.StringPtr(name), t.TopicID)
		default:
			refuse(t.Topic, t.TopicID)
		}
	}
	return &a, refused
}

// authorizeMetadata: DESCRIBE of each topic, and CREATE for one that would be made. Of all
// topics, those that are not allowed are left out.
func (b *broker) authorizeMetadata(from ClientConn, may mayFunc, r *kmsg.MetadataRequest, reply func(kmsg.Response)) (kmsg.Request, func(kmsg.Response), bool) {
	if r.Topics == nil || r.Version == 0 && len(r.Topics) == 0 {
		return r, func(resp kmsg.Response) {
			out := resp.(*kmsg.MetadataResponse)
			out.Topics = slices.DeleteFunc(out.Topics, func(t kmsg.MetadataResponseTopic) bool { return !may(opDescribe, onTopic, *t.Topic) })
			reply(out)
		}, true
	}
	a := *r
	m := b.image()
	var refused []kmsg.MetadataResponseTopic
	a.Topics = []kmsg.MetadataRequestTopic{}
	for _, t := range r.Topics {
		name, known := "", true
		if t.Topic != nil {
			name = *t.Topic
		} else {
			name, known = m.names[t.TopicID]
		}
		describe := !known || may(opDescribe, onTopic, name)
		if describe && known && m.topics[name] == nil && b.wouldCreate(r) {
			describe = may(opCreate, onCluster, clusterName) || may(opCreate, onTopic, name)
		}
		if describe {
			a.Topics = append(a.Topics, t)
			continue
		}
		rt := kmsg.NewMetadataResponseTopic()
		rt.ErrorCode, rt.AuthorizedOperations = codeTopicAuthorization, noOperations
		if rt.Topic = t.Topic; t.Topic == nil {
			rt.TopicID = t.TopicID
		}
		refused = append(refused, rt)
	}
	if a.Version == 0 && len(a.Topics) == 0 {
		// An empty list would ask for all of them.
		resp := b.metadataFrame(r)
		resp.Brokers, resp.Topics = b.aliveAddresses(from), refused
		reply(resp)
		return nil, nil, false
	}
	return &a, func(resp kmsg.Response) {
		out := resp.(*kmsg.MetadataResponse)
		out.Topics = append(out.Topics, refused...)
		reply(out)
	}, true
}

// hideConfigs makes the answer about a new topic one for a client that may not describe its
// configs (ReplicationControlManager.createTopic): it is not told its size either.
func hideConfigs(t *kmsg.CreateTopicsResponseTopic) {
	t.ConfigErrorCode, t.NumPartitions, t.ReplicationFactor = codeTopicAuthorization, -1, -1
	t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
}

// transactionalRecords tells whether a partition of a produce request begins with a whole
// batch of a transaction (RequestUtils.hasTransactionalRecords).
func transactionalRecords(req *kmsg.ProduceRequest) bool {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			data := req.Topics[i].Partitions[j].Records
			if len(data) < batchHeader || data[batchMagic] != 2 || data[batchAttributes+1]&attrTransactional == 0 {
				continue
			}
			if n := int(int32(binary.BigEndian.Uint32(data[batchLength:]))); n > 0 && n <= len(data)-12 {
				return true
			}
		}
	}
	return false
}

// mayAddToTxn: WRITE of a topic that a client takes into a transaction. Internal topics are
// nobody's, authorizer or not; brokers, who send versions from 4 on, may have all.
func (b *broker) mayAddToTxn(from ClientConn, req *kmsg.AddPartitionsToTxnRequest, topic string) bool {
	return req.Version >= 4 || !internalTopic(topic) && (!b.authorizing() || b.allowed(from, opWrite, onTopic, topic))
}
