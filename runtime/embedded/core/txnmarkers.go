package core

// This file defines how the end of a transaction reaches its partitions: the coordinator's
// side, which sends markers until every partition has one, and the leaders' side, which
// write them; and the question that a leader asks a coordinator before the first batch.

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/internal/rules"
)

// txnRetry is the pause before markers without a leader or with an error are sent again,
// and before a transition that could not be written is (retry.backoff.ms of a broker's
// own client).
const txnRetry = 100 * time.Millisecond

type (
	// txnMarkers is WriteTxnMarkers from a coordinator to a leader.
	txnMarkers struct{ markers []txnMarker }
	txnMarker  struct {
		producerID       int64
		epoch            int16
		commit           bool
		coordinatorEpoch int32
		partitions       []partitionKey
	}
	// txnMarkersAnswer has a code for each partition of each marker.
	txnMarkersAnswer struct{ codes [][]int16 }

	// txnQuestion is AddPartitionsToTxn with VerifyOnly (KIP-890).
	txnQuestion struct {
		id       string
		producer producerEpoch
		key      partitionKey
	}
	txnAnswer struct{ code int16 }
)

// markerJob is a decided transaction whose markers are not all written.
type markerJob struct {
	p      *txnPartition
	t      *txn
	commit bool
	left   map[partitionKey]bool
	under  map[partitionKey]bool // in a request that is under way, or waiting for txnRetry
	done   func()
}

// markerSender is Kafka's TransactionMarkerChannelManager: one request at a time to each
// leader, with everything that is for it.
//
//	a partition's answer                                      what follows
//	NONE                                                      done with it
//	partition unknown to metadata                             done with it: it was deleted
//	INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED    the job ends: another coordinator has it
//	any other, no answer, no leader                           sent again
type markerSender struct {
	c       *txnCoordinator
	jobs    []*markerJob
	busy    map[int32]bool // by leader
	waiting bool           // for txnRetry
}

func (s *markerSender) send(j *markerJob, done func()) {
	j.done = done
	s.jobs = append(s.jobs, j)
	s.c.b.n.after(0, s.pump)
}

func (s *markerSender) retry() {
	if s.waiting {
		return
	}
	s.waiting = true
	s.c.b.n.after(txnRetry, func() {
		s.waiting = false
		s.pump()
	})
}

// share is the part of a job that goes to one leader.
type share struct {
	j    *markerJob
	keys []partitionKey
}

// pump sends what can be sent and ends the jobs that have nothing left.
func (s *markerSender) pump() {
	b := s.c.b
	requests := map[int32][]share{}
	var finished []*markerJob
	s.jobs = slices.DeleteFunc(s.jobs, func(j *markerJob) bool {
		if !s.c.leads(j.p) {
			return true
		}
		for _, key := range sortedKeys(j.left) {
			if j.under[key] {
				continue
			}
			p := b.image().partition(key)
			switch {
			case p == nil:
				delete(j.left, key)
			case !b.image().aliveBroker(p.Leader):
				s.retry()
			case s.busy[p.Leader]: // its answer pumps again
			default:
				parts := requests[p.Leader]
				if n := len(parts); n == 0 || parts[n-1].j != j {
					parts = append(parts, share{j: j})
				}
				parts[len(parts)-1].keys = append(parts[len(parts)-1].keys, key)
				requests[p.Leader] = parts
			}
		}
		if len(j.left) == 0 {
			finished = append(finished, j)
			return true
		}
		return false
	})
	for _, leader := range slices.Sorted(maps.Keys(requests)) {
		s.request(leader, requests[leader])
	}
	for _, j := range finished {
		j.done()
	}
}

func (s *markerSender) request(leader int32, parts []share) {
	b := s.c.b
	req, size := &txnMarkers{}, 60
	for _, part := range parts {
		t := part.j.t
		req.markers = append(req.markers, txnMarker{t.producerID, t.epoch, part.j.commit, part.j.p.epoch, part.keys})
		size += 40 + 40*len(part.keys)
		for _, key := range part.keys {
			part.j.under[key] = true
		}
	}
	s.busy[leader] = true
	b.n.call(leader, chanTxn, req, size, b.n.cfg.requestTimeout, func(resp any, err error) {
		delete(s.busy, leader)
		answer, ok := resp.(*txnMarkersAnswer)
		var again []share
		for i, part := range parts {
			failed := share{j: part.j}
			for k, key := range part.keys {
				code := codeNetworkException
				if ok && err == nil {
					code = answer.codes[i][k]
				}
				switch code {
				case 0:
					delete(part.j.left, key)
					delete(part.j.under, key)
				case codeInvalidProducerEpoch, codeTxnCoordinatorFenced:
					s.drop(part.j)
				default:
					failed.keys = append(failed.keys, key)
				}
			}
			if len(failed.keys) > 0 {
				again = append(again, failed)
			}
		}
		s.later(again)
		s.pump()
	})
}

// later lets partitions with an error be sent again after txnRetry.
func (s *markerSender) later(parts []share) {
	if len(parts) == 0 {
		return
	}
	s.c.b.n.after(txnRetry, func() {
		for _, part := range parts {
			for _, key := range part.keys {
				delete(part.j.under, key)
			}
		}
		s.pump()
	})
}

func (s *markerSender) drop(j *markerJob) {
	if i := slices.Index(s.jobs, j); i >= 0 {
		s.jobs = slices.Delete(s.jobs, i, i+1)
	}
}

// handleMarkers writes the markers that a coordinator sent and answers when each is
// committed or refused.
func (b *broker) handleMarkers(m *txnMarkers, respond func(any, int)) {
	answer := &txnMarkersAnswer{}
	left := 1 // for this loop itself
	done := func() {
		if left--; left == 0 {
			respond(answer, 60)
		}
	}
	for i := range m.markers {
		marker := &m.markers[i]
		codes := make([]int16, len(marker.partitions))
		answer.codes = append(answer.codes, codes)
		for k, key := range marker.partitions {
			left++
			b.writeMarker(key, marker, func(code int16) {
				codes[k] = code
				done()
			})
		}
	}
	done()
}

func txnEnd(commit bool) TxnEnd {
	if commit {
		return TxnCommitted
	}
	return TxnAborted
}

// writeMarker ends a producer's transaction in a partition. A producer's older epoch and a
// coordinator's are refused (ProducerAppendInfo.appendEndTxnMarker).
func (b *broker) writeMarker(key partitionKey, m *txnMarker, done func(code int16)) {
	r, code := b.leaderOf(key)
	if code != 0 {
		done(code)
		return
	}
	if p := r.log.producers[m.producerID]; p != nil && !b.without(rules.MarkerEpoch) {
		switch {
		case m.epoch < p.epoch:
			done(codeInvalidProducerEpoch)
			return
		case m.coordinatorEpoch < p.coordinatorEpoch:
			done(codeTxnCoordinatorFenced)
			return
		}
	}
	for _, v := range r.verifying {
		if v.producer.id == m.producerID {
			v.stale = true
		}
	}
	b.appendInternal(key, newMarker(b.n.w.wallMillis(b.n.w.now), m), b.n.cfg.requestTimeout, func(code int16) {
		if g, ok := b.groups.(GroupTransactions); ok && code == 0 && key.topic == offsetsTopic {
			g.EndTxn(b.n.w.now, key.partition, GroupTxn{m.producerID, m.epoch, txnEnd(m.commit)})
			b.groupTimers()
		}
		done(code)
	})
}

// verification is a question to a coordinator that is under way, and the batches that wait
// for its answer in their order. A marker that comes meanwhile makes it stale.
type verification struct {
	producer producerEpoch
	stale    bool
	waiting  []func(code int16)
}

// verifyTxn makes sure that a batch may be written in a producer's transaction: the
// partition has an open one of this epoch, or the coordinator says that it is part of it.
// Errors that waiting may mend are answered with NOT_ENOUGH_REPLICAS, which every client
// takes for worth another try (AddPartitionsToTxnManager).
func (b *broker) verifyTxn(r *replica, id string, producerID int64, epoch int16, then func(code int16)) {
	producer := producerEpoch{producerID, epoch}
	if v := r.verifying[producer]; v != nil {
		v.waiting = append(v.waiting, then)
		return
	}
	if p := r.log.producers[producerID]; p != nil && p.txnFirst >= 0 && p.epoch == epoch || b.without(rules.VerifyTxn) {
		then(0)
		return
	}
	if on, _, _ := b.image().brokerConfig(b.n.cfg, b.n.id, "transaction.partition.verification.enable"); !strings.EqualFold(on, "true") {
		then(0)
		return
	}
	at := b.image().partition(partitionKey{txnTopic, b.txnPartition(id)})
	if at == nil || !b.image().aliveBroker(at.Leader) {
		then(codeNotEnoughReplicas)
		return
	}
	v := &verification{producer: producer, waiting: []func(int16){then}}
	if r.verifying == nil {
		r.verifying = map[producerEpoch]*verification{}
	}
	r.verifying[producer] = v
	leaderEpoch := r.epoch
	b.n.call(at.Leader, chanTxn, &txnQuestion{id, producer, r.key}, 120, b.n.cfg.requestTimeout, func(resp any, err error) {
		if r.verifying[producer] == v {
			delete(r.verifying, producer)
		}
		code := codeNotEnoughReplicas
		if a, ok := resp.(*txnAnswer); ok && err == nil {
			switch code = a.code; code {
			case codeConcurrentTransactions, codeCoordinatorLoading, codeCoordinatorNotAvailable, codeNotCoordinator:
				code = codeNotEnoughReplicas
			case codeProducerFenced:
				code = codeInvalidProducerEpoch
			}
		}
		switch {
		case !r.leading || r.epoch != leaderEpoch || b.replicas[r.key] != r:
			code = codeNotLeaderOrFollower
		case v.stale && code == 0:
			code = codeInvalidTxnState
		}
		for _, then := range v.waiting {
			then(code)
		}
	})
}

// writeTxnMarkers answers a client's WriteTxnMarkers: how an administrator ends a
// transaction that hangs.
func (b *broker) writeTxnMarkers(req *kmsg.WriteTxnMarkersRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	m := &txnMarkers{}
	for i := range req.Markers {
		rm := &req.Markers[i]
		marker := txnMarker{rm.ProducerID, rm.ProducerEpoch, rm.Committed, rm.CoordinatorEpoch, nil}
		for _, t := range rm.Topics {
			for _, p := range t.Partitions {
				marker.partitions = append(marker.partitions, partitionKey{t.Topic, p})
			}
		}
		m.markers = append(m.markers, marker)
	}
	b.handleMarkers(m, func(answer any, _ int) {
		codes := answer.(*txnMarkersAnswer).codes
		for i := range req.Markers {
			out := kmsg.NewWriteTxnMarkersResponseMarker()
			out.ProducerID = req.Markers[i].ProducerID
			k := 0
			for _, t := range req.Markers[i].Topics {
				rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
					rp.Partition, rp.ErrorCode = p, codes[i][k]
					k++
					rt.Partitions = append(rt.Partitions, rp)
				}
				out.Topics = append(out.Topics, rt)
			}
			resp.Markers = append(resp.Markers, out)
		}
		reply(resp)
	})
}
