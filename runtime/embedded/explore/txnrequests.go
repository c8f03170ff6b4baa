package explore

// This file defines the requests that transactional producers send.

import "github.com/twmb/franz-go/pkg/kmsg"

// txnTimeoutMS is how long a transaction may be open.
const txnTimeoutMS = 3000

// The types of coordinators.
const (
	groupCoordinator int8 = 0
	txnCoordinator   int8 = 1
)

func findCoordinator(kind int8, key string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.SetVersion(3)
	req.CoordinatorType, req.CoordinatorKey = kind, key
	return req
}

// initProducer asks for an epoch. pid and epoch are those that the producer has, if it
// has to go on from them (KIP-360), or -1 and -1.
func initProducer(id string, pid int64, epoch int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.SetVersion(4)
	req.TransactionalID, req.TransactionTimeoutMillis = &id, txnTimeoutMS
	req.ProducerID, req.ProducerEpoch = pid, epoch
	return req
}

func addPartitions(id string, pid int64, epoch int16, partitions []int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.SetVersion(3)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topicName, Partitions: partitions}}
	return req
}

func addOffsets(id string, pid int64, epoch int16, group string) *kmsg.AddOffsetsToTxnRequest {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.SetVersion(3)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = id, pid, epoch, group
	return req
}

// commitInTxn commits an offset of partition 0 for a group without members.
func commitInTxn(id string, pid int64, epoch int16, group string, offset int64) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.SetVersion(3)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = id, pid, epoch, group
	req.Generation = -1
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.LeaderEpoch = offset, -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: topicName, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	return req
}

// fetchOffset asks for what commitInTxn committed; stable refuses to look past an open
// transaction (KIP-447).
func fetchOffset(group string, stable bool) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.SetVersion(7)
	req.Group, req.RequireStable = group, stable
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topicName, Partitions: []int32{0}}}
	return req
}

func endTxn(id string, pid int64, epoch int16, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.SetVersion(3)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, pid, epoch, commit
	return req
}

// codeOf is the error code of an answer to one of these requests, or to a Produce.
func codeOf(r kmsg.Response) int16 {
	switch a := r.(type) {
	case *kmsg.InitProducerIDResponse:
		return a.ErrorCode
	case *kmsg.AddPartitionsToTxnResponse:
		return a.Topics[0].Partitions[0].ErrorCode
	case *kmsg.AddOffsetsToTxnResponse:
		return a.ErrorCode
	case *kmsg.TxnOffsetCommitResponse:
		return a.Topics[0].Partitions[0].ErrorCode
	case *kmsg.EndTxnResponse:
		return a.ErrorCode
	case *kmsg.ProduceResponse:
		return a.Topics[0].Partitions[0].ErrorCode
	case *kmsg.OffsetFetchResponse:
		if a.ErrorCode != 0 {
			return a.ErrorCode
		}
		return a.Topics[0].Partitions[0].ErrorCode
	}
	return errNoAnswer
}
