package core

// This file defines how clients' requests about transactions are answered: taking
// partitions in, ending, and what administrators ask (KIP-664, KIP-994).

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fencedFor is PRODUCER_FENCED as older versions of a request know it.
func fencedFor(code int16, knows bool) int16 {
	if code == codeProducerFenced && !knows {
		return codeInvalidProducerEpoch
	}
	return code
}

// txnTopics are the topics of a request, in the form of all its versions.
type txnTopics []kmsg.AddPartitionsToTxnRequestTransactionTopic

// addToTxn adds the partitions of one transaction, or verifies them, and gives a code for
// each, in order. One that may not be written or does not exist keeps all others out; they
// are told OPERATION_NOT_ATTEMPTED.
func (b *broker) addToTxn(id string, producer producerEpoch, verify bool, topics txnTopics, may func(topic string) bool, done func(codes []int16)) {
	var keys []partitionKey
	var codes []int16
	refused := false
	for _, t := range topics {
		for _, p := range t.Partitions {
			key := partitionKey{t.Topic, p}
			keys = append(keys, key)
			code := codeOperationNotAttempted
			switch {
			case !may(t.Topic):
				code, refused = codeTopicAuthorization, true
			case b.image().partition(key) == nil:
				code, refused = codeUnknownTopicOrPartition, true
			}
			codes = append(codes, code)
		}
	}
	if refused {
		done(codes)
		return
	}
	if verify {
		for i, key := range keys {
			codes[i] = b.txns.verify(&txnQuestion{id, producer, key})
		}
		done(codes)
		return
	}
	b.txns.addPartitions(id, producer, keys, func(code int16) {
		for i := range codes {
			codes[i] = code
		}
		done(codes)
	})
}

func (b *broker) addPartitionsToTxn(from ClientConn, req *kmsg.AddPartitionsToTxnRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	may := func(topic string) bool { return b.mayAddToTxn(from, req, topic) }
	if req.GetVersion() < 4 {
		var topics txnTopics
		for _, t := range req.Topics {
			topics = append(topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		b.addToTxn(req.TransactionalID, producerEpoch{req.ProducerID, req.ProducerEpoch}, false, topics, may, func(codes []int16) {
			for _, t := range topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p, fencedFor(codes[0], req.GetVersion() >= 2)
					codes = codes[1:]
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			reply(resp)
		})
		return
	}
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	left := 1 // for this loop itself
	done := func() {
		if left--; left == 0 {
			reply(resp)
		}
	}
	for i := range req.Transactions {
		t, out := &req.Transactions[i], &resp.Transactions[i]
		out.TransactionalID = t.TransactionalID
		left++
		b.addToTxn(t.TransactionalID, producerEpoch{t.ProducerID, t.ProducerEpoch}, t.VerifyOnly, t.Topics, may, func(codes []int16) {
			for _, topic := range t.Topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
				rt.Topic = topic.Topic
				for _, p := range topic.Partitions {
					rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
					rp.Partition, rp.ErrorCode = p, codes[0]
					codes = codes[1:]
					rt.Partitions = append(rt.Partitions, rp)
				}
				out.Topics = append(out.Topics, rt)
			}
			done()
		})
	}
	done()
}

// addOffsetsToTxn takes a group's partition of __consumer_offsets into a transaction.
func (b *broker) addOffsetsToTxn(req *kmsg.AddOffsetsToTxnRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	key := partitionKey{offsetsTopic, b.groupPartition(req.Group)}
	if b.image().partition(key) == nil {
		// A partition that the coordinator has not heard of would get no marker. Kafka does
		// not look; every client takes this code for worth another try.
		b.autoCreate(offsetsTopic)
		resp.ErrorCode = codeCoordinatorLoading
		reply(resp)
		return
	}
	b.txns.addPartitions(req.TransactionalID, producerEpoch{req.ProducerID, req.ProducerEpoch}, []partitionKey{key}, func(code int16) {
		resp.ErrorCode = fencedFor(code, req.GetVersion() >= 2)
		reply(resp)
	})
}

func (b *broker) endTxn(req *kmsg.EndTxnRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	b.txns.endTxn(req.TransactionalID, producerEpoch{req.ProducerID, req.ProducerEpoch}, req.Commit, func(code int16) {
		resp.ErrorCode = fencedFor(code, req.GetVersion() >= 2)
		reply(resp)
	})
}

func (b *broker) describeTransactions(req *kmsg.DescribeTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID = id
		_, t, code := b.txns.find(id)
		switch {
		case code != 0:
			s.ErrorCode = code
		case t == nil:
			s.ErrorCode = codeTxnIDNotFound
		default:
			s.State, s.TimeoutMillis, s.StartTimestamp = t.state.String(), t.timeoutMS, t.started
			s.ProducerID, s.ProducerEpoch = t.producerID, t.epoch
			for _, key := range sortedKeys(t.partitions) {
				if n := len(s.Topics); n == 0 || s.Topics[n-1].Topic != key.topic {
					topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
					topic.Topic = key.topic
					s.Topics = append(s.Topics, topic)
				}
				topic := &s.Topics[len(s.Topics)-1]
				topic.Partitions = append(topic.Partitions, key.partition)
			}
		}
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp
}

// listTransactions lists the transactional ids that this broker coordinates.
func (b *broker) listTransactions(req *kmsg.ListTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	for _, name := range req.StateFilters {
		if !slices.Contains(txnStateNames[:], name) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	now := b.txns.now()
	partitions, all := b.txns.partitions()
	if !all {
		resp.ErrorCode = codeCoordinatorLoading
		return resp
	}
	for _, p := range partitions {
		for _, t := range sortedTxns(p.txns) {
			switch {
			case len(req.StateFilters) > 0 && !slices.Contains(req.StateFilters, t.state.String()):
			case len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, t.producerID):
			case req.GetVersion() >= 1 && req.DurationFilterMillis >= 0 && now-t.started <= req.DurationFilterMillis:
			default:
				s := kmsg.NewListTransactionsResponseTransactionState()
				s.TransactionalID, s.ProducerID, s.TransactionState = t.id, t.producerID, t.state.String()
				resp.TransactionStates = append(resp.TransactionStates, s)
			}
		}
	}
	return resp
}

// describeProducers tells of the producers that partitions know, as their leaders have them.
func (b *broker) describeProducers(req *kmsg.DescribeProducersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		for _, partition := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = partition
			r, code := b.leaderOf(partitionKey{t.Topic, partition})
			if rp.ErrorCode = code; code == 0 {
				for _, id := range r.log.producerIDs() {
					p := r.log.producers[id]
					a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					a.ProducerID, a.ProducerEpoch, a.LastSequence = id, int32(p.epoch), p.lastSequence()
					a.LastTimestamp, a.CoordinatorEpoch, a.CurrentTxnStartOffset = p.lastTime, p.coordinatorEpoch, p.txnFirst
					rp.ActiveProducers = append(rp.ActiveProducers, a)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
