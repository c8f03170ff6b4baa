package core

// This file defines which requests the brokers answer, in which versions, and hands
// each to its answer.

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// APIVersion is a range of versions of one kind of request.
type APIVersion struct{ Key, Min, Max int16 }

// apiVersions lists what the brokers answer, by key. Versions before those that speak
// v2 record batches are left out, as Kafka 4 leaves them out (KIP-896); except that librdkafka
// takes compression for unsupported where Produce 0 is not listed (KAFKA-18659).
//
// It is an array, so that looking at it for every request costs no memory.
func apiVersions() [49]APIVersion {
	return [49]APIVersion{
		{int16(kmsg.Produce), 0, 11},
		{int16(kmsg.Fetch), 4, 17},
		{int16(kmsg.ListOffsets), 1, 9},
		{int16(kmsg.Metadata), 0, 12},
		{int16(kmsg.OffsetCommit), 2, 9},
		{int16(kmsg.OffsetFetch), 1, 9},
		{int16(kmsg.FindCoordinator), 0, 5},
		{int16(kmsg.JoinGroup), 0, 9},
		{int16(kmsg.Heartbeat), 0, 4},
		{int16(kmsg.LeaveGroup), 0, 5},
		{int16(kmsg.SyncGroup), 0, 5},
		{int16(kmsg.DescribeGroups), 0, 5},
		{int16(kmsg.ListGroups), 0, 5},
		{int16(kmsg.SASLHandshake), 0, 1},
		{int16(kmsg.ApiVersions), 0, 4},
		{int16(kmsg.CreateTopics), 2, 7},
		{int16(kmsg.DeleteTopics), 1, 6},
		{int16(kmsg.DeleteRecords), 0, 2},
		{int16(kmsg.InitProducerID), 0, 5},
		{int16(kmsg.OffsetForLeaderEpoch), 2, 4},
		{int16(kmsg.DescribeACLs), 0, 3},
		{int16(kmsg.CreateACLs), 0, 3},
		{int16(kmsg.DeleteACLs), 0, 3},
		{int16(kmsg.AddPartitionsToTxn), 0, 5},
		{int16(kmsg.AddOffsetsToTxn), 0, 4},
		{int16(kmsg.EndTxn), 0, 4},
		{int16(kmsg.WriteTxnMarkers), 0, 1},
		{int16(kmsg.TxnOffsetCommit), 0, 4},
		{int16(kmsg.DescribeConfigs), 1, 4},
		{int16(kmsg.AlterConfigs), 0, 2},
		{int16(kmsg.AlterReplicaLogDirs), 0, 2},
		{int16(kmsg.DescribeLogDirs), 0, 4},
		{int16(kmsg.SASLAuthenticate), 0, 2},
		{int16(kmsg.CreatePartitions), 0, 3},
		{int16(kmsg.DeleteGroups), 0, 2},
		{int16(kmsg.ElectLeaders), 0, 2},
		{int16(kmsg.IncrementalAlterConfigs), 0, 1},
		{int16(kmsg.AlterPartitionAssignments), 0, 0},
		{int16(kmsg.ListPartitionReassignments), 0, 0},
		{int16(kmsg.OffsetDelete), 0, 0},
		{int16(kmsg.DescribeClientQuotas), 0, 1},
		{int16(kmsg.DescribeUserSCRAMCredentials), 0, 0},
		{int16(kmsg.AlterUserSCRAMCredentials), 0, 0},
		{int16(kmsg.DescribeQuorum), 0, 1},
		{int16(kmsg.DescribeCluster), 0, 1},
		{int16(kmsg.DescribeTopicPartitions), 0, 0},
		{int16(kmsg.DescribeProducers), 0, 0},
		{int16(kmsg.DescribeTransactions), 0, 0},
		{int16(kmsg.ListTransactions), 0, 1},
	}
}

// Supported gives the versions of a request that the brokers answer. A shell that gets
// another version of ApiVersions passes it on with the version it cannot decode
// (KIP-511); for any other it closes the connection, as Kafka does.
func Supported(key int16) (lowest, highest int16, ok bool) {
	for _, v := range apiVersions() {
		if v.Key == key {
			return v.Min, v.Max, true
		}
	}
	return 0, 0, false
}

// isGroupRequest tells what goes to the group coordinator.
func isGroupRequest(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.OffsetFetch, kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup,
		kmsg.DescribeGroups, kmsg.ListGroups, kmsg.DeleteGroups, kmsg.OffsetDelete:
		return true
	}
	return false
}

// answersGroup: the broker's group coordinator takes requests of this kind.
func (b *broker) answersGroup(key int16) bool {
	if kmsg.Key(key) == kmsg.TxnOffsetCommit {
		_, ok := b.groups.(GroupTransactions)
		return ok
	}
	return b.groups != nil
}

func (b *broker) handleClient(from ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	lowest, highest, ok := Supported(req.Key())
	if v := req.GetVersion(); !ok || (v < lowest || v > highest) && req.Key() != int16(kmsg.ApiVersions) {
		reply(unsupported(req))
		return
	}
	if b.authenticate(&from, req, reply) {
		return
	}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.TransactionID == nil && transactionalRecords(p) {
		// Nobody may write in a transaction that has no name (KafkaApis.handleProduceRequest).
		if p.Acks == 0 {
			b.refuse(from, reply)
			return
		}
		reply(errorResponse(req, codeTxnIDAuthorization, ""))
		return
	}
	if b.authorizing() {
		var ok bool
		if req, reply, ok = b.authorize(from, req, reply); !ok {
			return
		}
	}
	if isGroupRequest(req.Key()) {
		if !b.answersGroup(req.Key()) {
			reply(unsupported(req))
			return
		}
		b.groups.Handle(b.n.w.now, from, req, reply)
		b.groupTimers()
		return
	}
	switch r := req.(type) {
	case *kmsg.ApiVersionsRequest:
		reply(b.answerVersions(r))
	case *kmsg.ProduceRequest:
		b.produce(from, r, reply)
	case *kmsg.FetchRequest:
		b.fetch(from, r, reply)
	case *kmsg.ListOffsetsRequest:
		reply(b.listOffsets(r))
	case *kmsg.OffsetForLeaderEpochRequest:
		reply(b.offsetForLeaderEpoch(r))
	case *kmsg.MetadataRequest:
		b.metadata(from, r, reply)
	case *kmsg.DescribeClusterRequest:
		reply(b.describeCluster(from, r))
	case *kmsg.FindCoordinatorRequest:
		b.findCoordinator(from, r, reply)
	case *kmsg.InitProducerIDRequest:
		b.initProducerID(r, reply)
	case *kmsg.AddPartitionsToTxnRequest:
		b.addPartitionsToTxn(from, r, reply)
	case *kmsg.AddOffsetsToTxnRequest:
		b.addOffsetsToTxn(r, reply)
	case *kmsg.EndTxnRequest:
		b.endTxn(r, reply)
	case *kmsg.WriteTxnMarkersRequest:
		b.writeTxnMarkers(r, reply)
	case *kmsg.DescribeTransactionsRequest:
		reply(b.describeTransactions(r))
	case *kmsg.ListTransactionsRequest:
		reply(b.listTransactions(r))
	case *kmsg.DescribeProducersRequest:
		reply(b.describeProducers(r))
	case *kmsg.DescribeConfigsRequest:
		reply(b.describeConfigs(r))
	case *kmsg.DeleteRecordsRequest:
		b.deleteRecords(r, reply)
	case *kmsg.DescribeACLsRequest:
		reply(b.describeACLs(r))
	case *kmsg.DescribeLogDirsRequest:
		reply(b.describeLogDirs(r))
	case *kmsg.AlterReplicaLogDirsRequest:
		reply(b.alterReplicaLogDirs(r))
	case *kmsg.DescribeTopicPartitionsRequest:
		reply(b.describeTopicPartitions(from, r))
	case *kmsg.DescribeUserSCRAMCredentialsRequest:
		reply(b.describeSCRAM(r))
	case *kmsg.DescribeClientQuotasRequest:
		reply(describeClientQuotas(r))
	case *kmsg.CreateACLsRequest, *kmsg.DeleteACLsRequest, *kmsg.AlterUserSCRAMCredentialsRequest, *kmsg.DescribeQuorumRequest:
		b.forward(req, reply)
	case *kmsg.CreateTopicsRequest, *kmsg.DeleteTopicsRequest, *kmsg.CreatePartitionsRequest, *kmsg.AlterConfigsRequest,
		*kmsg.IncrementalAlterConfigsRequest, *kmsg.ElectLeadersRequest, *kmsg.AlterPartitionAssignmentsRequest, *kmsg.ListPartitionReassignmentsRequest:
		b.forward(req, reply)
	default:
		reply(unsupported(req))
	}
}

// answerVersions lists the versions. A version that is not known gets those of ApiVersions alone,
// in version 0, with an error that says so (KIP-511); a client that has no proper name gets an
// error.
func (b *broker) answerVersions(r *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
	lowest, highest, _ := Supported(r.Key())
	v := r.GetVersion()
	unknown := v < lowest || v > highest
	switch {
	case unknown:
		resp.SetVersion(0)
		resp.ErrorCode = codeUnsupportedVersion
	case v >= 3 && !(softwareName(r.ClientSoftwareName) && softwareName(r.ClientSoftwareVersion)):
		resp.ErrorCode = codeInvalidRequest
		return resp
	}
	for _, v := range apiVersions() {
		if isGroupRequest(v.Key) && !b.answersGroup(v.Key) || unknown && v.Key != r.Key() {
			continue
		}
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = v.Key, v.Min, v.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	b.features(resp)
	return resp
}

// softwareName: letters, digits, and within it hyphens and dots.
func softwareName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}
